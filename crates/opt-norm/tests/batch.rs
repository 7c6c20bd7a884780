//! Against PyTorch in double precision, central differences, and closed forms.

#![allow(clippy::unwrap_used)] // helpers of tests

use opt_core::{Hyper, Scalar};
use opt_norm::{BatchNorm, Cache, Error, Layout, Running, Variance};
use serde_json::Value;

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap())
        .collect()
}

fn compare(what: &str, ours: &[f64], theirs: &Value) {
    let theirs = numbers(theirs);
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let scale = theirs.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    for (a, b) in ours.iter().zip(&theirs) {
        // Sums that cancel are as exact as their terms.
        assert!(
            (a - b).abs() <= 1e-12 * b.abs().max(0.1 * scale),
            "{what}: {a} is not {b}"
        );
    }
}

#[test]
fn pytorch_to_1e12() {
    let reference: Value = serde_json::from_str(include_str!("reference/batchnorm.json")).unwrap();
    for case in reference["cases"].as_array().unwrap() {
        let size = |name: &str| case[name].as_u64().unwrap() as usize;
        let layout = Layout {
            batch: size("batch"),
            channels: size("channels"),
            positions: size("positions"),
        };
        let (gamma, beta) = (numbers(&case["gamma"]), numbers(&case["beta"]));
        let norm = BatchNorm::default();
        let (mut cache, mut running) = (Cache::default(), Running::new(layout.channels));
        for step in case["steps"].as_array().unwrap() {
            let mut y = numbers(&step["x"]);
            norm.forward(layout, &mut y, &gamma, &beta, &mut cache)
                .unwrap();
            compare("y", &y, &step["y"]);
            let mut slope = numbers(&step["slope"]);
            let (mut dg, mut db) = (vec![0.0; layout.channels], vec![0.0; layout.channels]);
            cache
                .backward(&mut slope, &gamma, &mut dg, &mut db)
                .unwrap();
            compare("dx", &slope, &step["dx"]);
            compare("dgamma", &dg, &step["dgamma"]);
            compare("dbeta", &db, &step["dbeta"]);
            running.update(&norm, &cache).unwrap();
            compare("running mean", &running.mean, &step["running_mean"]);
            compare(
                "running variance",
                &running.variance,
                &step["running_variance"],
            );
            let mut y = numbers(&step["x"]);
            running
                .forward(&norm, layout, &mut y, &gamma, &beta)
                .unwrap();
            compare("inference", &y, &step["inference"]);
        }
    }
}

fn wave(count: usize, salt: f64) -> Vec<f64> {
    (0..count)
        .map(|i| (1.3 * i as f64 + salt).sin() + 0.2 * salt)
        .collect()
}

const LAYOUTS: [Layout; 2] = [
    Layout {
        batch: 7,
        channels: 4,
        positions: 1,
    },
    Layout {
        batch: 3,
        channels: 4,
        positions: 5,
    },
];

/// Σ weight·y, so that the slope by y is `weight`.
fn loss(layout: Layout, x: &[f64], gamma: &[f64], beta: &[f64], weight: &[f64]) -> f64 {
    let mut y = x.to_vec();
    let norm = BatchNorm::default();
    norm.forward(layout, &mut y, gamma, beta, &mut Cache::default())
        .unwrap();
    y.iter().zip(weight).map(|(y, w)| y * w).sum()
}

#[test]
fn all_gradients_agree_with_central_differences() {
    for layout in LAYOUTS {
        let n = layout.count() * layout.channels;
        let (x, weight) = (wave(n, 0.3), wave(n, 2.1));
        let (gamma, beta) = (wave(4, 1.0), wave(4, 3.0));
        let (mut cache, mut y, mut dx) = (Cache::default(), x.clone(), weight.clone());
        let norm = BatchNorm::default();
        norm.forward(layout, &mut y, &gamma, &beta, &mut cache)
            .unwrap();
        let (mut dg, mut db) = ([0.0; 4], [0.0; 4]);
        cache.backward(&mut dx, &gamma, &mut dg, &mut db).unwrap();
        let check = |which: usize, slopes: &[f64]| {
            for (i, &slope) in slopes.iter().enumerate() {
                let at = |h: f64| {
                    let mut all = [x.clone(), gamma.clone(), beta.clone()];
                    all[which][i] += h;
                    loss(layout, &all[0], &all[1], &all[2], &weight)
                };
                let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!(
                    (numeric - slope).abs() < 1e-8,
                    "{which} {i}: {numeric} {slope}"
                );
            }
        };
        check(0, &dx);
        check(1, &dg);
        check(2, &db);
    }
}

#[test]
fn means_variances_and_sums_are_those_of_the_closed_forms() {
    for layout in LAYOUTS {
        let n = layout.count() * layout.channels;
        let m = layout.count() as f64;
        let norm = BatchNorm {
            eps: 0.05,
            ..BatchNorm::default()
        };
        let (x, delta) = (wave(n, 0.7), wave(n, 1.9));
        let (gamma, beta) = (wave(4, 1.0), wave(4, 3.0));
        let (mut cache, mut y, mut dx) = (Cache::default(), x.clone(), delta.clone());
        norm.forward(layout, &mut y, &gamma, &beta, &mut cache)
            .unwrap();
        let (mut dg, mut db) = ([0.0; 4], [0.0; 4]);
        cache.backward(&mut dx, &gamma, &mut dg, &mut db).unwrap();
        for c in 0..4 {
            let of = |v: &[f64]| -> Vec<f64> {
                let channel = |i: usize| i / layout.positions % layout.channels == c;
                v.iter()
                    .enumerate()
                    .filter(|(i, _)| channel(*i))
                    .map(|(_, v)| *v)
                    .collect()
            };
            let mean = |v: &[f64]| v.iter().sum::<f64>() / m;
            let variance = |v: &[f64]| v.iter().map(|a| (a - mean(v)).powi(2)).sum::<f64>() / m;
            let (x, y, dx, delta) = (of(&x), of(&y), of(&dx), of(&delta));
            let sigma = variance(&x);
            assert!((mean(&y) - beta[c]).abs() < 1e-13);
            let expected = gamma[c].powi(2) * sigma / (sigma + norm.eps);
            assert!((variance(&y) - expected).abs() < 1e-13);
            assert!(dx.iter().sum::<f64>().abs() < 1e-13);
            let root = (sigma + norm.eps).sqrt();
            let hat: Vec<f64> = x.iter().map(|v| (v - mean(&x)) / root).collect();
            let along = |a: &[f64]| a.iter().zip(&hat).map(|(a, h)| a * h).sum::<f64>();
            let expected = gamma[c] * along(&delta) / root * norm.eps / (sigma + norm.eps);
            assert!((along(&dx) - expected).abs() < 1e-12);
        }
    }
}

#[test]
fn folded_into_the_layer_it_is_inference() {
    let (rows, fan_in, features) = (6, 3, 4);
    let norm = BatchNorm::default();
    let (mut w, mut b) = (wave(features * fan_in, 0.1), wave(features, 0.9));
    let (gamma, beta, h) = (
        wave(features, 1.0),
        wave(features, 3.0),
        wave(rows * fan_in, 5.0),
    );
    let mut running = Running::new(features);
    running.mean = wave(features, 7.0);
    running.variance = wave(features, 8.0).iter().map(|v| v.abs() + 0.1).collect();
    let dense = |w: &[f64], b: &[f64]| -> Vec<f64> {
        let unit = |row: &[f64], u: usize| {
            let w = &w[u * fan_in..(u + 1) * fan_in];
            b[u] + row.iter().zip(w).map(|(h, w)| h * w).sum::<f64>()
        };
        h.chunks(fan_in)
            .flat_map(|row| (0..features).map(move |u| unit(row, u)))
            .collect()
    };
    let mut expected = dense(&w, &b);
    let layout = Layout::features(rows, features);
    running
        .forward(&norm, layout, &mut expected, &gamma, &beta)
        .unwrap();
    running.fold(&norm, &mut w, &mut b, &gamma, &beta).unwrap();
    for (a, b) in dense(&w, &b).iter().zip(&expected) {
        assert!((a - b).abs() <= 1e-12 * b.abs().max(1.0));
    }
}

#[test]
fn running_statistics_follow_the_stated_conventions() {
    // Values 0 and 2: mean 1, biased variance 1, unbiased 2.
    for (variance, expected) in [(Variance::Biased, 1.0), (Variance::Unbiased, 2.0)] {
        let norm = BatchNorm {
            momentum: 0.25,
            variance,
            ..BatchNorm::default()
        };
        let (mut cache, mut running) = (Cache::default(), Running::new(1));
        let layout = Layout::features(2, 1);
        norm.forward(layout, &mut [0.0, 2.0], &[1.0], &[0.0], &mut cache)
            .unwrap();
        running.update(&norm, &cache).unwrap();
        assert_eq!(running.mean, [0.25]);
        assert_eq!(running.variance, [0.75 + 0.25 * expected]);
    }
}

fn single<F: Scalar>(layout: Layout) -> Vec<f64> {
    let of = |v: Vec<f64>| v.into_iter().map(F::of).collect::<Vec<F>>();
    let n = layout.count() * layout.channels;
    let (mut x, gamma, beta) = (of(wave(n, 0.3)), of(wave(4, 1.0)), of(wave(4, 3.0)));
    let mut cache = Cache::default();
    BatchNorm::default()
        .forward(layout, &mut x, &gamma, &beta, &mut cache)
        .unwrap();
    let mut delta = of(wave(n, 2.1));
    let mut slopes = [[F::zero(); 4]; 2];
    let [dg, db] = &mut slopes;
    cache.backward(&mut delta, &gamma, dg, db).unwrap();
    let all = x.iter().chain(&delta).chain(slopes.iter().flatten());
    all.map(|v| v.f64()).collect()
}

#[test]
fn single_precision_is_near_double() {
    for layout in LAYOUTS {
        for (a, b) in single::<f32>(layout).iter().zip(&single::<f64>(layout)) {
            assert!((a - b).abs() < 1e-5 * b.abs().max(1.0), "{a} {b}");
        }
    }
}

#[test]
fn a_constant_feature_becomes_beta_and_a_large_offset_costs_nothing() {
    let layout = Layout::features(4, 2);
    let mut x = [5.0, 1e8, 5.0, 1e8 + 1.0, 5.0, 1e8 + 2.0, 5.0, 1e8 + 3.0];
    let norm = BatchNorm {
        eps: 1e-12,
        ..BatchNorm::default()
    };
    norm.forward(
        layout,
        &mut x,
        &[1.0; 2],
        &[0.5, 0.0],
        &mut Cache::default(),
    )
    .unwrap();
    let root = 1.25_f64.sqrt();
    for (row, expected) in x.chunks(2).zip([-1.5, -0.5, 0.5, 1.5]) {
        assert_eq!(row[0], 0.5);
        assert!((row[1] - expected / root).abs() < 1e-9);
    }
}

#[test]
fn bad_input_is_refused_and_changes_nothing() {
    let norm = BatchNorm::default();
    let mut cache = Cache::default();
    let good = [1.0, 2.0, 3.0, 4.0];
    let mut x = good;
    let mut run = |norm: &BatchNorm, layout, x: &mut [f64], gamma: &[f64]| {
        norm.forward(layout, x, gamma, &[0.0; 2], &mut cache)
    };
    let two = Layout::features(2, 2);
    let one = run(&norm, Layout::features(1, 2), &mut x[..2], &[1.0; 2]);
    assert!(matches!(one, Err(Error::BatchOfOne { count: 1 })));
    let empty = run(&norm, Layout::features(2, 0), &mut [], &[1.0; 2]);
    assert!(matches!(empty, Err(Error::Empty)));
    let short = run(&norm, two, &mut x[..3], &[1.0; 2]);
    assert!(matches!(
        short,
        Err(Error::Length {
            what: "batch",
            expected: 4,
            found: 3
        })
    ));
    let gamma = run(&norm, two, &mut x, &[1.0; 3]);
    assert!(matches!(gamma, Err(Error::Length { what: "gamma", .. })));
    for bad in [f64::NAN, f64::INFINITY] {
        let mut x = [1.0, 2.0, 3.0, bad];
        let result = run(&norm, two, &mut x, &[1.0; 2]);
        assert!(matches!(result, Err(Error::NonFinite { feature: 1, .. })));
        assert_eq!(x[..3], good[..3]);
    }
    for bad in [0.0, -1.0, f64::NAN] {
        let norm = BatchNorm {
            eps: bad,
            ..BatchNorm::default()
        };
        assert!(matches!(
            run(&norm, two, &mut x, &[1.0; 2]),
            Err(Error::Hyper(_))
        ));
    }
    let norm = BatchNorm {
        momentum: 1.5,
        ..BatchNorm::default()
    };
    assert!(norm.check::<f64>().is_err());
    assert_eq!(x, good);
    let mut running = Running::<f64>::new(3);
    assert!(running.update(&BatchNorm::default(), &cache).is_err());
    assert_eq!(running, Running::new(3));
}
