//! Dropout masks, and what must be bitwise the same.
#![allow(clippy::unwrap_used)] // in helpers of the tests too

use crate::common;

use common::{data, labels, parameters, spec};
use ndarray::Array2;
use opt_core::{Layered, Objective, Reparametrized, SampledFisher};
use opt_nn::{Activation, Loss, Mlp, Spec, Target};

/// 200 inputs of 1, dropped with the rates given, and a layer of 300 outputs of 1 dropped too.
fn masks(input: f64, hidden: f64, seed: u64) -> [Array2<f64>; 2] {
    let mut spec = spec(&[200, 300, 2], Activation::Identity, Loss::SquaredError);
    (spec.input_dropout, spec.layers[0].dropout) = (input, hidden);
    let mut net = Mlp::new(spec).unwrap();
    let mut x = vec![0.0; net.params().len()];
    let bias = net.params().get("layer0.bias").unwrap().range.clone();
    x[bias].fill(1.0);
    let (inputs, classes) = (Array2::ones((400, 200)), labels(400, 2));
    net.load(inputs.view(), Target::Classes(&classes), seed)
        .unwrap();
    let mut g = vec![0.0; x.len()];
    net.grad(&x, &mut g).unwrap();
    [0, 1].map(|index| net.layer(index).unwrap().input.to_owned())
}

#[test]
fn units_are_zero_or_scaled_so_that_the_mean_stays() {
    for rate in [0.2, 0.5, 0.9] {
        // The rate in whole 65536ths, as documented.
        let keep = 1.0 - (rate * 65536.0_f64).round() / 65536.0;
        for mask in masks(rate, rate, 1) {
            let scale = 1.0 / keep;
            assert!(mask.iter().all(|&m| m == 0.0 || m == scale), "{rate}");
            // Five standard deviations of a mean of independent Bernoulli variables over keep.
            let sigma = |n: usize| (rate / keep / n as f64).sqrt();
            let mean = mask.mean().unwrap();
            assert!(
                (mean - 1.0).abs() < 5.0 * sigma(mask.len()),
                "{rate}: {mean}"
            );
            // Neighbours along either axis, and units four apart, are uncorrelated: pairs both
            // kept come with keep².
            let (rows, cols) = mask.dim();
            for (down, right) in [(1, 0), (0, 1), (0, 4)] {
                let pairs = (0..rows - down).flat_map(|i| (0..cols - right).map(move |j| (i, j)));
                let products: f64 = pairs
                    .map(|(i, j)| mask[[i, j]] * mask[[i + down, j + right]])
                    .sum();
                let n = (rows - down) * (cols - right);
                let sigma = ((1.0 / keep.powi(2) - 1.0) / n as f64).sqrt();
                assert!((products / n as f64 - 1.0).abs() < 6.0 * sigma, "{rate}");
            }
        }
    }
}

#[test]
fn rates_at_the_ends() {
    let [none, below] = masks(0.0, 0.4 / 65536.0, 1);
    assert!(none.iter().chain(&below).all(|&m| m == 1.0));
    let [almost, _] = masks(1.0 - 1e-9, 0.0, 1);
    assert!(almost.iter().all(|&m| m == 0.0 || m == 65536.0));
}

#[test]
fn the_seed_decides() {
    let (first, same, other) = (masks(0.5, 0.5, 7), masks(0.5, 0.5, 7), masks(0.5, 0.5, 8));
    assert_eq!(first, same);
    assert_ne!(first[0], other[0]);
    assert_ne!(first[1], other[1]);
    assert_ne!(first[0], first[1].slice(ndarray::s![.., ..200]));
}

#[test]
fn targets_of_an_auto_encoder_are_not_dropped() {
    let mut spec = Spec::autoencoder(&[4, 2], Activation::Tanh);
    (spec.loss, spec.input_dropout) = (Loss::SquaredError, 0.9);
    let mut net = Mlp::<f64>::new(spec).unwrap();
    let inputs = data::<f64>(5, 4);
    net.load(inputs.view(), Target::Inputs, 1).unwrap();
    let x = vec![0.0; net.params().len()];
    let expected = inputs.iter().map(|v| v * v).sum::<f64>() / 10.0;
    assert!((net.value(&x).unwrap() - expected).abs() < 1e-15);
}

#[test]
fn evaluations_of_one_step_agree_bitwise() {
    let mut spec = spec(&[6, 20, 3], Activation::Tanh, Loss::SoftmaxCrossEntropy);
    (spec.input_dropout, spec.layers[0].dropout, spec.l2) = (0.2, 0.5, 0.1);
    let mut net = Mlp::<f32>::new(spec).unwrap();
    let (x, inputs, classes) = (parameters(&net, 1), data(30, 6), labels(30, 3));
    net.load(inputs.view(), Target::Classes(&classes), 11)
        .unwrap();
    let (mut g, mut again) = (vec![0.0; x.len()], vec![1.0; x.len()]);
    let loss = net.grad(&x, &mut g).unwrap();
    assert_eq!(net.value(&x).unwrap().to_bits(), loss.to_bits());
    // Inference, on another number of rows, leaves minibatch and masks alone.
    let all = net
        .evaluate(&x, data(50, 6).view(), Target::Classes(&labels(50, 3)))
        .unwrap();
    assert_ne!(all.loss as f32, loss);
    net.predict(&x, data(1, 6).view()).unwrap();
    assert_eq!(net.grad(&x, &mut again).unwrap().to_bits(), loss.to_bits());
    assert_eq!(g, again);
    // A larger minibatch in between leaves nothing behind.
    net.load(data(90, 6).view(), Target::Classes(&labels(90, 3)), 12)
        .unwrap();
    assert_ne!(net.grad(&x, &mut again).unwrap(), loss);
    net.load(inputs.view(), Target::Classes(&classes), 11)
        .unwrap();
    assert_eq!(net.grad(&x, &mut again).unwrap().to_bits(), loss.to_bits());
    assert_eq!(g, again);
}

#[test]
fn any_number_of_threads_gives_the_same() {
    // Large enough that products, passes and masks are split.
    let mut spec = spec(
        &[300, 700, 400, 10],
        Activation::Softplus,
        Loss::SoftmaxCrossEntropy,
    );
    (spec.input_dropout, spec.layers[0].dropout, spec.l2) = (0.2, 0.5, 1e-3);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let mut net = Mlp::<f32>::new(spec.clone()).unwrap();
            let (x, classes) = (parameters(&net, 1), labels(130, 10));
            let mut g = vec![0.0; x.len()];
            net.load(data(130, 300).view(), Target::Classes(&classes), 5)
                .unwrap();
            let u = Array2::from_shape_fn((700, 700), |(i, j)| ((i + 2 * j) as f32).sin());
            let c = ndarray::Array1::from_elem(700, 0.1);
            net.set_whitening(1, u.view(), c.view()).unwrap();
            let loss = net.grad(&x, &mut g).unwrap();
            net.sample(&x, 4).unwrap();
            let sampled = net.layer(0).unwrap().delta.to_owned();
            (
                loss.to_bits(),
                g,
                sampled,
                net.predict(&x, data(1500, 300).view()).unwrap(),
            )
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(3));
}
