//! Losses and predictions against closed forms.

use crate::common;

use common::{ACTIVATIONS, data, labels, linear, parameters, spec};
use ndarray::{Array2, array};
use opt_core::{Objective, norm};
use opt_nn::{Activation, Init, Loss, Mlp, Spec, Target};

fn close(a: f64, b: f64, tolerance: f64) {
    let error = (a - b).abs() / b.abs().max(1.0);
    assert!(error <= tolerance, "{a} is not {b}, but off by {error:e}");
}

/// The formulas as in a textbook, for one sample.
fn by_hand(activation: Activation, a: f64) -> f64 {
    match activation {
        Activation::Relu => a.max(0.0),
        Activation::Tanh => (a.exp() - (-a).exp()) / (a.exp() + (-a).exp()),
        Activation::ScaledTanh => 1.7159 * by_hand(Activation::Tanh, 2.0 * a / 3.0),
        Activation::Sigmoid => 1.0 / (1.0 + (-a).exp()),
        Activation::Softplus => (1.0 + a.exp()).ln(),
        _ => a,
    }
}

/// W0 = [[0.1, −0.2], [0.3, 0.4]], b0 = [0.05, −0.05], W1 = [[0.5, −0.6], [0.7, 0.8]],
/// b1 = [−0.1, 0.2].
const X: [f64; 12] = [
    0.1, -0.2, 0.3, 0.4, 0.05, -0.05, 0.5, -0.6, 0.7, 0.8, -0.1, 0.2,
];
const INPUTS: [[f64; 2]; 2] = [[1.0, 2.0], [-3.0, 0.5]];

/// The outputs of that 2-2-2 network, and the fraction of samples that it misclassifies
/// if their classes are 1 and 0.
fn outputs_by_hand(activation: Activation) -> ([[f64; 2]; 2], f64) {
    let z = INPUTS.map(|[p, q]| {
        let h0 = by_hand(activation, 0.1 * p - 0.2 * q + 0.05);
        let h1 = by_hand(activation, 0.3 * p + 0.4 * q - 0.05);
        [0.5 * h0 - 0.6 * h1 - 0.1, 0.7 * h0 + 0.8 * h1 + 0.2]
    });
    let wrong = [z[0][0] > z[0][1], z[1][1] > z[1][0]];
    (z, wrong.map(f64::from).iter().sum::<f64>() / 2.0)
}

fn all_close(a: &Array2<f64>, b: [[f64; 2]; 2]) {
    a.iter()
        .zip(b.as_flattened())
        .for_each(|(&a, &b)| close(a, b, 1e-15));
}

#[test]
fn a_2_2_2_classifier_by_scalar_arithmetic() {
    let inputs = Array2::from(INPUTS.to_vec());
    for activation in ACTIVATIONS {
        let (z, wrong) = outputs_by_hand(activation);
        let p = z.map(|[a, b]| [a.exp(), b.exp()].map(|e| e / (a.exp() + b.exp())));
        let expected = -(p[0][1].ln() + p[1][0].ln()) / 2.0;
        let spec = spec(&[2, 2, 2], activation, Loss::SoftmaxCrossEntropy);
        let mut net = Mlp::new(spec).unwrap();
        net.load(inputs.view(), Target::Classes(&[1, 0]), 0)
            .unwrap();
        close(net.value(&X).unwrap(), expected, 1e-15);
        let all = net
            .evaluate(&X, inputs.view(), Target::Classes(&[1, 0]))
            .unwrap();
        close(all.loss, expected, 1e-15);
        assert_eq!((all.error, all.squared_error), (Some(wrong), None));
        all_close(&net.predict(&X, inputs.view()).unwrap(), p);
    }
}

#[test]
fn a_2_2_2_regression_by_scalar_arithmetic() {
    let inputs = Array2::from(INPUTS.to_vec());
    // The same as the classes 1 and 0.
    let values = array![[0.0, 1.0], [1.0, 0.0]];
    for activation in ACTIVATIONS {
        let (z, wrong) = outputs_by_hand(activation);
        let q = z.map(|z| z.map(|z| 1.0 / (1.0 + (-z).exp())));
        let likelihood = (1.0 - q[0][0]) * q[0][1] * q[1][0] * (1.0 - q[1][1]);
        let square = |p: [[f64; 2]; 2]| {
            let first = p[0][0].powi(2) + (p[0][1] - 1.0).powi(2);
            (first + (p[1][0] - 1.0).powi(2) + p[1][1].powi(2)) / 2.0
        };
        for (loss, expected, prediction) in [
            (Loss::SigmoidCrossEntropy, -likelihood.ln() / 2.0, q),
            (Loss::SquaredError, square(z) / 2.0, z),
        ] {
            let mut net = Mlp::new(spec(&[2, 2, 2], activation, loss)).unwrap();
            let all = net
                .evaluate(&X, inputs.view(), Target::Values(values.view()))
                .unwrap();
            close(all.loss, expected, 1e-15);
            close(all.squared_error.unwrap(), square(prediction), 1e-15);
            assert_eq!(all.error, None);
            let classes = net
                .evaluate(&X, inputs.view(), Target::Classes(&[1, 0]))
                .unwrap();
            assert_eq!((classes.loss, classes.error), (all.loss, Some(wrong)));
            all_close(&net.predict(&X, inputs.view()).unwrap(), prediction);
        }
    }
}

#[test]
fn losses_at_zero_weights() {
    let (inputs, values, classes) = (data::<f64>(7, 6), data::<f64>(7, 10), labels(7, 10));
    let at_zero = |loss, target| {
        let mut net = Mlp::new(spec(&[6, 5, 10], Activation::Tanh, loss)).unwrap();
        let x = vec![0.0; net.params().len()];
        net.load(inputs.view(), target, 0).unwrap();
        net.value(&x).unwrap()
    };
    let classes = Target::Classes(&classes);
    close(
        at_zero(Loss::SoftmaxCrossEntropy, classes),
        10_f64.ln(),
        1e-15,
    );
    let d_ln_2 = 10.0 * 2_f64.ln();
    close(
        at_zero(Loss::SigmoidCrossEntropy, Target::Values(values.view())),
        d_ln_2,
        1e-15,
    );
    close(at_zero(Loss::SquaredError, classes), 0.5, 1e-15);
    let square = values.iter().map(|y| y * y).sum::<f64>() / 14.0;
    close(
        at_zero(Loss::SquaredError, Target::Values(values.view())),
        square,
        1e-14,
    );
}

#[test]
fn logits_of_ten_thousand() {
    fn check<F: opt_core::Scalar>() {
        // z = [1e4, −1e4]: of p = [1, 0], the loss of class 1 is 2e4.
        let x = [1e4, -1e4, 0.0, 0.0].map(F::of);
        let (one, mut g) = (Array2::from_elem((1, 1), F::one()), [F::zero(); 4]);
        for (loss, class, value, slope) in [
            (Loss::SoftmaxCrossEntropy, 0, 0.0, [0.0, 0.0]),
            (Loss::SoftmaxCrossEntropy, 1, 2e4, [1.0, -1.0]),
            (Loss::SigmoidCrossEntropy, 0, 0.0, [0.0, 0.0]),
            (Loss::SigmoidCrossEntropy, 1, 2e4, [1.0, -1.0]),
        ] {
            let mut net = Mlp::new(linear(1, 2, loss)).unwrap();
            net.load(one.view(), Target::Classes(&[class]), 0).unwrap();
            assert_eq!(net.grad(&x, &mut g).unwrap().f64(), value, "{loss:?}");
            assert_eq!(g.map(F::f64), [slope[0], slope[1], slope[0], slope[1]]);
            let p = net.predict(&x, one.view()).unwrap();
            assert_eq!(p.mapv(F::f64), array![[1.0, 0.0]]);
        }
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn l2_is_half_the_weights_squares_without_biases() {
    let (inputs, classes) = (data::<f64>(4, 3), labels(4, 2));
    let mut spec = spec(&[3, 4, 2], Activation::Tanh, Loss::SoftmaxCrossEntropy);
    let mut plain = Mlp::new(spec.clone()).unwrap();
    spec.l2 = 0.7;
    let mut decayed = Mlp::new(spec).unwrap();
    let x = parameters(&plain, 2);
    let weights = x[..12].iter().chain(&x[16..24]);
    let penalty = 0.35 * weights.map(|w| w * w).sum::<f64>();
    for net in [&mut plain, &mut decayed] {
        net.load(inputs.view(), Target::Classes(&classes), 0)
            .unwrap();
    }
    close(
        decayed.value(&x).unwrap() - plain.value(&x).unwrap(),
        penalty,
        1e-14,
    );
    // It is no part of what is evaluated.
    let loss = |net: &mut Mlp<f64>| net.evaluate(&x, inputs.view(), Target::Classes(&classes));
    assert_eq!(loss(&mut decayed).unwrap(), loss(&mut plain).unwrap());
}

#[test]
fn many_chunks_are_as_one_batch() {
    let (inputs, classes) = (data::<f64>(2345, 6), labels(2345, 3));
    let mut net = Mlp::new(spec(
        &[6, 5, 3],
        Activation::Tanh,
        Loss::SoftmaxCrossEntropy,
    ))
    .unwrap();
    let x = parameters(&net, 4);
    // `load` does not cut.
    net.load(inputs.view(), Target::Classes(&classes), 0)
        .unwrap();
    let all = net
        .evaluate(&x, inputs.view(), Target::Classes(&classes))
        .unwrap();
    close(all.loss, net.value(&x).unwrap(), 1e-14);
    let p = net.predict(&x, inputs.view()).unwrap();
    let loss = p
        .outer_iter()
        .zip(&classes)
        .map(|(p, &c)| -p[usize::from(c)].ln())
        .sum::<f64>();
    close(all.loss, loss / 2345.0, 1e-13);
    let best = |p: ndarray::ArrayView1<f64>| (0..3).max_by(|&a, &b| p[a].total_cmp(&p[b])).unwrap();
    let wrong = p
        .outer_iter()
        .zip(&classes)
        .filter(|(p, c)| best(*p) != usize::from(**c))
        .count();
    assert!(wrong > 0 && wrong < 2345);
    assert_eq!(all.error, Some(wrong as f64 / 2345.0));

    let mut coder = Mlp::new(Spec::autoencoder(&[6, 4, 2], Activation::Sigmoid)).unwrap();
    let x = parameters(&coder, 4);
    let all = coder.evaluate(&x, inputs.view(), Target::Inputs).unwrap();
    let same = coder
        .evaluate(&x, inputs.view(), Target::Values(inputs.view()))
        .unwrap();
    assert_eq!(all, same);
    let residual = coder.predict(&x, inputs.view()).unwrap() - &inputs;
    let squared = residual.iter().map(|r| r * r).sum::<f64>() / 2345.0;
    close(all.squared_error.unwrap(), squared, 1e-13);
}

#[test]
fn ties_go_to_the_first_class_and_a_nan_is_never_right() {
    let (inputs, classes) = (data::<f32>(4, 2), [0, 1, 2, 0]);
    let mut net = Mlp::new(linear(2, 3, Loss::SoftmaxCrossEntropy)).unwrap();
    let mut x = vec![0.0; net.params().len()];
    let mut error = |x: &[f32]| {
        net.evaluate(x, inputs.view(), Target::Classes(&classes))
            .unwrap()
    };
    assert_eq!(error(&x).error, Some(0.5));
    x[0] = f32::NAN;
    let all = error(&x);
    assert!(all.loss.is_nan());
    assert_eq!(all.error, Some(1.0));
}

#[test]
fn a_nan_parameter_gives_a_nan_loss() {
    let (inputs, classes) = (data::<f64>(4, 2), labels(4, 3));
    for activation in ACTIVATIONS {
        let spec = spec(&[2, 4, 3], activation, Loss::SoftmaxCrossEntropy);
        let mut net = Mlp::new(spec).unwrap();
        net.load(inputs.view(), Target::Classes(&classes), 0)
            .unwrap();
        for at in 0..net.params().len() {
            let mut x = parameters(&net, 1);
            x[at] = f64::NAN;
            assert!(net.value(&x).unwrap().is_nan(), "{activation:?}, {at}");
        }
    }
}

#[test]
fn single_precision_is_near_double() {
    for activation in ACTIVATIONS {
        let mut spec = spec(&[20, 30, 20, 5], activation, Loss::SoftmaxCrossEntropy);
        (spec.layers[0].dropout, spec.l2) = (0.5, 0.01);
        let mut single = Mlp::<f32>::new(spec.clone()).unwrap();
        let mut double = Mlp::<f64>::new(spec).unwrap();
        let (x32, x64) = (single.init(Init::Glorot, 9), double.init(Init::Glorot, 9));
        assert!(x32.iter().zip(&x64).all(|(&a, &b)| a == b as f32));
        let (mut g32, mut g64) = (vec![0.0; x32.len()], vec![0.0; x64.len()]);
        let classes = labels(16, 5);
        single
            .load(data(16, 20).view(), Target::Classes(&classes), 3)
            .unwrap();
        double
            .load(data(16, 20).view(), Target::Classes(&classes), 3)
            .unwrap();
        let loss32 = single.grad(&x32, &mut g32).unwrap();
        close(loss32.into(), double.grad(&x64, &mut g64).unwrap(), 1e-6);
        let difference: Vec<f64> = g32
            .iter()
            .zip(&g64)
            .map(|(&a, b)| f64::from(a) - b)
            .collect();
        assert!(norm(&difference) < 1e-5 * norm(&g64), "{activation:?}");
    }
}
