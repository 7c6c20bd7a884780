//! Deterministic data and networks for the tests.
#![allow(dead_code)] // each test file uses its part

pub(crate) mod case;
pub(crate) mod maps;

use ndarray::Array2;
use opt_core::{Objective, Scalar};
use opt_nn::{Activation, Init, Layer, Loss, Mlp, Spec};

pub(crate) const ACTIVATIONS: [Activation; 6] = [
    Activation::Relu,
    Activation::Tanh,
    Activation::ScaledTanh,
    Activation::Sigmoid,
    Activation::Softplus,
    Activation::Identity,
];

pub(crate) const LOSSES: [Loss; 3] = [
    Loss::SoftmaxCrossEntropy,
    Loss::SigmoidCrossEntropy,
    Loss::SquaredError,
];

/// Values in [0, 1) without a pattern that a layer could cancel.
pub(crate) fn data<F: Scalar>(rows: usize, cols: usize) -> Array2<F> {
    Array2::from_shape_fn((rows, cols), |(i, j)| {
        let phase = (i * cols + j + 1) as f64 * 0.618_033_988_749;
        F::of(phase - phase.floor())
    })
}

pub(crate) fn labels(rows: usize, classes: usize) -> Vec<u8> {
    (0..rows).map(|i| (i * i % classes) as u8).collect()
}

pub(crate) fn spec(widths: &[usize], activation: Activation, loss: Loss) -> Spec {
    Spec {
        loss,
        ..Spec::classifier(widths, activation)
    }
}

/// One linear layer, whose output is all that the loss sees.
pub(crate) fn linear(inputs: usize, outputs: usize, loss: Loss) -> Spec {
    Spec {
        inputs,
        image: None,
        layers: vec![Layer::dense(outputs, Activation::Identity)],
        input_dropout: 0.0,
        loss,
        l2: 0.0,
    }
}

/// Random weights and, unlike at an initialization, random biases.
pub(crate) fn parameters<F: Scalar>(net: &Mlp<F>, seed: u64) -> Vec<F> {
    let mut x = net.init(Init::LeCun, seed);
    for segment in net.params().segments() {
        if segment.shape.len() == 1 {
            for (i, b) in x[segment.range.clone()].iter_mut().enumerate() {
                *b = F::of(0.3 * (i as f64 + seed as f64).sin());
            }
        }
    }
    x
}
