//! What every registered method is held to.

mod faults;
mod hyper;
mod paths;

use opt_core::{
    AnyMethod, Entry, Error, Objective, ParamMap, Parameters, Scalar, Set, Snapshot, State, Visit,
};

use crate::Quadratic;
use faults::{bad_evaluations, bad_lengths, faults_at_every_evaluation, x_that_is_not_finite};
use hyper::{bad_hyper, values_that_round};
use paths::{descent, parts, precisions, resume, resume_from_file, sharded, threads};

/// A check that a method is not held to, and why.
#[derive(Clone, Copy, Debug)]
pub struct Skip {
    /// The method.
    pub method: &'static str,
    /// The check.
    pub check: &'static str,
    /// Why the method cannot pass it.
    pub reason: &'static str,
}

/// One method in both precisions.
struct Subject<'a> {
    single: &'a Entry<f32, Quadratic<f32>>,
    double: &'a Entry<f64, Quadratic<f64>>,
}

type Check = fn(&Subject<'_>) -> Result<(), String>;

const CHECKS: [(&str, Check); 14] = [
    ("descent", descent),
    ("resume", resume),
    ("resume from file", resume_from_file),
    ("sharded = whole", sharded),
    ("parts = lone steps", parts),
    ("any number of threads", threads),
    ("f32 near f64", precisions),
    ("bad hyper-parameters", bad_hyper),
    ("values that round", values_that_round),
    ("bad evaluations", bad_evaluations),
    ("faults at every evaluation", faults_at_every_evaluation),
    ("bad lengths", bad_lengths),
    ("x that is not finite", x_that_is_not_finite),
    ("distinct names", distinct_names),
];

/// Runs every check on every entry.
///
/// # Panics
/// With the list of all failures, if the two registries differ, or if a skip fits nothing.
pub fn suite(
    single: &[Entry<f32, Quadratic<f32>>],
    double: &[Entry<f64, Quadratic<f64>>],
    skips: &[Skip],
) {
    assert_eq!(single.len(), double.len());
    for skip in skips {
        let method = double.iter().any(|entry| entry.name() == skip.method);
        let check = CHECKS.iter().any(|(name, _)| *name == skip.check);
        assert!(method && check, "{skip:?} fits nothing");
    }
    let mut failures = Vec::new();
    for (single, double) in single.iter().zip(double) {
        let subject = Subject { single, double };
        for (name, check) in CHECKS {
            let method = double.name();
            if skips.iter().any(|s| s.method == method && s.check == name) {
                continue;
            }
            if let Err(why) = check(&subject) {
                failures.push(format!("{method}: {name}: {why}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn text(error: Error) -> String {
    error.to_string()
}

/// Two segments, curvatures from ½ to 2 and a minimum that is nowhere near 0.
fn problem<F: Scalar>() -> Quadratic<F> {
    sized(5, 3)
}

fn sized<F: Scalar>(rows: usize, columns: usize) -> Quadratic<F> {
    let shapes = [("weight", vec![rows, columns]), ("bias", vec![rows])];
    let params = ParamMap::new(shapes).expect("two segments");
    let curvature = |i: usize| 0.5 + 1.5 * ((i * 7 % 11) as f64 / 10.0);
    Quadratic::new(params, curvature, |i| 1.0 + (i % 3) as f64)
}

type Setup<F> = (Quadratic<F>, AnyMethod<F, Quadratic<F>>, Vec<F>);

fn setup<F: Scalar>(entry: &Entry<F, Quadratic<F>>, set: &Set<'_>) -> Result<Setup<F>, String> {
    let objective = problem();
    let method = entry.build(set, &objective).map_err(text)?;
    let x = vec![F::zero(); objective.params().len()];
    Ok((objective, method, x))
}

fn run<F: Scalar>(setup: &mut Setup<F>, steps: usize) -> Result<(), String> {
    let (objective, method, x) = setup;
    for _ in 0..steps {
        method.step(objective, x).map_err(text)?;
    }
    Ok(())
}

fn snapshot<F: Scalar>((objective, method, x): &mut Setup<F>) -> Snapshot<F> {
    let map = objective.params();
    let mut parameters = Parameters::new(map, x).expect("the right length");
    Snapshot::take(&mut [("method", method.as_mut()), ("x", &mut parameters)])
        .expect("names that differ")
}

fn distinct_names(subject: &Subject<'_>) -> Result<(), String> {
    let (_, mut method, _) = setup(subject.double, &[])?;
    let mut seen = Seen::default();
    let state: &mut dyn State<f64> = method.as_mut();
    state.visit(&mut seen);
    let all = seen.names.len();
    seen.names.sort();
    seen.names.dedup();
    ensure(all == seen.names.len(), || format!("{:?}", seen.names))
}

/// The names of a state, and of its buffers those that are not finite.
#[derive(Default)]
struct Seen {
    names: Vec<String>,
    bad: Vec<String>,
}

impl<F: Scalar> Visit<F> for Seen {
    fn packed(&mut self, name: &str, _: &[usize], _: opt_core::Bits<'_>) {
        self.names.push(name.to_owned());
    }

    fn buffer(&mut self, name: &str, _: &[usize], data: &mut [F]) {
        self.names.push(name.to_owned());
        if data.iter().any(|v| !v.is_finite()) {
            self.bad.push(name.to_owned());
        }
    }

    fn count(&mut self, name: &str, _: &mut u64) {
        self.names.push(name.to_owned());
    }

    fn number(&mut self, name: &str, _: &mut f64) {
        self.names.push(name.to_owned());
    }
}
