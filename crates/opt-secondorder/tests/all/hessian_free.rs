//! Hessian-free against a transcription of the paper, step by step, and what follows from the
//! equations. `reference/hessian_free.py` made the former.

#![allow(clippy::unwrap_used)] // helpers of tests

use crate::least_squares;

use least_squares::Tanh;
use opt_core::{Counted, GaussNewton, Method, Objective, ParamMap, PerSample};
use opt_secondorder::{CgEnd, HessianFree, HessianFreeMethod, HessianFreeStep};
use opt_testkit::{Plane, Quadratic};
use serde_json::Value;

fn numbers(value: &Value) -> Vec<f64> {
    let all = value.as_array().unwrap().iter();
    all.map(|v| v.as_f64().unwrap()).collect()
}

fn plane(name: &str) -> Plane {
    opt_testkit::plane(name).unwrap()
}

fn method<O: Objective<f64>>(hyper: HessianFree, objective: &O) -> HessianFreeMethod<f64> {
    hyper.method(objective.params()).unwrap()
}

fn hyper(value: &Value) -> HessianFree {
    let mut hyper = HessianFree::default();
    for (name, value) in value.as_object().unwrap() {
        match value.as_f64() {
            Some(value) => opt_core::Hyper::set(&mut hyper, name, value).unwrap(),
            None if name == "damped_ratio" => hyper.damped_ratio = value.as_bool().unwrap(),
            None => panic!("{name}"),
        }
    }
    hyper
}

/// The reference comes from 80-bit arithmetic, with the distance that float64 kept from it there.
/// Another order of operations is another draw of the same rounding errors, which is allowed 30
/// times that, and a few units in the last place where float64 happened to meet it.
fn assert_near(ours: &[f64], reference: &[f64], scale: f64, rounding: f64, what: &str) {
    let squares = ours.iter().zip(reference).map(|(a, b)| (a - b).powi(2));
    let error = squares.sum::<f64>().sqrt() / scale;
    let limit = 30.0 * rounding + 1e-15;
    assert!(error <= limit, "{what}: {error:e} is above {limit:e}");
}

fn follow<O: GaussNewton<f64> + PerSample<f64>>(objective: &mut O, case: &Value) {
    let rounding = |quantity: &str| case["rounding"][quantity].as_f64().unwrap();
    let mut method = method(hyper(&case["hyper"]), objective);
    let mut x = numbers(&case["start"]);
    let steps = case["steps"].as_array().unwrap();
    for (t, row) in steps.iter().enumerate() {
        let near = |quantity: &str, ours: f64, scale: f64| {
            let expected = row[quantity].as_f64().unwrap();
            let what = format!("{} {}: {quantity} at {t}", case["problem"], case["hyper"]);
            let scale = if scale > 0.0 { scale } else { expected.abs() };
            assert_near(&[ours], &[expected], scale, rounding(quantity), &what);
        };
        near("lambda", method.damping(), 0.0);
        let report = method.step(objective, &mut x).unwrap();
        let step = method.last.unwrap();
        assert_eq!(step.iterations as u64, row["iterations"].as_u64().unwrap());
        near("f", report.loss, steps[0]["f"].as_f64().unwrap());
        near("rho", step.ratio, 0.0);
        near("rate", step.rate, 0.0);
        let expected = numbers(&row["x"]);
        let scale = opt_core::norm(&expected);
        assert_near(&x, &expected, scale, rounding("x"), &format!("x at {t}"));
    }
}

fn reference() -> Value {
    serde_json::from_str(include_str!("../reference/hessian_free.json")).unwrap()
}

fn tanh() -> Tanh {
    Tanh::of(&reference()["tanh"])
}

#[test]
fn steps_are_those_of_the_transcription() {
    let reference = reference();
    let cases = reference["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 9);
    for case in cases {
        match case["problem"].as_str().unwrap() {
            "tanh" => follow(&mut tanh(), case),
            name => follow(&mut plane(name), case),
        }
    }
}

#[test]
fn a_quadratic_takes_one_step_where_damping_is_negligible() {
    let params = ParamMap::flat(12).unwrap();
    let mut quadratic = Quadratic::new(params, |i| 1.0 + i as f64, |i| i as f64 - 4.5);
    let hyper = HessianFree {
        damping: 1e-12,
        cg_tolerance: 0.0,
        ..HessianFree::default()
    };
    let mut method = method(hyper, &quadratic);
    let mut x = vec![0.0; 12];
    let start = opt_core::norm(&quadratic.minimum);
    method.step(&mut quadratic, &mut x).unwrap();
    let HessianFreeStep {
        end, ratio, rate, ..
    } = method.last.unwrap();
    assert_eq!((end, rate), (CgEnd::Residual, 1.0));
    // f and q are sums of a dozen terms.
    assert!((ratio - 1.0).abs() < 1e-13, "{ratio}");
    let off: Vec<f64> = (x.iter().zip(&quadratic.minimum))
        .map(|(x, c)| x - c)
        .collect();
    // CG's relative residual of 1e-10 times the condition number.
    assert!(opt_core::norm(&off) <= 12e-10 * start);
}

/// Steps until |g| ≤ 1e-6, with an accepted loss that never rises.
fn steps_to_1e6<O>(objective: &mut Counted<O>, start: &[f64]) -> usize
where
    O: GaussNewton<f64> + PerSample<f64>,
{
    let (mut x, mut g) = (start.to_vec(), vec![0.0; start.len()]);
    let mut method = method(HessianFree::default(), objective);
    let mut loss = f64::INFINITY;
    for steps in 0.. {
        let now = objective.inner.grad(&x, &mut g).unwrap();
        assert!(now <= loss, "step {steps}: {loss} became {now}");
        if opt_core::norm(&g) <= 1e-6 {
            return steps;
        }
        loss = now;
        method.step(objective, &mut x).unwrap();
    }
    unreachable!()
}

#[test]
fn it_converges_and_the_loss_never_rises() {
    let mut rosenbrock = Counted::new(plane("rosenbrock"));
    assert!(steps_to_1e6(&mut rosenbrock, &[-1.2, 1.0]) < 40);
    // Two unknowns take two iterations of CG, and its warm start one product more.
    assert!(rosenbrock.gauss_newton_products <= 3 * rosenbrock.gradients);
    assert!(steps_to_1e6(&mut Counted::new(plane("beale")), &[1.0, 1.0]) < 40);
    assert!(steps_to_1e6(&mut Counted::new(tanh()), &[0.0; 30]) < 100);
}
