//! Line searches against SciPy's port of MINPACK-2 (`reference/lbfgs.py`), against the tables of
//! Moré & Thuente's paper, and on bad input.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::f64::consts::PI;

use opt_core::Error;
use opt_secondorder::{Armijo, Outcome, Trial, Wolfe};
use serde_json::Value;

/// φ(α) and φ′(α) of the paper's functions 1 to 6.
fn paper(number: u64, a: f64) -> (f64, f64) {
    match number {
        1 => {
            let d = a * a + 2.0;
            (-a / d, (a * a - 2.0) / (d * d))
        }
        2 => {
            let b = a + 0.004;
            let value = b.powi(5) - 2.0 * b.powi(4);
            (value, 5.0 * b.powi(4) - 8.0 * b.powi(3))
        }
        3 => {
            let (b, wave) = (0.01, 39.0 * PI / 2.0);
            let (base, slope) = if a <= 1.0 - b {
                (1.0 - a, -1.0)
            } else if a >= 1.0 + b {
                (a - 1.0, 1.0)
            } else {
                ((a - 1.0).powi(2) / (2.0 * b) + b / 2.0, (a - 1.0) / b)
            };
            let value = base + (1.0 - b) / wave * (wave * a).sin();
            (value, slope + (1.0 - b) * (wave * a).cos())
        }
        _ => {
            let [b1, b2] = [[1e-3, 1e-3], [1e-2, 1e-3], [1e-3, 1e-2]][number as usize - 4];
            let weight = |b: f64| (1.0 + b * b).sqrt() - b;
            let (left, right) = ((1.0 - a).hypot(b2), a.hypot(b1));
            let slope = weight(b1) * (a - 1.0) / left + weight(b2) * a / right;
            (weight(b1) * left + weight(b2) * right, slope)
        }
    }
}

/// The outcome, and every step that was tried.
fn searched(
    wolfe: &Wolfe,
    first: f64,
    phi: impl Fn(f64) -> (f64, f64),
) -> (Result<Outcome, Error>, Vec<f64>) {
    let mut steps = Vec::new();
    let (value, slope) = phi(0.0);
    let outcome = wolfe.search(value, slope, first, |a| {
        steps.push(a);
        Ok(phi(a))
    });
    (outcome, steps)
}

fn reference() -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../reference/lbfgs.json")).unwrap();
    all["searches"].as_array().unwrap().clone()
}

#[test]
fn every_trial_is_minpacks() {
    for case in reference() {
        let number = |name: &str| case[name].as_f64().unwrap();
        let function = case["function"].as_u64().unwrap();
        let wolfe = Wolfe {
            c1: number("c1"),
            c2: number("c2"),
            max_step: number("max_step"),
            ..Wolfe::default()
        };
        let (outcome, steps) = searched(&wolfe, number("first"), |a| paper(function, a));
        let outcome = outcome.unwrap();
        let expected = case["steps"].as_array().unwrap();
        assert_eq!(steps.len(), expected.len(), "{case}");
        for (step, expected) in steps.iter().zip(expected) {
            let expected = expected.as_f64().unwrap();
            assert!(
                (step - expected).abs() <= 1e-12 * expected,
                "{step} {expected} {case}"
            );
        }
        let trial = outcome.trial().unwrap();
        assert_eq!(trial.step, *steps.last().unwrap());
        assert_eq!((trial.value, trial.slope), paper(function, trial.step));
        match case["converged"].as_bool().unwrap() {
            true => assert_eq!(outcome, Outcome::Wolfe(trial)),
            false => assert_eq!(outcome, Outcome::Decrease(trial)),
        }
    }
}

#[test]
fn trials_are_as_many_as_in_the_papers_tables() {
    let tables = [
        (0.001, 0.1, [6, 3, 1, 4]),
        (0.1, 0.1, [12, 8, 8, 11]),
        (0.1, 0.1, [12, 12, 10, 13]),
        (0.001, 0.001, [4, 1, 3, 4]),
        (0.001, 0.001, [6, 3, 7, 8]),
        (0.001, 0.001, [13, 11, 8, 11]),
    ];
    for (number, (c1, c2, counts)) in (1..).zip(tables) {
        let wolfe = Wolfe {
            c1,
            c2,
            ..Wolfe::default()
        };
        let found = [1e-3, 1e-1, 1e1, 1e3].map(|first| {
            let (outcome, steps) = searched(&wolfe, first, |a| paper(number, a));
            assert!(matches!(outcome, Ok(Outcome::Wolfe(_))));
            steps.len()
        });
        assert_eq!(found, counts, "function {number}");
    }
}

/// However early it has to stop, the last evaluation is that of the step returned, which is the
/// lowest of all and low enough.
#[test]
fn stopped_early_it_returns_to_the_lowest() {
    let mut kinds = [0; 3];
    for (number, first, max_evaluations) in (1..=6)
        .flat_map(|number| [1e-3, 0.1, 1.0, 10.0].map(|first| (number, first)))
        .flat_map(|(number, first)| (0..12).map(move |most| (number, first, most)))
    {
        let wolfe = Wolfe {
            c2: 0.01,
            max_evaluations,
            ..Wolfe::default()
        };
        let (outcome, steps) = searched(&wolfe, first, |a| paper(number, a));
        let (value, slope) = paper(number, 0.0);
        let low = |a: f64| paper(number, a).0 <= value + 1e-4 * a * slope;
        match outcome.unwrap() {
            Outcome::Wolfe(trial) => {
                kinds[0] += 1;
                assert!(low(trial.step) && trial.slope.abs() <= -0.01 * slope);
            }
            Outcome::Decrease(trial) => {
                kinds[1] += 1;
                assert!(low(trial.step) && steps.len() <= max_evaluations + 1);
                assert_eq!(steps.last(), Some(&trial.step));
                let lowest = steps.iter().map(|&a| paper(number, a).0);
                assert!(lowest.fold(f64::INFINITY, f64::min) >= trial.value);
            }
            Outcome::Nothing => {
                kinds[2] += 1;
                assert!(steps.iter().all(|&a| !low(a)) && steps.len() == max_evaluations);
            }
        }
    }
    assert!(kinds.iter().all(|&count| count > 10), "{kinds:?}");
}

/// (α − 2)², but no number where `bad` says so.
fn broken(bad: impl Fn(f64) -> bool, with: (f64, f64)) -> impl Fn(f64) -> (f64, f64) {
    move |a| {
        if bad(a) {
            with
        } else {
            ((a - 2.0).powi(2), 2.0 * (a - 2.0))
        }
    }
}

#[test]
fn a_wall_of_values_that_are_not_finite_shortens_the_step() {
    let wolfe = Wolfe {
        c2: 0.1,
        ..Wolfe::default()
    };
    let nan = f64::NAN;
    for with in [(nan, nan), (0.0, nan), (nan, 0.0), (-f64::INFINITY, -1.0)] {
        // A minimum beyond the wall: the outcome is the lowest this side of it.
        for first in [1e-3, 0.5, 1.5, 50.0] {
            let (outcome, steps) = searched(&wolfe, first, broken(|a| a > 1.0, with));
            let Outcome::Decrease(trial) = outcome.unwrap() else {
                panic!("{steps:?}")
            };
            assert!(trial.step <= 1.0 && trial.step > 0.999, "{steps:?}");
            assert!(steps.len() <= 21);
        }
        // A minimum this side of the wall is found.
        let (outcome, _) = searched(&wolfe, 50.0, broken(|a| a > 3.0, with));
        assert!(matches!(outcome, Ok(Outcome::Wolfe(t)) if (t.step - 2.0).abs() <= 0.2));
        // A hole about the minimum, seen from either side.
        for first in [0.5, 3.9] {
            let hole = broken(|a| (1.0..3.0).contains(&a), with);
            let (outcome, steps) = searched(&wolfe, first, hole);
            let trial = outcome.unwrap().trial().unwrap();
            assert!(
                trial.value < (first - 2.0).powi(2) && trial.value < 1.1,
                "{steps:?}"
            );
        }
        // Nothing but a wall: half the step each time.
        let (outcome, steps) = searched(&wolfe, 8.0, broken(|a| a > 0.0, with));
        assert_eq!(outcome.unwrap(), Outcome::Nothing);
        assert_eq!(steps.len(), 20);
        assert!(steps.windows(2).all(|pair| pair[1] == 0.5 * pair[0]));
    }
}

#[test]
fn searches_that_cannot_start_evaluate_nothing() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let mut starts = vec![(1.0, 0.0, 1.0), (1.0, 0.5, 1.0), (1.0, -1.0, 0.0)];
    starts.extend([nan, inf, -inf].map(|bad| (bad, -1.0, 1.0)));
    starts.extend([nan, inf, -inf].map(|bad| (1.0, bad, 1.0)));
    starts.extend([nan, -1.0, -inf].map(|bad| (1.0, -1.0, bad)));
    for (value, slope, step) in starts {
        let wolfe = Wolfe::default().search(value, slope, step, |_| panic!());
        assert_eq!(wolfe.unwrap(), Outcome::Nothing);
        let armijo = Armijo::default().search(value, slope, step, |_| panic!());
        assert_eq!(armijo.unwrap(), None);
    }
}

#[test]
fn senseless_fields_end_the_search_all_the_same() {
    let values = [f64::NAN, f64::INFINITY, -1.0, 0.0, 1.0, 1e300, f64::MAX];
    for (v, w) in values
        .into_iter()
        .flat_map(|v| values.map(|w| (v, w)))
        .filter(|(v, w)| v != w)
    {
        for wolfe in [
            (v, w, 0.0, 1e20, 1e-10),
            (1e-4, 0.9, v, w, 1e-10),
            (1e-4, v, 0.0, w, 1e-10),
            (1e-4, 1e-9, 0.0, v, w),
        ] {
            let (c1, c2, min_step, max_step, tolerance) = wolfe;
            let max_evaluations = 100;
            let wolfe = Wolfe {
                c1,
                c2,
                min_step,
                max_step,
                tolerance,
                max_evaluations,
                noise: w,
            };
            for first in [1e-300, 1.0, f64::MAX] {
                let (outcome, steps) = searched(&wolfe, first, broken(|_| false, (0.0, 0.0)));
                assert!(outcome.is_ok() && steps.len() <= 101, "{wolfe:?}");
            }
        }
        let (c1, factor, max_evaluations) = (v, w, 2000);
        let armijo = Armijo {
            c1,
            factor,
            max_evaluations,
        };
        let found = armijo.search(4.0, -4.0, 1e9, |c| Ok((c - 2.0).powi(2)));
        assert!(found.unwrap().is_none_or(|(step, _)| step > 0.0));
    }
}

#[test]
fn what_the_objective_refuses_comes_through() {
    let refuse = || Error::objective("refused on purpose");
    let mut calls = 0;
    let wolfe = Wolfe::default().search(4.0, -4.0, 50.0, |a| {
        calls += 1;
        match calls {
            3 => Err(refuse()),
            _ => Ok(((a - 2.0).powi(2) + 100.0, 1.0)),
        }
    });
    assert!(matches!(wolfe, Err(Error::Objective(_))) && calls == 3);
    let armijo = Armijo::default().search(4.0, -4.0, 1.0, |_| Err(refuse()));
    assert!(matches!(armijo, Err(Error::Objective(_))));
}

#[test]
fn a_function_without_minimum_is_followed_to_the_longest_step() {
    let wolfe = Wolfe {
        max_step: 1e6,
        ..Wolfe::default()
    };
    let (outcome, _) = searched(&wolfe, 1.0, |a| (-a, -1.0));
    let (step, value, slope) = (1e6, -1e6, -1.0);
    let end = Trial { step, value, slope };
    assert_eq!(outcome.unwrap(), Outcome::Decrease(end));
}

#[test]
fn a_decrease_below_the_rounding_of_f32_is_not_seen() {
    let phi = |a: f64, size: f64| {
        let value = 1.0 + size * ((a - 1.0).powi(2) - 1.0);
        (f64::from(value as f32), 2.0 * size * (a - 1.0))
    };
    // The rounding of f32 about 1 is 6e-8.
    let (outcome, steps) = searched(&Wolfe::default(), 1.0, |a| phi(a, 1e-9));
    assert_eq!(outcome.unwrap(), Outcome::Nothing);
    assert!(steps.len() <= 20);
    let (outcome, _) = searched(&Wolfe::default(), 1.0, |a| phi(a, 1e-6));
    assert!(matches!(outcome, Ok(Outcome::Wolfe(t)) if t.step == 1.0));
}

/// With `noise`, slopes tell what values cannot: the same search as on the true φ.
#[test]
fn below_its_noise_the_search_goes_by_slopes() {
    let phi = |a: f64, shift: f64| (shift + 1e-9 * ((a - 1.0).powi(2) - 1.0), 2e-9 * (a - 1.0));
    for first in [1.0, 0.3, 1.9, 5.0, 1e-3] {
        let wolfe = Wolfe {
            c2: 0.1,
            noise: 1e-6,
            ..Wolfe::default()
        };
        let (plain, expected) = searched(&wolfe, first, |a| phi(a, 0.0));
        let rounded = |a| {
            let (value, slope) = phi(a, 1.0);
            (f64::from(value as f32), slope)
        };
        let (outcome, steps) = searched(&wolfe, first, rounded);
        assert!(matches!(outcome, Ok(Outcome::Wolfe(t)) if t.value == rounded(t.step).0));
        assert!(matches!(plain, Ok(Outcome::Wolfe(_))));
        for (a, b) in steps.iter().zip(&expected) {
            assert!((a - b).abs() < 1e-9 * b, "{first}: {steps:?} {expected:?}");
        }
        assert_eq!(steps.len(), expected.len());
    }
    // A rise that is no rounding is one, whatever the slopes say.
    let rises = |a: f64| (1.0 + 1e-3 * a, -1e-3);
    let wolfe = Wolfe {
        noise: 1e-6,
        ..Wolfe::default()
    };
    let (outcome, _) = searched(&wolfe, 1.0, rises);
    let limit = 1e-3;
    assert!(outcome.unwrap().trial().is_none_or(|t| t.step <= limit));
}

#[test]
fn armijo_takes_the_first_step_that_is_low_enough() {
    let armijo = Armijo {
        c1: 0.25,
        ..Armijo::default()
    };
    // (c − 2)² ≤ 4 − c exactly where c ≤ 3.
    for (first, expected) in [(24.0, 3.0_f64), (3.0, 3.0), (3.2, 1.6), (0.5, 0.5)] {
        let found = armijo.search(4.0, -4.0, first, |c| Ok((c - 2.0).powi(2)));
        let (step, value) = found.unwrap().unwrap();
        assert_eq!((step, value), (expected, (expected - 2.0).powi(2)));
    }
    // No number beyond 1.
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let value = |c: f64| if c > 1.0 { bad } else { (c - 2.0).powi(2) };
        let found = armijo.search(4.0, -4.0, 12.0, |c| Ok(value(c)));
        assert_eq!(found.unwrap(), Some((0.75, 1.5625)));
    }
    let mut calls = 0;
    let found = armijo.search(4.0, -4.0, 1.0, |_| {
        calls += 1;
        Ok(5.0)
    });
    assert_eq!((found.unwrap(), calls), (None, armijo.max_evaluations));
}
