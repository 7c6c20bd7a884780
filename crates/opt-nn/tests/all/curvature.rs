//! Second derivatives against explicit Jacobians and Hessians, in double precision.
//!
//! Hessians are central differences of the gradient: with h = 1e-5 off by h²/6 times a fourth
//! derivative and by rounding of 1e-16/h, together below 1e-8. Jacobians are exact: the gradient
//! of ½‖z − y‖² is a row of J where y differs from z in one place by 1.
#![allow(clippy::unwrap_used)] // in helpers of the tests too

use crate::common;

use common::case::{Case, SEED, bend, cases, distance};
use common::{LOSSES, data, linear, parameters, spec};
use ndarray::{Array1, Array2, s};
use opt_core::{
    Error as CoreError, GaussNewton, HessianDiag, HessianProduct, Layered, Objective, PerSample,
    Reparametrized,
};
use opt_nn::{Activation, BatchNorm, Error, Loss, Mlp, Target};

#[test]
fn hessian_products_against_differences_of_the_gradient() {
    for mut case in cases() {
        let (products, differences) = (case.products(true), case.hessian());
        let error = distance(&products, &differences);
        assert!(error < 1e-8, "{error}: {:?}", case.spec);
    }
}

#[test]
fn gauss_newton_products_against_jacobians() {
    for mut case in cases() {
        let (products, explicit) = (case.products(false), case.gauss_newton());
        let error = distance(&products, &explicit);
        assert!(error < 1e-13, "{error}: {:?}", case.spec);
        // Positive semidefinite in many directions.
        for k in 0..20 {
            let v = Array1::from_shape_fn(case.x.len(), |i| ((i * (k + 3)) as f64).sin());
            assert!(v.dot(&products.dot(&v)) >= 0.0);
        }
    }
}

/// Of a linear model both matrices are the same; so they are where the output has no residual.
#[test]
fn gauss_newton_is_the_hessian_of_a_linear_model() {
    for loss in LOSSES {
        let mut case = Case::new(linear(4, 3, loss), 6);
        let (g, h) = (case.products(false), case.products(true));
        assert!(distance(&g, &h) < 1e-15, "{loss:?}");
    }
}

/// bbprop by explicit loops, from what the layers show.
fn bbprop(case: &mut Case) -> Vec<f64> {
    let mut g = vec![0.0; case.x.len()];
    case.net.grad(&case.x, &mut g).unwrap();
    let (layers, rows) = (case.spec.layers.len(), case.inputs.nrows());
    let mut inputs: Vec<_> = (0..layers)
        .map(|i| case.net.layer(i).unwrap().input.to_owned())
        .collect();
    let (params, spec) = (case.net.params().clone(), case.spec.clone());
    inputs.push(
        case.net
            .hidden(&case.x, case.inputs.view(), layers)
            .unwrap(),
    );
    let mut h = vec![0.0; case.x.len()];
    for n in 0..rows {
        let z = inputs[layers].row(n);
        let mut out = bend(spec.loss, z).diag().to_owned();
        for index in (0..layers).rev() {
            let weight = params
                .view2(&format!("layer{index}.weight"), &case.x)
                .unwrap();
            let a = weight.dot(&inputs[index].row(n))
                + params.view(&format!("layer{index}.bias"), &case.x).unwrap();
            let slope = a
                .iter()
                .map(|&a: &f64| match spec.layers[index].activation {
                    Activation::Relu => f64::from(a > 0.0),
                    Activation::Tanh => 1.0 - a.tanh().powi(2),
                    Activation::ScaledTanh => 1.7159 / 1.5 * (1.0 - (a / 1.5).tanh().powi(2)),
                    Activation::Sigmoid => (-a).exp() / (1.0 + (-a).exp()).powi(2),
                    Activation::Softplus => 1.0 / (1.0 + (-a).exp()),
                    _ => 1.0,
                });
            let at_a: Vec<f64> = slope.zip(&out).map(|(s, h)| s * s * h).collect();
            let [w, b] = [0, 1].map(|k| params.segments()[2 * index + k].range.clone());
            for (j, &at_a) in at_a.iter().enumerate() {
                h[b.start + j] += at_a / rows as f64;
                for (i, x) in inputs[index].row(n).iter().enumerate() {
                    h[w.start + j * weight.ncols() + i] += at_a * x * x / rows as f64;
                }
            }
            out = weight.mapv(|w| w * w).t().dot(&Array1::from(at_a));
        }
    }
    h.iter().zip(case.penalty()).map(|(h, l2)| h + l2).collect()
}

#[test]
fn the_diagonal_against_loops_and_exactly_for_the_last_layer() {
    for mut case in cases() {
        let mut h = vec![f64::NAN; case.x.len()];
        case.net.hessian_diag(&case.x.clone(), &mut h).unwrap();
        assert!(h.iter().all(|&h| h >= 0.0));
        let output = case.spec.layers[2].activation;
        if output == Activation::Identity {
            let exact = case.gauss_newton();
            let last = case.net.params().segments()[4].range.start..;
            for i in last.start..h.len() {
                let error = (h[i] - exact[[i, i]]).abs();
                assert!(error < 1e-14, "{error}: {:?}", case.spec);
            }
        }
        if case.spec.input_dropout == 0.0 {
            let expected = bbprop(&mut case);
            for (a, b) in h.iter().zip(expected) {
                assert!((a - b).abs() < 1e-14, "{a} {b} {:?}", case.spec);
            }
        }
    }
}

#[test]
fn squared_gradients_against_one_sample_at_a_time() {
    for mut case in cases() {
        let n = case.x.len();
        let (mut g, mut square) = (vec![0.0; n], vec![f64::NAN; n]);
        let x = case.x.clone();
        let loss = case.net.grad_moments(&x, &mut g, &mut square).unwrap();
        let mut plain = vec![0.0; n];
        assert_eq!(case.net.grad(&x, &mut plain).unwrap(), loss);
        assert_eq!(g, plain);
        let mut penalty = vec![f64::NAN; n];
        case.net.penalty(&mut penalty);
        assert_eq!(penalty, case.penalty().to_vec());
        if case.spec.input_dropout > 0.0 {
            continue; // alone, a sample would have other masks
        }
        let rows = case.inputs.nrows();
        assert_eq!(case.net.samples(), rows);
        let mut expected = vec![0.0; n];
        for row in 0..rows {
            let inputs = case.inputs.slice(s![row..=row, ..]);
            let target = match case.spec.loss {
                Loss::SoftmaxCrossEntropy => Target::Classes(&case.classes[row..=row]),
                _ => Target::Values(case.values.slice(s![row..=row, ..])),
            };
            // A penalty depends on no sample, and is told apart.
            let mut spec = case.spec.clone();
            spec.l2 = 0.0;
            let mut one = Mlp::new(spec).unwrap();
            one.load(inputs, target, SEED).unwrap();
            one.grad(&x, &mut plain).unwrap();
            for (sum, g) in expected.iter_mut().zip(&plain) {
                *sum += g * g / rows as f64;
            }
        }
        for (a, b) in square.iter().zip(&expected) {
            assert!((a - b).abs() < 1e-14, "{a} {b} {:?}", case.spec);
        }
        let mut penalty = vec![f64::NAN; n];
        case.net.penalty(&mut penalty);
        assert_eq!(Array1::from(penalty), case.penalty());
    }
}

/// With dropout: a row of the Jacobian times its residual is a sample's gradient.
#[test]
fn squared_gradients_with_dropout() {
    let mut spec = spec(&[3, 4, 3, 2], Activation::Tanh, Loss::SquaredError);
    (spec.input_dropout, spec.layers[0].dropout) = (0.3, 0.5);
    let mut case = Case::new(spec, 6);
    let (z, jacobian) = case.jacobian();
    let residual = &z - &case.values;
    let n = case.x.len();
    let (mut g, mut square) = (vec![0.0; n], vec![0.0; n]);
    case.net.grad_moments(&case.x, &mut g, &mut square).unwrap();
    let mut expected = Array1::<f64>::zeros(n);
    for row in 0..6 {
        let j = jacobian.slice(s![2 * row..2 * row + 2, ..]);
        expected += &(j.t().dot(&residual.row(row)).mapv(|g| g * g) / 6.0);
    }
    for (a, b) in square.iter().zip(&expected) {
        assert!((a - b).abs() < 1e-14, "{a} {b}");
    }
}

/// Curvature on samples of its own: losses and gradients stay with the minibatch.
#[test]
fn a_minibatch_for_curvature_alone() {
    let spec = spec(&[3, 4, 2], Activation::Sigmoid, Loss::SquaredError);
    let mut case = Case::new(spec, 6);
    let (whole, n) = (case.products(false), case.x.len());
    let mut before = vec![0.0; n];
    let loss = case.net.grad(&case.x, &mut before).unwrap();

    let (inputs, values) = (data::<f64>(3, 3), data::<f64>(3, 2));
    let target = Target::Values(values.view());
    case.net.load_curvature(inputs.view(), target, 1).unwrap();
    let own = case.products(false);
    let mut alone = Case::new(case.spec.clone(), 3);
    alone.net.load(inputs.view(), target, 1).unwrap();
    assert_eq!(own, alone.products(false));
    assert!(distance(&own, &whole) > 1e-3);
    let mut after = vec![0.0; n];
    assert_eq!(case.net.grad(&case.x, &mut after).unwrap(), loss);
    assert_eq!(after, before);

    // A refused minibatch leaves the last one; without any, the loaded one serves.
    let wide = data::<f64>(3, 4);
    assert!(case.net.load_curvature(wide.view(), target, 1).is_err());
    assert_eq!(case.products(false), own);
    case.net.clear_curvature();
    assert_eq!(case.products(false), whole);
}

/// A pass at another x, or on another minibatch, is not taken for the right one.
#[test]
fn products_follow_the_parameters_and_the_minibatch() {
    let spec = spec(&[3, 4, 2], Activation::Tanh, Loss::SigmoidCrossEntropy);
    let mut case = Case::new(spec.clone(), 5);
    let old = (case.products(false), case.products(true));
    let x = parameters(&case.net, 9);
    let start = std::mem::replace(&mut case.x, x.clone());
    let mut fresh = Case::new(spec, 5);
    fresh.x = x;
    assert_eq!(case.products(true), fresh.products(true));
    assert_eq!(case.products(false), fresh.products(false));
    assert!(distance(&case.products(false), &old.0) > 1e-3);
    case.x = start;
    assert_eq!((case.products(false), case.products(true)), old);

    let half = case.inputs.slice(s![..2, ..]).to_owned();
    let target = Target::Values(case.values.slice(s![..2, ..]));
    case.net.load(half.view(), target, SEED).unwrap();
    assert!(distance(&case.products(false), &old.0) > 1e-3);
}

#[test]
fn what_has_no_curvature_is_refused() {
    let mut spec = spec(&[3, 4, 2], Activation::Tanh, Loss::SquaredError);
    let mut case = Case::new(spec.clone(), 5);
    let n = case.x.len();
    let (mut out, mut g) = (vec![7.0; n], vec![0.0; n]);
    let short = case.net.gauss_newton_product(&case.x, &[0.0], &mut out);
    assert!(matches!(short, Err(CoreError::Length { .. })));
    let v = vec![1.0; n];
    let short = case.net.hessian_product(&case.x[1..], &v, &mut out);
    assert!(matches!(short, Err(CoreError::Length { .. })));
    assert!(case.net.hessian_diag(&case.x, &mut out[1..]).is_err());
    let short = case.net.grad_moments(&case.x, &mut g, &mut out[1..]);
    assert!(matches!(short, Err(CoreError::Length { .. })));
    // Nothing loaded.
    let mut empty = Mlp::<f64>::new(spec.clone()).unwrap();
    assert!(empty.gauss_newton_product(&case.x, &v, &mut out).is_err());
    assert!(out.iter().all(|&v| v == 7.0));

    let (eye, c) = (Array2::eye(3), Array1::zeros(3));
    (case.net.set_whitening(0, eye.view(), c.view())).unwrap();
    refused(&mut case.net, &case.x, "whitening");
    spec.layers[0].norm = Some(BatchNorm::default());
    let mut net = Mlp::new(spec).unwrap();
    net.load(case.inputs.view(), case.target(), 1).unwrap();
    let x = parameters(&net, 1);
    refused(&mut net, &x, "batch normalization");
}

fn refused(net: &mut Mlp<f64>, x: &[f64], what: &str) {
    let n = x.len();
    let (v, mut g, mut out) = (vec![1.0; n], vec![0.0; n], vec![7.0; n]);
    for result in [
        net.gauss_newton_product(x, &v, &mut out),
        net.hessian_product(x, &v, &mut out),
        net.hessian_diag(x, &mut out),
        net.grad_moments(x, &mut g, &mut out).map(drop),
    ] {
        let Err(CoreError::Objective(source)) = result else {
            panic!("{result:?}");
        };
        assert!(matches!(
            source.downcast_ref(),
            Some(Error::Curvature { layer: 0, what: found }) if *found == what
        ));
    }
    assert!(out.iter().all(|&v| v == 7.0));
}
