//! The runs: in one process, and on ranks.

use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use opt_core::{Error, FirstOrder, Objective, ParamMap, Snapshot, Train, Update, run};
use opt_data::{Batches, Dataset};
use opt_firstorder::Adam;
use opt_mpi::{AllReduced, Ranks, Sharded};
use opt_nn::{Activation, Init, Mlp, Spec, Target};

use super::paper::{Measured, table};
use super::sums;

pub(crate) type Failure = Box<dyn std::error::Error>;

/// Of all ranks together.
const BATCH: usize = 128;

/// Updates that are not timed.
const WARM: u64 = 2;

/// Of a gradient in single precision, that is summed in another order.
const ROUNDING: f64 = 1e-5;

/// One of the experiments of `benches/experiments`, without dropout, whose masks are drawn for each
/// minibatch and so differ between one process and several.
struct Experiment {
    name: &'static str,
    spec: Spec,
    init: Init,
    lr: f64,
    autoencoder: bool,
}

fn experiments() -> [Experiment; 2] {
    [
        Experiment {
            name: "mnist-mlp",
            spec: Spec::classifier(&[784, 1000, 1000, 10], Activation::Relu),
            init: Init::He,
            lr: 1e-3,
            autoencoder: false,
        },
        Experiment {
            name: "autoencoder",
            spec: Spec::autoencoder(&[784, 1000, 500, 250, 30], Activation::Sigmoid),
            init: Init::LeCun,
            lr: 2e-3,
            autoencoder: true,
        },
    ]
}

impl Experiment {
    fn adam(&self) -> Adam {
        Adam {
            lr: self.lr,
            ..Adam::default()
        }
    }

    fn mlp(&self) -> Result<Mlp<f32>, Failure> {
        Ok(Mlp::new(self.spec.clone())?)
    }

    fn load(&self, mlp: &mut Mlp<f32>, data: &Dataset, rows: &[usize]) -> Result<(), Failure> {
        let target = match self.autoencoder {
            true => Target::Inputs,
            false => Target::Classes(&data.labels),
        };
        Ok(mlp.load_rows(data.inputs.view(), target, rows, 0)?)
    }

    fn file(&self, out: &Path) -> std::path::PathBuf {
        out.join(format!("ranks-{}.safetensors", self.name))
    }
}

fn mnist() -> Result<Dataset, Failure> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/data/mnist");
    Ok(opt_data::mnist(folder)?.train)
}

/// The parts of a minibatch in one process, summed in their order and in double precision, as
/// [`AllReduced`] sums over ranks.
struct Parts {
    parts: Vec<(Mlp<f32>, f64)>,
    sums: Vec<f64>,
}

impl Objective<f32> for Parts {
    fn params(&self) -> &ParamMap {
        self.parts[0].0.params()
    }

    fn value(&mut self, x: &[f32]) -> Result<f32, Error> {
        let mut loss = 0.0;
        for (part, weight) in &mut self.parts {
            loss += *weight * f64::from(part.value(x)?);
        }
        Ok(loss as f32)
    }

    fn grad(&mut self, x: &[f32], g: &mut [f32]) -> Result<f32, Error> {
        self.sums.clear();
        self.sums.resize(g.len(), 0.0);
        let mut loss = 0.0;
        for (part, weight) in &mut self.parts {
            loss += *weight * f64::from(part.grad(x, g)?);
            let all = self.sums.iter_mut().zip(&*g);
            all.for_each(|(sum, g)| *sum += *weight * f64::from(*g));
        }
        let all = g.iter_mut().zip(&self.sums);
        all.for_each(|(g, sum)| *g = *sum as f32);
        Ok(loss as f32)
    }
}

/// As `Ranks::part`.
fn part(index: usize, parts: usize) -> Range<usize> {
    let start = |index: usize| BATCH / parts * index + index.min(BATCH % parts);
    start(index)..start(index + 1)
}

/// What one process does: leaves its parameters, and the seconds of an update, in a file for each
/// experiment.
pub(crate) fn alone(parts: usize, updates: u64, out: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(out)?;
    let data = mnist()?;
    for experiment in experiments() {
        let mut batches = Batches::new(data.labels.len(), BATCH, 0)?;
        let mut mlp = experiment.mlp()?;
        let start = mlp.init(experiment.init, 0);
        let params = mlp.params().clone();
        let method = || Ok::<_, Failure>(Train::new(FirstOrder::new(experiment.adam(), &params)?));

        let mut gradient = start.clone();
        experiment.load(&mut mlp, &data, batches.rows(0))?;
        mlp.grad(&start, &mut gradient)?;

        let (mut whole, mut train, mut timed) = (start.clone(), method()?, Instant::now());
        for update in 0..WARM + updates {
            if update == WARM {
                timed = Instant::now();
            }
            experiment.load(&mut mlp, &data, batches.rows(update))?;
            train.step(&mut mlp, &mut whole)?;
        }
        let mut seconds = timed.elapsed().as_secs_f64() / updates as f64;
        let mut bytes = train.update().bytes() as u64;

        let (mut summed, mut train) = (start, method()?);
        let all = (0..parts).map(|index| {
            let weight = part(index, parts).len() as f64 / BATCH as f64;
            Ok::<_, Failure>((experiment.mlp()?, weight))
        });
        let mut split = Parts {
            parts: all.collect::<Result<_, _>>()?,
            sums: Vec::new(),
        };
        for update in 0..WARM + updates {
            let rows = batches.rows(update);
            for (index, (mlp, _)) in split.parts.iter_mut().enumerate() {
                experiment.load(mlp, &data, &rows[part(index, parts)])?;
            }
            train.step(&mut split, &mut summed)?;
        }
        let saved = run![gradient, whole, summed, seconds, bytes].take()?;
        saved.save(experiment.file(out))?;
        eprintln!(
            "{}: one process, {:.1} ms an update",
            experiment.name,
            1e3 * seconds
        );
    }
    Ok(())
}

/// What the ranks do.
pub(crate) fn together(ranks: &Ranks, updates: u64, out: &Path) -> Result<(), Failure> {
    let data = mnist()?;
    for experiment in experiments() {
        let measured = experiment.train(ranks, &data, updates, out)?;
        if !measured.bitwise || measured.gradient > ROUNDING {
            let (name, far) = (experiment.name, measured.gradient);
            let bits = measured.bitwise;
            let why =
                format!("{name}: the bits of one process: {bits}; its gradient within {far:e}");
            return Err(why.into());
        }
        let [ours, theirs] = sums::compare(ranks, measured.parameters)?;
        if ranks.rank() == 0 {
            print!("{}", table(experiment.name, &measured));
            println!(
                "  the gradient's mean: {ours:.1} ms; MPI_Allreduce of as much, {theirs:.1} ms"
            );
        }
    }
    Ok(())
}

impl Experiment {
    fn train(
        &self,
        ranks: &Ranks,
        data: &Dataset,
        updates: u64,
        out: &Path,
    ) -> Result<Measured, Failure> {
        let mut batches = Batches::new(data.labels.len(), BATCH, 0)?;
        let mlp = self.mlp()?;
        let mut x = mlp.init(self.init, 0);
        let mut all = AllReduced::new(mlp, ranks);
        let params = all.params().clone();
        let update = Sharded::new(&params, ranks, |shard| FirstOrder::new(self.adam(), shard))?;
        let mut train = Train::new(update);
        let rows = batches.rows(0);
        self.load(&mut all.inner, data, &rows[ranks.part(rows.len())])?;
        let mut g = x.clone();
        all.grad(&x, &mut g)?;
        let (mut timed, mut before) = (Instant::now(), ranks.traffic());
        for update in 0..WARM + updates {
            if update == WARM {
                (timed, before) = (Instant::now(), ranks.traffic());
            }
            let rows = batches.rows(update);
            let mine = &rows[ranks.part(rows.len())];
            self.load(&mut all.inner, data, mine)?;
            train.step(&mut all, &mut x)?;
        }
        let together = timed.elapsed().as_secs_f64() / updates as f64;
        let after = ranks.traffic();

        let (mut gradient, mut whole, mut summed) = (g.clone(), x.clone(), x.clone());
        let (mut seconds, mut bytes) = (0.0_f64, 0_u64);
        let saved: Snapshot<f32> = ranks.load(self.file(out))?;
        run![gradient, whole, summed, seconds, bytes].restore(&saved)?;
        Ok(Measured {
            ranks: ranks.size(),
            parameters: x.len(),
            batch: BATCH,
            updates,
            alone: seconds,
            together,
            inside: (after.seconds - before.seconds) / updates as f64,
            sent: (after.bytes - before.bytes) as f64 / updates as f64,
            state: (train.update().bytes() as u64, bytes),
            bitwise: x == summed,
            gradient: apart(&g, &gradient),
            apart: apart(&x, &whole),
        })
    }
}

/// The greatest difference, over the greatest magnitude.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    let most = |all: &mut dyn Iterator<Item = f32>| all.fold(0.0, |most: f32, v| most.max(v.abs()));
    let difference = most(&mut a.iter().zip(b).map(|(a, b)| a - b));
    f64::from(difference / most(&mut b.iter().copied()))
}
