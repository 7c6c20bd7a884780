//! Newton's method, dense and diagonal.

#![allow(clippy::unwrap_used)] // helpers of tests

use crate::common;

use common::{Coupled, Spoil, Spoiled, refuses};
use opt_core::{HessianDiag, Method, Objective, ParamMap, norm};
use opt_secondorder::{ExactDiagonal, MAX_NEWTON, Newton, NewtonDiagonal, NewtonMethod};
use opt_testkit::{Plane, Quadratic};
use serde_json::Value;

fn plane(name: &str) -> Plane {
    opt_testkit::plane(name).unwrap()
}

fn newton(objective: &impl Objective<f64>) -> NewtonMethod<f64> {
    Newton::default().method(objective.params()).unwrap()
}

/// A tridiagonal matrix, positive definite.
fn coupled() -> Coupled {
    let entry = |i: usize, j: usize| match i.abs_diff(j) {
        0 => 2.5 + i as f64,
        1 => -1.0,
        _ => 0.0,
    };
    let matrix = (0..6).map(|i| (0..6).map(|j| entry(i, j)).collect());
    let minimum = (0..6).map(|i| 0.5 * i as f64 - 1.0).collect();
    Coupled::new(matrix.collect(), minimum)
}

#[test]
fn iterates_on_rosenbrock_are_numpys() {
    let reference: Value = serde_json::from_str(include_str!("../reference/newton.json")).unwrap();
    let expected: Vec<[f64; 2]> = serde_json::from_value(reference["iterates"].clone()).unwrap();
    let mut plane = plane("rosenbrock");
    let (mut method, mut x) = (newton(&plane), plane.start);
    let mut iterations = 0;
    while norm(&(plane.gradient)(x)) > 1e-6 {
        for (a, b) in x.iter().zip(&expected[iterations]) {
            // Far from the valley's floor the solution loses the digits of κ = 2,500, twice.
            assert!((a - b).abs() <= 1e-9 * b.abs(), "{iterations}: {a} {b}");
        }
        method.step(&mut plane, &mut x).unwrap();
        iterations += 1;
        assert!(iterations < 40);
    }
    assert_eq!(iterations + 1, expected.len());
}

#[test]
fn a_convex_quadratic_takes_one_step() {
    let mut objective = coupled();
    let mut x = [3.0; 6];
    newton(&objective).step(&mut objective, &mut x).unwrap();
    for (x, c) in x.iter().zip(&objective.minimum) {
        assert!((x - c).abs() < 1e-14, "{x} {c}");
    }
    // There the gradient is 0, and nothing moves.
    x.copy_from_slice(&objective.minimum);
    newton(&objective).step(&mut objective, &mut x).unwrap();
    assert_eq!(&x[..], &objective.minimum);
}

#[test]
fn damping_and_rate_have_their_closed_form() {
    let mut quadratic = Quadratic::<f64>::new(ParamMap::flat(3).unwrap(), |i| i as f64, |_| 0.0);
    let hyper = Newton {
        lr: 0.5,
        damping: 1.0,
    };
    let mut method = hyper.method(quadratic.params()).unwrap();
    let mut x = [1.0; 3];
    method.step(&mut quadratic, &mut x).unwrap();
    // 1 − ½a/(a + 1) for a = 0, 1, 2.
    for (x, expected) in x.iter().zip([1.0, 0.75, 2.0 / 3.0]) {
        assert!((x - expected).abs() < 1e-15, "{x} {expected}");
    }
}

#[test]
fn both_halves_of_the_hessian_count() {
    let (mut one, mut other) = (coupled(), coupled());
    other.products[1][4] += 0.5;
    other.products[4][1] -= 0.5;
    let mut x = [[3.0; 6]; 2];
    newton(&one).step(&mut one, &mut x[0]).unwrap();
    newton(&other).step(&mut other, &mut x[1]).unwrap();
    assert_eq!(x[0], x[1]);
}

#[test]
fn points_without_positive_curvature_are_refused() {
    let refuse = |plane: &mut Plane, mut x: [f64; 2]| {
        let before = x;
        let result = newton(plane).step(plane, &mut x);
        let text = result.unwrap_err().to_string();
        assert!(text.contains("not positive definite"), "{text}");
        assert_eq!(x, before);
    };
    // Also where the gradient is 0.
    refuse(&mut plane("saddle"), [-1.0, 1e-3]);
    refuse(&mut plane("saddle"), [0.0, 0.0]);
    // The determinant of Rosenbrock's Hessian is 400 − 80,000(y − x²).
    refuse(&mut plane("rosenbrock"), [0.0, 1.0]);
    refuse(&mut plane("rosenbrock"), [0.0, 0.005]);
    // Singular, and by rounding a little to either side of it: matrices of rank one.
    for k in 1..50 {
        let v = [0.1, 0.7].map(|v: f64| v + 0.013 * f64::from(k));
        let matrix = v.map(|a| v.map(|b| a * b).to_vec()).to_vec();
        let mut singular = Coupled::new(matrix, vec![0.0; 2]);
        let result = newton(&singular).step(&mut singular, &mut [1.0; 2]);
        assert!(result.unwrap_err().to_string().contains("damping"));
    }
}

#[test]
fn too_many_parameters_are_refused() {
    let build = |n| Newton::default().method::<f32>(&ParamMap::flat(n).unwrap());
    let text = build(MAX_NEWTON + 1).unwrap_err().to_string();
    assert!(text.contains("2049") && text.contains("2048"), "{text}");
    build(100).unwrap();
}

#[test]
fn curvature_that_is_not_finite_changes_nothing() {
    let params = ParamMap::flat(4).unwrap();
    let mut objective = Spoiled {
        inner: Quadratic::new(params.clone(), |i| 1.0 + i as f64, |_| 1.0),
        spoil: None,
    };
    let mut method = newton(&objective);
    refuses(&mut method, &mut objective, &mut [3.0; 4], Spoil::Product);
    let mut method = NewtonDiagonal::default().method(&params).unwrap();
    refuses(&mut method, &mut objective, &mut [3.0; 4], Spoil::Diagonal);
    refuses(&mut method, &mut objective, &mut [3.0; 4], Spoil::Diagonal);
}

fn whole(decay: f64) -> NewtonDiagonal {
    NewtonDiagonal {
        lr: 1.0,
        damping: 0.0,
        decay,
    }
}

#[test]
fn a_separable_quadratic_takes_one_diagonal_step() {
    // Powers of two: not even a rounding. The last curvatures are negative and 0: the step is by
    // |h|, and where there is no curvature and no damping there is none.
    let curvature = |i: usize| [0.5, 1.0, 4.0, -2.0, 0.0][i];
    let minimum = |i: usize| i as f64 - 1.5;
    let mut quadratic = Quadratic::<f64>::new(ParamMap::flat(5).unwrap(), curvature, minimum);
    for decay in [0.0, 0.95] {
        let mut method = whole(decay).method(quadratic.params()).unwrap();
        let mut x = [3.0; 5];
        for _ in 0..2 {
            method.step(&mut quadratic, &mut x).unwrap();
            assert_eq!(x[..3], [-1.5, -0.5, 0.5]);
        }
        // Uphill from the maximum it is as far as it came: 1.5 away becomes 3, then 6.
        assert_eq!(x[3..], [7.5, 3.0]);
    }
}

#[test]
fn the_diagonals_average_is_corrected_for_its_start() {
    let mut quadratic = Quadratic::<f64>::new(ParamMap::flat(1).unwrap(), |_| 1.0, |_| 0.0);
    let hyper = NewtonDiagonal {
        damping: 0.5,
        ..whole(0.75)
    };
    let mut method = hyper.method(quadratic.params()).unwrap();
    let (mut weighted, mut weights, mut x) = (0.0, 0.0, [1.0]);
    for h in [1.0, 5.0, 2.0, 0.0, 3.0] {
        quadratic.curvature[0] = h;
        (weighted, weights) = (0.75 * weighted + h, 0.75 * weights + 1.0);
        let expected = x[0] - h * x[0] / (weighted / weights + 0.5);
        method.step(&mut quadratic, &mut x).unwrap();
        assert!((x[0] - expected).abs() < 1e-14, "{h}: {} {expected}", x[0]);
    }
}

#[test]
fn the_exact_diagonal_comes_out_of_products() {
    let mut plane = plane("rosenbrock");
    let (mut h, mut expected) = ([0.0; 2], [0.0; 2]);
    for x in [[-1.2, 1.0], [0.3, -2.0_f64]] {
        plane.hessian_diag(&x, &mut expected).unwrap();
        let mut exact = ExactDiagonal {
            inner: plane.clone(),
        };
        exact.hessian_diag(&x, &mut h).unwrap();
        assert_eq!(h, expected);
        assert!(exact.hessian_diag(&x, &mut [0.0; 3]).is_err());
    }
    // And serves a method that the inner objective does not: `Coupled` has no diagonal.
    let mut exact = ExactDiagonal { inner: coupled() };
    let hyper = NewtonDiagonal::default();
    let mut method = hyper.method(exact.params()).unwrap();
    let mut x = [1.0; 6];
    method.step(&mut exact, &mut x).unwrap();
    let mut g = [0.0; 6];
    exact.grad(&[1.0; 6], &mut g).unwrap();
    for (i, x) in x.iter().enumerate() {
        let expected = 1.0 - 0.01 * g[i] / (2.5 + i as f64 + 0.02);
        assert!((x - expected).abs() < 1e-15);
    }
}
