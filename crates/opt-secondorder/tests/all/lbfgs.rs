//! L-BFGS against its definition and against SciPy (`reference/lbfgs.py`), on quadratics, and at
//! the end of a run.

#![allow(clippy::unwrap_used)] // helpers of tests

use opt_core::{Counted, Fallback, Method, Objective, ParamMap, Scalar, norm};
use opt_nn::{Activation, Mlp, Spec, Target};
use opt_secondorder::{Lbfgs, LbfgsMethod};
use opt_testkit::{Plane, Quadratic};
use serde_json::Value;

fn reference(part: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../reference/lbfgs.json")).unwrap();
    all[part].as_array().unwrap().clone()
}

fn numbers(value: &Value) -> Vec<f64> {
    let all = value.as_array().unwrap().iter();
    all.map(|v| v.as_f64().unwrap()).collect()
}

fn plane(name: &str) -> Plane {
    opt_testkit::plane(name).unwrap()
}

fn lbfgs<F: Scalar>(hyper: Lbfgs, objective: &impl Objective<F>) -> LbfgsMethod<F> {
    hyper.method(objective.params()).unwrap()
}

/// Follows a case of the reference; the greatest relative distance of a point.
fn distance(case: &Value, objective: impl Objective<f64>) -> f64 {
    let mut objective = Counted::new(objective);
    let mut method = lbfgs(
        Lbfgs {
            memory: case["memory"].as_u64().unwrap(),
            ..Lbfgs::default()
        },
        &objective,
    );
    let mut x = numbers(&case["start"]);
    let points = case["points"].as_array().unwrap()[1..].iter();
    let counts = numbers(&case["evaluations"]);
    let mut worst = 0.0_f64;
    for (point, count) in points.zip(&counts[1..]) {
        method.step(&mut objective, &mut x).unwrap();
        assert_eq!(objective.gradients as f64, *count, "{case}");
        for (a, b) in x.iter().zip(numbers(point)) {
            worst = worst.max((a - b).abs() / b.abs().max(1e-3));
        }
    }
    assert_eq!(objective.values, 0);
    worst
}

#[test]
fn points_and_evaluations_are_those_of_the_definition() {
    for case in reference("trajectories") {
        let name = case["name"].as_str().unwrap();
        let distance = match name {
            "quadratic" => {
                let curvature = |i: usize| ((i + 1) * (i + 1)) as f64;
                let map = ParamMap::flat(8).unwrap();
                distance(
                    &case,
                    Quadratic::new(map, curvature, |i| 1.0 + (i % 3) as f64),
                )
            }
            _ => distance(&case, plane(name)),
        };
        assert!(distance < 1e-9, "{name} {}: {distance:e}", case["memory"]);
    }
}

/// Steps and evaluations until `done(loss, gradient)`.
fn price<O: Objective<f64>>(
    objective: O,
    x: &mut [f64],
    done: impl Fn(f64, &[f64]) -> bool,
) -> (u64, u64, f64) {
    let mut objective = Counted::new(objective);
    let mut method = lbfgs(Lbfgs::default(), &objective);
    let mut g = vec![0.0; x.len()];
    for step in 0..500 {
        let evaluations = objective.gradients;
        let loss = objective.inner.grad(x, &mut g).unwrap();
        if done(loss, &g) {
            return (step, evaluations, loss);
        }
        method.step(&mut objective, x).unwrap();
    }
    panic!("not done after 500 steps")
}

fn check_price(case: &Value, (steps, evaluations, loss): (u64, u64, f64)) {
    let name = case["name"].as_str().unwrap();
    let [scipy_steps, scipy] = ["iterations", "evaluations"].map(|f| case[f].as_u64().unwrap());
    let told = format!(
        "{name} {}: {steps} steps, {evaluations} evaluations, loss {loss:e}; SciPy {scipy_steps}, {scipy}",
        case["start"]
    );
    assert!(evaluations as f64 <= 1.1 * scipy as f64, "{told}");
}

#[test]
fn no_dearer_than_scipy_on_planes() {
    let minima = reference("minima");
    let cases = minima.iter().filter(|case| case["name"] != "digits");
    for case in cases {
        let plane = plane(case["name"].as_str().unwrap());
        let mut x = numbers(&case["start"]);
        let minimum = plane.minimum.unwrap();
        check_price(case, price(plane, &mut x, |_, g| norm(g) <= 1e-6));
        // The curvature at both minima is above 0.3.
        assert!((x[0] - minimum[0]).hypot(x[1] - minimum[1]) < 1e-6 / 0.3);
    }
}

#[test]
fn softmax_regression_on_digits_to_1e8_of_the_optimum() {
    let digits = opt_data::digits().unwrap();
    let mut spec = Spec::classifier(&[64, 10], Activation::Tanh);
    spec.l2 = 1e-2;
    let mut mlp = Mlp::<f64>::new(spec).unwrap();
    let labels = Target::Classes(&digits.labels);
    mlp.load(digits.inputs.mapv(f64::from).view(), labels, 0)
        .unwrap();
    let minima = reference("minima");
    let case = minima.iter().find(|case| case["name"] == "digits").unwrap();
    let optimum = case["value"].as_f64().unwrap();
    let mut x = vec![0.0; mlp.params().len()];
    let price = price(mlp, &mut x, |loss, _| loss - optimum <= 1e-8 * optimum);
    check_price(case, price);
    assert!(price.2 > optimum * (1.0 - 1e-12), "{price:?}");
}

/// With an exact line search and all pairs in memory, directions are conjugate.
#[test]
fn a_quadratic_of_n_parameters_takes_n_steps() {
    let params = ParamMap::flat(8).unwrap();
    let mut quadratic = Quadratic::<f64>::new(params, |i| (i + 1) as f64, |i| 1.0 + (i % 3) as f64);
    let mut method = lbfgs(
        Lbfgs {
            c1: 1e-13,
            c2: 1e-12,
            ..Lbfgs::default()
        },
        &quadratic,
    );
    let (mut x, mut g) = (vec![0.0; 8], vec![0.0; 8]);
    let mut lengths = Vec::new();
    for _ in 0..=8 {
        quadratic.grad(&x, &mut g).unwrap();
        lengths.push(norm(&g));
        method.step(&mut quadratic, &mut x).unwrap();
    }
    assert!(lengths[7] > 1e-3 * lengths[0], "{lengths:?}");
    assert!(lengths[8] < 1e-10 * lengths[0], "{lengths:?}");
}

/// Runs Rosenbrock until `x` stays; returns how far from the minimum that is.
fn rosenbrock_to_the_end<F: Scalar>() -> f64 {
    let mut rosenbrock = plane("rosenbrock");
    let mut x = rosenbrock.start.map(F::of);
    let mut method = lbfgs(Lbfgs::default(), &rosenbrock);
    let mut last = F::infinity();
    let told = (0..100).find_map(|_| {
        let report = method.step(&mut rosenbrock, &mut x).unwrap();
        assert!(report.loss <= last);
        last = report.loss;
        report
            .fallback
            .filter(|f| matches!(f, Fallback::NoLowerLoss | Fallback::ZeroGradient))
    });
    let before = x;
    let report = method.step(&mut rosenbrock, &mut x).unwrap();
    assert!(told.is_some() && report.fallback == told && x == before);
    (x[0].f64() - 1.0).hypot(x[1].f64() - 1.0)
}

#[test]
fn at_the_end_x_stays_and_the_report_says_so() {
    // The loss falls to 0, so that it can tell points that differ in their last digits.
    assert!(rosenbrock_to_the_end::<f32>() < 1e-6);
    assert!(rosenbrock_to_the_end::<f64>() < 1e-14);
}
