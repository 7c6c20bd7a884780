//! The methods of all crates, and the small networks that they train.

use ndarray::{ArcArray2, Array2};
use opt_core::{AnyMethod, Entry, Objective, Parameters, Set, State, Value};
use opt_data::Batches;
use opt_firstorder::{FirstOrder, Momentum};
use opt_natural::{ProngCoordinates, Whiten};
use opt_nn::{Activation, BatchNorm, Convolution, Init, Layer, Mlp, Pool, Spec, Target};

use crate::bits::{Bits, not_finite};
use crate::faulty::Faulty;

/// A registered method with some settings.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) entry: Entry<f32, Faulty>,
    set: Vec<(&'static str, Value)>,
}

/// All registered methods; Adam with state in fewer bits; PRONG in its own coordinates, which is in no
/// registry because it needs more than the others. What refreshes does so every other step.
pub(crate) fn subjects() -> Vec<Subject> {
    let mut all = opt_firstorder::zoo();
    all.extend(opt_secondorder::zoo());
    all.extend(opt_natural::zoo());
    let whiten = Whiten::default();
    all.push(Entry::method(
        "prong-coordinates",
        whiten,
        |whiten, o: &Faulty| {
            let inner = FirstOrder::new(Momentum::default(), o.params())?;
            ProngCoordinates::new(whiten, inner, o)
        },
    ));
    let subject = |entry: Entry<f32, Faulty>| {
        let short = [("period", 2_u64), ("samples", 24)];
        let has = |name: &str| entry.fields().iter().any(|field| field.name == name);
        let short = short.into_iter().filter(|(name, _)| has(name));
        let mut set: Vec<_> = short.map(|(name, value)| (name, value.into())).collect();
        if entry.name() == "newton" {
            // No minimum is near: the Hessian is indefinite.
            set.push(("damping", 10.0.into()));
        }
        Subject {
            name: entry.name().to_owned(),
            set,
            entry,
        }
    };
    let mut subjects: Vec<_> = all.into_iter().map(subject).collect();
    for state in ["bf16", "8bit"] {
        let adam = opt_firstorder::zoo()
            .into_iter()
            .find(|entry| entry.name() == "adam");
        subjects.extend(adam.map(|entry| Subject {
            name: format!("adam {state}"),
            entry,
            set: vec![("state", state.into())],
        }));
    }
    subjects
}

impl Subject {
    /// A new method for this objective.
    pub(crate) fn build(
        &self,
        objective: &Faulty,
    ) -> Result<AnyMethod<f32, Faulty>, opt_core::Error> {
        let set: &Set<'_> = &self.set;
        self.entry.build(set, objective)
    }
}

/// A network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Model {
    /// With dropout and a penalty.
    Dense,
    /// With batch normalization.
    Normalized,
    Convolution,
    /// A segment of 4,096 parameters, below which state is never stored in fewer bits.
    Wide,
}

impl Model {
    /// Those that this method is tried on.
    pub(crate) fn all(subject: &Subject) -> &'static [Self] {
        match subject.set.iter().any(|(name, _)| *name == "state") {
            true => &[Self::Wide],
            false => &[Self::Dense, Self::Normalized, Self::Convolution],
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Normalized => "normalized",
            Self::Convolution => "convolution",
            Self::Wide => "wide",
        }
    }

    fn spec(self) -> Spec {
        let mut spec = Spec::classifier(&[16, 5, CLASSES], Activation::Tanh);
        match self {
            Self::Dense => {
                spec.layers[0].dropout = 0.2;
                spec.l2 = 1e-3;
            }
            Self::Wide => spec.layers[0].units = 256,
            Self::Normalized => spec.layers[0].norm = Some(BatchNorm::default()),
            Self::Convolution => {
                spec.image = Some([4, 4, 1]);
                let filters = Convolution {
                    kernel: 3,
                    stride: 1,
                    padding: 1,
                };
                let mut maps = Layer::convolution(3, filters, Activation::Tanh);
                maps.pool = Some(Pool::max(2, 2));
                spec.layers[0] = maps;
            }
        }
        spec
    }
}

const CLASSES: usize = 4;
const BATCH: usize = 10;

/// The digits 0 to 3 in 4×4 pixels.
#[derive(Clone)]
pub(crate) struct Data {
    pub(crate) inputs: ArcArray2<f32>,
    pub(crate) labels: Vec<u8>,
}

impl Data {
    pub(crate) fn new() -> Result<Self, String> {
        let digits = opt_data::digits().map_err(text)?;
        let rows: Vec<usize> = (0..digits.labels.len())
            .filter(|&row| usize::from(digits.labels[row]) < CLASSES)
            .collect();
        let inputs = Array2::from_shape_fn((rows.len(), 16), |(row, pixel)| {
            let at = |dy: usize, dx: usize| (pixel / 4 * 2 + dy) * 8 + pixel % 4 * 2 + dx;
            let four = [at(0, 0), at(0, 1), at(1, 0), at(1, 1)];
            four.iter()
                .map(|&at| digits.inputs[[rows[row], at]])
                .sum::<f32>()
                / 4.0
        });
        Ok(Self {
            inputs: inputs.into_shared(),
            labels: rows.iter().map(|&row| digits.labels[row]).collect(),
        })
    }
}

/// A method, its network and its parameters.
pub(crate) struct Session<'a> {
    data: &'a Data,
    batches: Batches,
    pub(crate) objective: Faulty,
    pub(crate) method: AnyMethod<f32, Faulty>,
    pub(crate) x: Vec<f32>,
}

/// What a method refuses, or what went wrong.
pub(crate) enum Begin<'a> {
    Ready(Box<Session<'a>>),
    /// By a typed error, when it is made.
    Refused(String),
}

impl<'a> Session<'a> {
    pub(crate) fn begin(
        subject: &Subject,
        model: Model,
        data: &'a Data,
        seed: u64,
    ) -> Result<Begin<'a>, String> {
        let mut net = Mlp::new(model.spec()).map_err(text)?;
        let rows = ndarray::s![..60, ..];
        let statistics = data.inputs.slice(rows).to_owned().into_shared();
        net.set_statistics(statistics).map_err(text)?;
        let x = net.init(Init::Glorot, seed);
        let objective = Faulty::new(net);
        let method = match subject.build(&objective) {
            Ok(method) => method,
            Err(error) => return Ok(Begin::Refused(error.to_string())),
        };
        Ok(Begin::Ready(Box::new(Self {
            data,
            batches: Batches::new(data.labels.len(), BATCH, seed).map_err(text)?,
            objective,
            method,
            x,
        })))
    }

    /// Loads the minibatch of this step, which the next step is made on.
    pub(crate) fn load(&mut self, step: u64) -> Result<(), String> {
        let rows = self.batches.rows(step);
        let classes = Target::Classes(&self.data.labels);
        let net = &mut self.objective.net;
        let loaded = net.load_rows(self.data.inputs.view(), classes, rows, step);
        self.objective.seen.clear();
        loaded.map_err(text)
    }

    /// Makes a step on what was loaded.
    pub(crate) fn step(&mut self) -> Result<opt_core::Report<f32>, opt_core::Error> {
        self.method.step(&mut self.objective, &mut self.x)
    }

    /// Loads the minibatches of these steps and makes the steps.
    pub(crate) fn run(&mut self, steps: std::ops::Range<u64>) -> Result<(), String> {
        for step in steps {
            self.load(step)?;
            self.step()
                .map_err(|error| format!("step {step}: {error}"))?;
        }
        Ok(())
    }

    /// Calls `f` with all that changes.
    pub(crate) fn with_states<T>(
        &mut self,
        f: impl FnOnce(&mut [(&str, &mut dyn State<f32>)]) -> T,
    ) -> Result<T, String> {
        let params = self.objective.params().clone();
        let mut x = Parameters::new(&params, &mut self.x).map_err(text)?;
        Ok(f(&mut [
            ("x", &mut x),
            ("method", &mut self.method),
            ("network", &mut self.objective),
        ]))
    }

    pub(crate) fn bits(&mut self) -> Result<Bits, String> {
        self.with_states(Bits::of)
    }

    pub(crate) fn not_finite(&mut self) -> Result<Option<String>, String> {
        self.with_states(not_finite)
    }
}

pub(crate) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
