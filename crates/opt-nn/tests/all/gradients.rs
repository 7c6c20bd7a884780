//! Gradients against central differences, in double precision.
//!
//! With h = 1e-5 the differences are off by h²/6 times a third derivative of at most some 100,
//! and by rounding of 1e-16/h: together below 1e-8. ReLU's kink would spoil that by 1e-2 or more
//! where a step crosses it; the seeds are such that no pre-activation is within 1e-5 of 0.
#![allow(clippy::unwrap_used)] // in helpers of the tests too

use crate::common;

use common::{ACTIVATIONS, LOSSES, data, labels, parameters, spec};
use ndarray::Array2;
use opt_core::{LayerKind, LayerPlace, Layered, Objective, check_gradient};
use opt_nn::{Activation, Loss, Mlp, Spec, Target};

const TOLERANCE: f64 = 1e-8;

fn check(spec: &Spec, inputs: &Array2<f64>, target: Target<'_, f64>) {
    let mut net = Mlp::new(spec.clone()).unwrap();
    let x = parameters(&net, 3);
    net.load(inputs.view(), target, 5).unwrap();
    let worst = check_gradient(&mut net, &x, 1e-5).unwrap();
    assert!(worst.error <= TOLERANCE, "{worst:?}\n{spec:?}\n{target:?}");
}

#[test]
fn every_activation_loss_dropout_and_l2() {
    let (inputs, values, classes) = (data(6, 4), data(6, 3), labels(6, 3));
    let mut cases = 0;
    for (activation, loss) in ACTIVATIONS.iter().flat_map(|&a| LOSSES.map(|l| (a, l))) {
        for (dropout, l2) in [(0.0, 0.0), (0.4, 0.0), (0.0, 0.1), (0.4, 0.1)] {
            for output in [Activation::Identity, activation] {
                let mut spec = spec(&[4, 5, 4, 3], activation, loss);
                spec.input_dropout = dropout;
                spec.layers[0].dropout = dropout;
                spec.layers[1].dropout = dropout;
                spec.layers[2].activation = output;
                spec.l2 = l2;
                check(&spec, &inputs, Target::Classes(&classes));
                if loss != Loss::SoftmaxCrossEntropy {
                    check(&spec, &inputs, Target::Values(values.view()));
                }
                cases += 1;
            }
        }
    }
    assert_eq!(cases, ACTIVATIONS.len() * 3 * 4 * 2);
}

#[test]
fn auto_encoders() {
    let inputs = data(5, 6);
    for (activation, dropout) in ACTIVATIONS.iter().flat_map(|&a| [(a, 0.0), (a, 0.3)]) {
        let mut spec = Spec::autoencoder(&[6, 4, 2], activation);
        spec.input_dropout = dropout;
        spec.l2 = 1e-3;
        check(&spec, &inputs, Target::Inputs);
        spec.loss = Loss::SquaredError;
        check(&spec, &inputs, Target::Inputs);
        check(&spec, &inputs, Target::Values(data(5, 6).view()));
    }
}

/// The gradient of a penalty alone, and the deltas of `grad`.
#[test]
fn deltas_leave_out_what_the_layers_show() {
    let mut spec = spec(&[4, 5, 4, 3], Activation::Tanh, Loss::SquaredError);
    (spec.input_dropout, spec.layers[0].dropout) = (0.2, 0.5);
    for l2 in [0.0, 0.3] {
        spec.l2 = l2;
        let mut net = Mlp::<f64>::new(spec.clone()).unwrap();
        let (x, classes) = (parameters(&net, 1), labels(6, 3));
        let (mut g, mut rest) = (vec![0.0; x.len()], vec![f64::NAN; x.len()]);
        net.load(data(6, 4).view(), Target::Classes(&classes), 1)
            .unwrap();
        let loss = net.grad(&x, &mut g).unwrap();
        let shown = |net: &Mlp<f64>| [0, 1, 2].map(|i| net.layer(i).unwrap().delta.to_owned());
        let expected = shown(&net);
        net.load(data(6, 4).view(), Target::Classes(&classes), 1)
            .unwrap();
        assert_eq!(net.deltas(&x, &mut rest).unwrap(), loss);
        assert_eq!(shown(&net), expected);
        for segment in net.params().segments() {
            let l2 = if segment.shape.len() == 2 { l2 } else { 0.0 };
            let pairs = segment.range.clone().map(|at| (rest[at], l2 * x[at]));
            pairs.for_each(|(found, expected)| assert_eq!(found, expected));
        }
        assert!(net.deltas(&x, &mut rest[1..]).is_err());
        assert!(net.deltas(&x[1..], &mut rest).is_err());
    }
}

#[test]
fn layers_show_what_the_gradient_is_made_of() {
    for activation in ACTIVATIONS {
        let mut spec = spec(&[4, 5, 4, 3], activation, Loss::SoftmaxCrossEntropy);
        (spec.input_dropout, spec.layers[0].dropout) = (0.2, 0.5);
        let mut net = Mlp::<f64>::new(spec).unwrap();
        let (x, classes) = (parameters(&net, 1), labels(6, 3));
        let (mut g, mut other) = (vec![0.0; x.len()], x.clone());
        assert_eq!(net.places().len(), 3);
        assert!(net.layer(0).is_none(), "before the first gradient");
        net.load(data(6, 4).view(), Target::Classes(&classes), 1)
            .unwrap();
        net.grad(&x, &mut g).unwrap();

        // What does not belong to the last gradient must not disturb what is shown of it.
        other.iter_mut().for_each(|x| *x += 1.0);
        net.value(&other).unwrap();
        net.predict(&other, data(9, 4).view()).unwrap();
        net.evaluate(&other, data(6, 4).view(), Target::Classes(&classes))
            .unwrap();
        for index in 0..3 {
            let layer = net.layer(index).unwrap();
            let segments = net.params().segments();
            let place = net.places()[index];
            assert_eq!(place.kind, LayerKind::Dense);
            let (weight, bias) = (&segments[place.weight], &segments[place.bias.unwrap()]);
            assert_eq!(weight.name, format!("layer{index}.weight"));
            assert_eq!(bias.name, format!("layer{index}.bias"));
            let weight = net.params().view2(&weight.name, &g).unwrap();
            let worst = (&weight - &layer.delta.t().dot(&layer.input)).mapv(f64::abs);
            assert!(worst.iter().all(|&e| e < 1e-16), "{index}: {worst}");
            let sums = layer.delta.sum_axis(ndarray::Axis(0));
            let bias = sums.iter().zip(&g[bias.range.clone()]);
            assert!(bias.into_iter().all(|(a, b)| (a - b).abs() < 1e-15));
        }
        assert!(net.layer(3).is_none());
        assert_eq!(net.places()[2], LayerPlace::dense(4, Some(5)));
        net.load(data(2, 4).view(), Target::Classes(&classes[..2]), 1)
            .unwrap();
        assert!(net.layer(0).is_none(), "of another minibatch");
    }
}
