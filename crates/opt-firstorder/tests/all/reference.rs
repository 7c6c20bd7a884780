//! Iterates in double precision against PyTorch and transcriptions of the papers, to a relative
//! 1e-12. `reference/make.py` made them.

#![allow(clippy::unwrap_used)] // helpers of tests

use crate::common;

use std::collections::BTreeSet;

use common::{Chain, iterates};
use opt_core::{Objective, ParamMap};
use opt_firstorder::zoo;
use serde_json::Value;

fn reference() -> Value {
    serde_json::from_str(include_str!("../reference/iterates.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    let all = value.as_array().unwrap().iter();
    all.map(|v| v.as_f64().unwrap()).collect()
}

/// The greatest relative distance between our iterates and those of a case.
fn distance(case: &Value) -> f64 {
    let method = case["method"].as_str().unwrap();
    let hyper = case["hyper"].as_object().unwrap();
    let set: Vec<_> = (hyper.iter())
        .map(|(name, value)| (name.as_str(), value.as_f64().unwrap()))
        .collect();
    let expected: Vec<_> = case["iterates"]
        .as_array()
        .unwrap()
        .iter()
        .map(numbers)
        .collect();
    let mut chain = Chain(ParamMap::flat(4).unwrap());
    let ours = iterates(method, &set, &mut chain, &expected[0], expected.len() - 1);
    let pairs = ours.iter().flatten().zip(expected.iter().flatten());
    pairs.fold(0.0, |worst: f64, (a, b)| {
        let error = (a - b).abs();
        worst.max(if error == 0.0 { 0.0 } else { error / b.abs() })
    })
}

#[test]
fn iterates_agree_to_1e12() {
    for case in reference()["cases"].as_array().unwrap() {
        let distance = distance(case);
        let (method, hyper) = (&case["method"], &case["hyper"]);
        assert!(distance <= 1e-12, "{method} {hyper}: {distance:e}");
    }
}

#[test]
fn the_decks_printed_errors_fail() {
    let reference = reference();
    let errors = reference["deck_errors"].as_array().unwrap();
    let methods: BTreeSet<_> = errors
        .iter()
        .map(|case| case["method"].as_str().unwrap())
        .collect();
    assert_eq!(
        methods,
        BTreeSet::from(["adagrad", "adam", "adamax", "nag"])
    );
    for case in errors {
        let distance = distance(case);
        assert!(distance > 1e-2, "{}: {distance:e}", case["method"]);
    }
}

/// The methods of the deck and of its questions, and so of the reference. A method that is added later is held to the
/// suite at once, and should bring a reference of its own.
#[test]
fn every_method_of_the_deck_has_a_reference() {
    let reference = reference();
    let cases = reference["cases"].as_array().unwrap();
    let have: BTreeSet<_> = cases
        .iter()
        .map(|case| case["method"].as_str().unwrap())
        .collect();
    assert_eq!(have.len(), 22);
    let all = zoo::<f64, dyn Objective<f64>>();
    for method in have {
        assert!(all.iter().any(|entry| entry.name() == method), "{method}");
    }
}
