//! Sparse inputs give what the same inputs do when they are dense.

#![allow(clippy::unwrap_used)] // in helpers of the tests too

use crate::common;

use common::{labels, parameters};
use ndarray::{Array2, ArrayView2};
use opt_core::{GaussNewton, HessianDiag, HessianProduct, Layered, Objective, PerSample};
use opt_nn::{Activation, Convolution, Error, Layer, Mlp, Spec, Target};
use sprs::CsMatI;

const WIDTHS: [usize; 4] = [40, 7, 5, 3];
const ROWS: usize = 12;

/// Some rows are empty, and one has every word.
fn counts() -> (Array2<f64>, CsMatI<f64, u32, usize>) {
    let dense = Array2::from_shape_fn((ROWS, WIDTHS[0]), |(i, j)| match i {
        3 => 0.0,
        5 => 1.0,
        _ if (i * 7 + j * 5) % 9 == 0 => ((i + j) % 4 + 1) as f64,
        _ => 0.0,
    });
    let sparse = CsMatI::csr_from_dense(dense.view(), 0.0);
    (dense, sparse)
}

fn spec() -> Spec {
    let mut spec = Spec::classifier(&WIDTHS, Activation::Tanh);
    spec.l2 = 0.01;
    spec
}

#[track_caller]
fn near(a: &[f64], b: &[f64]) {
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() < 1e-14 * b.abs().max(1.0), "{a} {b}");
    }
}

#[test]
fn all_that_is_computed_is_that_of_dense_inputs() {
    let (dense, sparse) = counts();
    let classes = labels(ROWS, 3);
    let [mut one, mut other] = [(), ()].map(|()| Mlp::new(spec()).unwrap());
    let x = parameters(&one, 2);
    let v: Vec<_> = (0..x.len()).map(|i| (i as f64).sin()).collect();
    let chosen = [11, 3, 5, 0, 0, 8];
    for rows in [None, Some(&chosen[..])] {
        let target = Target::Classes(&classes);
        match rows {
            None => {
                one.load(dense.view(), target, 3).unwrap();
                other.load(sparse.view(), target, 3).unwrap();
            }
            Some(rows) => {
                one.load_rows(dense.view(), target, rows, 3).unwrap();
                other.load_rows(sparse.view(), target, rows, 3).unwrap();
            }
        }
        let run = |net: &mut Mlp<f64>| {
            let mut all: [Vec<f64>; 6] = std::array::from_fn(|_| vec![0.0; x.len()]);
            let [g, hessian, gauss_newton, diagonal, mean, square] = &mut all;
            let loss = net.grad(&x, g).unwrap();
            let bound = net.gradient_bound();
            assert!(bound.is_none_or(|bound| g.iter().all(|g| g.abs() <= bound)));
            net.hessian_product(&x, &v, hessian).unwrap();
            net.gauss_newton_product(&x, &v, gauss_newton).unwrap();
            net.hessian_diag(&x, diagonal).unwrap();
            net.grad_moments(&x, mean, square).unwrap();
            [vec![loss, net.value(&x).unwrap()], all.concat()].concat()
        };
        near(&run(&mut one), &run(&mut other));
    }
    let target = Target::Classes(&classes);
    let [a, b] = [
        one.evaluate(&x, dense.view(), target).unwrap(),
        other.evaluate(&x, sparse.view(), target).unwrap(),
    ];
    near(&[a.loss], &[b.loss]);
    assert_eq!(a.error, b.error);
    let [a, b] = [
        one.predict(&x, dense.view()).unwrap(),
        other.predict(&x, sparse.view()).unwrap(),
    ];
    near(a.as_slice().unwrap(), b.as_slice().unwrap());
    assert!(one.layer(0).is_some() && other.layer(0).is_none() && other.layer(1).is_some());
    // And back.
    other.load(dense.view(), target, 3).unwrap();
    assert!(other.value(&x).is_ok());
}

/// A row between two empty ones, whose outputs are 0: column j of the gradient of unit 0 is p·x_j/3, by
/// the loss (2·ln 2 − ln(1 − p))/3, for a word that is kept, with x_j/0.75, and 0 for any other.
#[test]
fn dropout_keeps_or_scales_what_is_there() {
    const EMPTY: usize = 3;
    let (dense, sparse) = counts();
    let mut spec = Spec::classifier(&[WIDTHS[0], 2], Activation::Tanh);
    spec.input_dropout = 0.25;
    let mut net = Mlp::<f64>::new(spec).unwrap();
    let mut x = vec![0.0; net.params().len()];
    x[..WIDTHS[0]].fill(0.01);
    let (classes, mut g) = (vec![1; ROWS], vec![0.0; x.len()]);
    let (mut kept, mut all) = (0, 0);
    for seed in 0..400 {
        for row in (0..ROWS).filter(|row| *row != EMPTY) {
            let rows = [EMPTY, row, EMPTY];
            let target = Target::Classes(&classes);
            net.load_rows(sparse.view(), target, &rows, seed).unwrap();
            let loss = net.grad(&x, &mut g).unwrap();
            let p = 1.0 - (2.0 * 2.0_f64.ln() - 3.0 * loss).exp();
            for (g, v) in g[..WIDTHS[0]].iter().zip(dense.row(row)) {
                let here = p * v / 0.75 / 3.0;
                assert!(*g == 0.0 || (g - here).abs() < 1e-12, "{row}: {g} {here}");
                kept += usize::from(*g != 0.0);
                all += usize::from(*v != 0.0);
            }
        }
    }
    let kept = kept as f64 / all as f64;
    assert!((kept - 0.75).abs() < 0.02 && all > 1_000, "{kept} of {all}");
}

#[test]
fn what_can_not_be_sparse_is_refused() {
    let (dense, sparse) = counts();
    let classes = labels(ROWS, 3);
    let target = Target::Classes(&classes);
    let mut net = Mlp::<f64>::new(spec()).unwrap();
    let columns = sparse.to_csc();
    let refused = net.load(columns.view(), target, 0).unwrap_err();
    assert!(matches!(refused, Error::SparseColumns), "{refused}");
    net.load(sparse.view(), target, 0).unwrap();
    let (x, mut g) = (parameters(&net, 1), vec![0.0; net.params().len()]);
    let refused = net.deltas(&x, &mut g).unwrap_err().to_string();
    assert!(
        refused.contains("sparse inputs can't be shown"),
        "{refused}"
    );
    assert!(net.grad(&x, &mut g).is_ok());
    let narrow = sparse.slice_outer(0..0);
    assert!(matches!(
        net.load(narrow, target, 0).unwrap_err(),
        Error::EmptyBatch
    ));
    let refused = net
        .load_rows(sparse.view(), target, &[ROWS], 0)
        .unwrap_err();
    assert!(matches!(refused, Error::Row { .. }), "{refused}");
    let mut auto = Mlp::<f64>::new(Spec::autoencoder(&[40, 3], Activation::Tanh)).unwrap();
    let refused = auto.load(sparse.view(), Target::Inputs, 0).unwrap_err();
    assert!(matches!(refused, Error::Sparse { .. }), "{refused}");
    let mut spec = Spec::classifier(&[40, 3], Activation::Tanh);
    spec.image = Some([5, 4, 2]);
    let convolution = Convolution {
        kernel: 3,
        stride: 1,
        padding: 1,
    };
    spec.layers
        .insert(0, Layer::convolution(2, convolution, Activation::Tanh));
    let mut maps = Mlp::<f64>::new(spec).unwrap();
    let refused = maps.load(sparse.view(), target, 0).unwrap_err();
    assert!(matches!(refused, Error::Sparse { .. }), "{refused}");
    let fine: ArrayView2<'_, f64> = dense.view();
    maps.load(fine, target, 0).unwrap();
}
