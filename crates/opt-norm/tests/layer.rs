//! Layer normalization against PyTorch in double precision, and what it refuses.

#![allow(clippy::unwrap_used)] // helpers of tests

use opt_norm::{Error, LayerCache, LayerNorm};
use serde_json::Value;

fn numbers(value: &Value) -> Vec<f64> {
    let all = value.as_array().unwrap().iter();
    all.map(|v| v.as_f64().unwrap()).collect()
}

fn compare(what: &str, ours: &[f64], theirs: &[f64]) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let scale = theirs.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    for (a, b) in ours.iter().zip(theirs) {
        // Sums that cancel are as exact as their terms.
        let most = 1e-12 * b.abs().max(0.1 * scale);
        assert!((a - b).abs() <= most, "{what}: {a} is not {b}");
    }
}

#[test]
fn pytorch_to_1e12() {
    let reference: Value = serde_json::from_str(include_str!("reference/layernorm.json")).unwrap();
    // One cache for all: its buffers grow and shrink with the case.
    let mut cache = LayerCache::default();
    for case in reference["cases"].as_array().unwrap() {
        let [gamma, beta] = ["gamma", "beta"].map(|name| numbers(&case[name]));
        let mut y = numbers(&case["x"]);
        LayerNorm::default()
            .forward(&mut y, &gamma, &beta, &mut cache)
            .unwrap();
        compare("y", &y, &numbers(&case["y"]));
        let mut slope = numbers(&case["slope"]);
        let (mut dg, mut db) = (vec![0.0; gamma.len()], vec![0.0; gamma.len()]);
        cache
            .backward(&mut slope, &gamma, &mut dg, &mut db)
            .unwrap();
        compare("dx", &slope, &numbers(&case["dx"]));
        compare("dgamma", &dg, &numbers(&case["dgamma"]));
        compare("dbeta", &db, &numbers(&case["dbeta"]));
    }
}

#[test]
fn bad_input_changes_nothing() {
    let (norm, mut cache) = (LayerNorm::default(), LayerCache::<f32>::default());
    let good = [1.0, 2.0, 4.0, 8.0, 3.0, -1.0];
    let mut refused = |norm: LayerNorm, x: &[f32], gamma: &[f32], beta: &[f32]| {
        let mut changed = x.to_vec();
        let error = norm.forward(&mut changed, gamma, beta, &mut cache);
        let same = changed
            .iter()
            .zip(x)
            .all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same);
        error.unwrap_err()
    };
    let (ones, zeros) = ([1.0; 3], [0.0; 3]);
    assert!(matches!(refused(norm, &[], &ones, &zeros), Error::Empty));
    assert!(matches!(refused(norm, &good, &[], &[]), Error::Empty));
    let short = refused(norm, &good[1..], &ones, &zeros);
    assert!(matches!(
        short,
        Error::Length {
            expected: 6,
            found: 5,
            ..
        }
    ));
    let short = refused(norm, &good, &ones, &zeros[1..]);
    assert!(matches!(
        short,
        Error::Length {
            expected: 3,
            found: 2,
            ..
        }
    ));
    let one = refused(norm, &good, &ones[..1], &zeros[..1]);
    assert!(matches!(one, Error::BatchOfOne { count: 1 }));
    let mut bad = good;
    bad[4] = f32::NAN;
    let nan = refused(norm, &bad, &ones, &zeros);
    assert!(matches!(nan, Error::NonFinite { feature: 1, .. }));
    let eps = refused(LayerNorm { eps: 0.0 }, &good, &ones, &zeros);
    assert!(matches!(eps, Error::Hyper(_)));

    let (mut dg, mut db) = ([7.0; 3], [7.0; 3]);
    let mut delta = [1.0; 6];
    let none = LayerCache::default().backward(&mut delta, &ones, &mut dg, &mut db);
    assert!(matches!(none, Err(Error::Empty)));
    (norm.forward(&mut good.clone(), &ones, &zeros, &mut cache)).unwrap();
    let short = cache.backward(&mut delta[1..], &ones, &mut dg, &mut db);
    assert!(matches!(short, Err(Error::Length { .. })));
    delta[5] = f32::INFINITY;
    let infinite = cache.backward(&mut delta, &ones, &mut dg, &mut db);
    assert!(matches!(
        infinite,
        Err(Error::NonFiniteSlope { feature: 2, .. })
    ));
    assert!(delta[..5] == [1.0; 5] && dg == [7.0; 3] && db == [7.0; 3]);
}

/// A sample's result does not depend on the others, nor on how work is split.
#[test]
fn samples_do_not_see_each_other() {
    let (samples, features) = (300, 257);
    let wave = |i: usize| ((i * i % 1009) as f32 * 0.37).sin();
    let x: Vec<f32> = (0..samples * features).map(wave).collect();
    let (gamma, beta) = (vec![1.5; features], vec![-0.5; features]);
    let (norm, mut cache) = (LayerNorm::default(), LayerCache::default());
    let mut all = x.clone();
    norm.forward(&mut all, &gamma, &beta, &mut cache).unwrap();
    for sample in [0, 150, 299] {
        let range = sample * features..(sample + 1) * features;
        let mut alone = x[range.clone()].to_vec();
        norm.forward(&mut alone, &gamma, &beta, &mut cache).unwrap();
        assert_eq!(alone, all[range]);
    }
}
