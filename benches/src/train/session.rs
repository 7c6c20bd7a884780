//! One network in training: its minibatches, its clock, and what it is measured by.

use std::time::{Duration, Instant};

use ndarray::Array2;
use opt_core::{AnyMethod, Counted, Fallback, Grouped, Layered, Objective, Segment, Train};
use opt_data::{Batches, gather_labels};
use opt_nn::{Mlp, Target};

use crate::experiment::{Kind, Schedule, Variant};
use crate::setting::named;
use crate::train::{Contender, Cropping, Network, Samples, Trainer};

/// A network in training.
pub(super) struct Session<'a> {
    pub(super) network: Network,
    pub(super) method: AnyMethod<f32, Network>,
    pub(super) x: Vec<f32>,
    train: &'a Samples,
    parts: Option<Parts>,
    pub(super) batches: Batches,
    /// Whether all updates see the first minibatch.
    fixed: bool,
    loaded: bool,
    /// Samples of the minibatch that curvature is taken on.
    curvature: usize,
    schedule: Schedule,
    kind: Kind,
    lr: f64,
    seed: u64,
    pub(super) done: u64,
    pub(super) training_time: Duration,
    /// Seconds of every update of this process.
    pub(super) steps: Vec<f64>,
}

/// Random parts of the images of a minibatch.
struct Parts {
    of: Cropping,
    inputs: Array2<f32>,
    labels: Vec<u8>,
}

impl Parts {
    fn draw(&mut self, rows: &[usize], epoch: u64) -> Result<(), opt_data::Error> {
        let Cropping {
            train,
            image,
            crops,
        } = &self.of;
        let inputs = train.dense().map(|inputs| inputs.view());
        let inputs = inputs.unwrap_or_else(|| ndarray::aview2::<f32, 0>(&[]));
        crops.random(inputs, *image, rows, epoch, self.inputs.view_mut())?;
        gather_labels(&train.labels, rows, &mut self.labels)
    }
}

impl Session<'_> {
    /// Loads the next minibatch and makes one update; only this is timed. What it fell back to.
    pub(super) fn update(&mut self) -> Result<Option<Fallback>, String> {
        let begin = Instant::now();
        if !self.fixed || !self.loaded {
            self.load()?;
            self.loaded = true;
        }
        if let Schedule::InverseSqrt = self.schedule {
            let schedule = opt_core::Schedule::InverseSqrt { from: self.lr };
            self.method
                .set("lr", schedule.at(self.done).into())
                .map_err(|e| e.to_string())?;
        }
        let step = self.method.step(&mut self.network, &mut self.x);
        let report = step.map_err(|e| e.to_string())?;
        self.done += 1;
        let took = begin.elapsed();
        self.training_time += took;
        self.steps.push(took.as_secs_f64());
        Ok(report.fallback)
    }

    fn load(&mut self) -> Result<(), String> {
        let at = if self.fixed { 0 } else { self.done };
        let mask = self
            .seed
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .wrapping_add(at);
        let epoch = at / self.batches.per_epoch() as u64;
        let rows = self.batches.rows(at);
        let mlp = &mut self.network.inner;
        if let Some(parts) = &mut self.parts {
            parts.draw(rows, epoch).map_err(|e| e.to_string())?;
            let (inputs, labels) = (parts.inputs.view(), target(self.kind, &parts.labels));
            return mlp.load(inputs, labels, mask).map_err(|e| e.to_string());
        }
        let (inputs, labels) = self.train.first(usize::MAX);
        let target = target(self.kind, labels);
        let mut loaded = mlp.load_rows(inputs, target, rows, mask);
        if loaded.is_ok() && self.curvature < rows.len() {
            let some = &rows[..self.curvature];
            loaded = mlp.load_curvature_rows(inputs, target, some, mask);
        }
        loaded.map_err(|e| e.to_string())
    }

    /// What all evaluations cost so far, in gradients over `samples` samples.
    pub(super) fn gradients(&self, samples: usize) -> f64 {
        let first = self.network.first_order() * self.batches.batch() as f64;
        let second = self.network.second_order() * self.curvature as f64;
        (first + second) / samples as f64
    }

    pub(super) fn evaluate(
        &mut self,
        data: &Samples,
        limit: usize,
    ) -> Result<opt_nn::Evaluation, String> {
        let (inputs, labels) = data.first(limit);
        let target = target(self.kind, labels);
        let result = self.network.inner.evaluate(&self.x, inputs, target);
        result.map_err(|e| e.to_string())
    }

    /// The 15th, 50th and 85th percentile of the pre-activation of the first unit of the last
    /// hidden layer, over the first 1,000 examples; the non-linearity is a sigmoid.
    pub(super) fn percentiles(&mut self, data: &Samples) -> Result<[f64; 3], String> {
        let (sample, _) = data.first(1000);
        let last = self.network.places().len().saturating_sub(1);
        let mut unit = Vec::new();
        let inner = &mut self.network.inner;
        let own = inner
            .hidden(&self.x, sample, last)
            .map_err(|e| e.to_string())?;
        unit.extend(own.column(0).iter().map(|&h| f64::from(h)));
        unit.sort_by(f64::total_cmp);
        let logit = |h: f64| (h / (1.0 - h)).ln();
        Ok([0.15, 0.5, 0.85].map(|share| {
            let at = (share * (unit.len() - 1) as f64).round() as usize;
            logit(unit[at])
        }))
    }
}

impl Session<'_> {
    /// The norm of the gradient of every layer's weight, over the first 1,000 training examples.
    pub(super) fn layer_gradients(&mut self, data: &Samples) -> Result<Vec<f64>, String> {
        // A copy: the minibatch, and what a pass leaves for the next step, stay as they are.
        let mut probe = self.network.inner.clone();
        let (inputs, labels) = data.first(1000);
        let mut g = vec![0.0; self.x.len()];
        probe
            .load(inputs, target(self.kind, labels), 0)
            .map_err(|e| e.to_string())?;
        probe.grad(&self.x, &mut g).map_err(|e| e.to_string())?;
        let segments = probe.params().segments();
        let weights = probe
            .places()
            .iter()
            .map(|place| &segments[place.weight].range);
        Ok(weights.map(|range| norm(&g[range.clone()])).collect())
    }

    /// The probabilities of all examples.
    pub(super) fn predict(&mut self, data: &Samples) -> Result<Array2<f32>, String> {
        let (inputs, _) = data.first(usize::MAX);
        let outputs = self.network.inner.predict(&self.x, inputs);
        outputs.map_err(|e| e.to_string())
    }
}

fn norm(g: &[f32]) -> f64 {
    let squares = g.iter().map(|&g| f64::from(g) * f64::from(g));
    squares.sum::<f64>().sqrt()
}

fn target(kind: Kind, labels: &[u8]) -> Target<'_, f32> {
    match kind {
        Kind::Classifier => Target::Classes(labels),
        Kind::Autoencoder => Target::Inputs,
    }
}

impl Trainer<'_> {
    /// A new run of this method, with this value of its first hyper-parameter.
    pub(super) fn session(
        &self,
        contender: &Contender<'_>,
        value: f64,
        seed: u64,
    ) -> Result<Session<'_>, String> {
        let (training, entry) = (self.training, contender.entry);
        let variant = &contender.variant;
        let train = &self.data(variant).train;
        let mlp = self.network(variant, train)?;
        let x = match training.model.init() {
            Some(init) => mlp.init(init, seed),
            None => vec![0.0; mlp.params().len()],
        };
        let network = Counted::new(mlp);
        let made = method(contender, value, &network);
        let decays = !training.constant.contains(&contender.name)
            && entry.fields().first().is_some_and(|f| f.name == "lr");
        let batch = variant.batch.unwrap_or(training.batch);
        let batches = Batches::new(train.labels.len(), batch, seed);
        let parts = self.cropping.map(|cropping| {
            let mut of = cropping.clone();
            of.crops.seed = seed;
            Parts {
                of,
                inputs: Array2::zeros((batch, train.width())),
                labels: vec![0; batch],
            }
        });
        Ok(Session {
            fixed: variant.fixed,
            loaded: false,
            curvature: variant.curvature.unwrap_or(batch).min(batch),
            schedule: if decays {
                training.schedule
            } else {
                Schedule::Constant
            },
            kind: training.model.kind,
            lr: value,
            method: made.map_err(|e| format!("{}: {e}", contender.name))?,
            network,
            done: 0,
            training_time: Duration::ZERO,
            steps: Vec::new(),
            x,
            batches: batches.map_err(|e| e.to_string())?,
            train,
            parts,
            seed,
        })
    }

    /// The experiment's network, as the variant has it.
    fn network(&self, variant: &Variant, train: &Samples) -> Result<Mlp<f32>, String> {
        let model = &self.training.model;
        let mut spec = model.spec(self.shape(), train.classes, variant.norm);
        if let Some(rate) = variant.input_dropout {
            spec.input_dropout = rate;
        }
        if let (Some(rate), Some((_, hidden))) = (variant.dropout, spec.layers.split_last_mut()) {
            let dense = hidden
                .iter_mut()
                .filter(|layer| layer.convolution.is_none());
            dense.for_each(|layer| layer.dropout = rate);
        }
        if let Some(other) = variant.activation {
            let own = model.activation.activation();
            let hidden = spec
                .layers
                .iter_mut()
                .filter(|layer| layer.activation == own);
            hidden.for_each(|layer| layer.activation = other.activation());
        }
        let mut mlp = Mlp::new(spec).map_err(|e| e.to_string())?;
        if let Some(inputs) = train.dense() {
            mlp.set_statistics(inputs.clone())
                .map_err(|e| e.to_string())?;
        }
        Ok(mlp)
    }
}

/// The contender's method, with this value of its first hyper-parameter; in a group for each layer
/// if they have rates of their own.
fn method(
    contender: &Contender<'_>,
    value: f64,
    network: &Network,
) -> Result<AnyMethod<f32, Network>, opt_core::Error> {
    let (entry, set) = (contender.entry, contender.set(value));
    let tuned = entry.fields().first();
    let (Some(ratio), Some(tuned)) = (contender.variant.layer_rates, tuned) else {
        return entry.build(&named(&set), network);
    };
    let segments = network.params().segments();
    let places = network.places().iter();
    let first: Vec<usize> = places
        .map(|place| segments[place.weight].range.start)
        .collect();
    let layers: Vec<_> = (0..first.len())
        .map(|layer| {
            let mut own = set.clone();
            let rate = value * ratio.powi((first.len() - 1 - layer) as i32);
            own.insert(tuned.name.clone(), rate.into());
            let first = &first;
            let has = move |segment: &Segment| {
                // What stands behind a layer's weight is its own, as far as the next one's.
                first.partition_point(|&start| start <= segment.range.start) == layer + 1
            };
            (format!("layer{layer}"), own, has)
        })
        .collect();
    let sets: Vec<_> = layers.iter().map(|(_, own, _)| named(own)).collect();
    let groups: Vec<Grouped<'_>> = layers
        .iter()
        .zip(&sets)
        .map(|((name, _, has), set)| (&**name, &**set, has as _))
        .collect();
    match entry.groups(&groups, network.params()) {
        Some(update) => Ok(Box::new(Train::new(update?))),
        None => Err(opt_core::Error::Groups(format!(
            "{} is not elementwise",
            entry.name()
        ))),
    }
}
