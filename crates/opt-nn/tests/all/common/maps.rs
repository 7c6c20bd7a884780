//! Small networks with convolutions and pooling.
#![allow(clippy::unwrap_used)] // in helpers of the tests too

use opt_nn::{Activation, Convolution, Layer, Mlp, Pool, Spec, Target};

use super::{ACTIVATIONS, data, labels, parameters};

pub(crate) const IMAGE: [usize; 3] = [7, 6, 2];
pub(crate) const ROWS: usize = 5;
pub(crate) const CLASSES: usize = 3;

/// Two convolutions, the first of which pools, and a dense layer.
pub(crate) fn spec(
    activation: Activation,
    stride: usize,
    padding: usize,
    pool: Option<Pool>,
) -> Spec {
    let convolution = |kernel, stride| Convolution {
        kernel,
        stride,
        padding,
    };
    let mut spec = Spec::classifier(&[IMAGE.iter().product(), CLASSES], activation);
    let mut first = Layer::convolution(3, convolution(3, stride), activation);
    first.pool = pool;
    let second = Layer::convolution(4, convolution(2, 1), activation);
    (spec.image, spec.l2) = (Some(IMAGE), 0.01);
    spec.layers.splice(..0, [first, second]);
    spec
}

/// All that are not refused.
pub(crate) fn cases() -> impl Iterator<Item = (String, Spec)> {
    let pools = [None, Some(Pool::max(2, 1)), Some(Pool::average(2, 1))];
    let grid = ACTIVATIONS.into_iter().flat_map(move |activation| {
        [1, 2].into_iter().flat_map(move |stride| {
            [0, 1].into_iter().flat_map(move |padding| {
                pools
                    .into_iter()
                    .map(move |pool| (activation, stride, padding, pool))
            })
        })
    });
    grid.filter_map(|(activation, stride, padding, pool)| {
        let spec = spec(activation, stride, padding, pool);
        let name = format!("{activation:?}, stride {stride}, padding {padding}, {pool:?}");
        Mlp::<f64>::new(spec.clone()).ok().map(|_| (name, spec))
    })
}

pub(crate) fn loaded(spec: &Spec) -> (Mlp<f64>, Vec<f64>) {
    let mut net = Mlp::new(spec.clone()).unwrap();
    let x = parameters(&net, 3);
    let inputs = data::<f64>(ROWS, spec.inputs) - 0.4;
    net.load(inputs.view(), Target::Classes(&labels(ROWS, CLASSES)), 11)
        .unwrap();
    (net, x)
}

/// A direction without a pattern.
pub(crate) fn direction(len: usize, salt: f64) -> Vec<f64> {
    (0..len)
        .map(|i| ((i + 1) as f64 * (1.3 + salt)).sin())
        .collect()
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(crate) fn moved(x: &[f64], v: &[f64], by: f64) -> Vec<f64> {
    x.iter().zip(v).map(|(x, v)| x + by * v).collect()
}

#[track_caller]
pub(crate) fn near(found: f64, expected: f64, tolerance: f64, name: &str) {
    let error = (found - expected).abs() / expected.abs().max(1e-3);
    assert!(error < tolerance, "{name}: {found} not {expected}");
}
