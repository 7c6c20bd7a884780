//! What is refused, by which error, and that nothing changes.
#![allow(clippy::unwrap_used)] // in helpers of the tests too

use crate::common;

use common::{data, labels, linear, parameters, spec};
use ndarray::{Array2, ArrayView2};
use opt_core::{Layered, Objective};
use opt_nn::{Activation, Error, Loss, Mlp, Spec, Target};

#[test]
fn bad_specifications() {
    let good = || spec(&[4, 3, 2], Activation::Relu, Loss::SoftmaxCrossEntropy);
    let refused = |change: fn(&mut Spec)| {
        let mut spec = good();
        change(&mut spec);
        Mlp::<f32>::new(spec).unwrap_err()
    };
    assert!(Mlp::<f32>::new(good()).is_ok());
    assert!(matches!(refused(|s| s.layers.clear()), Error::NoLayers));
    for (what, error) in [
        ("inputs", refused(|s| s.inputs = 0)),
        ("layer0", refused(|s| s.layers[0].units = 0)),
        ("layer1", refused(|s| s.layers[1].units = 0)),
    ] {
        assert!(
            matches!(&error, Error::ZeroWidth { what: w } if w == what),
            "{error}"
        );
    }
    for (what, error) in [
        ("inputs", refused(|s| s.input_dropout = 1.0)),
        ("inputs", refused(|s| s.input_dropout = f64::NAN)),
        ("layer0", refused(|s| s.layers[0].dropout = -0.1)),
        ("layer0", refused(|s| s.layers[0].dropout = f64::INFINITY)),
    ] {
        assert!(
            matches!(&error, Error::Dropout { what: w, .. } if w == what),
            "{error}"
        );
    }
    let error = refused(|s| s.layers[1].dropout = 0.5);
    assert!(matches!(error, Error::OutputDropout(0.5)), "{error}");
    for error in [
        refused(|s| s.l2 = -1.0),
        refused(|s| s.l2 = f64::NAN),
        refused(|s| s.l2 = f64::INFINITY),
    ] {
        assert!(matches!(error, Error::L2(_)), "{error}");
    }
    let error = refused(|s| s.inputs = usize::MAX);
    assert!(
        matches!(error, Error::Params(opt_core::Error::SegmentTooLarge(_))),
        "{error}"
    );
    for widths in [&[] as &[usize], &[4]] {
        let classifier = Spec::classifier(widths, Activation::Tanh);
        assert!(matches!(
            Mlp::<f64>::new(classifier).unwrap_err(),
            Error::NoLayers
        ));
        let coder = Spec::autoencoder(widths, Activation::Tanh);
        assert!(matches!(
            Mlp::<f64>::new(coder).unwrap_err(),
            Error::NoLayers
        ));
    }
}

/// The error of a bad batch, from `load` and from `evaluate`, which must agree.
fn refused(loss: Loss, inputs: ArrayView2<'_, f64>, target: Target<'_, f64>) -> Error {
    let spec = spec(&[4, 3, 2], Activation::Tanh, loss);
    let mut net = Mlp::new(spec).unwrap();
    let (x, good) = (parameters(&net, 1), data(5, 4));
    let mut g = vec![0.0; x.len()];
    net.load(good.view(), Target::Classes(&labels(5, 2)), 3)
        .unwrap();
    let loss = net.grad(&x, &mut g).unwrap();

    let error = net.load(inputs, target, 4).unwrap_err();
    assert!(net.layer(0).is_some());
    assert_eq!(net.value(&x).unwrap(), loss, "the earlier batch stays");
    let same = net.evaluate(&x, inputs, target).unwrap_err();
    assert_eq!(error.to_string(), same.to_string());
    assert_eq!(net.value(&x).unwrap(), loss);
    error
}

#[test]
fn bad_batches() {
    let (softmax, squared) = (Loss::SoftmaxCrossEntropy, Loss::SquaredError);
    let inputs = data(3, 4);
    let none = Array2::zeros((0, 4));
    let error = refused(softmax, none.view(), Target::Classes(&[]));
    assert!(matches!(error, Error::EmptyBatch), "{error}");

    let error = refused(softmax, data(3, 5).view(), Target::Classes(&[0, 1, 0]));
    assert!(
        matches!(
            error,
            Error::Width {
                what: "inputs",
                expected: 4,
                found: 5
            }
        ),
        "{error}"
    );
    let error = refused(squared, inputs.view(), Target::Values(data(3, 3).view()));
    assert!(
        matches!(
            error,
            Error::Width {
                what: "targets",
                expected: 2,
                found: 3
            }
        ),
        "{error}"
    );
    let error = refused(squared, inputs.view(), Target::Inputs);
    assert!(
        matches!(
            error,
            Error::Width {
                what: "targets",
                expected: 2,
                found: 4
            }
        ),
        "{error}"
    );
}

#[test]
fn bad_targets() {
    let (softmax, squared) = (Loss::SoftmaxCrossEntropy, Loss::SquaredError);
    let (inputs, values) = (data(3, 4), data::<f64>(3, 2));
    for target in [
        Target::Classes(&[0, 1]),
        Target::Values(values.view().split_at(ndarray::Axis(0), 2).0),
    ] {
        let error = refused(squared, inputs.view(), target);
        assert!(
            matches!(
                error,
                Error::Rows {
                    inputs: 3,
                    targets: 2
                }
            ),
            "{error}"
        );
    }
    for loss in [softmax, squared] {
        let error = refused(loss, inputs.view(), Target::Classes(&[0, 2, 255]));
        assert!(
            matches!(
                error,
                Error::Class {
                    row: 1,
                    class: 2,
                    outputs: 2
                }
            ),
            "{error}"
        );
    }
    for target in [Target::Values(values.view()), Target::Inputs] {
        let error = refused(softmax, inputs.view(), target);
        assert!(matches!(error, Error::TargetKind { .. }), "{error}");
    }
}

#[test]
fn batches_beyond_memory() {
    // A view of 2⁶⁰ rows over a single number.
    let one = [1.0_f64];
    let rows = 1 << 60;
    let huge = Array2::from_shape_vec((1, 1), one.to_vec()).unwrap();
    let huge = huge.broadcast((rows, 1)).unwrap();
    let mut net = Mlp::new(linear(1, 1, Loss::SquaredError)).unwrap();
    let error = net.load(huge, Target::Inputs, 0).unwrap_err();
    assert!(
        matches!(error, Error::BatchTooLarge { rows: r } if r == rows),
        "{error}"
    );
    let error = net.predict(&[1.0, 0.0], huge).unwrap_err();
    assert!(matches!(error, Error::BatchTooLarge { .. }), "{error}");
}

#[test]
fn evaluations_without_a_batch_or_of_the_wrong_length() {
    let mut net = Mlp::<f64>::new(linear(2, 2, Loss::SquaredError)).unwrap();
    let (x, mut g) = ([0.0; 6], [0.0; 6]);
    for error in [
        net.value(&x).unwrap_err(),
        net.grad(&x, &mut g).unwrap_err(),
    ] {
        let opt_core::Error::Objective(source) = &error else {
            panic!("{error}");
        };
        assert!(
            matches!(source.downcast_ref(), Some(Error::NotLoaded)),
            "{error}"
        );
    }
    let inputs = data(3, 2);
    net.load(inputs.view(), Target::Inputs, 0).unwrap();
    for (what, error) in [
        ("x", net.value(&x[..5]).unwrap_err()),
        ("x", net.grad(&x[..5], &mut g).unwrap_err()),
        ("gradient", net.grad(&x, &mut g[..5]).unwrap_err()),
    ] {
        let opt_core::Error::Length {
            what: w,
            expected,
            found,
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!((w.as_str(), *expected, *found), (what, 6, 5));
    }
    for error in [
        net.predict(&x[..5], inputs.view()).unwrap_err(),
        net.evaluate(&x[..5], inputs.view(), Target::Inputs)
            .unwrap_err(),
    ] {
        assert!(
            matches!(error, Error::Params(opt_core::Error::Length { .. })),
            "{error}"
        );
    }
    let error = net.predict(&x, data(3, 3).view()).unwrap_err();
    assert!(
        matches!(error, Error::Width { what: "inputs", .. }),
        "{error}"
    );
    let error = net.predict(&x, data(0, 2).view()).unwrap_err();
    assert!(matches!(error, Error::EmptyBatch), "{error}");
}
