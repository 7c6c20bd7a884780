//! `Moments` against sums written out in f64.

#![allow(clippy::unwrap_used)] // in helpers of the tests too

use ndarray::{Array, Array1, Array2, ArrayView2, Dimension, ShapeBuilder, array, s};
use opt_core::{Snapshot, State};
use opt_linalg::{Error, Moments};
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

/// Every element within this of the expected one.
fn near<D: Dimension>(found: &Array<f64, D>, expected: &Array<f64, D>, tolerance: f64) -> bool {
    let close = |(a, b): (&f64, &f64)| (a - b).abs() <= tolerance;
    found.shape() == expected.shape() && found.iter().zip(expected).all(close)
}

/// Correlated columns of very different means and scales.
fn samples(rows: usize, width: usize, seed: u64) -> Array2<f64> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut x = Array2::from_shape_simple_fn((rows, width), || StandardNormal.sample(&mut rng));
    for mut row in x.rows_mut() {
        for j in 1..width {
            row[j] += 0.6 * row[j - 1];
        }
        for j in 0..width {
            row[j] = row[j] * 0.5_f64.powi(j as i32 % 5) + (j % 7) as f64 - 3.0;
        }
    }
    x
}

/// Mean and covariance with a weight for each row, in two passes.
fn weighted(x: &Array2<f64>, weights: &[f64]) -> (Array1<f64>, Array2<f64>) {
    let (rows, width) = x.dim();
    let total: f64 = weights.iter().sum();
    let mean = Array1::from_shape_fn(width, |j| {
        (0..rows).map(|i| weights[i] * x[[i, j]]).sum::<f64>() / total
    });
    let covariance = Array2::from_shape_fn((width, width), |(j, k)| {
        let term = |i: usize| weights[i] * (x[[i, j]] - mean[j]) * (x[[i, k]] - mean[k]);
        (0..rows).map(term).sum::<f64>() / total
    });
    (mean, covariance)
}

fn streamed(x: &Array2<f64>, batches: &[usize]) -> Moments<f64> {
    let mut moments = Moments::new(x.ncols());
    let mut first = 0;
    for &rows in batches {
        moments
            .update(x.slice(s![first..first + rows, ..]))
            .unwrap();
        first += rows;
    }
    assert_eq!(first, x.nrows());
    moments
}

fn close(moments: &Moments<f64>, mean: &Array1<f64>, covariance: &Array2<f64>, tolerance: f64) {
    let largest = covariance.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
    let found = moments.covariance();
    assert!(
        near(&moments.mean().to_owned(), mean, tolerance),
        "{}",
        moments.mean()
    );
    assert!(near(&found, covariance, tolerance * largest));
    assert_eq!(found, found.t());
    for ((i, j), v) in moments.lower().indexed_iter().filter(|((i, j), _)| j <= i) {
        assert_eq!(*v, found[[i, j]]);
    }
}

#[test]
fn streaming_is_all_at_once() {
    // Wide enough to be split into blocks, and with more rows than are centred at a time.
    for (rows, width) in [(1, 3), (7, 1), (60, 20), (1100, 196)] {
        let x = samples(rows, width, 1);
        let (mean, covariance) = weighted(&x, &vec![1.0; rows]);
        let single = rows.min(60);
        let mut ones = vec![1; single];
        ones.extend((rows > single).then_some(rows - single));
        let mut splits = vec![vec![rows], ones];
        if rows > 3 {
            splits.push(vec![1, rows - 3, 2]);
            splits.push(vec![rows - 5, 5]);
        }
        for batches in splits {
            let moments = streamed(&x, &batches);
            close(&moments, &mean, &covariance, 1e-12);
            assert_eq!(moments.count(), rows as f64);
        }
    }
}

#[test]
fn discounts_weight_the_samples() {
    let (x, batches, factor) = (samples(100, 12, 2), [40, 1, 30, 29], 0.7_f64);
    let mut moments = Moments::new(12);
    let mut weights = Vec::new();
    let mut first = 0;
    for rows in batches {
        moments.discount(factor).unwrap();
        weights.iter_mut().for_each(|w| *w *= factor);
        weights.resize(weights.len() + rows, 1.0);
        moments
            .update(x.slice(s![first..first + rows, ..]))
            .unwrap();
        first += rows;
    }
    let (mean, covariance) = weighted(&x, &weights);
    close(&moments, &mean, &covariance, 1e-12);
    assert!((moments.count() - weights.iter().sum::<f64>()).abs() < 1e-12);
    // 0 forgets, as if nothing had been there.
    moments.discount(0.0).unwrap();
    let last = x.slice(s![..9, ..]).to_owned();
    moments.update(last.view()).unwrap();
    let (mean, covariance) = weighted(&last, &[1.0; 9]);
    close(&moments, &mean, &covariance, 1e-12);
}

#[test]
fn a_large_mean_costs_no_digits() {
    // Small integers around 2¹²: the mean of each batch, and all products in f32, are exact.
    let x = Array2::from_shape_fn((64, 3), |(i, j)| 4096.0 + ((i >> j) & 1) as f32 * 2.0 - 1.0);
    let mut moments = Moments::new(3);
    for batch in [x.slice(s![..32, ..]), x.slice(s![32.., ..])] {
        moments.update(batch).unwrap();
    }
    assert_eq!(moments.mean(), array![4096.0, 4096.0, 4096.0]);
    assert_eq!(moments.covariance(), Array2::<f32>::eye(3));
}

#[test]
fn single_precision_streams_as_well() {
    let x = samples(3000, 90, 3);
    let single = x.mapv(|v| v as f32);
    let (mean, covariance) = weighted(&single.mapv(f64::from), &vec![1.0; 3000]);
    let mut moments = Moments::new(90);
    for batch in single.axis_chunks_iter(ndarray::Axis(0), 128) {
        moments.update(batch).unwrap();
    }
    assert!(near(&moments.mean().mapv(f64::from), &mean, 5e-6));
    assert!(near(
        &moments.covariance().mapv(f64::from),
        &covariance,
        2e-5
    ));
}

#[test]
fn any_layout() {
    let x = samples(50, 8, 4);
    let plain = streamed(&x, &[50]);
    let mut column_major = Array2::zeros((50, 8).f());
    column_major.assign(&x);
    let mut wide = Array2::zeros((100, 24));
    wide.slice_mut(s![..;2, ..;-3]).assign(&x);
    for view in [column_major.view(), wide.slice(s![..;2, ..;-3])] {
        let mut moments = Moments::new(8);
        moments.update(view).unwrap();
        assert_eq!(moments.covariance(), plain.covariance());
        assert_eq!(moments.mean(), plain.mean());
    }
}

#[test]
fn the_same_for_any_number_of_threads() {
    let x = samples(2000, 300, 5);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| streamed(&x, &[700, 1300]).covariance())
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(5));
}

#[test]
fn a_refused_batch_changes_nothing() {
    let x = samples(20, 5, 6);
    let mut moments = streamed(&x, &[20]);
    let before = moments.clone();
    let mut nan = x.clone();
    nan[[11, 3]] = f64::NAN;
    let error = moments.update(nan.view()).unwrap_err();
    let expected = |r, c| (r, c) == (11, 3);
    assert!(
        matches!(error, Error::NonFinite { what: "batch", row, column, .. } if expected(row, column)),
        "{error}"
    );
    nan[[11, 3]] = f64::NEG_INFINITY;
    let error = moments.update(nan.slice(s![.., ..;-1])).unwrap_err();
    assert!(
        matches!(
            error,
            Error::NonFinite {
                row: 11,
                column: 1,
                ..
            }
        ),
        "{error}"
    );
    let error = moments.update(x.slice(s![.., ..4])).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Width {
                expected: 5,
                found: 4,
                ..
            }
        ),
        "{error}"
    );
    let error = moments.update(x.slice(s![..0, ..])).unwrap_err();
    assert!(matches!(error, Error::NoSamples), "{error}");
    let error = moments
        .update(Array2::from_elem((2, 5), 1e200).view())
        .unwrap_err();
    assert!(matches!(error, Error::Overflow { .. }), "{error}");
    for factor in [-0.1, 1.1, f64::NAN] {
        moments.discount(factor).unwrap_err();
    }
    assert_eq!(moments.count(), before.count());
    assert_eq!(moments.mean(), before.mean());
    assert_eq!(moments.lower(), before.lower());
    let mut single = Moments::new(2);
    let error = single
        .update(Array2::from_elem((2, 2), 1e20_f32).view())
        .unwrap_err();
    assert!(matches!(error, Error::Overflow { .. }), "{error}");
    assert_eq!(single.count(), 0.0);
}

#[test]
fn widths_at_the_ends() {
    let mut none = Moments::<f32>::new(0);
    none.update(Array2::zeros((3, 0)).view()).unwrap();
    assert_eq!(none.covariance().dim(), (0, 0));
    // A covariance that no machine holds.
    for width in [1 << 32, usize::MAX] {
        let mut huge = Moments::<f32>::new(width);
        let one = Array2::ones((1, 1));
        let view: Option<ArrayView2<'_, f32>> = one.broadcast((1, width));
        if let Some(view) = view {
            let error = huge.update(view).unwrap_err();
            assert!(
                matches!(error, Error::TooLarge { order } if order == width),
                "{error}"
            );
        }
    }
}

#[test]
fn a_snapshot_continues_bit_for_bit() {
    fn named(moments: &mut Moments<f64>) -> [(&str, &mut dyn State<f64>); 1] {
        [("moments", moments)]
    }
    let x = samples(60, 9, 8);
    let mut moments = streamed(&x.slice(s![..40, ..]).to_owned(), &[15, 25]);
    moments.discount(0.3).unwrap();
    let snapshot = Snapshot::take(&mut named(&mut moments)).unwrap();
    let mut restored = Moments::new(9);
    snapshot.restore(&mut named(&mut restored)).unwrap();
    for m in [&mut moments, &mut restored] {
        m.update(x.slice(s![40.., ..])).unwrap();
    }
    assert_eq!(moments.count(), restored.count());
    assert_eq!(moments.mean(), restored.mean());
    assert_eq!(moments.lower(), restored.lower());
}

#[test]
fn the_parts_of_a_union_add_up_to_it_and_merged_moments_are_of_all_vectors() {
    let x = samples(90, 6, 5);
    let (mean, covariance) = weighted(&x, &[1.0; 90]);
    let mut merged = streamed(&x.slice(s![..50, ..]).to_owned(), &[20, 30]);
    let other = streamed(&x.slice(s![50.., ..]).to_owned(), &[40]);
    merged.merge(&other).unwrap();
    assert_eq!(merged.count(), 90.0);
    close(&merged, &mean, &covariance, 1e-13);
    // Into none, and of none.
    let mut empty = Moments::new(6);
    empty.merge(&other).unwrap();
    assert_eq!(empty.covariance(), other.covariance());
    merged.merge(&Moments::new(6)).unwrap();
    close(&merged, &mean, &covariance, 1e-13);

    let mut sum = Moments::new(6);
    let mut parts = [0..20, 20..50, 50..90, 0..0].map(|rows| {
        let rows = x.slice(s![rows, ..]).to_owned();
        match rows.nrows() {
            0 => Moments::new(6),
            n => streamed(&rows, &[n]),
        }
    });
    sum.merge(&parts[0]).unwrap();
    sum.part_of(90.0, mean.view()).unwrap();
    for part in &mut parts[1..] {
        part.part_of(90.0, mean.view()).unwrap();
        let mut lower = sum.lower_mut();
        lower += &part.lower();
    }
    assert_eq!(sum.count(), 90.0);
    close(&sum, &mean, &covariance, 1e-13);
}

#[test]
fn what_does_not_fit_is_not_merged() {
    let mut moments = streamed(&samples(9, 3, 1), &[9]);
    let before = moments.clone();
    let refused = moments.merge(&Moments::new(4));
    assert!(matches!(refused, Err(Error::Width { .. })));
    let mut ends = [-1.3e154, 1.3e154].map(|far| {
        let mut moments = Moments::new(3);
        moments.update(array![[far, 0.0, 0.0]].view()).unwrap();
        moments
    });
    let [left, right] = &mut ends;
    let refused = left.merge(right);
    assert!(matches!(refused, Err(Error::Overflow { .. })));
    assert_eq!(left.mean(), array![-1.3e154, 0.0, 0.0]);
    let refused = moments.part_of(8.0, array![0.0, 0.0, 0.0].view());
    assert!(matches!(refused, Err(Error::Core(_))));
    let refused = moments.part_of(9.0, array![0.0].view());
    assert!(matches!(refused, Err(Error::Width { .. })));
    assert_eq!(moments.covariance(), before.covariance());
    assert_eq!(moments.mean(), before.mean());
}
