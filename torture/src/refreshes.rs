//! Ten thousand refreshes of PRONG and of K-FAC on a tiny network: the function stays, all is finite, and
//! no memory is kept.

use std::time::Instant;

use ndarray::{Array2, ArrayView2, s};
use opt_core::{AnyMethod, Method, Objective, Tune, Value, all_finite};
use opt_data::Batches;
use opt_firstorder::{FirstOrder, Sgd};
use opt_natural::{Kfac, Layered, Prong, ProngCoordinates, Whiten};
use opt_nn::{Activation, Init, Mlp, Spec, Target};

use crate::models::{Data, text};
use crate::report::{Report, Scale};

/// How far an output may be from what it was before a refresh.
const TOLERANCE: f64 = 1e-10;

/// Refreshes before memory is looked at: what grows has grown.
const WARM: u64 = 100;

/// Live bytes that may come and go: rayon's queues are given blocks of jobs and give them back.
const SLACK: i64 = 64 << 10;

pub(crate) fn run(scale: Scale) -> Result<Report, String> {
    let started = Instant::now();
    let mut report = Report::default();
    let refreshes = scale.pick(500, 10_000);
    let mut model = Model::new(scale.seed)?;
    let named = |what, done: Result<(), String>| {
        done.map_err(|why| format!("{what} on dense (16, 6, 4), seed {}: {why}", scale.seed))
    };
    let done = coordinates(&mut model, refreshes, &mut report);
    report
        .failures
        .extend(named("prong-coordinates", done).err());
    for what in ["prong", "kfac"] {
        let mut model = Model::new(scale.seed)?;
        let done = preconditioner(&mut model, what, refreshes, &mut report);
        report.failures.extend(named(what, done).err());
    }
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

struct Model {
    inputs: Array2<f64>,
    labels: Vec<u8>,
    batches: Batches,
    net: Mlp<f64>,
    x: Vec<f64>,
}

impl Model {
    fn new(seed: u64) -> Result<Self, String> {
        let data = Data::new()?;
        let mut net = Mlp::new(Spec::classifier(&[16, 6, 4], Activation::Tanh)).map_err(text)?;
        let inputs = data.inputs.mapv(f64::from);
        let statistics = inputs.slice(s![..200, ..]).to_owned().into_shared();
        net.set_statistics(statistics).map_err(text)?;
        Ok(Self {
            batches: Batches::new(data.labels.len(), 20, seed).map_err(text)?,
            x: net.init(Init::Glorot, seed),
            inputs,
            labels: data.labels,
            net,
        })
    }

    fn load(&mut self, step: u64) -> Result<(), String> {
        let classes = Target::Classes(&self.labels);
        let rows = self.batches.rows(step);
        let loaded = self.net.load_rows(self.inputs.view(), classes, rows, step);
        loaded.map_err(text)
    }

    fn some(&self) -> ArrayView2<'_, f64> {
        self.inputs.slice(s![..50, ..])
    }

    fn outputs(&mut self) -> Result<Array2<f64>, String> {
        let some = self.some().to_owned();
        self.net.predict(&self.x, some.view()).map_err(text)
    }
}

/// Live bytes after the first refreshes, and how much they have grown since.
#[derive(Default)]
struct Memory(Option<i64>);

impl Memory {
    fn look(&mut self, refresh: u64, report: &mut Report) -> Result<(), String> {
        if refresh < WARM || !refresh.is_multiple_of(100) {
            return Ok(());
        }
        let live = crate::alloc::live();
        let grown = live - *self.0.get_or_insert(live);
        report.add("max live bytes grown", u64::try_from(grown).unwrap_or(0));
        match grown > SLACK {
            true => Err(format!("refresh {refresh}: {grown} bytes more live")),
            false => Ok(()),
        }
    }
}

/// With α = 0 a step is a refresh and nothing else; between two of them a step trains.
fn coordinates(model: &mut Model, refreshes: u64, report: &mut Report) -> Result<(), String> {
    let inner = FirstOrder::new(Sgd::default(), model.net.params()).map_err(text)?;
    let whiten = Whiten {
        period: 2,
        samples: 100,
        ..Whiten::default()
    };
    let mut prong: ProngCoordinates<f64, Sgd, 0> =
        ProngCoordinates::new(whiten, inner, &model.net).map_err(text)?;
    let (mut memory, mut most) = (Memory::default(), 0.0_f64);
    for refresh in 0..refreshes {
        for (half, lr) in [0.0, 0.05].into_iter().enumerate() {
            model.load(2 * refresh + half as u64)?;
            prong.set("lr", Value::Real(lr)).map_err(text)?;
            let before = (half == 0).then(|| model.outputs()).transpose()?;
            let named = |why: String| format!("refresh {refresh}: {why}");
            let step = prong.step(&mut model.net, &mut model.x);
            step.map_err(|why| named(why.to_string()))?;
            if !all_finite(&model.x) {
                return Err(named("x is not finite".to_owned()));
            }
            let Some(before) = before else { continue };
            let off = (&model.outputs()? - &before).fold(0.0_f64, |m, d| m.max(d.abs()));
            if off.is_nan() || off > TOLERANCE {
                return Err(named(format!("an output has moved by {off:e}")));
            }
            most = most.max(off);
        }
        report.add("prong-coordinates", 1);
        memory.look(refresh, report)?;
    }
    let note = format!("no refresh of prong-coordinates moved an output by more than {most:.1e}");
    report.notes.push(note);
    Ok(())
}

/// A refresh in every step.
fn preconditioner(
    model: &mut Model,
    what: &'static str,
    refreshes: u64,
    report: &mut Report,
) -> Result<(), String> {
    let (params, places) = (model.net.params(), model.net.places());
    let mut method: AnyMethod<f64, Mlp<f64>> = match what {
        "prong" => {
            let prong = Prong {
                period: 1,
                samples: 20,
                ..Prong::default()
            };
            Box::new(prong.method(params, places).map_err(text)?)
        }
        _ => {
            let kfac = Kfac {
                period: 1,
                ..Kfac::default()
            };
            Box::new(kfac.method(params, places).map_err(text)?)
        }
    };
    let mut memory = Memory::default();
    for refresh in 0..refreshes {
        model.load(refresh)?;
        let named = |why: String| format!("refresh {refresh}: {why}");
        let step = method.step(&mut model.net, &mut model.x);
        let step = step.map_err(|why| named(why.to_string()))?;
        if !(step.loss.is_finite() && all_finite(&model.x)) {
            return Err(named("not finite".to_owned()));
        }
        report.add(what, 1);
        memory.look(refresh, report)?;
    }
    Ok(())
}
