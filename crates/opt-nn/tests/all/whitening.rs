//! Whitened layers: the function, its gradient, and the statistics.
#![allow(clippy::unwrap_used)] // in helpers of the tests too

use crate::common;

use common::{ACTIVATIONS, LOSSES, data, labels, parameters, spec};
use ndarray::{Array1, Array2, Axis};
use opt_core::{Fisher, Layered, Objective, Reparametrized, SampledFisher, Scalar, check_gradient};
use opt_nn::{Activation, Loss, Mlp, Spec, Target};

/// U, U⁻¹ and c of one layer. U = P·D·Q of two reflections and a diagonal in [½, 2], so that the
/// inverse is known.
struct Whitening<F>(Array2<F>, Array2<F>, Array1<F>);

fn whitening<F: Scalar>(fan_in: usize, salt: usize) -> Whitening<F> {
    let noise = data::<f64>(4, fan_in * (salt + 2));
    let row = |i: usize| {
        noise
            .row(i)
            .split_at(Axis(0), fan_in * (salt + 1))
            .1
            .to_owned()
    };
    let reflection = |v: Array1<f64>| {
        let (v, norm) = (
            (&v - 0.5).insert_axis(Axis(1)),
            (&v - 0.5).mapv(|v| v * v).sum(),
        );
        Array2::eye(fan_in) - v.dot(&v.t()) * (2.0 / norm)
    };
    let (p, q) = (reflection(row(0)), reflection(row(1)));
    let d = row(2).mapv(|u| (2.0 * u - 1.0).exp2());
    let u = p.dot(&Array2::from_diag(&d)).dot(&q);
    let inverse = q.dot(&Array2::from_diag(&d.mapv(f64::recip))).dot(&p);
    Whitening(u.mapv(F::of), inverse.mapv(F::of), row(3).mapv(F::of))
}

fn shapes<F: Scalar>(net: &Mlp<F>) -> Vec<(usize, usize)> {
    let weights = net
        .params()
        .segments()
        .iter()
        .filter(|s| s.shape.len() == 2);
    weights.map(|s| (s.shape[0], s.shape[1])).collect()
}

/// Applies `f(W, b)` to a layer's parameters.
fn map<F: Scalar>(
    net: &Mlp<F>,
    index: usize,
    x: &mut [F],
    f: impl Fn(Array2<F>, Array1<F>) -> (Array2<F>, Array1<F>),
) {
    let (fan_out, fan_in) = shapes(net)[index];
    let at = |name: &str| net.params().get(&format!("layer{index}.{name}")).unwrap();
    let (weight, bias) = (at("weight").range.clone(), at("bias").range.clone());
    let w = Array2::from_shape_vec((fan_out, fan_in), x[weight.clone()].to_vec()).unwrap();
    let (w, b) = f(w, Array1::from(x[bias.clone()].to_vec()));
    x[weight].copy_from_slice(w.as_standard_layout().as_slice().unwrap());
    x[bias].copy_from_slice(b.as_slice().unwrap());
}

/// Whitens every layer anew, and changes x so that the function stays: first back to W = V·U,
/// b = d − W·c, then to V = W·U⁻¹, d = b + W·c.
fn reparametrize<F: Scalar>(net: &mut Mlp<F>, x: &mut [F], salt: usize) {
    for (index, (_, fan_in)) in shapes(net).into_iter().enumerate() {
        if let Some((u, c)) = net
            .whitening(index)
            .map(|(u, c)| (u.to_owned(), c.to_owned()))
        {
            map(net, index, x, |v, d| {
                let w = v.dot(&u);
                let b = d - w.dot(&c);
                (w, b)
            });
        }
        let Whitening(u, inverse, c) = whitening(fan_in, 10 * salt + index);
        map(net, index, x, |w, b| (w.dot(&inverse), b + w.dot(&c)));
        net.set_whitening(index, u.view(), c.view()).unwrap();
    }
}

fn preserved<F: Scalar>(tolerance: f64) {
    for activation in ACTIVATIONS {
        let mut spec = spec(&[7, 12, 5, 9, 4], activation, Loss::SigmoidCrossEntropy);
        (spec.input_dropout, spec.layers[0].dropout) = (0.2, 0.5);
        let mut net = Mlp::<F>::new(spec).unwrap();
        let (mut x, inputs, classes) = (parameters(&net, 1), data(20, 7), labels(20, 4));
        net.load(inputs.view(), Target::Classes(&classes), 3)
            .unwrap();
        let all = |net: &mut Mlp<F>, x: &[F]| {
            let mut outputs = net
                .predict(x, inputs.view())
                .unwrap()
                .into_raw_vec_and_offset()
                .0;
            let evaluation = net.evaluate(x, inputs.view(), Target::Classes(&classes));
            outputs.push(F::of(evaluation.unwrap().loss));
            outputs.push(net.value(x).unwrap());
            outputs
        };
        let expected = all(&mut net, &x);
        for salt in 0..100 {
            reparametrize(&mut net, &mut x, salt);
            for (found, expected) in all(&mut net, &x).into_iter().zip(&expected) {
                let error = (found - *expected).f64().abs() / expected.f64().abs();
                assert!(error <= tolerance, "{activation:?}, {salt}: {error:e}");
            }
        }
    }
}

#[test]
fn a_hundred_reparametrizations_preserve_the_function() {
    preserved::<f64>(1e-10);
    preserved::<f32>(1e-4);
}

/// The tolerance is that of the tests of the plain gradient.
#[test]
fn gradients_against_differences() {
    for (activation, loss) in ACTIVATIONS.iter().flat_map(|&a| LOSSES.map(|l| (a, l))) {
        for (dropout, l2) in [(0.0, 0.0), (0.4, 0.1)] {
            for some in [false, true] {
                let mut spec = spec(&[4, 5, 4, 3], activation, loss);
                (spec.input_dropout, spec.l2) = (dropout, l2);
                (spec.layers[0].dropout, spec.layers[1].dropout) = (dropout, dropout);
                let mut net = Mlp::<f64>::new(spec).unwrap();
                for (index, (_, fan_in)) in shapes(&net).into_iter().enumerate() {
                    if !some || index == 1 {
                        let Whitening(u, _, c) = whitening(fan_in, index);
                        net.set_whitening(index, u.view(), c.view()).unwrap();
                    }
                }
                let (x, classes) = (parameters(&net, 3), labels(6, 3));
                net.load(data(6, 4).view(), Target::Classes(&classes), 5)
                    .unwrap();
                let worst = check_gradient(&mut net, &x, 1e-5).unwrap();
                assert!(worst.error <= 1e-8, "{worst:?} {activation:?} {loss:?}");
            }
        }
    }
}

/// grad_V = (grad_W − grad_b·cᵀ)·Uᵀ and grad_d = grad_b, of the plain network at the same
/// function; and its layers show the same.
#[test]
fn the_gradient_is_the_plain_ones_by_the_chain_rule() {
    let mut spec = spec(
        &[4, 5, 6, 3],
        Activation::Sigmoid,
        Loss::SoftmaxCrossEntropy,
    );
    (spec.input_dropout, spec.layers[1].dropout) = (0.3, 0.5);
    let mut plain = Mlp::<f64>::new(spec).unwrap();
    let (x, classes) = (parameters(&plain, 3), labels(9, 3));
    plain
        .load(data(9, 4).view(), Target::Classes(&classes), 5)
        .unwrap();
    let (mut net, mut v) = (plain.clone(), x.clone());
    reparametrize(&mut net, &mut v, 4);
    let (mut g, mut by_v) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    plain.grad(&x, &mut g).unwrap();
    net.grad(&v, &mut by_v).unwrap();
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-14, "{a} is not {b}");
    let same_layers = |plain: &Mlp<f64>, net: &Mlp<f64>| {
        for index in 0..3 {
            let (a, b) = (net.layer(index).unwrap(), plain.layer(index).unwrap());
            a.input.iter().zip(b.input).for_each(|(&a, &b)| near(a, b));
            a.delta.iter().zip(b.delta).for_each(|(&a, &b)| near(a, b));
        }
    };
    same_layers(&plain, &net);
    for index in 0..3 {
        let (u, c) = net.whitening(index).unwrap();
        map(&plain, index, &mut g, |w, b| {
            let outer = b.view().insert_axis(Axis(1)).dot(&c.insert_axis(Axis(0)));
            ((w - outer).dot(&u.t()), b)
        });
    }
    by_v.iter().zip(&g).for_each(|(&a, &b)| near(a, b));
    net.deltas(&v, &mut by_v).unwrap();
    same_layers(&plain, &net);

    // The same holds of the deltas that belong to labels of the model's own.
    plain.sample(&x, 3).unwrap();
    net.sample(&v, 3).unwrap();
    same_layers(&plain, &net);
    plain.factor(&x, 2).unwrap();
    net.factor(&v, 2).unwrap();
    same_layers(&plain, &net);
}

#[test]
fn any_layout_is_taken_and_clearing_gives_the_plain_network_back() {
    let mut net = Mlp::<f64>::new(Spec::classifier(&[6, 5, 3], Activation::Tanh)).unwrap();
    let (x, inputs) = (parameters(&net, 1), data(8, 6));
    assert!(net.whitening(0).is_none() && net.whitening(9).is_none());
    let plain = net.predict(&x, inputs.view()).unwrap();
    let Whitening(u, _, c) = whitening::<f64>(6, 1);
    net.set_whitening(0, u.view(), c.view()).unwrap();
    let whitened = net.predict(&x, inputs.view()).unwrap();
    assert_ne!(whitened, plain);
    let transposed = u.t().as_standard_layout().into_owned();
    let (mut reversed, wide) = (
        c.clone(),
        Array2::from_shape_fn((6, 12), |(i, j)| u[[i, j / 2]]),
    );
    reversed.invert_axis(Axis(0));
    let mut backward = Array1::from(reversed.to_vec());
    backward.invert_axis(Axis(0));
    for view in [transposed.t(), wide.slice(ndarray::s![.., ..;2])] {
        net.clear_whitening();
        net.set_whitening(0, view, backward.view()).unwrap();
        assert_eq!(net.whitening(0).unwrap(), (u.view(), c.view()));
        assert!(net.whitening(1).is_none());
        assert_eq!(net.predict(&x, inputs.view()).unwrap(), whitened);
    }
    net.clear_whitening();
    assert_eq!(net.predict(&x, inputs.view()).unwrap(), plain);
    // h − 0 and products with 1 and 0 are exact.
    net.set_whitening(0, Array2::eye(6).view(), Array1::zeros(6).view())
        .unwrap();
    assert_eq!(net.predict(&x, inputs.view()).unwrap(), plain);
}

/// Inputs that hardly vary far from 0, as of a saturated unit: U is large there.
#[test]
fn whitening_keeps_the_digits_of_small_deviations() {
    let mut net = Mlp::<f32>::new(common::linear(1, 1, Loss::SquaredError)).unwrap();
    let (c, step) = (0.75_f32, 2.0_f32.powi(-20));
    let u = Array2::from_elem((1, 1), step.recip());
    net.set_whitening(0, u.view(), Array1::from(vec![c]).view())
        .unwrap();
    let inputs = Array2::from_shape_fn((5, 1), |(i, _)| c + (i as f32 - 2.0) * step);
    let outputs = net.predict(&[1.0, 0.0], inputs.view()).unwrap();
    assert_eq!(
        outputs.into_raw_vec_and_offset().0,
        [-2.0, -1.0, 0.0, 1.0, 2.0]
    );
}
