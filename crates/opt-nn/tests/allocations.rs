//! Nothing is allocated after the first step at a batch size.
//!
//! Counted on the only thread of a rayon pool, so that neither the test harness nor rayon's
//! queue for jobs from outside is in the count. The pure-Rust GEMM allocates a packing buffer at
//! every product: what a step allocates is compared with what its products alone do.
#![allow(clippy::unwrap_used)] // in helpers of the tests too

#[path = "all/common/mod.rs"]
mod common;

use common::{data, labels, parameters, spec};
use ndarray::{Array1, Array2, ArrayView2};
use opt_core::{
    Fisher, GaussNewton, HessianDiag, HessianProduct, Layered, Objective, PerSample,
    Reparametrized, SampledFisher,
};
use opt_nn::{Activation, BatchNorm, Convolution, Layer, Loss, Mlp, Pool, Spec, Target, gemm};
use opt_testkit::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(f: impl FnOnce()) -> u64 {
    let before = Counting::of_this_thread();
    f();
    Counting::of_this_thread() - before
}

const WIDTHS: [usize; 4] = [300, 512, 256, 10];

/// Allocations of the products of a step.
#[derive(Clone, Copy, Default)]
struct Products {
    /// Of a forward pass.
    forward: u64,
    /// Of the first and of the last layer in it.
    first: u64,
    last: u64,
    /// Of the gradients of all weights.
    weights: u64,
    /// Of those of the first layer.
    first_weights: u64,
    /// Of the deltas of all layers but the last.
    deltas: u64,
    /// Of a penalty on W = V·U, by value and, beyond that, by gradient.
    penalty: [u64; 2],
}

fn products(rows: usize, whitened: bool) -> Products {
    let mut all = Products::default();
    for (index, shape) in WIDTHS.windows(2).enumerate() {
        let (mut below, mut above) = (
            Array2::<f32>::zeros((rows, shape[0])),
            Array2::zeros((rows, shape[1])),
        );
        let mut weight = Array2::zeros((shape[1], shape[0]));
        all.last = count(|| gemm(1.0, below.view(), weight.t(), 0.0, above.view_mut()).unwrap());
        let weights = count(|| gemm(1.0, above.t(), below.view(), 0.0, weight.view_mut()).unwrap());
        all.weights += weights;
        let mut deltas =
            count(|| gemm(1.0, above.view(), weight.view(), 0.0, below.view_mut()).unwrap());
        if whitened {
            let (u, mut other) = (Array2::zeros((shape[0], shape[0])), below.clone());
            all.last += count(|| gemm(1.0, below.view(), u.t(), 0.0, other.view_mut()).unwrap());
            deltas += count(|| gemm(1.0, below.view(), u.view(), 0.0, other.view_mut()).unwrap());
            let (v, mut w) = (weight.view(), Array2::zeros(weight.dim()));
            all.penalty[0] += count(|| gemm(1.0, v, u.view(), 0.0, w.view_mut()).unwrap());
            all.penalty[1] += count(|| gemm(1.0, v, u.t(), 1.0, w.view_mut()).unwrap());
        }
        all.forward += all.last;
        match index {
            0 => (all.first, all.first_weights) = (all.last, weights),
            _ => all.deltas += deltas,
        }
    }
    all
}

fn run(whitened: bool) {
    let mut spec = spec(&WIDTHS, Activation::Relu, Loss::SoftmaxCrossEntropy);
    (spec.input_dropout, spec.layers[0].dropout, spec.l2) = (0.2, 0.5, 1e-4);
    let mut net = Mlp::<f32>::new(spec).unwrap();
    let (x, inputs, classes) = (parameters(&net, 1), data(128, 300), labels(128, 10));
    let statistics = inputs.to_shared();
    let whiten = |net: &mut Mlp<f32>| {
        for (index, &fan_in) in WIDTHS[..3].iter().enumerate().filter(|_| whitened) {
            let (u, c) = (Array2::eye(fan_in), Array1::zeros(fan_in));
            net.set_whitening(index, u.view(), c.view()).unwrap();
        }
    };
    whiten(&mut net);
    let mut g = vec![0.0; x.len()];
    let mut step = |rows: usize| {
        let inputs = inputs.view().split_at(ndarray::Axis(0), rows).0;
        let target = Target::Classes(&classes[..rows]);
        let load = count(|| net.load(inputs, target, 7).unwrap());
        let grad = count(|| assert!(net.grad(&x, &mut g).unwrap().is_finite()));
        let value = count(|| assert!(net.value(&x).unwrap().is_finite()));
        let evaluate =
            count(|| assert!(net.evaluate(&x, inputs, target).unwrap().loss.is_finite()));
        let sample = count(|| net.sample(&x, 3).unwrap());
        let factor = count(|| net.factor(&x, 3).unwrap());
        let mut seen = 0;
        net.set_statistics(statistics.clone()).unwrap();
        let observe = count(|| {
            let mut visit = |_: usize, rows: ArrayView2<'_, f32>| {
                seen += rows.nrows();
                Ok(())
            };
            net.observe(&x, rows, &mut visit).unwrap();
        });
        assert_eq!(seen, 3 * rows);
        // New matrices take the place of the old, not of the buffers.
        whiten(&mut net);
        [load, grad, value, evaluate, sample, factor, observe]
    };
    let first = step(128);
    assert!(first[0] > 0, "the counter counts");
    for rows in [128, 50, 1, 127, 128] {
        let Products {
            forward,
            last,
            weights,
            deltas,
            penalty: [penalty, slope],
            ..
        } = products(rows, whitened);
        let value = forward + penalty;
        let grad = value + weights + deltas + slope;
        assert!(!cfg!(feature = "openblas") || grad == 0);
        let fisher = forward + deltas;
        assert_eq!(
            step(rows),
            [0, grad, value, forward, fisher, fisher, forward - last],
            "{rows} rows"
        );
    }
}

#[test]
fn none_after_the_first_step() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    pool.install(|| [false, true].map(run));
}

/// Allocations of a convolution's products in eight groups of samples, each in one piece.
fn convolved(samples: usize, (positions, fan_in, units): (usize, usize, usize)) -> [u64; 3] {
    let mut all = [0; 3];
    for group in (0..samples).collect::<Vec<_>>().chunks(samples.div_ceil(8)) {
        let rows = group.len() * positions;
        let mut h = Array2::<f32>::zeros((rows, fan_in));
        let (mut a, mut w) = (Array2::zeros((rows, units)), Array2::zeros((units, fan_in)));
        all[0] += count(|| gemm(1.0, h.view(), w.t(), 0.0, a.view_mut()).unwrap());
        all[1] += count(|| gemm(1.0, a.t(), h.view(), 0.0, w.view_mut()).unwrap());
        all[2] += count(|| gemm(1.0, a.view(), w.view(), 0.0, h.view_mut()).unwrap());
    }
    all
}

fn convolution() {
    let filters = Convolution {
        kernel: 3,
        stride: 1,
        padding: 1,
    };
    let mut spec = Spec::classifier(&[192, 10], Activation::Relu);
    spec.image = Some([8, 8, 3]);
    let mut first = Layer::convolution(5, filters, Activation::Relu);
    first.pool = Some(Pool::max(2, 2));
    let mut second = Layer::convolution(6, filters, Activation::Relu);
    second.norm = Some(BatchNorm::default());
    spec.layers.splice(..0, [first, second]);
    let mut net = Mlp::<f32>::new(spec).unwrap();
    let (x, inputs, classes) = (parameters(&net, 1), data(128, 192), labels(128, 10));
    let mut g = vec![0.0; x.len()];
    let mut step = |rows: usize| {
        let inputs = inputs.view().split_at(ndarray::Axis(0), rows).0;
        let load = count(|| {
            net.load(inputs, Target::Classes(&classes[..rows]), 7)
                .unwrap()
        });
        let grad = count(|| assert!(net.grad(&x, &mut g).unwrap().is_finite()));
        let value = count(|| assert!(net.value(&x).unwrap().is_finite()));
        [load, grad, value]
    };
    assert!(step(128)[0] > 0, "the counter counts");
    for rows in [128, 50, 1, 127, 128] {
        let [[a, ga, _], [b, gb, ub]] = [(64, 27, 5), (16, 45, 6)].map(|of| convolved(rows, of));
        let (mut h, mut out) = (Array2::<f32>::zeros((rows, 96)), Array2::zeros((rows, 10)));
        let mut w = Array2::zeros((10, 96));
        let forward = count(|| gemm(1.0, h.view(), w.t(), 0.0, out.view_mut()).unwrap());
        let dense = count(|| gemm(1.0, out.t(), h.view(), 0.0, w.view_mut()).unwrap())
            + count(|| gemm(1.0, out.view(), w.view(), 0.0, h.view_mut()).unwrap());
        let value = a + b + forward;
        let grad = value + ga + gb + ub + dense;
        assert!(!cfg!(feature = "openblas") || grad == 0);
        assert_eq!(step(rows), [0, grad, value], "{rows} rows");
    }
}

#[test]
fn nor_do_convolutions_allocate() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    pool.install(convolution);
}

fn curvature() {
    let mut spec = spec(&WIDTHS, Activation::Tanh, Loss::SoftmaxCrossEntropy);
    (spec.input_dropout, spec.layers[0].dropout, spec.l2) = (0.2, 0.5, 1e-4);
    let mut net = Mlp::<f32>::new(spec).unwrap();
    let (x, inputs, classes) = (parameters(&net, 1), data(128, 300), labels(128, 10));
    let (v, mut g, mut out) = (x.clone(), vec![0.0; x.len()], vec![0.0; x.len()]);
    let mut step = |rows: usize| {
        let inputs = inputs.view().split_at(ndarray::Axis(0), rows).0;
        let target = Target::Classes(&classes[..rows]);
        net.load(inputs, target, 7).unwrap();
        let moments = count(|| {
            net.grad_moments(&x, &mut g, &mut out).unwrap();
        });
        let load = count(|| net.load_curvature(inputs, target, 7).unwrap());
        let diagonal = count(|| net.hessian_diag(&x, &mut out).unwrap());
        let hessian = count(|| net.hessian_product(&x, &v, &mut out).unwrap());
        let gauss_newton = count(|| net.gauss_newton_product(&x, &v, &mut out).unwrap());
        [moments, load, diagonal, hessian, gauss_newton]
    };
    let first = step(128);
    assert!(first[1] > 0, "the counter counts");
    for rows in [128, 50, 1, 127, 128] {
        let all = products(rows, false);
        let Products {
            forward,
            weights,
            deltas,
            ..
        } = all;
        // Along v each layer but the first has two products forward.
        let along = 2 * forward - all.first;
        let (pass, grad) = (forward + deltas, forward + weights + deltas);
        assert_eq!(
            step(rows),
            [
                grad + weights,
                0,
                grad,
                pass + along + 2 * (weights + deltas) - all.first_weights,
                along + weights + deltas,
            ],
            "{rows} rows"
        );
    }
}

#[test]
fn nor_do_second_derivatives_allocate() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    pool.install(curvature);
}
