//! One network under several methods, on the 8×8 digits.

#![allow(clippy::print_stdout)] // what an example is for

use std::error::Error;
use std::time::Instant;

use candle_core::{DType, Device, Module, Tensor};
use candle_nn::loss::cross_entropy;
use candle_nn::{ParamsAdamW, VarBuilder, VarMap};
use opt_candle::firstorder::{Adam, AdamW, Groups, Momentum};
use opt_candle::natural::{Kfac, StepSize};
use opt_candle::{LayeredModel, Likelihood, Optimizer, Tape, Vars};
use opt_core::Train;
use opt_data::Batches;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;
pub(crate) type Build = fn(VarBuilder<'_>, &Tape) -> candle_core::Result<Box<dyn Module>>;
type Batch = (Tensor, Tensor);

/// K-FAC's: lr, damping, and what decides on the length of a step.
type Setting = (f64, f64, StepSize);

const BATCH: usize = 300;
const HALF: u64 = 150;

/// What there is to learn, and from where.
struct Task {
    inputs: Tensor,
    labels: Tensor,
    build: Build,
}

/// A network at its start.
struct Start {
    map: VarMap,
    tape: Tape,
    net: Box<dyn Module>,
}

/// What came of a method.
struct Outcome {
    /// Of all samples, after half of the updates and after all.
    losses: [f64; 2],
    ms: f64,
}

impl Task {
    fn new(shape: &[usize], build: Build) -> Result<Self> {
        let digits = opt_data::digits()?;
        let shape = [&[digits.labels.len()], shape].concat();
        let inputs = digits.inputs.as_slice().ok_or("not in row-major order")?;
        let labels: Vec<u32> = digits.labels.iter().map(|&class| class.into()).collect();
        Ok(Self {
            inputs: Tensor::from_slice(inputs, shape, &Device::Cpu)?,
            labels: Tensor::new(labels, &Device::Cpu)?,
            build,
        })
    }

    /// The same for every method: candle's own numbers can't be had again on the CPU.
    fn start(&self) -> Result<Start> {
        let (map, tape) = (VarMap::new(), Tape::new());
        let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
        let net = (self.build)(vb, &tape)?;
        let vars = Vars::from_varmap(&map)?;
        for (seed, var) in vars.vars().iter().enumerate() {
            let fan_in: usize = var.dims()[1..].iter().product();
            match var.rank() {
                1 => continue,
                _ => var.set(&uniform(
                    var.dims(),
                    (3.0 / fan_in as f64).sqrt(),
                    seed as u64,
                )?)?,
            }
        }
        Ok(Start { map, tape, net })
    }

    fn batch(&self, batches: &mut Batches, update: u64) -> Result<Batch> {
        let rows: Vec<u32> = batches.rows(update).iter().map(|&row| row as u32).collect();
        let rows = Tensor::new(rows, &Device::Cpu)?;
        let inputs = self.inputs.index_select(&rows, 0)?;
        Ok((inputs, self.labels.index_select(&rows, 0)?))
    }

    /// 300 updates; nothing but the step is timed.
    fn run(&self, net: &dyn Module, mut step: impl FnMut(Batch) -> Result<()>) -> Result<Outcome> {
        let loss = || -> Result<f64> {
            let loss = cross_entropy(&net.forward(&self.inputs)?, &self.labels)?;
            Ok(loss.to_scalar::<f32>()?.into())
        };
        let mut batches = Batches::new(self.labels.elem_count(), BATCH, 0)?;
        let (mut losses, mut seconds) = ([f64::NAN; 2], 0.0);
        for update in 0..2 * HALF {
            let batch = self.batch(&mut batches, update)?;
            let start = Instant::now();
            step(batch)?;
            seconds += start.elapsed().as_secs_f64();
            if update + 1 == HALF {
                losses[0] = loss()?;
            }
        }
        losses[1] = loss()?;
        let ms = 1e3 * seconds / (2 * HALF) as f64;
        Ok(Outcome { losses, ms })
    }

    fn candle(&self, lr: f64) -> Result<Outcome> {
        use candle_nn::Optimizer;
        let Start { map, net, .. } = self.start()?;
        let params = ParamsAdamW {
            lr,
            weight_decay: 0.0,
            ..ParamsAdamW::default()
        };
        let mut adam = candle_nn::AdamW::new(map.all_vars(), params)?;
        self.run(&*net, |(x, y)| {
            Ok(adam.backward_step(&cross_entropy(&net.forward(&x)?, &y)?)?)
        })
    }

    fn adam(&self, lr: f64) -> Result<Outcome> {
        let Start { map, net, .. } = self.start()?;
        let adam = Adam {
            lr,
            ..Adam::default()
        };
        let mut adam = Optimizer::new(Vars::from_varmap(&map)?, adam)?;
        self.run(&*net, |(x, y)| {
            Ok(adam.backward_step(&cross_entropy(&net.forward(&x)?, &y)?)?)
        })
    }

    /// Weights decay, and biases and norms don't.
    fn groups(&self, lr: f64) -> Result<Outcome> {
        let Start { map, net, .. } = self.start()?;
        let vars = Vars::from_varmap(&map)?;
        let update = Groups::<f32>::builder()
            .rule(
                "weights",
                |s| s.shape.len() > 1,
                AdamW {
                    lr,
                    ..AdamW::default()
                },
            )
            .rule(
                "others",
                |s| s.shape.len() < 2,
                Adam {
                    lr,
                    ..Adam::default()
                },
            )
            .build(vars.params())?;
        let mut adam = Optimizer::along(vars, update)?;
        self.run(&*net, |(x, y)| {
            Ok(adam.backward_step(&cross_entropy(&net.forward(&x)?, &y)?)?)
        })
    }

    /// The whole method; or, where there are parameters outside of layers, its direction, with Adam for
    /// those.
    fn kfac(&self, (lr, damping, step_size): Setting) -> Result<Outcome> {
        let Start { map, tape, net } = self.start()?;
        let pass = |(x, y): &Batch| {
            let z = net.forward(x)?;
            Ok((cross_entropy(&z, y)?, z))
        };
        let vars = Vars::from_varmap(&map)?;
        let mut model = LayeredModel::new(vars, &tape, Likelihood::Softmax(10), pass)?;
        let (params, places) = (model.params().clone(), model.places().to_vec());
        if params.segments().iter().all(|s| model.in_layers(&s.name)) {
            let kfac = Kfac {
                lr,
                damping,
                damping_decay: if step_size == StepSize::Fixed {
                    1.0
                } else {
                    Kfac::default().damping_decay
                },
                step_size,
                ..Kfac::default()
            };
            let mut kfac = kfac.method(&params, &places)?;
            return self.run(&*net, |batch| {
                model.load(batch);
                model.step(&mut kfac)?;
                Ok(())
            });
        }
        let layers = Momentum {
            lr,
            momentum: 0.9,
            ..Momentum::default()
        };
        let update = Groups::<f32>::builder()
            .rule("layers", |s| model.in_layers(&s.name), layers)
            .rule(
                "others",
                |s| !model.in_layers(&s.name),
                Adam {
                    lr: 3e-3,
                    ..Adam::default()
                },
            )
            .build(&params)?;
        if step_size == StepSize::Model {
            return Err("a direction has no step size of its own".into());
        }
        let kfac = Kfac {
            damping,
            ..Kfac::default()
        };
        let mut kfac = Train::along(kfac.direction(&params, &places)?, update);
        self.run(&*net, |batch| {
            model.load(batch);
            model.step(&mut kfac)?;
            Ok(())
        })
    }
}

/// Uniform in ±`width`, by a splitmix generator.
fn uniform(shape: &[usize], width: f64, seed: u64) -> Result<Tensor> {
    let mut state = seed.wrapping_mul(0xd134_2543_de82_ef95);
    let all = (0..shape.iter().product()).map(|_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (width * (((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0)) as f32
    });
    Ok(Tensor::from_vec(
        all.collect::<Vec<_>>(),
        shape,
        &Device::Cpu,
    )?)
}

/// Of several settings the one with the least loss, after half of the updates (0) or after all (1).
fn best<S>(runs: Vec<(S, Outcome)>, when: usize) -> Result<(S, Outcome)> {
    let finite = runs
        .into_iter()
        .filter(|(_, run)| run.losses[when].is_finite());
    let best = finite.min_by(|a, b| a.1.losses[when].total_cmp(&b.1.losses[when]));
    Ok(best.ok_or("no run has a finite loss")?)
}

fn show(method: &str, setting: &str, outcome: &Outcome) {
    let Outcome {
        losses: [half, whole],
        ms,
    } = outcome;
    println!("| {method} | {setting} | {ms:.2} | {half:.2e} | {whole:.2e} |");
}

/// Adam and K-FAC at the best of their settings, the others at Adam's; gives Adam's loss in the end, and K-FAC's
/// after half of the updates.
pub(crate) fn compare(name: &str, shape: &[usize], build: Build) -> Result<(f64, f64)> {
    let task = Task::new(shape, build)?;
    let count = Vars::from_varmap(&task.start()?.map)?.params().len();
    println!("{name}: {count} parameters, batches of {BATCH}");
    println!(
        "| method | setting | ms per update | loss after {HALF} | after {} |",
        2 * HALF
    );
    println!("|---|---|---|---|---|");
    let runs = [1e-2, 3e-2, 1e-1].map(|lr| Ok((lr, task.adam(lr)?)));
    let (lr, adam) = best(runs.into_iter().collect::<Result<Vec<_>>>()?, 1)?;
    let rate = format!("lr = {lr}");
    show("candle's AdamW, no decay", &rate, &task.candle(lr)?);
    show("Adam", &rate, &adam);
    show("AdamW in groups", &rate, &task.groups(lr)?);
    // One that diverges is no candidate. On a convolution's batches of 300 a step by the quadratic model, which
    // is that of the batch, is worse than one of fixed length with momentum; on a perceptron's it is better.
    let (fixed, model) = (StepSize::Fixed, StepSize::Model);
    let settings = [
        (0.03, 0.03, fixed),
        (0.03, 0.3, fixed),
        (0.1, 0.1, fixed),
        (0.3, 0.03, model),
        (0.3, 0.1, model),
    ];
    let runs = settings
        .into_iter()
        .filter_map(|setting| Some((setting, task.kfac(setting).ok()?)));
    let ((lr, damping, step_size), kfac) = best(runs.collect(), 0)?;
    let setting = format!("lr = {lr}, damping = {damping}, {step_size:?}");
    show("K-FAC", &setting, &kfac);
    println!();
    Ok((adam.losses[1], kfac.losses[0]))
}
