//! Equilibrated SGD.

#![allow(clippy::unwrap_used)] // helpers of tests

use crate::common;

use common::{Coupled, Spoil, Spoiled, buffer, refuses};
use opt_core::{Counted, Objective, ParamMap};
use opt_secondorder::{Esgd, EsgdMethod, Probe};
use opt_testkit::Quadratic;

const PROBES: [Probe; 2] = [Probe::Gaussian, Probe::Rademacher];

fn esgd(hyper: Esgd, objective: &impl Objective<f64>) -> EsgdMethod<f64> {
    hyper.method(objective.params()).unwrap()
}

/// Curvatures 1, −2, 3, … of both signs.
fn quadratic(n: usize) -> Quadratic<f64> {
    let sign = |i: usize| if i.is_multiple_of(2) { 1.0 } else { -1.0 };
    let curvature = |i: usize| sign(i) * (i + 1) as f64;
    Quadratic::new(ParamMap::flat(n).unwrap(), curvature, |_| 0.0)
}

#[test]
fn the_mean_square_becomes_the_norms_of_the_rows() {
    let matrix = vec![
        vec![2.0, -1.0, 0.5, 0.0],
        vec![-1.0, 1.0, 0.0, 0.3],
        vec![0.5, 0.0, -3.0, 1.0],
        vec![0.0, 0.3, 1.0, 0.1],
    ];
    let norms: Vec<f64> = (matrix.iter())
        .map(|row| row.iter().map(|a| a * a).sum())
        .collect();
    let draws = 200_000;
    for probe in PROBES {
        let mut objective = Coupled::new(matrix.clone(), vec![0.0; 4]);
        let hyper = Esgd {
            period: 1,
            probe,
            ..Esgd::default()
        };
        let mut method = esgd(hyper, &objective);
        let mut x = [0.0; 4];
        for _ in 0..=draws - 10 {
            method.step(&mut objective, &mut x).unwrap();
        }
        // A gradient of 0 moves nothing.
        assert_eq!(x, [0.0; 4]);
        for (square, norm) in buffer(&mut method, "d/x").iter().zip(&norms) {
            // (Hv)² of a Gaussian has the relative deviation √2, of ±1 less: here are 5 σ.
            let error = (square / f64::from(draws) / norm - 1.0).abs();
            assert!(error < 0.016, "{probe:?}: {error}");
        }
    }
}

#[test]
fn a_step_is_by_the_root_mean_square() {
    // A diagonal H times a vector of ±1 is ±H: the mean is H² from the first draw on.
    let mut quadratic = quadratic(200);
    let hyper = Esgd {
        probe: Probe::Rademacher,
        period: 2,
        damping: 0.5,
        ..Esgd::default()
    };
    let mut method = esgd(hyper, &quadratic);
    let mut x = vec![1.0; 200];
    let mut expected = x.clone();
    for _ in 0..5 {
        method.step(&mut quadratic, &mut x).unwrap();
        for (x, h) in expected.iter_mut().zip(&quadratic.curvature) {
            *x -= 0.01 * (h * *x) / (h.abs() + 0.5);
        }
        for (x, expected) in x.iter().zip(&expected) {
            assert!((x - expected).abs() <= 1e-14, "{x} {expected}");
        }
    }
}

/// With a single draw before the twentieth step the loss overflows here.
#[test]
fn the_first_estimate_is_good_enough_for_many_parameters() {
    let n = 200_000;
    let mut bowl = Quadratic::<f64>::new(ParamMap::flat(n).unwrap(), |_| 1.0, |_| 0.0);
    let mut method = esgd(Esgd::default(), &bowl);
    let (mut x, mut last) = (vec![1.0; n], f64::INFINITY);
    for _ in 0..40 {
        let loss = method.step(&mut bowl, &mut x).unwrap().loss;
        assert!(loss < last);
        last = loss;
    }
}

#[test]
fn every_twentieth_step_draws_and_the_first_ten_times() {
    let mut counted = Counted::new(quadratic(3));
    let mut method = esgd(Esgd::default(), &counted);
    let mut products = Vec::new();
    for _ in 0..41 {
        method.step(&mut counted, &mut [1.0; 3]).unwrap();
        products.push(counted.hessian_products);
    }
    let expected: Vec<_> = (0..41).map(|t| 10 + t / 20).collect();
    assert_eq!(products, expected);
    assert_eq!(counted.gradients, 41);
}

#[test]
fn draws_differ_by_seed_and_index_only() {
    let run = |probe, seed, steps| {
        // A full row, so that signs matter.
        let mut objective = Coupled::new(vec![vec![1.0; 70]; 70], vec![0.0; 70]);
        let hyper = Esgd {
            probe,
            seed,
            period: 1,
            ..Esgd::default()
        };
        let mut method = esgd(hyper, &objective);
        let mut last = vec![0.0; 70];
        let mut squares = Vec::new();
        for _ in 0..steps {
            method.step(&mut objective, &mut [0.0; 70]).unwrap();
            let sums = buffer(&mut method, "d/x");
            squares.push(sums[0] - last[0]);
            last = sums;
        }
        squares
    };
    for probe in PROBES {
        let one = run(probe, 1, 8);
        assert_eq!(one, run(probe, 1, 8));
        assert_ne!(one, run(probe, 2, 8));
        assert!(one.windows(2).any(|pair| pair[0] != pair[1]));
    }
}

#[test]
fn a_product_that_is_not_finite_changes_nothing() {
    let mut objective = Spoiled {
        inner: quadratic(4),
        spoil: None,
    };
    let hyper = Esgd {
        period: 1,
        ..Esgd::default()
    };
    let mut method = esgd(hyper, &objective);
    for _ in 0..2 {
        refuses(&mut method, &mut objective, &mut [1.0; 4], Spoil::Product);
    }
    // Nor one whose square overflows.
    objective.inner.curvature[2] = 1e200;
    let before = buffer(&mut method, "d/x");
    assert!(method.step(&mut objective, &mut [1e-200; 4]).is_err());
    assert_eq!(buffer(&mut method, "d/x"), before);
}
