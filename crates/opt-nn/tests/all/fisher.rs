//! Fisher matrices against explicit Jacobians, closed forms, and sampled labels.
#![allow(clippy::unwrap_used)] // in helpers of the tests too

use crate::common;

use common::{ACTIVATIONS, LOSSES, data, labels, linear, parameters, spec};
use ndarray::{Array1, Array2, ArrayView1};
use opt_core::{Fisher, Layered, Objective, Reparametrized, SampledFisher, Scalar};
use opt_nn::{Activation, Error, Loss, Mlp, Spec, Target};

/// Rows and seed of every minibatch.
const ROWS: usize = 4;
const SEED: u64 = 5;

fn network(spec: &Spec) -> Mlp<f64> {
    let mut net = Mlp::new(spec.clone()).unwrap();
    let (inputs, classes) = (data(ROWS, spec.inputs), labels(ROWS, 3));
    net.load(inputs.view(), Target::Classes(&classes), SEED)
        .unwrap();
    net
}

/// The gradient of each sample's loss, in the layout of `x`, from what the layers show.
fn gradients(net: &Mlp<f64>) -> Array2<f64> {
    let mut gradients = Array2::zeros((ROWS, net.params().len()));
    for index in 0..net.places().len() {
        let layer = net.layer(index).unwrap();
        let segments = net.params().segments();
        let place = net.places()[index];
        let (weight, bias) = (&segments[place.weight], &segments[place.bias.unwrap()]);
        for (row, mut g) in gradients.outer_iter_mut().enumerate() {
            let (h, delta) = (layer.input.row(row), layer.delta.row(row));
            let outer = delta.iter().flat_map(|d| h.iter().map(move |h| d * h));
            for (at, value) in weight.range.clone().zip(outer) {
                g[at] = value * ROWS as f64;
            }
            for (at, &d) in bias.range.clone().zip(delta) {
                g[at] = d * ROWS as f64;
            }
        }
    }
    gradients
}

/// The exact Fisher matrix, as the mean over samples of the sum over factors.
fn exact(net: &mut Mlp<f64>, x: &[f64]) -> Array2<f64> {
    let mut fisher = Array2::zeros((x.len(), x.len()));
    for index in 0..net.outputs() {
        net.factor(x, index).unwrap();
        let g = gradients(net);
        fisher += &(g.t().dot(&g) / ROWS as f64);
    }
    fisher
}

/// E[∇ₓ ln p ∇ₓ ln pᵀ] of one sample's output, as in a textbook.
fn output_fisher(loss: Loss, z: ArrayView1<'_, f64>) -> Array2<f64> {
    let e = z.mapv(f64::exp);
    match loss {
        Loss::SoftmaxCrossEntropy => {
            let p = &e / e.sum();
            Array2::from_shape_fn((z.len(), z.len()), |(k, l)| {
                p[k] * (f64::from(u8::from(k == l)) - p[l])
            })
        }
        Loss::SigmoidCrossEntropy => Array2::from_diag(&e.mapv(|e| e / (1.0 + e).powi(2))),
        _ => Array2::eye(z.len()),
    }
}

/// The network's outputs on the minibatch, with its dropout masks, from values alone: that of
/// ½‖z − y‖² changes by (½ − z)/rows when one y goes from 0 to 1.
fn outputs(spec: &Spec, x: &[f64]) -> Array2<f64> {
    let mut net = Mlp::new(Spec {
        loss: Loss::SquaredError,
        ..spec.clone()
    })
    .unwrap();
    let (inputs, zero) = (data(ROWS, spec.inputs), Array2::zeros((ROWS, 3)));
    let mut value = |y: &Array2<f64>| {
        net.load(inputs.view(), Target::Values(y.view()), SEED)
            .unwrap();
        net.value(x).unwrap()
    };
    let base = value(&zero);
    Array2::from_shape_fn((ROWS, 3), |at| {
        let mut y = zero.clone();
        y[at] = 1.0;
        0.5 - (value(&y) - base) * ROWS as f64
    })
}

/// Mean over samples of JᵀHJ, with J by central differences.
fn by_differences(spec: &Spec, x: &[f64]) -> Array2<f64> {
    const H: f64 = 1e-5;
    let (z, mut at) = (outputs(spec, x), x.to_vec());
    let mut jacobians = vec![Array2::zeros((3, x.len())); ROWS];
    for i in 0..x.len() {
        at[i] = x[i] + H;
        let above = outputs(spec, &at);
        at[i] = x[i] - H;
        let slope = (above - outputs(spec, &at)) / (2.0 * H);
        at[i] = x[i];
        for (jacobian, slope) in jacobians.iter_mut().zip(slope.outer_iter()) {
            jacobian.column_mut(i).assign(&slope);
        }
    }
    let blocks = jacobians.iter().zip(z.outer_iter());
    let blocks = blocks.map(|(j, z)| j.t().dot(&output_fisher(spec.loss, z).dot(j)));
    blocks.fold(Array2::zeros((x.len(), x.len())), |sum, block| sum + block) / ROWS as f64
}

fn near(a: &Array2<f64>, b: &Array2<f64>, tolerance: f64, what: &str) {
    let scale = b.iter().fold(0.0_f64, |m, b| m.max(b.abs()));
    let worst = (a - b).iter().fold(0.0_f64, |m, e| m.max(e.abs()));
    assert!(scale > 0.0, "{what}: nothing to compare");
    assert!(
        worst <= tolerance * scale.max(1.0),
        "{what}: off by {worst:e} of {scale}"
    );
}

/// As in the tests of the gradient, the differences are off by less than 1e-8, and the seeds keep
/// ReLUs away from their kink.
#[test]
fn factors_against_explicit_jacobians() {
    for (activation, loss) in ACTIVATIONS.iter().flat_map(|&a| LOSSES.map(|l| (a, l))) {
        for (dropout, output) in [
            (0.0, Activation::Identity),
            (0.4, Activation::Identity),
            (0.0, activation),
            (0.4, activation),
        ] {
            let mut spec = spec(&[3, 5, 4, 3], activation, loss);
            spec.layers[2].activation = output;
            (spec.input_dropout, spec.layers[0].dropout) = (dropout, dropout);
            spec.l2 = 0.1; // must not matter to a distribution
            let mut net = network(&spec);
            let x = parameters(&net, 3);
            spec.l2 = 0.0;
            let expected = by_differences(&spec, &x);
            near(&exact(&mut net, &x), &expected, 1e-8, &format!("{spec:?}"));
        }
    }
}

#[test]
fn a_softmax_layer_in_closed_form() {
    let (inputs, outputs) = (4, 3);
    let mut net = network(&linear(inputs, outputs, Loss::SoftmaxCrossEntropy));
    let x = parameters(&net, 2);
    let h = data::<f64>(ROWS, inputs);
    let w = Array2::from_shape_vec((outputs, inputs), x[..outputs * inputs].to_vec()).unwrap();
    let z = h.dot(&w.t()) + Array1::from(x[outputs * inputs..].to_vec());
    // E[ā āᵀ ⊗ (diag p − ppᵀ)] with ā = (h, 1), in the layout of x.
    let expected = Array2::from_shape_fn((x.len(), x.len()), |(r, s)| {
        let place = |at: usize| match at.checked_sub(outputs * inputs) {
            None => (at / inputs, Some(at % inputs)),
            Some(bias) => (bias, None),
        };
        let ((k, i), (l, j)) = (place(r), place(s));
        let terms = (0..ROWS).map(|row| {
            let input = |at: Option<usize>| at.map_or(1.0, |at| h[[row, at]]);
            input(i) * input(j) * output_fisher(Loss::SoftmaxCrossEntropy, z.row(row))[[k, l]]
        });
        terms.sum::<f64>() / ROWS as f64
    });
    near(&exact(&mut net, &x), &expected, 1e-15, "closed form");
}

/// Whitened inputs of a softmax layer at W = 0, b = 0 give F = I ⊗ (I/K − 11ᵀ/K²).
#[test]
fn whitened_inputs_at_zero_weights() {
    // All of {−1, 1}² have mean 0 and covariance I; h = A·z + c has not.
    let (a, c) = ([[3.0, 0.0], [2.5, 0.1]], [5.0, -2.0]);
    let h = Array2::from_shape_fn((ROWS, 2), |(row, i)| {
        let z = [row & 1, row >> 1].map(|bit| 2.0 * bit as f64 - 1.0);
        a[i][0] * z[0] + a[i][1] * z[1] + c[i]
    });
    let inverse = ndarray::array![[1.0 / 3.0, 0.0], [-2.5 / 0.3, 10.0]];
    let mut net = Mlp::<f64>::new(linear(2, 3, Loss::SoftmaxCrossEntropy)).unwrap();
    net.load(h.view(), Target::Classes(&[0, 1, 2, 0]), 0)
        .unwrap();
    net.set_whitening(0, inverse.view(), Array1::from(c.to_vec()).view())
        .unwrap();
    let x = vec![0.0; 9];
    // By V: what the layer shows is h, and the gradient's input is U(h − c).
    let (mut blocks, mut raw) = (Array2::<f64>::zeros((9, 9)), Array2::<f64>::zeros((9, 9)));
    for index in 0..3 {
        net.factor(&x, index).unwrap();
        let layer = net.layer(0).unwrap();
        assert_eq!(layer.input, h);
        let (u, c) = net.whitening(0).unwrap();
        let whitened = (&layer.input - &c).dot(&u.t());
        for (input, fisher) in [(whitened.view(), &mut blocks), (layer.input, &mut raw)] {
            for row in 0..ROWS {
                let ones = [input[[row, 0]], input[[row, 1]], 1.0];
                let g = Array1::from_shape_fn(9, |at| ones[at / 3] * layer.delta[[row, at % 3]]);
                let g = g.insert_axis(ndarray::Axis(1));
                *fisher += &(g.dot(&g.t()) * ROWS as f64);
            }
        }
    }
    let expected = Array2::from_shape_fn((9, 9), |(r, s)| {
        let same = |a: usize, b: usize| f64::from(u8::from(a == b));
        same(r / 3, s / 3) * (same(r % 3, s % 3) / 3.0 - 1.0 / 9.0)
    });
    near(&blocks, &expected, 1e-14, "whitened");
    assert!(
        (&raw - &expected).iter().any(|e| e.abs() > 1.0),
        "as it was"
    );
}

#[test]
fn sampled_labels_have_mean_zero_and_the_fisher_matrix_as_covariance() {
    for loss in LOSSES {
        let mut spec = spec(&[3, 4, 3], Activation::Tanh, loss);
        spec.layers[0].dropout = 0.3;
        let mut net = network(&spec);
        let x = parameters(&net, 3);
        let n = x.len();
        let expected = exact(&mut net, &x);
        let (mut mean, mut sum) = (Array1::<f64>::zeros(n), Array2::<f64>::zeros((n, n)));
        let mut squares = sum.clone();
        let draws = 4000;
        for seed in 0..draws {
            net.sample(&x, seed).unwrap();
            let g = gradients(&net);
            let f = g.t().dot(&g) / ROWS as f64;
            mean += &g.mean_axis(ndarray::Axis(0)).unwrap();
            squares += &(&f * &f);
            sum += &f;
        }
        // Six standard deviations of a mean; samples are independent, so that the variance of the
        // mean gradient is F/ROWS.
        let draws = draws as f64;
        for i in 0..n {
            let sigma = (expected[[i, i]] / ROWS as f64 / draws).sqrt();
            assert!((mean[i] / draws).abs() <= 6.0 * sigma + 1e-12, "{loss:?}");
            for j in 0..n {
                let found = sum[[i, j]] / draws;
                let sigma = ((squares[[i, j]] / draws - found * found).max(0.0) / draws).sqrt();
                let error = (found - expected[[i, j]]).abs();
                assert!(error <= 6.0 * sigma + 1e-12, "{loss:?}: {error}, {sigma}");
            }
        }
    }
}

#[test]
fn the_seed_decides_on_the_labels() {
    for loss in LOSSES {
        let mut net = network(&spec(&[3, 4, 3], Activation::Tanh, loss));
        let x = parameters(&net, 3);
        let mut deltas = |seed| {
            net.sample(&x, seed).unwrap();
            [0, 1].map(|index| net.layer(index).unwrap().delta.to_owned())
        };
        let first = deltas(7);
        assert_ne!(deltas(8), first);
        assert_eq!(deltas(7), first);
    }
}

/// Labels must be independent of the masks that the same seed has drawn.
#[test]
fn labels_are_not_dropout_masks() {
    let rows = 20_000;
    let mut spec = linear(4, 1, Loss::SigmoidCrossEntropy);
    spec.input_dropout = 0.5;
    let mut net = Mlp::<f64>::new(spec).unwrap();
    let (ones, targets) = (Array2::ones((rows, 4)), Array2::zeros((rows, 1)));
    for seed in 0..5 {
        net.load(ones.view(), Target::Values(targets.view()), seed)
            .unwrap();
        net.sample(&[0.0; 5], seed).unwrap();
        let layer = net.layer(0).unwrap();
        // Inputs are 0 or 2, deltas ±½/rows, so that the products have mean 0 and variance ½.
        for mean in layer.input.t().dot(&layer.delta) {
            assert!(mean.abs() < 5.0 * (0.5 / rows as f64).sqrt(), "{mean}");
        }
    }
}

#[test]
fn what_is_refused() {
    let mut net = Mlp::<f32>::new(linear(2, 3, Loss::SquaredError)).unwrap();
    let x = vec![0.0; 9];
    let refused = |error: opt_core::Error| match error {
        opt_core::Error::Objective(source) => *source.downcast::<Error>().unwrap(),
        other => panic!("{other}"),
    };
    assert!(matches!(
        refused(net.sample(&x, 0).unwrap_err()),
        Error::NotLoaded
    ));
    assert!(matches!(
        refused(net.factor(&x, 0).unwrap_err()),
        Error::NotLoaded
    ));
    net.load(data(4, 2).view(), Target::Classes(&labels(4, 3)), 0)
        .unwrap();
    net.factor(&x, 2).unwrap();
    let shown = net.layer(0).unwrap().delta.to_owned();
    let error = refused(net.factor(&x, 3).unwrap_err());
    assert!(
        matches!(
            error,
            Error::Factor {
                index: 3,
                outputs: 3
            }
        ),
        "{error}"
    );
    for error in [
        net.factor(&x[1..], 0).unwrap_err(),
        net.sample(&x[1..], 0).unwrap_err(),
    ] {
        assert!(matches!(error, opt_core::Error::Length { .. }), "{error}");
    }
    assert_eq!(net.layer(0).unwrap().delta, shown, "still there");
}

/// Logits at which a probability is 0 or 1 to the last digit.
#[test]
fn outputs_far_from_zero() {
    fn check<F: Scalar>() {
        for loss in [Loss::SoftmaxCrossEntropy, Loss::SigmoidCrossEntropy] {
            let mut net = Mlp::<F>::new(linear(1, 2, loss)).unwrap();
            let x = [1e4, -1e4, 0.0, 0.0].map(F::of);
            net.load(Array2::ones((1, 1)).view(), Target::Classes(&[0]), 0)
                .unwrap();
            for index in 0..2 {
                net.factor(&x, index).unwrap();
                assert!(net.layer(0).unwrap().delta.iter().all(|d| d.is_zero()));
                net.sample(&x, index as u64).unwrap();
                assert!(net.layer(0).unwrap().delta.iter().all(|d| d.is_zero()));
            }
        }
    }
    check::<f32>();
    check::<f64>();
}

/// Whatever was evaluated last at the same x: the same bits as with a forward pass of its own.
#[test]
fn labels_can_be_drawn_anew_without_a_forward_pass() {
    let plain = Spec::classifier(&[6, 5, 4, 3], Activation::Tanh);
    let (mut normalized, mut dropped) = (plain.clone(), plain.clone());
    normalized.layers[0].norm = Some(Default::default());
    normalized.layers[1].norm = Some(Default::default());
    dropped.layers[0].dropout = 0.5;
    for spec in [plain, normalized, dropped] {
        let shown = |net: &Mlp<f64>| -> Vec<_> {
            let layers = (0..net.places().len()).map(|index| net.layer(index).unwrap());
            layers
                .map(|layer| (layer.input.to_owned(), layer.delta.to_owned()))
                .collect()
        };
        let mut net = network(&spec);
        let x = parameters(&net, 1);
        let mut g = vec![0.0; x.len()];
        net.sample(&x, 7).unwrap();
        let expected = shown(&net);
        for before in 0..4 {
            match before {
                0 => drop(net.grad(&x, &mut g).unwrap()),
                1 => drop(net.deltas(&x, &mut g).unwrap()),
                2 => net.sample(&x, 3).unwrap(),
                // Nothing since the minibatch was loaded.
                _ => net = network(&spec),
            }
            net.resample(&x, 7).unwrap();
            assert_eq!(shown(&net), expected, "{before}");
        }
    }
}
