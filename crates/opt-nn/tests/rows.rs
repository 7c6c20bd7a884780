//! Minibatches of chosen rows: the same bits as a copy of the rows gives, and no allocation.
#![allow(clippy::unwrap_used)] // in helpers of the tests too

#[path = "all/common/mod.rs"]
mod common;

use common::{LOSSES, data, labels, parameters, spec};
use ndarray::{Array2, ArrayView2, Axis, s};
use opt_core::{HessianProduct, Layered, Objective};
use opt_data::{Batches, gather, gather_labels};
use opt_nn::{Activation, Error, Loss, Mlp, Target};
use opt_testkit::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Loss, gradient and first input (dropped units and all) of the loaded minibatch, bit by bit.
fn seen(net: &mut Mlp<f32>, x: &[f32]) -> (u32, Vec<u32>, Vec<u32>) {
    let mut g = vec![0.0; x.len()];
    let loss = net.grad(x, &mut g).unwrap();
    let bits = |all: &[f32]| all.iter().map(|v| v.to_bits()).collect();
    let input = net.layer(0).unwrap().input.to_owned();
    (loss.to_bits(), bits(&g), bits(input.as_slice().unwrap()))
}

/// A network with dropout everywhere that reads 6 features and has 6 outputs.
fn network(loss: Loss) -> Mlp<f32> {
    let mut spec = spec(&[6, 20, 6], Activation::Tanh, loss);
    (spec.input_dropout, spec.layers[0].dropout) = (0.2, 0.5);
    Mlp::new(spec).unwrap()
}

/// As minibatches were loaded before: rows are gathered in order, and the copy is loaded.
#[test]
fn epochs_of_rows_are_those_of_gathered_copies() {
    let (inputs, classes, values) = (data(50, 6), labels(50, 6), data(50, 12));
    let (inputs, values): (Array2<f32>, Array2<f32>) = (inputs, values);
    // Neither needs unit strides.
    let (backward, every_other) = (inputs.slice(s![.., ..;-1]), values.slice(s![.., ..;2]));
    for loss in LOSSES {
        let (mut old, mut new) = (network(loss), network(loss));
        let x = parameters(&old, 1);
        let mut batches = Batches::new(50, 8, 3).unwrap();
        let mut order = batches.clone();
        let mut update = 0;
        for epoch in 0..3 {
            for rows in order.epoch(epoch) {
                let mut own = Array2::zeros((8, 6));
                gather(backward, rows, own.view_mut()).unwrap();
                let mut own_classes = [0; 8];
                gather_labels(&classes, rows, &mut own_classes).unwrap();
                let own_values = every_other.select(Axis(0), rows);
                let kinds = match loss {
                    Loss::SoftmaxCrossEntropy => 1,
                    _ => 3,
                };
                let all = [
                    (Target::Classes(&own_classes), Target::Classes(&classes)),
                    (
                        Target::Values(own_values.view()),
                        Target::Values(every_other),
                    ),
                    (Target::Inputs, Target::Inputs),
                ];
                for (copied, whole) in all.into_iter().take(kinds) {
                    old.load(own.view(), copied, update).unwrap();
                    let rows = batches.rows(update);
                    new.load_rows(backward, whole, rows, update).unwrap();
                    assert_eq!(seen(&mut old, &x), seen(&mut new, &x), "{loss:?} {whole:?}");
                }
                update += 1;
            }
        }
    }
}

#[test]
fn curvature_takes_rows_too() {
    let (inputs, classes) = (data::<f32>(30, 6), labels(30, 6));
    let (mut old, mut new) = (network(Loss::SquaredError), network(Loss::SquaredError));
    let (x, rows) = (parameters(&old, 1), [4, 29, 4, 0]);
    let few: Vec<u8> = rows.iter().map(|&row| classes[row]).collect();
    let products = [&mut old, &mut new].map(|net: &mut Mlp<f32>| {
        net.load(inputs.view(), Target::Classes(&classes), 0)
            .unwrap();
        let mut out = vec![0.0; x.len()];
        net.hessian_product(&x, &x, &mut out).unwrap();
        out
    });
    assert_eq!(products[0], products[1]);
    let own = inputs.select(Axis(0), &rows);
    old.load_curvature(own.view(), Target::Classes(&few), 9)
        .unwrap();
    new.load_curvature_rows(inputs.view(), Target::Classes(&classes), &rows, 9)
        .unwrap();
    let mut outs = [products[0].clone(), products[0].clone()];
    old.hessian_product(&x, &x, &mut outs[0]).unwrap();
    new.hessian_product(&x, &x, &mut outs[1]).unwrap();
    assert_eq!(outs[0], outs[1]);
    assert_ne!(outs[0], products[0]);
    assert_eq!(
        seen(&mut old, &x),
        seen(&mut new, &x),
        "gradients go on with the other"
    );
}

#[test]
fn rows_that_cannot_be_loaded() {
    let mut net = network(Loss::SquaredError);
    let (x, inputs) = (parameters(&net, 1), data::<f32>(5, 6));
    let classes = [0, 1, 6, 1, 0];
    net.load_rows(inputs.view(), Target::Classes(&classes), &[4, 0], 1)
        .unwrap();
    let before = seen(&mut net, &x);
    let mut refused = |inputs: ArrayView2<'_, f32>, target: Target<'_, f32>, rows: &[usize]| {
        let error = net.load_rows(inputs, target, rows, 2).unwrap_err();
        assert_eq!(seen(&mut net, &x), before, "the earlier minibatch stays");
        let same = net
            .load_curvature_rows(inputs, target, rows, 2)
            .unwrap_err();
        assert_eq!(error.to_string(), same.to_string());
        error
    };
    let all = inputs.view();
    let error = refused(all, Target::Classes(&classes), &[]);
    assert!(matches!(error, Error::EmptyBatch), "{error}");
    let none = inputs.slice(s![..0, ..]);
    let error = refused(none, Target::Inputs, &[0]);
    assert!(matches!(error, Error::EmptyBatch), "{error}");
    for row in [5, usize::MAX] {
        let error = refused(all, Target::Inputs, &[0, row, 7]);
        assert!(
            matches!(error, Error::Row { row: r, rows: 5 } if r == row),
            "{error}"
        );
    }
    let error = refused(all, Target::Classes(&classes), &[0, 2]);
    assert!(
        matches!(
            error,
            Error::Class {
                row: 2,
                class: 6,
                outputs: 6
            }
        ),
        "{error}"
    );
    let error = refused(all, Target::Classes(&classes[..4]), &[0]);
    assert!(
        matches!(
            error,
            Error::Rows {
                inputs: 5,
                targets: 4
            }
        ),
        "{error}"
    );
    let error = refused(inputs.slice(s![.., ..5]), Target::Inputs, &[0]);
    assert!(matches!(error, Error::Width { .. }), "{error}");
}

#[test]
fn a_minibatch_allocates_nothing_after_the_first() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    pool.install(|| {
        let (inputs, classes) = (data(600, 300), labels(600, 6));
        let mut spec = spec(&[300, 100, 6], Activation::Relu, Loss::SigmoidCrossEntropy);
        (spec.input_dropout, spec.layers[0].dropout) = (0.2, 0.5);
        let mut net = Mlp::<f32>::new(spec).unwrap();
        let mut batches = Batches::new(600, 128, 0).unwrap();
        let mut load = |update| {
            let before = Counting::of_this_thread();
            let (rows, target) = (batches.rows(update), Target::Classes(&classes));
            net.load_rows(inputs.view(), target, rows, update).unwrap();
            net.load_curvature_rows(inputs.view(), target, &rows[..32], update)
                .unwrap();
            Counting::of_this_thread() - before
        };
        assert!(load(0) > 0, "the counter counts");
        // Across the ends of epochs of 4 batches.
        assert_eq!((1..20).map(load).sum::<u64>(), 0);
    });
}
