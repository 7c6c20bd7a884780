//! Functions with many minima whose values are large beside what curvature resolves, from a hundred
//! starts each, beside SciPy's BFGS and L-BFGS-B (`reference/minima.py`).

#![allow(clippy::unwrap_used)] // helpers of tests

use crate::function;

use std::f64::consts::{E, PI};

use function::{Function, slope};
use opt_core::{Counted, Method, Objective, check_gradient};
use opt_secondorder::Lbfgs;
use serde_json::Value;

fn goldstein_price(p: &[f64]) -> (f64, Vec<f64>) {
    let (x, y) = (p[0], p[1]);
    let (s, d) = (x + y + 1.0, 2.0 * x - 3.0 * y);
    let a = 19.0 - 14.0 * x + 3.0 * x * x - 14.0 * y + 6.0 * x * y + 3.0 * y * y;
    let b = 18.0 - 32.0 * x + 12.0 * x * x + 48.0 * y - 36.0 * x * y + 27.0 * y * y;
    let (left, right) = (1.0 + s * s * a, 30.0 + d * d * b);
    // Along x and y alike.
    let dleft = 2.0 * s * a + s * s * (-14.0 + 6.0 * x + 6.0 * y);
    let dx = 4.0 * d * b + d * d * (-32.0 + 24.0 * x - 36.0 * y);
    let dy = -6.0 * d * b + d * d * (48.0 - 36.0 * x + 54.0 * y);
    let g = vec![dleft * right + left * dx, dleft * right + left * dy];
    (left * right, g)
}

fn ackley(p: &[f64]) -> (f64, Vec<f64>) {
    let c = 2.0 * PI;
    let r = ((p[0] * p[0] + p[1] * p[1]) / 2.0).sqrt();
    let hill = 20.0 * (-0.2 * r).exp();
    let waves = (((c * p[0]).cos() + (c * p[1]).cos()) / 2.0).exp();
    let slope = if r > 0.0 { 0.1 * hill / r } else { 0.0 };
    let g = p
        .iter()
        .map(|v| slope * v + c / 2.0 * (c * v).sin() * waves);
    (-hill - waves + 20.0 + E, g.collect())
}

fn levy_13(p: &[f64]) -> (f64, Vec<f64>) {
    let (x, y, c) = (p[0], p[1], 3.0 * PI);
    let (sx, sy, s2) = ((c * x).sin(), (c * y).sin(), (2.0 * PI * y).sin());
    let (u, v) = ((x - 1.0).powi(2), (y - 1.0).powi(2));
    let f = sx * sx + u * (1.0 + sy * sy) + v * (1.0 + s2 * s2);
    let dx = 2.0 * c * sx * (c * x).cos() + 2.0 * (x - 1.0) * (1.0 + sy * sy);
    let dy = u * 2.0 * c * sy * (c * y).cos() + 2.0 * (y - 1.0) * (1.0 + s2 * s2);
    (f, vec![dx, dy + v * 4.0 * PI * s2 * (2.0 * PI * y).cos()])
}

/// Whether |f′| ≤ 1e-6 is reached within 1,000 steps, and the gradients that it took.
fn reaches(of: fn(&[f64]) -> (f64, Vec<f64>), start: [f64; 2]) -> (bool, u64) {
    let mut objective = Counted::new(Function::new(2, of));
    let mut method = Lbfgs::default().method(objective.params()).unwrap();
    let mut x = start;
    for _ in 0..1000 {
        if slope(&mut objective.inner, &x) <= 1e-6 {
            return (true, objective.gradients);
        }
        let before = x;
        method.step(&mut objective, &mut x).unwrap();
        if x == before {
            break;
        }
    }
    (false, objective.gradients)
}

#[test]
fn as_many_ends_as_scipy_finds() {
    let reference: Value = serde_json::from_str(include_str!("../reference/minima.json")).unwrap();
    let mut told = Vec::new();
    let mut right = true;
    for case in reference["cases"].as_array().unwrap() {
        let of = match case["name"].as_str().unwrap() {
            "goldstein_price" => goldstein_price,
            "ackley" => ackley,
            "levy_13" => levy_13,
            other => panic!("{other}"),
        };
        let starts: Vec<[f64; 2]> = serde_json::from_value(case["starts"].clone()).unwrap();
        let (mut stationary, mut gradients) = (0, 0);
        for start in starts {
            let check = check_gradient(&mut Function::new(2, of), &start, 1e-6).unwrap();
            assert!(check.error < 1e-6, "{check:?}");
            let (reached, count) = reaches(of, start);
            stationary += u64::from(reached);
            gradients += count;
        }
        let best = ["BFGS", "L-BFGS-B"].map(|m| case["scipy"][m]["stationary"].as_u64().unwrap());
        right &= stationary >= best[0].max(best[1]);
        told.push(format!(
            "{} {stationary} {gradients} {}",
            case["name"], case["scipy"]
        ));
    }
    println!("{told:#?}");
    assert!(right, "{told:#?}");
}
