//! Bad input that must change nothing, numbers at the ends of their range, and large batches that
//! are split over threads.

#![allow(clippy::unwrap_used)] // helpers of tests

use opt_norm::{BatchNorm, Cache, Error, Layout, Running};

const NORM: BatchNorm = BatchNorm {
    eps: 1e-5,
    momentum: 0.1,
    variance: opt_norm::Variance::Unbiased,
};
const PAIR: Layout = Layout {
    batch: 2,
    channels: 1,
    positions: 1,
};

fn after(x: [f64; 2]) -> Cache<f64> {
    let (mut cache, mut x) = (Cache::default(), x);
    NORM.forward(PAIR, &mut x, &[1.0], &[0.0], &mut cache)
        .unwrap();
    cache
}

#[test]
fn a_refused_batch_leaves_the_last_one_in_the_cache() {
    let (mut cache, mut running) = (after([0.0, 2.0]), Running::new(1));
    let refused = NORM.forward(PAIR, &mut [0.0, f64::NAN], &[1.0], &[0.0], &mut cache);
    assert!(matches!(refused, Err(Error::NonFinite { feature: 0, .. })));
    running.update(&NORM, &cache).unwrap();
    // Mean 1, unbiased variance 2, each with the weight 0.1.
    assert!((running.mean[0] - 0.1).abs() < 1e-15 && (running.variance[0] - 1.1).abs() < 1e-15);
}

#[test]
fn statistics_that_single_precision_does_not_hold_are_refused() {
    let (mut cache, mut running) = (Cache::default(), Running::new(2));
    // The variance of the second feature is 1e50.
    let mut x = [0.0_f32, -1e25, 1.0, 1e25];
    let layout = Layout::features(2, 2);
    NORM.forward(layout, &mut x, &[1.0; 2], &[0.0; 2], &mut cache)
        .unwrap();
    assert!((x[3] - 1.0).abs() < 1e-6);
    let refused = running.update(&NORM, &cache);
    assert!(matches!(refused, Err(Error::NonFinite { feature: 1, .. })));
    assert_eq!(running, Running::new(2));
}

#[test]
fn running_statistics_that_are_not_finite_are_named() {
    let mut running = Running::<f64>::new(3);
    running.variance[2] = f64::NAN;
    let (mut x, ones) = ([1.0; 3], [1.0; 3]);
    let refused = running.forward(&NORM, Layout::features(1, 3), &mut x, &ones, &ones);
    assert!(matches!(refused, Err(Error::NonFinite { feature: 2, .. })));
    let (mut w, mut b) = ([1.0; 3], [1.0; 3]);
    let refused = running.fold(&NORM, &mut w, &mut b, &ones, &ones);
    assert!(matches!(refused, Err(Error::NonFinite { feature: 2, .. })));
    assert_eq!((x, w, b), (ones, ones, ones));
}

#[test]
fn a_slope_that_is_not_finite_is_refused() {
    let mut cache = after([0.0, 2.0]);
    let (mut delta, mut dg, mut db) = ([0.5, f64::INFINITY], [7.0], [7.0]);
    let refused = cache.backward(&mut delta, &[1.0], &mut dg, &mut db);
    assert!(matches!(
        refused,
        Err(Error::NonFiniteSlope { feature: 0, .. })
    ));
    assert_eq!((delta, dg, db), ([0.5, f64::INFINITY], [7.0], [7.0]));
    let never = Cache::default().backward(&mut delta, &[1.0], &mut dg, &mut db);
    assert!(never.is_err());
}

#[test]
fn an_epsilon_that_single_precision_does_not_hold_is_refused() {
    let norm = BatchNorm { eps: 1e-80, ..NORM };
    let mut x = [3.0_f32, 3.0];
    let refused = norm.forward(PAIR, &mut x, &[1.0], &[0.5], &mut Cache::default());
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("eps") && text.contains("F32"), "{text}");
    assert_eq!(x, [3.0, 3.0]);
    let mut x = [3.0_f64, 3.0];
    norm.forward(PAIR, &mut x, &[1.0], &[0.5], &mut Cache::default())
        .unwrap();
    assert_eq!(x, [0.5, 0.5]);
}

#[test]
fn inference_far_from_zero_loses_no_digit_of_x() {
    let running = Running {
        mean: vec![1e6_f32],
        variance: vec![1e-2],
    };
    let mut x = [1e6_f32 + 0.125]; // exact
    let one = Layout::features(1, 1);
    running.forward(&NORM, one, &mut x, &[1.0], &[0.0]).unwrap();
    let exact = 0.125 / (f64::from(1e-2_f32) + 1e-5).sqrt();
    assert!((f64::from(x[0]) - exact).abs() < 1e-6, "{} {exact}", x[0]);
}

#[test]
fn the_scale_of_the_weights_before_it_does_not_matter() {
    // a = Wh: scaling W scales a. As ε → 0 the output stays, the slope is divided by the scale,
    // and is orthogonal to a.
    let norm = BatchNorm {
        eps: 1e-300,
        ..NORM
    };
    let run = |scale: f64| {
        let a: [f64; 5] = [0.3, -1.2, 2.0, 0.7, -0.4].map(|v| scale * v);
        let (mut y, mut delta) = (a, [0.9, 0.1, -0.5, 1.4, 0.2]);
        let layout = Layout::features(5, 1);
        let mut cache = Cache::default();
        norm.forward(layout, &mut y, &[1.7], &[0.2], &mut cache)
            .unwrap();
        cache
            .backward(&mut delta, &[1.7], &mut [0.0], &mut [0.0])
            .unwrap();
        let along: f64 = delta.iter().zip(&a).map(|(d, a)| d * a).sum();
        assert!(along.abs() < 1e-14, "{along}");
        (y, delta)
    };
    let ((y, delta), (scaled_y, scaled_delta)) = (run(1.0), run(40.0));
    for i in 0..5 {
        assert!((y[i] - scaled_y[i]).abs() < 1e-14);
        assert!((delta[i] / 40.0 - scaled_delta[i]).abs() < 1e-15);
    }
}

/// Output, slopes by x, γ and β, and inference; values that differ in every place.
fn all(layout: Layout, channels: std::ops::Range<usize>) -> [Vec<u32>; 5] {
    let Layout { positions, .. } = layout;
    let part = Layout {
        channels: channels.len(),
        ..layout
    };
    let values = |salt: f32| -> Vec<f32> {
        let of = |n: usize, c: usize| {
            let start = (n * layout.channels + c) * positions;
            (start..start + positions).map(move |i| (0.37 * i as f32 + salt).sin() + salt)
        };
        let range = &channels;
        let rows = (0..layout.batch).flat_map(|n| range.clone().map(move |c| (n, c)));
        rows.flat_map(|(n, c)| of(n, c)).collect()
    };
    let number = |salt: f32| -> Vec<f32> {
        let of = |c| (1.3 * c as f32 + salt).cos() + 1.5;
        channels.clone().map(of).collect()
    };
    let (mut y, mut delta, mut inferred) = (values(0.4), values(1.1), values(2.3));
    let (gamma, beta) = (number(0.1), number(0.2));
    let (mut dg, mut db) = (number(0.0), number(0.0));
    let mut cache = Cache::default();
    NORM.forward(part, &mut y, &gamma, &beta, &mut cache)
        .unwrap();
    cache
        .backward(&mut delta, &gamma, &mut dg, &mut db)
        .unwrap();
    let mut running = Running::new(channels.len());
    running.update(&NORM, &cache).unwrap();
    running
        .forward(&NORM, part, &mut inferred, &gamma, &beta)
        .unwrap();
    [y, delta, dg, db, inferred].map(|v| v.iter().map(|v| v.to_bits()).collect())
}

const LARGE: [Layout; 3] = [
    Layout {
        batch: 90,
        channels: 523,
        positions: 1,
    },
    Layout {
        batch: 30,
        channels: 139,
        positions: 21,
    },
    Layout {
        batch: 7,
        channels: 3,
        positions: 2500,
    },
];

#[test]
fn bitwise_the_same_for_any_number_of_threads() {
    for layout in LARGE {
        let [one, many] = [1, 5].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build()
                .unwrap()
                .install(|| all(layout, 0..layout.channels))
        });
        assert!(one == many, "{layout:?}");
    }
}

#[test]
fn a_channel_does_not_depend_on_the_others() {
    // Alone it is never split; PyTorch vouches for small batches.
    for layout in LARGE {
        let whole = all(layout, 0..layout.channels);
        for c in [0, 1, layout.channels / 2, layout.channels - 1] {
            let alone = all(layout, c..c + 1);
            for (whole, alone) in whole.iter().zip(&alone) {
                let width = whole.len() / alone.len() * layout.positions.min(alone.len());
                let picked: Vec<u32> = if alone.len() == 1 {
                    vec![whole[c]]
                } else {
                    let at = c * layout.positions;
                    let rows = whole.chunks(width);
                    rows.flat_map(|row| row[at..at + layout.positions].iter().copied())
                        .collect()
                };
                assert!(picked == *alone, "{layout:?}, channel {c}");
            }
        }
    }
}
