//! Seeded minibatches: complete, repeatable, resumable, uniform.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, like tests, may panic"
)]

use std::collections::HashMap;

use ndarray::{Array2, array, s};
use opt_data::{Batches, Error, gather, gather_labels};
use proptest::prelude::*;

fn epoch(samples: usize, batch: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut batches = Batches::new(samples, batch, seed).unwrap();
    batches.epoch(epoch).flatten().copied().collect()
}

proptest! {
    #[test]
    fn an_epoch_sees_every_sample_once(
        samples in 1_usize..300, batch in 1_usize..300, seed in any::<u64>(), epoch in any::<u64>(),
    ) {
        let batch = batch.min(samples);
        let mut batches = Batches::new(samples, batch, seed).unwrap();
        let per_epoch = batches.per_epoch();
        let mut iterator = batches.epoch(epoch);
        prop_assert_eq!(iterator.len(), per_epoch);
        let mut rows = Vec::new();
        for batch_rows in iterator.by_ref() {
            prop_assert_eq!(batch_rows.len(), batch);
            rows.extend_from_slice(batch_rows);
        }
        prop_assert_eq!(rows.len(), samples / batch * batch);
        rows.extend_from_slice(iterator.remainder());
        rows.sort_unstable();
        prop_assert_eq!(rows, (0..samples).collect::<Vec<_>>());
    }

    #[test]
    fn a_resumed_run_equals_one_that_never_stopped(seed in any::<u64>(), stop in 0_usize..40) {
        let mut whole = Batches::new(50, 8, seed).unwrap();
        let mut all = Vec::new();
        for epoch in 0..7 {
            all.extend(whole.epoch(epoch).map(<[usize]>::to_vec));
        }
        let mut resumed = Batches::new(50, 8, seed).unwrap();
        let per_epoch = resumed.per_epoch();
        let mut rest = Vec::new();
        for epoch in stop / per_epoch..7 {
            let skip = if epoch == stop / per_epoch { stop % per_epoch } else { 0 };
            rest.extend(resumed.epoch(epoch as u64).skip(skip).map(<[usize]>::to_vec));
        }
        prop_assert_eq!(rest, &all[stop..]);
    }
}

#[test]
fn order_depends_on_seed_and_epoch() {
    let order = epoch(100, 10, 3, 5);
    assert_eq!(order, epoch(100, 10, 3, 5));
    assert_ne!(order, epoch(100, 10, 3, 6));
    assert_ne!(order, epoch(100, 10, 4, 5));
    assert_ne!(order, (0..100).collect::<Vec<_>>());
    // The batch size cuts the order, and does not change it.
    assert_eq!(order, epoch(100, 25, 3, 5));
    // Neighbouring pairs do not meet: no two of these 400 orders are equal.
    let mut orders: Vec<_> = (0..20)
        .flat_map(|s| (0..20).map(move |e| epoch(100, 10, s, e)))
        .collect();
    orders.sort_unstable();
    orders.dedup();
    assert_eq!(orders.len(), 400);
}

/// What the orders were when batches were first made, so that runs can be repeated.
#[test]
fn orders_stay_what_they_were() {
    for (samples, batch, seed, number, rows) in [
        (12, 4, 0, 0, &[3, 7, 9, 6, 0, 5, 4, 2, 10, 8, 11, 1][..]),
        (12, 4, 0, 1, &[8, 7, 6, 0, 5, 10, 4, 2, 9, 11, 1, 3]),
        (12, 5, 1, 0, &[2, 11, 1, 3, 7, 9, 5, 8, 10, 4]),
        (12, 5, 7, u64::MAX, &[7, 8, 11, 2, 5, 9, 3, 0, 10, 4]),
    ] {
        assert_eq!(epoch(samples, batch, seed, number), rows);
    }
    // FNV-1a over the rows, for the sizes of the experiments.
    for (samples, batch, seed, number, hash) in [
        (50_000, 128, 0, 0, 0x1a3e_df42_4103_8eba),
        (50_000, 128, 2, 3, 0x0c84_bf7e_332f_eb00),
        (1_437, 100, 1_000_003, 11, 0x5db9_cc29_0bc0_14f9_u64),
    ] {
        let rows = epoch(samples, batch, seed, number);
        let fnv = rows.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, row| {
            (hash ^ *row as u64).wrapping_mul(0x100_0000_01b3)
        });
        assert_eq!(fnv, hash);
    }
}

proptest! {
    /// The batch of an update is that of the epoch's iterator, in whatever order they are asked for.
    #[test]
    fn updates_go_through_the_epochs(
        seed in any::<u64>(), updates in prop::collection::vec(0_u64..100, 1..20),
    ) {
        let mut batches = Batches::new(50, 8, seed).unwrap();
        let mut other = Batches::new(50, 8, seed).unwrap();
        let per_epoch = batches.per_epoch() as u64;
        for update in updates {
            let rows = batches.rows(update);
            let expected = other.epoch(update / per_epoch).nth((update % per_epoch) as usize);
            prop_assert_eq!(Some(rows), expected);
        }
        prop_assert_eq!(batches.rows(u64::MAX).len(), batches.batch());
    }
}

#[test]
fn all_orders_are_equally_likely() {
    // χ² over the 4! orders of 24,000 epochs, then of 24,000 seeds; 23 degrees of freedom exceed 58.6
    // with a probability below 1e-4.
    let by_epoch = |i| epoch(4, 4, 0, i);
    let by_seed = |i| epoch(4, 4, i, 0);
    for orders in [by_epoch as fn(u64) -> Vec<usize>, by_seed] {
        let mut counts = HashMap::new();
        for i in 0..24_000 {
            *counts.entry(orders(i)).or_insert(0.0) += 1.0;
        }
        assert_eq!(counts.len(), 24);
        let chi2: f64 = counts
            .values()
            .map(|n: &f64| (n - 1_000.0).powi(2) / 1_000.0)
            .sum();
        assert!(chi2 < 58.6, "{chi2}");
    }
}

#[test]
fn batch_sizes_are_checked() {
    for (samples, batch) in [(10, 0), (10, 11), (0, 0), (0, 1), (10, usize::MAX)] {
        let error = Batches::new(samples, batch, 0).unwrap_err();
        assert!(matches!(error, Error::Batch { .. }), "{error}");
        assert!(error.to_string().contains(&format!("found {batch}")));
    }
    assert!(matches!(
        Batches::new(usize::MAX, 1, 0),
        Err(Error::Memory { .. })
    ));
    assert_eq!(Batches::new(10, 10, 0).unwrap().per_epoch(), 1);
}

#[test]
fn gather_copies_rows() {
    let source = array![[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]];
    let mut out = Array2::zeros((2, 2));
    gather(source.view(), &[2, 0], out.view_mut()).unwrap();
    assert_eq!(out, array![[4.0, 5.0], [0.0, 1.0]]);
    // Views without unit stride, on both sides.
    let mut wide = Array2::zeros((3, 4));
    gather(source.t(), &[1, 0, 1], wide.slice_mut(s![.., 1..])).unwrap();
    assert_eq!(
        wide,
        array![
            [0.0, 1.0, 3.0, 5.0],
            [0.0, 0.0, 2.0, 4.0],
            [0.0, 1.0, 3.0, 5.0]
        ]
    );
    let mut labels = [0; 3];
    gather_labels(&[7, 8, 9], &[2, 2, 0], &mut labels).unwrap();
    assert_eq!(labels, [9, 9, 7]);
}

#[test]
fn gather_refuses_before_it_writes() {
    let source = array![[0.0, 1.0], [2.0, 3.0]];
    for (rows, shape) in [
        (&[0, 1][..], (1, 2)),
        (&[0], (2, 2)),
        (&[0], (1, 1)),
        (&[0], (1, 3)),
    ] {
        let mut out = Array2::from_elem(shape, 9.0);
        let error = gather(source.view(), rows, out.view_mut());
        assert!(matches!(error, Err(Error::Shape { .. })));
        assert_eq!(out, Array2::from_elem(shape, 9.0));
    }
    let mut out = Array2::from_elem((2, 2), 9.0);
    let error = gather(source.view(), &[1, 2], out.view_mut());
    assert!(matches!(error, Err(Error::Row { row: 2, rows: 2 })));
    assert_eq!(out, Array2::from_elem((2, 2), 9.0));

    let mut out = [9; 2];
    assert!(matches!(
        gather_labels(&[1, 2], &[0], &mut out),
        Err(Error::Shape { .. })
    ));
    assert!(matches!(
        gather_labels(&[1, 2], &[0, 2], &mut out),
        Err(Error::Row { .. })
    ));
    assert_eq!(out, [9; 2]);
}
