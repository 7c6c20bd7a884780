//! [`opt_linalg::Eigh`], by whichever backend we are built with.

use crate::turns::{Runner, timed};
use ndarray::Array2;
use opt_linalg::Eigh;

pub(super) fn runner(order: usize) -> Runner<'static> {
    let a = symmetric(order);
    let mut eigh = Eigh::<f32>::new();
    super::runner(super::OURS, move || {
        timed(1, || eigh.compute(a.view()).map(drop))
    })
}

/// With no structure that a solver could find: entries in [−1, 1], symmetric.
fn symmetric(order: usize) -> Array2<f32> {
    let entry = |i: usize, j: usize| {
        let mut bits = (i * order + j) as u64;
        for _ in 0..3 {
            bits = (bits ^ (bits >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        (bits >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    Array2::from_shape_fn((order, order), |(i, j)| entry(i.max(j), i.min(j)))
}
