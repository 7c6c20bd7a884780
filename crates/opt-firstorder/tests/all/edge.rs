//! Every method over the whole finite range of gradients, in both types.

#![allow(clippy::unwrap_used)] // helpers of tests

use opt_core::{AnyMethod, Entry, Error, Objective, ParamMap, Scalar, Snapshot, State, Visit};
use opt_firstorder::zoo;

/// A gradient that is given from outside, and a constant loss.
struct Given<F> {
    params: ParamMap,
    g: Vec<F>,
}

impl<F: Scalar> Objective<F> for Given<F> {
    fn params(&self) -> &ParamMap {
        &self.params
    }

    fn value(&mut self, _: &[F]) -> Result<F, Error> {
        Ok(F::zero())
    }

    fn grad(&mut self, _: &[F], g: &mut [F]) -> Result<F, Error> {
        g.copy_from_slice(&self.g);
        Ok(F::zero())
    }
}

type All<F> = Vec<Entry<F, Given<F>>>;

/// A method with what it steps, over two segments: four ordinary elements and, in the middle of
/// the second segment, the one under test.
struct Run<F: Scalar> {
    given: Given<F>,
    method: AnyMethod<F, Given<F>>,
    x: Vec<F>,
}

const AT: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Came {
    Moved,
    Refused,
    Diverged,
}

impl<F: Scalar> Run<F> {
    fn new(entry: &Entry<F, Given<F>>) -> Self {
        let params = ParamMap::new([("w", vec![2]), ("b", vec![3])]).unwrap();
        let given = Given {
            params,
            g: Vec::new(),
        };
        let method = entry.build(&[], &given).unwrap();
        let x = vec![F::zero(); 5];
        Self { given, method, x }
    }

    /// A step. If the element's gradient is refused, nothing has changed.
    fn step(&mut self, g: f64, what: &str) -> Came {
        let before = (
            Snapshot::take(&mut [("m", &mut self.method)]).unwrap(),
            self.x.clone(),
        );
        self.given.g = [0.5, -2.0, 1.0, g, -0.25].map(F::of).to_vec();
        let result = self.method.step(&mut self.given, &mut self.x);
        match result {
            Ok(_) => {
                let mut finite = Finite(true);
                State::<F>::visit(&mut self.method, &mut finite);
                let x = self.x.iter().all(|v| v.is_finite());
                assert!(finite.0 && x, "{what}: {:?}", self.x);
                Came::Moved
            }
            Err(Error::GradientRange {
                segment,
                index,
                value,
                ..
            }) => {
                assert_eq!((segment.as_str(), index, value), ("b", 1, F::of(g).f64()));
                let after = (
                    Snapshot::take(&mut [("m", &mut self.method)]).unwrap(),
                    self.x.clone(),
                );
                assert!(after == before, "{what}: a refused step changed something");
                Came::Refused
            }
            // x itself is beyond the type: by how much, double precision tells.
            Err(Error::Diverged {
                segment,
                what: "x",
                index,
                value,
                ..
            }) => {
                assert_eq!((segment.as_str(), index), ("b", 1), "{what}");
                assert!(value.is_infinite() && self.x[AT].f64() == value, "{what}");
                Came::Diverged
            }
            Err(error) => panic!("{what}: {error}"),
        }
    }
}

struct Finite(bool);

impl<F: Scalar> Visit<F> for Finite {
    fn packed(&mut self, _: &str, _: &[usize], _: opt_core::Bits<'_>) {}

    fn buffer(&mut self, _: &str, _: &[usize], data: &mut [F]) {
        self.0 &= data.iter().all(|v| v.is_finite());
    }
    fn count(&mut self, _: &str, _: &mut u64) {}
    fn number(&mut self, name: &str, value: &mut f64) {
        self.0 &= value.is_finite() || name == "last_loss";
    }
}

/// From the least subnormal number to the greatest, every two decades, both signs, with the places
/// where rules begin to refuse.
fn range<F: Scalar>() -> Vec<f64> {
    let (max, tiny) = (F::max_value().f64(), F::min_positive_value().f64());
    let least = tiny * F::epsilon().f64();
    let root = 0.5 * max.sqrt();
    let (first, last) = (least.log10() as i32 / 2, max.log10() as i32 / 2);
    let mut all: Vec<f64> = (first..=last).map(|k| 10_f64.powi(2 * k)).collect();
    all.extend([
        least,
        5.0 * least,
        tiny,
        0.99 * tiny,
        root,
        0.999 * root,
        1.001 * root,
    ]);
    all.extend([max, 0.5 * max, max / 40.0, max / 41.0, 0.0]);
    let fits = |v: &f64| F::of(*v).is_finite();
    all.into_iter()
        .flat_map(|v| [v, -v])
        .map(|v| F::of(v).f64())
        .filter(fits)
        .collect()
}

/// The first step under the gradient g, by the equations.
fn first_step(method: &str, g: f64) -> f64 {
    let (size, sign) = (g.abs(), if g == 0.0 { 0.0 } else { g.signum() });
    -match method {
        "sgd" | "momentum" | "nag" | "gains" => 0.01 * g,
        "nesterov" => 0.019 * g,
        "rprop-minus" | "rprop-plus" | "irprop-minus" | "irprop-plus" | "manhattan" => 0.1 * sign,
        "delta-bar-delta" => 0.8 * g,
        "adagrad" => 0.01 * (g / (size + 1e-10)),
        "rmsprop" => 0.001 * (g / (0.1_f64.sqrt() * size + 1e-8)),
        "rmsprop-centered" => 0.001 * (g / (0.3 * size + 1e-8)),
        "rmsprop-momentum" => 0.0001 * (g / (0.1_f64.sqrt() * size + 1e-8)),
        "adadelta" => 1e-3 * (g / f64::hypot(0.05_f64.sqrt() * g, 1e-3)),
        "adadelta-immediate" => 0.01 * g,
        "adadelta-corrected" => 1e-3 * (g / f64::hypot(g, 1e-3)),
        "adam" | "amsgrad" | "adamw" => 0.001 * (g / (size + 1e-8)),
        "adamax" => 0.002 * sign,
        _ => panic!("{method} has no closed form here: add it"),
    }
}

/// The greatest gradient that a rule takes.
fn most<F: Scalar>(method: &str) -> f64 {
    let max = F::max_value().f64();
    match method {
        "nesterov" => 0.25 * (1.0 - 0.9) * max,
        "adagrad" | "rmsprop" | "rmsprop-centered" | "rmsprop-momentum" | "adadelta"
        | "adadelta-immediate" | "adadelta-corrected" | "adam" | "amsgrad" | "adamw" => {
            0.5 * max.sqrt()
        }
        _ => max,
    }
}

fn first_steps<F: Scalar>() {
    let all: All<F> = zoo();
    let (tiny, eps) = (F::min_positive_value().f64(), F::epsilon().f64());
    for entry in &all {
        for g in range::<F>() {
            let (mut run, what) = (
                Run::new(entry),
                format!("{} {g:e} {}", entry.name(), F::DTYPE),
            );
            let came = run.step(g, &what);
            if g.abs() > most::<F>(entry.name()) {
                assert_eq!(came, Came::Refused, "{what}");
                continue;
            }
            assert_eq!(came, Came::Moved, "{what}");
            for (x, g) in run.x.iter().zip([0.5, -2.0, 1.0, g, -0.25]) {
                let (x, expected) = (x.f64(), first_step(entry.name(), g));
                // Of a gradient that is subnormal itself, or becomes so times 1 − β, less or nothing
                // may be left.
                let lost = if g.abs() < 1e3 * tiny {
                    expected.abs()
                } else {
                    0.0
                };
                let error = (x - expected).abs();
                // A step takes what is below the least normal number for 0.
                let allowed = 32.0 * eps * expected.abs() + 4.0 * tiny + lost;
                assert!(error <= allowed, "{what}: {x:e} is not {expected:e}");
            }
        }
    }
}

#[test]
fn first_steps_are_right_or_refused_over_the_whole_range() {
    first_steps::<f32>();
    first_steps::<f64>();
}

const SEQUENCES: [&[Option<f64>]; 3] = [
    &[None, None, None, None],
    &[
        Some(0.5),
        Some(-0.125),
        None,
        Some(0.75),
        Some(0.25),
        Some(0.75),
    ],
    &[None, Some(0.5), None, Some(-0.5), Some(-0.25), Some(-0.125)],
];

/// Where the middle element has been; `at` stands for every `None` of the sequence. What the
/// single-precision run has refused, the one in double precision leaves out.
fn path<F: Scalar>(
    entry: &Entry<F, Given<F>>,
    sequence: &[Option<f64>],
    at: f64,
    refused: &mut Vec<usize>,
) -> Vec<f64> {
    let (mut run, mut path) = (Run::new(entry), Vec::new());
    let what = format!("{} {at:e} {}", entry.name(), F::DTYPE);
    for (index, g) in sequence.iter().enumerate() {
        if F::DTYPE == "F64" && refused.contains(&index) {
            continue;
        }
        match run.step(g.unwrap_or(at), &what) {
            Came::Moved => path.push(run.x[AT].f64()),
            Came::Refused => refused.push(index),
            Came::Diverged => break,
        }
    }
    path
}

#[test]
fn paths_through_any_gradient_are_those_of_double_precision() {
    let (single, double): (All<f32>, All<f64>) = (zoo(), zoo());
    let tiny = f64::from(f32::MIN_POSITIVE);
    for (single, double) in single.iter().zip(&double) {
        for (g, sequence) in range::<f32>()
            .into_iter()
            .flat_map(|g| SEQUENCES.map(|s| (g, s)))
        {
            let mut refused = Vec::new();
            let ours = path(single, sequence, g, &mut refused);
            let exact = path(double, sequence, g, &mut refused);
            // A gradient that is subnormal, or becomes so times 1 − β, has few digits: it may count as
            // anything from 0 to twice as much.
            let mut slack = vec![0.0; exact.len()];
            if g.abs() < 1e3 * tiny {
                let (none, twice) = (
                    path(double, sequence, 0.0, &mut refused),
                    path(double, sequence, 2.0 * g, &mut refused),
                );
                for (slack, (a, b)) in slack.iter_mut().zip(none.iter().zip(&twice)) {
                    *slack = (a - b).abs();
                }
            }
            // What becomes 0 has no sign, as their documentation says.
            let signs = ["delta-bar-delta", "gains"].contains(&single.name());
            if signs && g != 0.0 && g.abs() < 1e3 * tiny {
                continue;
            }
            let left = exact.get(ours.len()).is_none_or(|v| v.abs() > 3.4e38);
            assert!(
                left,
                "{} {g:e}: {ours:?} ends before {exact:?}",
                single.name()
            );
            let within = &exact[..ours.len()];
            let longest = within.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
            for ((a, b), slack) in ours.iter().zip(&exact).zip(slack) {
                let allowed = 1e-5 * longest + slack + 16.0 * tiny;
                let what = format!("{} {g:e} {sequence:?}", single.name());
                assert!(
                    (a - b).abs() <= allowed,
                    "{what}: {ours:?} is not {exact:?}"
                );
            }
        }
    }
}

#[test]
fn double_precision_stays_finite_or_refuses() {
    let double: All<f64> = zoo();
    for entry in &double {
        for g in range::<f64>() {
            for sequence in SEQUENCES {
                path(entry, sequence, g, &mut Vec::new());
            }
        }
    }
}

#[test]
fn without_epsilon_squares_that_vanish_are_refused() {
    let set = [("eps", opt_core::Value::Real(0.0))];
    let params = ParamMap::new([("w", vec![2]), ("b", vec![1])]).unwrap();
    let all: All<f32> = zoo();
    for name in [
        "adagrad",
        "rmsprop",
        "rmsprop-centered",
        "rmsprop-momentum",
        "adam",
        "amsgrad",
        "adamw",
    ] {
        let entry = opt_core::find_entry(&all, name).unwrap();
        let mut update = entry.update(&set, &params).unwrap().unwrap();
        let mut x = [0.0; 3];
        let error = update.apply(&mut x, &[1.0, 0.0, -1e-20]).unwrap_err();
        let right = matches!(
            &error,
            Error::GradientRange { segment, index: 0, least, dtype: "F32", .. }
                if segment == "b" && *least > 1e-20 && *least < 1e-17
        );
        assert!(
            right && x == [0.0; 3] && update.width() > 0,
            "{name}: {error}"
        );
        update.apply(&mut x, &[1.0, 0.0, -1e-17]).unwrap();
        // What is taken moves as far as any: 0.01 of AdaGrad, 0.001·√10 of RMSProp.
        let ratio = -x[0] / x[2];
        assert!((ratio - 1.0).abs() < 1e-3, "{name}: {x:?}");
    }
}

/// A parameter that once had a gradient, and then for ever none, comes to rest.
#[test]
fn adamax_comes_to_rest() {
    let all: All<f32> = zoo();
    let entry = opt_core::find_entry(&all, "adamax").unwrap();
    let mut update = entry
        .update(&[], &ParamMap::flat(1).unwrap())
        .unwrap()
        .unwrap();
    let mut x = [0.0];
    update.apply(&mut x, &[1e-30]).unwrap();
    for _ in 0..40_000 {
        update.apply(&mut x, &[0.0]).unwrap();
    }
    let before = x[0];
    x[0] = 0.0; // where the least move shows
    for _ in 0..3 {
        update.apply(&mut x, &[0.0]).unwrap();
    }
    assert!(x[0] == 0.0 && before < -0.005, "{} {before}", x[0]);
}

#[test]
fn what_leaves_the_range_is_named() {
    let all: All<f32> = zoo();
    let params = ParamMap::new([("w", vec![2]), ("b", vec![3])]).unwrap();
    for (name, g) in [
        ("sgd", 1.0),
        ("momentum", 1.0),
        ("delta-bar-delta", 1.0),
        ("gains", 1.0),
    ] {
        let entry = opt_core::find_entry(&all, name).unwrap();
        let set = [("lr", opt_core::Value::Real(10.0))];
        let mut update = entry.update(&set, &params).unwrap().unwrap();
        let mut x = [1.0, 1.0, 1.0, -f32::MAX, 1.0];
        let d = [g, g, g, f32::MAX / 20.0, g];
        let error = update.apply(&mut x, &d).unwrap_err();
        let right = matches!(
            &error,
            Error::Diverged { segment, what: "x", index: 1, value, dtype: "F32", .. }
                if segment == "b" && *value == f64::NEG_INFINITY
        );
        assert!(right, "{name}: {error}");
    }
}
