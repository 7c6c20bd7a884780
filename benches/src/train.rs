//! Training networks: the choice of a learning rate for every method, then the runs that count.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ndarray::{ArcArray2, Array2, s};
use opt_core::{AnyMethod, Counted, Entry, Layered, Objective};
use opt_data::{Batches, Dataset, gather, gather_labels};
use opt_nn::{Mlp, Target};

use crate::experiment::{Kind, Schedule, Size, Training};
use crate::results::{Point, Run};

/// What all methods train: a network that counts its evaluations.
pub(crate) type Network = Counted<Mlp<f32>>;

/// The data of one experiment.
#[derive(Debug)]
pub(crate) struct Split {
    pub(crate) train: Dataset,
    pub(crate) validation: Dataset,
    pub(crate) test: Dataset,
    /// The training inputs again, to be shared by the networks that take statistics of them.
    pub(crate) shared: ArcArray2<f32>,
}

/// Where a run reports that it goes on, and learns that it must not.
pub(crate) struct Ticker<'a> {
    pub(crate) bar: &'a indicatif::ProgressBar,
    pub(crate) stop: &'a AtomicBool,
}

impl Ticker<'_> {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// A method in the setting in which it runs.
pub(crate) struct Contender<'a> {
    /// The method's name, or the variant's.
    pub(crate) name: String,
    pub(crate) entry: &'a Entry<f32, Network>,
    /// Whether its network has batch normalization.
    pub(crate) norm: bool,
    /// Hyper-parameters that are not the default.
    pub(crate) set: Vec<(String, f64)>,
}

impl Contender<'_> {
    /// With this value of the first hyper-parameter.
    fn set(&self, value: f64) -> Vec<(String, f64)> {
        let mut set = self.set.clone();
        set.extend((self.entry.fields().first()).map(|f| (f.name.to_owned(), value)));
        set
    }
}

/// One experiment at one size.
pub(crate) struct Trainer<'a> {
    pub(crate) training: &'a Training,
    pub(crate) size: Size,
    pub(crate) seeds: u64,
    pub(crate) data: &'a Split,
    pub(crate) ticker: Ticker<'a>,
}

/// What a method came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) runs: Vec<Run>,
    /// Whether the chosen value is the least or greatest of its grid.
    pub(crate) at_edge: bool,
}

impl Trainer<'_> {
    /// Updates of one run.
    pub(crate) fn updates(&self) -> u64 {
        let per_epoch = self.data.train.labels.len() / self.training.batch.max(1);
        ((self.size.epochs * per_epoch as f64).round() as u64).max(1)
    }

    /// Updates of all that one method does.
    pub(crate) fn updates_per_method(&self) -> u64 {
        let search = self.training.grid.len() as u64 * self.size.search_updates;
        search + self.seeds * self.updates()
    }

    /// Chooses the learning rate and runs all seeds. `None` if interrupted.
    pub(crate) fn contend(&self, contender: &Contender<'_>) -> Result<Option<Outcome>, String> {
        let grid = (self.training.grid).values(&contender.name, contender.entry);
        let mut best: Option<(usize, f64)> = None;
        for (i, &value) in grid.iter().enumerate() {
            if grid.len() == 1 {
                best = Some((0, 0.0)); // nothing to choose
                break;
            }
            let Some(loss) = self.search(contender, value)? else {
                return Ok(None);
            };
            if best.is_none_or(|(_, least)| loss < least) {
                best = Some((i, loss));
            }
        }
        let (chosen, _) = best.ok_or("the grid is empty")?;
        let mut runs = Vec::new();
        for seed in 0..self.seeds {
            match self.run(contender, grid[chosen], seed)? {
                Some(run) => runs.push(run),
                None => return Ok(None),
            }
        }
        let at_edge = grid.len() > 1 && (chosen == 0 || chosen + 1 == grid.len());
        Ok(Some(Outcome { runs, at_edge }))
    }

    /// The validation loss after the search's updates; infinite if it diverged.
    fn search(&self, contender: &Contender<'_>, value: f64) -> Result<Option<f64>, String> {
        let mut session = self.session(contender, value, SEARCH_SEED)?;
        for done in 0..self.size.search_updates {
            if self.ticker.stopped() {
                return Ok(None);
            }
            if session.update().is_err() {
                self.ticker.bar.inc(self.size.search_updates - done);
                return Ok(Some(f64::INFINITY));
            }
            self.ticker.bar.inc(1);
        }
        let loss = session.evaluate(&self.data.validation, usize::MAX)?.loss;
        Ok(Some(if loss.is_finite() {
            loss
        } else {
            f64::INFINITY
        }))
    }

    fn run(&self, contender: &Contender<'_>, value: f64, seed: u64) -> Result<Option<Run>, String> {
        let mut session = self.session(contender, value, seed)?;
        let mut run = Run {
            method: contender.name.clone(),
            hyper: hyper(contender.entry, &contender.set(value)),
            seed,
            ..Run::default()
        };
        let updates = self.updates();
        run.points.push(self.point(&mut session)?);
        let checkpoints = checkpoints(updates, self.size.points);
        for update in 1..=updates {
            if self.ticker.stopped() {
                return Ok(None);
            }
            if let Err(why) = session.update() {
                self.ticker.bar.inc(updates - update + 1);
                run.failed = Some(format!("update {update}: {why}"));
                break;
            }
            self.ticker.bar.inc(1);
            if checkpoints.binary_search(&update).is_ok() {
                run.points.push(self.point(&mut session)?);
            }
        }
        Ok(Some(run))
    }

    fn session(
        &self,
        contender: &Contender<'_>,
        value: f64,
        seed: u64,
    ) -> Result<Session<'_>, String> {
        let (training, train, entry) = (self.training, &self.data.train, contender.entry);
        let (inputs, classes) = (train.inputs.ncols(), train.classes);
        let spec = training.model.spec(inputs, classes, contender.norm);
        let mut mlp = Mlp::new(spec).map_err(|e| e.to_string())?;
        let statistics = mlp.set_statistics(self.data.shared.clone());
        statistics.map_err(|e| e.to_string())?;
        let x = match training.model.init() {
            Some(init) => mlp.init(init, seed),
            None => vec![0.0; mlp.params().len()],
        };
        let set = contender.set(value);
        let set: Vec<_> = set.iter().map(|(name, v)| (name.as_str(), *v)).collect();
        let built = entry.build(&set, mlp.params());
        let method = built.map_err(|e| format!("{}: {e}", contender.name))?;
        let decays = !training.constant.contains(&contender.name)
            && entry.fields().first().is_some_and(|f| f.name == "lr");
        let batches = Batches::new(train.labels.len(), training.batch, seed);
        Ok(Session {
            inputs: Array2::zeros((training.batch, inputs)),
            labels: vec![0; training.batch],
            order: Vec::new(),
            schedule: if decays {
                training.schedule
            } else {
                Schedule::Constant
            },
            kind: training.model.kind,
            lr: value,
            network: Counted::new(mlp),
            done: 0,
            training_time: Duration::ZERO,
            method,
            x,
            batches: batches.map_err(|e| e.to_string())?,
            train,
            seed,
        })
    }

    fn point(&self, session: &mut Session<'_>) -> Result<Point, String> {
        let train = session.evaluate(&self.data.train, self.size.train_sample)?;
        let test = session.evaluate(&self.data.test, usize::MAX)?;
        let percentiles = match self.training.percentiles {
            true => Some(session.percentiles(&self.data.test)?),
            false => None,
        };
        Ok(Point {
            update: session.done,
            epoch: Some(session.done as f64 / session.batches.per_epoch() as f64),
            seconds: Some(session.training_time.as_secs_f64()),
            gradient_evaluations: session.network.gradients,
            train_loss: Some(train.loss),
            test_loss: Some(test.loss),
            test_error: test.error,
            squared_error: train.squared_error,
            percentiles,
            ..Point::default()
        })
    }
}

/// Not the seed of any run that counts.
const SEARCH_SEED: u64 = 1_000_003;

/// The updates after which a run is evaluated: the k-th is (k/points)² of the way, because the
/// curves bend at first.
fn checkpoints(updates: u64, points: u64) -> Vec<u64> {
    let at = |k: u64| {
        let share = k as f64 / points as f64;
        ((share * share * updates as f64).round() as u64).clamp(1, updates)
    };
    let mut all: Vec<u64> = (1..=points).map(at).collect();
    all.dedup();
    all
}

/// All hyper-parameters: the defaults, but for those that are set.
pub(crate) fn hyper<F: opt_core::Scalar, O: ?Sized>(
    entry: &Entry<F, O>,
    set: &[(String, f64)],
) -> std::collections::BTreeMap<String, f64> {
    let defaults = entry.fields().iter().map(|f| (f.name.to_owned(), f.value));
    let mut all: std::collections::BTreeMap<_, _> = defaults.collect();
    all.extend(set.iter().cloned());
    all
}

/// A network in training.
struct Session<'a> {
    network: Network,
    method: AnyMethod<f32, Network>,
    x: Vec<f32>,
    train: &'a Dataset,
    batches: Batches,
    /// The rows of the current epoch.
    order: Vec<usize>,
    inputs: Array2<f32>,
    labels: Vec<u8>,
    schedule: Schedule,
    kind: Kind,
    lr: f64,
    seed: u64,
    done: u64,
    training_time: Duration,
}

impl Session<'_> {
    /// Loads the next minibatch and makes one update; only this is timed.
    fn update(&mut self) -> Result<(), String> {
        let begin = Instant::now();
        let per_epoch = self.batches.per_epoch() as u64;
        let batch = self.inputs.nrows();
        if self.done.is_multiple_of(per_epoch) {
            let epoch = self.batches.epoch(self.done / per_epoch);
            self.order.clear();
            self.order.extend(epoch.flatten());
        }
        let from = (self.done % per_epoch) as usize * batch;
        let rows = &self.order[from..from + batch];
        let text = |e: opt_data::Error| e.to_string();
        gather(self.train.inputs.view(), rows, self.inputs.view_mut()).map_err(text)?;
        gather_labels(&self.train.labels, rows, &mut self.labels).map_err(text)?;
        let mask = self
            .seed
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .wrapping_add(self.done);
        let target = target(self.kind, &self.labels);
        (self.network.inner.load(self.inputs.view(), target, mask)).map_err(|e| e.to_string())?;
        if let Schedule::InverseSqrt = self.schedule {
            let schedule = opt_core::Schedule::InverseSqrt { from: self.lr };
            self.method
                .set("lr", schedule.at(self.done))
                .map_err(|e| e.to_string())?;
        }
        let step = self.method.step(&mut self.network, &mut self.x);
        step.map_err(|e| e.to_string())?;
        self.done += 1;
        self.training_time += begin.elapsed();
        Ok(())
    }

    fn evaluate(&mut self, data: &Dataset, limit: usize) -> Result<opt_nn::Evaluation, String> {
        let n = data.labels.len().min(limit);
        let (inputs, labels) = (data.inputs.slice(s![..n, ..]), &data.labels[..n]);
        let target = target(self.kind, labels);
        let result = self.network.inner.evaluate(&self.x, inputs, target);
        result.map_err(|e| e.to_string())
    }

    /// The 15th, 50th and 85th percentile of the pre-activation of the first unit of the last
    /// hidden layer, over the first 1,000 examples; the non-linearity is a sigmoid.
    fn percentiles(&mut self, data: &Dataset) -> Result<[f64; 3], String> {
        let rows = data.labels.len().min(1000);
        let sample = data.inputs.slice(s![..rows, ..]);
        let last = self.network.layers().saturating_sub(1);
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

fn target(kind: Kind, labels: &[u8]) -> Target<'_, f32> {
    match kind {
        Kind::Classifier => Target::Classes(labels),
        Kind::Autoencoder => Target::Inputs,
    }
}

impl Run {
    /// One line for the log.
    pub(crate) fn line(&self) -> String {
        let shown = |value: Option<f64>| value.map_or("–".to_owned(), |v| format!("{v:.4}"));
        let last = self.points.last();
        let loss = shown(last.and_then(|p| p.train_loss));
        let error = shown(last.and_then(|p| p.test_error));
        let failed = self.failed.as_deref().unwrap_or_default();
        let (method, seed) = (&self.method, self.seed);
        format!("{method} seed {seed}: training loss {loss}, test error {error} {failed}")
    }
}

#[cfg(test)]
mod tests {
    use super::checkpoints;

    #[test]
    fn checkpoints_are_denser_at_first_and_end_at_the_end() {
        assert_eq!(checkpoints(100, 4), [6, 25, 56, 100]);
        assert_eq!(checkpoints(3, 10), [1, 2, 3]);
        assert_eq!(checkpoints(1, 1), [1]);
    }
}
