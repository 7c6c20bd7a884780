//! What `observe` shows, the model's state, and what is refused.
#![allow(clippy::unwrap_used)] // in helpers of the tests too

use crate::common;

use common::{data, labels, parameters, spec};
use ndarray::{ArcArray2, Array1, Array2, Axis, s};
use opt_core::{Error as CoreError, Layered, Objective, Reparametrized, Snapshot};
use opt_nn::{Activation, Error, Loss, Mlp, Target};

/// 4 inputs, dropout everywhere, and a statistics set of so many rows.
fn network(rows: usize) -> Mlp<f64> {
    let mut spec = spec(&[4, 6, 5, 3], Activation::Tanh, Loss::SoftmaxCrossEntropy);
    (spec.input_dropout, spec.layers[0].dropout) = (0.5, 0.5);
    let mut net = Mlp::new(spec).unwrap();
    net.set_statistics(data(rows, 4).into_shared()).unwrap();
    net
}

/// What is shown of each layer in an accepted step, put together.
fn observe(net: &mut Mlp<f64>, x: &[f64], samples: usize) -> Vec<Array2<f64>> {
    let mut seen = vec![
        Array2::zeros((0, 4)),
        Array2::zeros((0, 6)),
        Array2::zeros((0, 5)),
    ];
    let mut next = 0;
    net.observe(x, samples, &mut |index, rows| {
        assert_eq!(index, next);
        assert!((1..=1000).contains(&rows.nrows()));
        next = (index + 1) % 3;
        seen[index].append(Axis(0), rows).unwrap();
        Ok(())
    })
    .unwrap();
    assert_eq!(next, 0);
    net.accept();
    seen
}

/// The inputs of the layers, by the formula.
fn expected(net: &Mlp<f64>, x: &[f64], inputs: Array2<f64>) -> Vec<Array2<f64>> {
    let mut all = vec![inputs];
    for index in 0..2 {
        let mut h = all[index].clone();
        if let Some((u, c)) = net.whitening(index) {
            h = (h - c).dot(&u.t());
        }
        let w = net
            .params()
            .view2(&format!("layer{index}.weight"), x)
            .unwrap();
        let bias = net.params().get(&format!("layer{index}.bias")).unwrap();
        let a = h.dot(&w.t()) + Array1::from(x[bias.range.clone()].to_vec());
        all.push(a.mapv(f64::tanh));
    }
    all
}

fn near(found: &[Array2<f64>], expected: &[Array2<f64>]) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.dim(), expected.dim());
        let worst = (found - expected)
            .iter()
            .fold(0.0_f64, |m, e| m.max(e.abs()));
        assert!(worst < 1e-14, "{worst}");
    }
}

fn rows(set: &Array2<f64>, rows: &[usize]) -> Array2<f64> {
    set.select(Axis(0), rows)
}

#[test]
fn all_layers_inputs_without_dropout_and_before_whitening() {
    let (mut net, set) = (network(2345), data(2345, 4));
    let x = parameters(&net, 2);
    net.load(data(3, 4).view(), Target::Classes(&labels(3, 3)), 1)
        .unwrap();
    let loss = net.value(&x).unwrap();
    let everything = expected(&net, &x, set.clone());
    near(&observe(&mut net, &x, 2345), &everything);
    let u = Array2::from_shape_fn((6, 6), |(i, j)| ((i * 6 + j * j) as f64).cos());
    net.set_whitening(1, u.view(), Array1::from_elem(6, 0.3).view())
        .unwrap();
    let whitened = expected(&net, &x, set);
    assert_ne!(whitened[2], everything[2]);
    near(&observe(&mut net, &x, 2345), &whitened);
    net.clear_whitening();
    assert_eq!(net.value(&x).unwrap(), loss, "the minibatch stays");
}

#[test]
fn the_next_samples_each_time_around_the_end() {
    let (mut net, set) = (network(7), data(7, 4));
    let x = parameters(&net, 2);
    for wanted in [
        &[0, 1, 2, 3, 4][..],
        &[5, 6, 0, 1, 2],
        &[3],
        &[4, 5, 6],
        &[0],
    ] {
        let seen = observe(&mut net, &x, wanted.len());
        near(&seen, &expected(&net, &x, rows(&set, wanted)));
    }
    // One pass at most.
    for _ in 0..2 {
        let seen = observe(&mut net, &x, 100);
        near(
            &seen,
            &expected(&net, &x, rows(&set, &[1, 2, 3, 4, 5, 6, 0])),
        );
    }
    // A new set begins with its first row; any layout will do.
    let wide = data::<f64>(9, 8);
    let strided = wide.to_shared().slice_move(s![..;-1, ..;2]);
    net.set_statistics(strided.clone()).unwrap();
    let seen = observe(&mut net, &x, 2);
    near(
        &seen,
        &expected(&net, &x, rows(&strided.to_owned(), &[0, 1])),
    );
}

#[test]
fn a_step_that_is_not_accepted_has_observed_nothing() {
    let mut net = network(7);
    let x = parameters(&net, 2);
    let first = |net: &mut Mlp<f64>| {
        let mut seen = Vec::new();
        let shown = net.observe(&x, 3, &mut |index, rows| {
            if index == 0 {
                seen.extend(rows.iter().copied());
            }
            Ok(())
        });
        assert_eq!(shown.unwrap(), 3);
        seen
    };
    let state = |net: &mut Mlp<f64>| Snapshot::take(&mut [("model", net)]).unwrap();
    let (before, once) = (state(&mut net), first(&mut net));
    assert_eq!(first(&mut net), once);
    assert_eq!(state(&mut net), before);
    // Another minibatch is another step.
    net.load(data(3, 4).view(), Target::Classes(&labels(3, 3)), 1)
        .unwrap();
    net.accept();
    assert_eq!(state(&mut net), before);
    assert_eq!(first(&mut net), once);
    net.accept();
    assert_ne!(first(&mut net), once);
}

#[test]
fn an_error_of_the_visitor_comes_back_and_nothing_was_seen() {
    let mut net = network(7);
    let x = parameters(&net, 2);
    observe(&mut net, &x, 2);
    let mut calls = 0;
    let error = net.observe(&x, 3, &mut |_, _| {
        calls += 1;
        match calls {
            2 => Err(CoreError::NonFiniteLoss(0.5)),
            _ => Ok(()),
        }
    });
    assert!(matches!(error.unwrap_err(), CoreError::NonFiniteLoss(0.5)));
    assert_eq!(calls, 2);
    near(&observe(&mut net, &x, 1)[..1], &[rows(&data(7, 4), &[2])]);
}

#[test]
fn state_resumes_cursor_and_whitening() {
    let mut net = network(7);
    let x = parameters(&net, 2);
    let u = Array2::from_shape_fn((6, 6), |(i, j)| ((i * 6 + j * j) as f64).cos());
    net.set_whitening(1, u.view(), Array1::from_elem(6, 0.3).view())
        .unwrap();
    observe(&mut net, &x, 5);
    let saved = Snapshot::take(&mut [("model", &mut net)]).unwrap();

    let mut plain = network(7);
    let error = saved
        .restore(&mut [("model", &mut plain)])
        .unwrap_err()
        .to_string();
    for name in [
        "`model/layer1.whiten_u` is unknown",
        "`model/layer1.whiten_c` is unknown",
    ] {
        assert!(error.contains(name), "{error}");
    }
    let mut other = network(7);
    other
        .set_whitening(1, Array2::eye(6).view(), Array1::zeros(6).view())
        .unwrap();
    saved.restore(&mut [("model", &mut other)]).unwrap();
    assert_eq!(other.whitening(1), net.whitening(1));
    let inputs = data(30, 4);
    assert_eq!(
        net.predict(&x, inputs.view()).unwrap(),
        other.predict(&x, inputs.view()).unwrap()
    );
    for _ in 0..3 {
        assert_eq!(observe(&mut net, &x, 3), observe(&mut other, &x, 3));
    }
    // Nothing is set, nothing is visited.
    let none =
        || Mlp::<f64>::new(spec(&[4, 6, 5, 3], Activation::Tanh, Loss::SquaredError)).unwrap();
    let empty = Snapshot::<f64>::take(&mut []).unwrap();
    let found = Snapshot::take(&mut [("model", &mut none())]).unwrap();
    assert_eq!(found, empty);
    // A cursor beyond a smaller set is taken around.
    let mut smaller = network(2);
    smaller
        .set_whitening(1, u.view(), Array1::zeros(6).view())
        .unwrap();
    saved.restore(&mut [("model", &mut smaller)]).unwrap();
    near(
        &observe(&mut smaller, &x, 1)[..1],
        &[rows(&data(2, 4), &[1])],
    );
}

fn source(error: CoreError) -> Error {
    match error {
        CoreError::Objective(source) => *source.downcast().unwrap(),
        other => panic!("{other}"),
    }
}

#[test]
fn statistics_that_are_refused() {
    let mut net = network(7);
    let x = parameters(&net, 2);
    let mut nothing = |_: usize, _: ndarray::ArrayView2<'_, f64>| Ok(());
    observe(&mut net, &x, 2);
    assert_eq!(net.observe(&x, 0, &mut nothing).unwrap(), 0);
    let error = net.observe(&x[1..], 1, &mut nothing).unwrap_err();
    assert!(matches!(error, CoreError::Length { .. }), "{error}");
    let error = net.set_statistics(ArcArray2::zeros((5, 3))).unwrap_err();
    let width = Error::Width {
        what: "statistics",
        expected: 4,
        found: 3,
    };
    assert_eq!(error.to_string(), width.to_string());
    let error = net.set_statistics(ArcArray2::zeros((0, 4))).unwrap_err();
    assert!(matches!(error, Error::EmptyBatch), "{error}");
    // The earlier set stays, and its place.
    near(&observe(&mut net, &x, 1)[..1], &[rows(&data(7, 4), &[2])]);

    let spec = spec(&[4, 6, 5, 3], Activation::Tanh, Loss::SquaredError);
    let shown = Mlp::new(spec).unwrap().observe(&x, 1, &mut nothing);
    assert_eq!(shown.unwrap(), 0, "there is no set");
}

#[test]
fn whitenings_that_are_refused() {
    let mut net = network(7);
    let (x, inputs) = (parameters(&net, 2), data(5, 4));
    let (good, c) = (Array2::<f64>::eye(6) * 2.0, Array1::from_elem(6, 0.1));
    net.set_whitening(1, good.view(), c.view()).unwrap();
    let outputs = net.predict(&x, inputs.view()).unwrap();
    let mut refused = |index, u: &Array2<f64>, c: &Array1<f64>| {
        let error = net.set_whitening(index, u.view(), c.view()).unwrap_err();
        assert_eq!(net.predict(&x, inputs.view()).unwrap(), outputs, "{error}");
        error
    };
    for (u, c) in [
        ((6, 5), 6),
        ((5, 6), 6),
        ((5, 5), 5),
        ((6, 6), 5),
        ((36, 1), 6),
        ((0, 0), 0),
    ] {
        let error = refused(1, &Array2::ones(u), &Array1::ones(c));
        let CoreError::Length {
            expected, found, ..
        } = error
        else {
            panic!("{error}");
        };
        assert_eq!(expected, 6);
        assert_ne!(found, 6);
    }
    for index in [3, usize::MAX] {
        let error = refused(index, &good, &c);
        assert!(
            matches!(error, CoreError::Length { found: 3, .. }),
            "{error}"
        );
    }
    for bad in [f64::NAN, f64::INFINITY] {
        let (mut u, mut far) = (good.clone(), c.clone());
        (u[[5, 0]], far[3]) = (bad, bad);
        for error in [refused(1, &u, &c), refused(1, &good, &far)] {
            assert!(matches!(
                source(error),
                Error::NonFiniteWhitening { layer: 1 }
            ));
        }
    }
}

/// A view of 2⁶⁰ elements over a single number.
#[test]
fn a_whitening_beyond_memory() {
    let fan_in = 1 << 30;
    let mut net = Mlp::<f32>::new(common::linear(fan_in, 1, Loss::SquaredError)).unwrap();
    let (u, c) = (Array2::ones((1, 1)), Array1::ones(1));
    let (u, c) = (
        u.broadcast((fan_in, fan_in)).unwrap(),
        c.broadcast(fan_in).unwrap(),
    );
    let error = net.set_whitening(0, u, c).unwrap_err();
    assert!(matches!(error, CoreError::SegmentTooLarge(_)), "{error}");
}
