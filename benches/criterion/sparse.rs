//! One update of Adam's logistic regression on reviews (figure 1, right: 10,000 words, half of the inputs
//! dropped, batch 128) with sparse rows, against the two products alone that it would have with dense ones,
//! in turns in one run. Rows are drawn by Zipf's law, with as many words as a review has. Each minibatch
//! reads rows of its own: 25,000 dense reviews are 1 GB, which no cache keeps from epoch to epoch.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod turns;

use ndarray::{Array2, s};
use opt_core::{Objective, Rule};
use opt_data::Csr;
use opt_firstorder::Adam;
use opt_nn::{Activation, Mlp, Spec, Target, gemm};
use turns::{median, milliseconds};

const BATCH: usize = 128;
const WORDS: usize = 10_000;
/// Different ones, of the 10,000, in a review of the Large Movie Review Dataset.
const EACH: usize = 130;

/// Minibatches: 256 MB of dense rows.
const TURNS: usize = 50;

/// Word k with a probability of 1/(k + 1), without those that a row has.
fn reviews(rows: usize) -> Csr {
    let (mut starts, mut columns, mut state) = (vec![0], Vec::new(), 1_u64);
    for _ in 0..rows {
        let mut row = std::collections::BTreeSet::new();
        while row.len() < EACH {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let share = (state >> 11) as f64 / (1_u64 << 53) as f64;
            row.insert(((WORDS as f64).powf(share) - 1.0) as u32);
        }
        columns.extend(row);
        starts.push(columns.len());
    }
    let values = vec![1.0; columns.len()];
    Csr::new((rows, WORDS), starts, columns, values)
}

fn main() {
    let mut spec = Spec::classifier(&[WORDS, 2], Activation::Relu);
    spec.input_dropout = 0.5;
    let mut mlp = Mlp::<f32>::new(spec).unwrap();
    let mut x = vec![0.0; mlp.params().len()];
    let mut adam = Adam::default().method(mlp.params()).unwrap();
    let rows = reviews(TURNS * BATCH);
    let classes: Vec<u8> = (0..rows.rows()).map(|i| (i % 2) as u8).collect();
    let all = Array2::from_elem((TURNS * BATCH, WORDS), 1e-3_f32);
    let (mut a, mut w) = (Array2::zeros((BATCH, 2)), Array2::zeros((2, WORDS)));
    let (mut sparse, mut dense) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        let h = all.slice(s![turn * BATCH..(turn + 1) * BATCH, ..]);
        let products = milliseconds(|| {
            gemm(1.0, h, w.t(), 0.0, a.view_mut()).unwrap();
            gemm(1.0, a.t(), h, 0.0, w.view_mut()).unwrap();
        });
        let own: Vec<usize> = (turn * BATCH..(turn + 1) * BATCH).collect();
        let update = milliseconds(|| {
            let target = Target::Classes(&classes);
            mlp.load_rows(rows.view(), target, &own, turn as u64)
                .unwrap();
            adam.step(&mut mlp, &mut x).unwrap();
        });
        if turn > 4 {
            dense.push(products);
            sparse.push(update);
        }
    }
    let (sparse, dense) = (median(sparse), median(dense));
    println!(
        "sparse update {sparse:.3} ms, dense products {dense:.3} ms: {:.2}",
        sparse / dense
    );
}
