//! The Fisher matrix, the natural gradient and K-FAC against closed forms and explicit solves.

use ndarray::{Array2, Axis, concatenate};
use opt_core::{Error, Layered, Method, Objective, SampledFisher};
use opt_natural::{Blocks, Curvature, Kfac, NaturalGradient, StepSize, fisher};
use opt_nn::{Activation, Init, Loss, Mlp, Spec, Target};

use crate::common::{classifier, everything, restore, wave};
use crate::solve::solve;

/// E[(diag p − ppᵀ) ⊗ h̄h̄ᵀ] of a softmax layer, in the order of W row by row, then b.
fn softmax_fisher(probabilities: &Array2<f64>, inputs: &Array2<f64>) -> Array2<f64> {
    let ((rows, k), n) = (probabilities.dim(), inputs.ncols());
    let place = |unit: usize, j: usize| if j < n { unit * n + j } else { k * n + unit };
    let mut f = Array2::zeros((k * (n + 1), k * (n + 1)));
    for row in 0..rows {
        let p = probabilities.row(row);
        let h = |j: usize| if j < n { inputs[[row, j]] } else { 1.0 };
        for (a, b) in (0..k).flat_map(|a| (0..k).map(move |b| (a, b))) {
            let cov = if a == b { p[a] } else { 0.0 } - p[a] * p[b];
            for (i, j) in (0..=n).flat_map(|i| (0..=n).map(move |j| (i, j))) {
                f[[place(a, i), place(b, j)]] += cov * h(i) * h(j) / rows as f64;
            }
        }
    }
    f
}

#[test]
fn a_softmax_layers_fisher_matrix_in_closed_form() {
    let (mut mlp, x) = classifier(&[4, 3], 9);
    let inputs = wave(9, 4, 0.4);
    let expected = softmax_fisher(&mlp.predict(&x, inputs.view()).unwrap(), &inputs);
    for layer in [Some(0), None] {
        let f = fisher(&mut mlp, &x, layer).unwrap();
        for (a, b) in f.iter().zip(&expected) {
            assert!((a - b).abs() < 1e-14, "{a} {b}");
        }
    }
}

#[test]
fn a_step_is_the_damped_solve() {
    for blocks in [Blocks::Full, Blocks::Layers] {
        let (mut mlp, x0) = classifier(&[3, 4, 3], 8);
        let mut g = vec![0.0; x0.len()];
        mlp.grad(&x0, &mut g).unwrap();
        let mut f = fisher(&mut mlp, &x0, None).unwrap();
        if blocks == Blocks::Layers {
            let split = mlp.params().segments()[2].range.start;
            for ((i, j), v) in f.indexed_iter_mut() {
                if (i < split) != (j < split) {
                    *v = 0.0;
                }
            }
        }
        (0..f.nrows()).for_each(|i| f[[i, i]] += 0.05);
        let step = solve(f, Array2::from_shape_vec((g.len(), 1), g).unwrap());
        let hyper = NaturalGradient {
            lr: 0.3,
            damping: 0.05,
            curvature: Curvature::Fisher,
            blocks,
        };
        let mut method = hyper.method(mlp.params(), mlp.places()).unwrap();
        let mut x = x0.clone();
        method.step(&mut mlp, &mut x).unwrap();
        for ((x, x0), step) in x.iter().zip(&x0).zip(&step) {
            assert!((x - (x0 - 0.3 * step)).abs() < 1e-10);
        }
    }
}

#[test]
fn one_step_of_a_linear_gaussian_model_is_least_squares() {
    let mut spec = Spec::classifier(&[3, 2], Activation::Identity);
    spec.loss = Loss::SquaredError;
    let mut mlp = Mlp::new(spec).unwrap();
    let (inputs, values) = (wave(12, 3, 0.1), wave(12, 2, 5.0));
    mlp.load(inputs.view(), Target::Values(values.view()), 0)
        .unwrap();
    let hyper = NaturalGradient {
        lr: 1.0,
        damping: 1e-13,
        ..NaturalGradient::default()
    };
    let mut method = hyper.method(mlp.params(), mlp.places()).unwrap();
    let mut x = mlp.init(Init::LeCun, 0);
    method.step(&mut mlp, &mut x).unwrap();
    // The normal equations, solved.
    let extended = concatenate![Axis(1), inputs, Array2::ones((12, 1))];
    let best = solve(extended.t().dot(&extended), extended.t().dot(&values));
    for unit in 0..2 {
        for j in 0..3 {
            assert!((x[unit * 3 + j] - best[[j, unit]]).abs() < 1e-9);
        }
        assert!((x[6 + unit] - best[[3, unit]]).abs() < 1e-9);
    }
}

fn kfac() -> Kfac {
    Kfac {
        lr: 0.1,
        momentum: 0.0,
        damping: 0.3,
        damping_decay: 1.0,
        step_size: StepSize::Fixed,
        ..Kfac::default()
    }
}

#[test]
fn kfacs_first_step_is_the_two_sided_solve() {
    let (mut mlp, x0) = classifier(&[3, 4, 3], 10);
    let mut g = vec![0.0; x0.len()];
    mlp.grad(&x0, &mut g).unwrap();
    // The labels of the first step.
    mlp.sample(&x0, 1).unwrap();
    let mut expected = x0.clone();
    for index in 0..mlp.places().len() {
        let layer = mlp.layer(index).unwrap();
        let (rows, n) = layer.input.dim();
        let m = layer.delta.ncols();
        let h = concatenate![Axis(1), layer.input.to_owned(), Array2::ones((rows, 1))];
        let delta = layer.delta.mapv(|d| d * rows as f64);
        let (mut a, mut b) = (
            h.t().dot(&h) / rows as f64,
            delta.t().dot(&delta) / rows as f64,
        );
        let trace = |a: &Array2<f64>| a.diag().sum() / a.nrows() as f64;
        let (pi, gamma) = ((trace(&a) / trace(&b)).sqrt(), 0.3_f64.sqrt());
        (0..=n).for_each(|i| a[[i, i]] += pi * gamma);
        (0..m).for_each(|i| b[[i, i]] += gamma / pi);
        let segments = mlp.params().segments();
        let (w, bias) = (
            segments[2 * index].range.start,
            segments[2 * index + 1].range.start,
        );
        let place = |unit: usize, j: usize| if j < n { w + unit * n + j } else { bias + unit };
        let gradient = Array2::from_shape_fn((m, n + 1), |(u, j)| g[place(u, j)]);
        let step = solve(a, solve(b, gradient).t().to_owned());
        for ((j, unit), step) in step.indexed_iter() {
            expected[place(unit, j)] -= 0.1 * step;
        }
    }
    let mut x = x0.clone();
    let mut method = kfac().method(mlp.params(), mlp.places()).unwrap();
    method.step(&mut mlp, &mut x).unwrap();
    for (a, b) in x.iter().zip(&expected) {
        assert!((a - b).abs() < 1e-10, "{a} {b}");
    }
}

type Boxed = Box<dyn Method<f64, Mlp<f64>>>;

fn methods(mlp: &Mlp<f64>) -> [Boxed; 3] {
    let (params, places) = (mlp.params(), mlp.places());
    let natural = NaturalGradient {
        curvature: Curvature::SampledFisher,
        ..NaturalGradient::default()
    };
    [
        Box::new(natural.method(params, places).unwrap()),
        Box::new(kfac().method(params, places).unwrap()),
        Box::new(Kfac::default().method(params, places).unwrap()),
    ]
}

#[test]
fn resumed_they_go_on_bit_for_bit() {
    for form in 0..3 {
        let (mut mlp, mut x) = classifier(&[3, 4, 3], 20);
        let mut method = methods(&mlp).into_iter().nth(form).unwrap();
        for _ in 0..7 {
            method.step(&mut mlp, &mut x).unwrap();
        }
        let saved = everything(&mut mlp, &mut *method, &mut x);
        let mut other = methods(&mlp).into_iter().nth(form).unwrap();
        let mut y = vec![0.0; x.len()];
        restore(&saved, &mut mlp, &mut *other, &mut y);
        for _ in 0..6 {
            method.step(&mut mlp, &mut x).unwrap();
            other.step(&mut mlp, &mut y).unwrap();
        }
        let (a, b) = (
            everything(&mut mlp, &mut *method, &mut x),
            everything(&mut mlp, &mut *other, &mut y),
        );
        assert!(a == b, "form {form}");
    }
}

#[test]
fn they_descend_and_refuse_what_is_not_finite() {
    for form in 0..3 {
        let (mut mlp, mut x) = classifier(&[3, 6, 3], 60);
        let mut method = methods(&mlp).into_iter().nth(form).unwrap();
        let start = mlp.value(&x).unwrap();
        for _ in 0..60 {
            method.step(&mut mlp, &mut x).unwrap();
        }
        assert!(mlp.value(&x).unwrap() < start, "form {form}");
        let before = everything(&mut mlp, &mut *method, &mut x);
        let mut bad = x.clone();
        bad[1] = f64::NAN;
        assert!(method.step(&mut mlp, &mut bad).is_err());
        assert!(bad[2..] == x[2..]);
        assert!(
            everything(&mut mlp, &mut *method, &mut x) == before,
            "form {form}"
        );
        assert!(matches!(
            method.step(&mut mlp, &mut x[1..]),
            Err(Error::Length { .. })
        ));
        assert!(matches!(
            method.set("damping", (-1.0).into()),
            Err(Error::Hyper { name, .. }) if name == "damping"
        ));
        assert!(matches!(
            method.set("no-such-name", 1.0.into()),
            Err(Error::UnknownHyper { .. })
        ));
    }
}

#[test]
fn a_block_that_is_too_large_is_refused() {
    let (mut mlp, mut x) = classifier(&[500, 10], 4);
    let mut method = NaturalGradient::default()
        .method(mlp.params(), mlp.places())
        .unwrap();
    let error = method.step(&mut mlp, &mut x).unwrap_err().to_string();
    assert!(error.contains("5010"), "{error}");
}
