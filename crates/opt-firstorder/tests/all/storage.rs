//! Which rules can have their state in fewer bits, and that one can be asked for by name.

#![allow(clippy::unwrap_used)] // helpers of tests

use opt_core::{Error, Objective, ParamMap, Value, find_entry};
use opt_firstorder::zoo;

/// Those that multiply, compare or subtract state from step to step.
const EXACT: [&str; 8] = [
    "rprop-minus",
    "rprop-plus",
    "irprop-minus",
    "delta-bar-delta",
    "gains",
    "rmsprop-centered",
    "amsgrad",
    "adadelta-immediate",
];

#[test]
fn every_rule_takes_it_or_says_which_state_cannot() {
    let params = ParamMap::new([("w", vec![100, 50]), ("b", vec![50])]).unwrap();
    for entry in zoo::<f32, dyn Objective<f32>>() {
        for state in ["full", "bf16", "8bit"] {
            let set = [("state", Value::Choice(state.to_owned()))];
            let Some(update) = entry.update(&set, &params) else {
                continue;
            };
            entry.check(&set).unwrap();
            let refused = state != "full" && EXACT.contains(&entry.name());
            match update {
                Err(Error::Storage(text)) => {
                    assert!(
                        refused && text.contains("of `w`"),
                        "{}: {text}",
                        entry.name()
                    );
                }
                other => assert!(other.is_ok() && !refused, "{} {state}", entry.name()),
            }
        }
    }
}

#[test]
fn another_name_is_refused() {
    let entries = zoo::<f32, dyn Objective<f32>>();
    let adam = find_entry(&entries, "adam").unwrap();
    for value in [Value::Choice("fp4".to_owned()), Value::Real(8.0)] {
        let error = adam.check(&[("state", value)]).unwrap_err();
        assert!(error.to_string().contains("full, bf16, 8bit"), "{error}");
    }
}
