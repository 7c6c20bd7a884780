//! The bound that the network vouches for, against the gradient that it has written.

#![allow(clippy::unwrap_used)] // helpers of tests

use crate::common;

use common::{data, labels};
use ndarray::{Array1, Array2};
use opt_core::{Layered, Objective, Reparametrized, SampledFisher, greatest};
use opt_nn::{Activation, Init, Mlp, Spec, Target};

const ROWS: usize = 8;

fn nets() -> Vec<(&'static str, Spec)> {
    let plain = Spec::classifier(&[40, 60, 30, 3], Activation::Tanh);
    let (mut normalized, mut dropped, mut decayed) = (plain.clone(), plain.clone(), plain.clone());
    for layer in &mut normalized.layers[..2] {
        layer.norm = Some(Default::default());
    }
    dropped.layers[0].dropout = 0.5;
    decayed.l2 = 10.0;
    vec![
        ("plain", plain),
        ("normalized", normalized),
        ("dropped", dropped),
        ("decayed", decayed),
    ]
}

#[test]
fn no_element_is_greater() {
    for (name, spec) in nets() {
        for scale in [1e-12, 1.0, 1e6] {
            let mut net = Mlp::<f64>::new(spec.clone()).unwrap();
            let (x, inputs) = (net.init(Init::He, 1), data(ROWS, 40) * scale);
            let mut g = vec![0.0; x.len()];
            net.load(inputs.view(), Target::Classes(&labels(ROWS, 3)), 0)
                .unwrap();
            assert_eq!(net.gradient_bound(), None, "{name}: no gradient yet");
            net.grad(&x, &mut g).unwrap();
            let (bound, most) = (net.gradient_bound().unwrap(), greatest(&g));
            assert!(most <= bound, "{name} {scale}: {most} {bound}");
            // It is of use: not larger than what a sum over rows can come to.
            assert!(bound <= 1e9 * (1.0 + scale), "{name} {scale}: {bound}");
            net.deltas(&x, &mut g).unwrap();
            assert_eq!(net.gradient_bound(), None, "{name}: those were deltas");
        }
    }
}

#[test]
fn what_is_not_finite_has_no_bound() {
    for (name, spec) in nets() {
        for bad in [f64::NAN, f64::INFINITY, 1e300] {
            let mut net = Mlp::<f64>::new(spec.clone()).unwrap();
            let (x, mut inputs) = (net.init(Init::He, 1), data(ROWS, 40));
            inputs[[3, 2]] = bad;
            let mut g = vec![0.0; x.len()];
            net.load(inputs.view(), Target::Classes(&labels(ROWS, 3)), 0)
                .unwrap();
            if net.grad(&x, &mut g).is_err() {
                continue; // normalization refuses
            }
            let bound = net.gradient_bound();
            let vouched = bound.is_some_and(|bound| bound.is_finite());
            let fine = greatest(&g).is_finite();
            assert!(fine || !vouched, "{name} {bad}: {bound:?}");
            assert!(
                greatest(&g) <= bound.unwrap_or(f64::INFINITY) || !fine,
                "{name} {bad}"
            );
        }
    }
}

/// In other coordinates there is no bound, and labels need a forward pass.
#[test]
fn another_whitening_ends_what_was_kept() {
    let (_, spec) = nets().swap_remove(0);
    let mut net = Mlp::<f64>::new(spec).unwrap();
    let (x, inputs) = (net.init(Init::He, 1), data(ROWS, 40));
    net.load(inputs.view(), Target::Classes(&labels(ROWS, 3)), 0)
        .unwrap();
    net.grad(&x, &mut vec![0.0; x.len()]).unwrap();
    assert!(net.gradient_bound().is_some());
    let (u, c) = (Array2::eye(60) * 2.0, Array1::zeros(60));
    net.set_whitening(1, u.view(), c.view()).unwrap();
    assert_eq!(net.gradient_bound(), None);
    net.resample(&x, 7).unwrap();
    let again = net.layer(2).unwrap().delta.to_owned();
    net.sample(&x, 7).unwrap();
    assert_eq!(net.layer(2).unwrap().delta, again);
    net.grad(&x, &mut vec![0.0; x.len()]).unwrap();
    net.clear_whitening();
    assert_eq!(net.gradient_bound(), None);
}

/// Where it would have to look at more numbers than the gradient has, it says nothing.
#[test]
fn a_layer_that_is_small_beside_its_batch_has_no_bound() {
    let mut net = Mlp::<f64>::new(Spec::classifier(&[40, 3], Activation::Tanh)).unwrap();
    let (x, inputs) = (net.init(Init::He, 1), data(ROWS, 40));
    net.load(inputs.view(), Target::Classes(&labels(ROWS, 3)), 0)
        .unwrap();
    net.grad(&x, &mut vec![0.0; x.len()]).unwrap();
    assert_eq!(net.gradient_bound(), None);
}
