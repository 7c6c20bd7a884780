//! Schedules over all t: exact at their ends, monotone, within their range, and driven through a
//! method.

use opt_core::{Error, FirstOrder, ParamMap, Schedule};
use proptest::prelude::*;

use crate::chain::Chain;
use crate::schedule::{cosine, linear};

#[test]
fn ends_are_exact_and_the_way_between_them_is_monotone() {
    let pairs = [
        (0.1, 0.0),
        (0.0, 0.1),
        (0.1, 1e-20),
        (1e-20, 0.1),
        (0.7, 0.1),
        (0.1, 0.7),
        (0.3, 0.3),
        (-0.2, 0.7),
        (f64::MAX, f64::MIN),
        (f64::MAX, 0.0),
        (5e-324, 1e-323),
        (0.1, 0.1_f64.next_up()),
    ];
    let lengths = [1, 2, 3, 7, 10, 100, 999, 12_345];
    for (from, to) in pairs {
        for steps in lengths {
            let warm = |from, peak, to| Schedule::WarmupCosine {
                from,
                peak,
                to,
                warmup: steps,
                steps: 2 * steps,
            };
            let one = |from, peak, to| Schedule::OneCycle {
                from,
                peak,
                to,
                rise: steps,
                steps: 2 * steps,
            };
            // A piece from `from` to `to`, and where it begins.
            let pieces = [
                (linear(from, to, steps), 0),
                (cosine(from, to, steps), 0),
                (warm(from, to, from), 0),
                (warm(from, from, to), steps),
                (one(from, to, 1.0), 0),
                (one(1.0, from, to), steps),
            ];
            for (schedule, start) in pieces {
                assert_eq!(schedule.at(start), from, "{schedule:?}");
                assert_eq!(schedule.at(start + steps), to, "{schedule:?}");
                let mut last = from;
                for t in start..=start + steps {
                    let value = schedule.at(t);
                    let on = if from <= to {
                        last <= value && value <= to
                    } else {
                        last >= value && value >= to
                    };
                    assert!(on, "{schedule:?} at {t}: {last}, {value}");
                    last = value;
                }
            }
            for schedule in [linear(from, to, steps), cosine(from, to, steps)] {
                for t in [steps + 1, 10 * steps, u64::MAX] {
                    assert_eq!(schedule.at(t), to, "{schedule:?}");
                }
            }
        }
    }
    // A cosine of a thousand million steps, around its ends and in the middle.
    let (steps, long) = (1_000_000_007_u64, cosine(0.1, 0.0, 1_000_000_007));
    for start in [0, steps / 2, steps - 10_000] {
        let range = start..start + 10_000;
        assert!(
            range.into_iter().all(|t| long.at(t) >= long.at(t + 1)),
            "{start}"
        );
    }
}

/// Every kind, of three numbers, a factor, and two lengths of which the first is not the longer.
fn every_kind([a, b, c]: [f64; 3], by: f64, [short, long]: [u64; 2]) -> Vec<Schedule> {
    let (from, peak, to, steps) = (a, b, c, long);
    let simple = vec![
        Schedule::Constant(a),
        Schedule::InverseSqrt { from },
        Schedule::InverseTime { from, lambda: by },
        Schedule::Step {
            from,
            factor: by,
            every: short,
        },
        Schedule::Exponential { from, factor: by },
        linear(from, to, steps),
        cosine(from, to, steps),
        Schedule::WarmupCosine {
            from,
            peak,
            to,
            warmup: short,
            steps,
        },
        Schedule::CosineRestarts {
            from,
            to,
            steps: short,
            growth: long,
        },
        Schedule::OneCycle {
            from,
            peak,
            to,
            rise: short,
            steps,
        },
        Schedule::Momentum { max: a },
    ];
    let starts = (0..).map(|i| i * 1000);
    let joined = Schedule::join(starts.zip(simple.clone()));
    simple.into_iter().chain(joined).collect()
}

#[test]
fn every_value_is_finite_and_within_the_range_for_all_t() {
    let number = || {
        prop_oneof![
            any::<f64>(),
            -1.0..1.0,
            Just(0.0),
            Just(f64::MAX),
            Just(f64::MIN),
            Just(5e-324)
        ]
    };
    let time = || prop_oneof![any::<u64>(), 0..2000_u64, Just(u64::MAX), Just(0)];
    let numbers = [number(), number(), number()];
    proptest!(ProptestConfig::with_cases(2000), |(numbers in numbers, by in number(), a in time(), b in time(), t in time())| {
        let finite = numbers.iter().chain([&by]).all(|v| v.is_finite());
        prop_assume!(finite);
        let by = by.abs();
        let lo = numbers.iter().fold(0.0_f64, |lo, v| lo.min(*v));
        let hi = numbers.iter().fold(0.0_f64, |hi, v| hi.max(*v));
        for schedule in every_kind(numbers, by, [a.min(b), a.max(b)]) {
            let value = schedule.at(t);
            let grows = by > 1.0 && !matches!(schedule, Schedule::InverseTime { .. });
            let momentum = matches!(schedule, Schedule::Momentum { .. } | Schedule::Join(_));
            let (lo, hi) = if grows { (f64::MIN, f64::MAX) } else { (lo, hi.max(f64::from(u8::from(momentum)))) };
            prop_assert!(value >= lo && value <= hi, "{:?} at {}: {}", schedule, t, value);
        }
    });
}

#[test]
fn numbers_that_make_no_sense_are_refused_and_give_nan() {
    let finite = [0.1, 0.2, 0.3];
    let mut refused = 0;
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for at in 0..3 {
            let mut numbers = finite;
            numbers[at] = bad;
            for schedule in every_kind(numbers, 0.5, [10, 20]) {
                if format!("{schedule:?}").contains(&format!("{bad:?}")) {
                    let error = schedule.check().unwrap_err().to_string();
                    assert!(
                        error.contains(&format!("= {bad}: must be finite")),
                        "{error}"
                    );
                    for t in [0, 5, 100, u64::MAX] {
                        assert!(schedule.at(t).is_nan(), "{schedule:?}");
                    }
                    assert!(matches!(
                        Schedule::join([(0, schedule)]),
                        Err(Error::Schedule(_))
                    ));
                    refused += 1;
                }
            }
        }
        for schedule in every_kind(finite, bad, [10, 20]) {
            refused += i32::from(schedule.check().is_err() && schedule.at(9).is_nan());
        }
    }
    // 10 kinds by `from`, 2 by `peak`, 5 by `to`; 3 by their factor: each three times.
    assert_eq!(refused, 3 * (11 + 2 + 5 + 3));
    for schedule in every_kind(finite, -0.5, [10, 20]) {
        if let Err(error) = schedule.check() {
            assert!(
                error
                    .to_string()
                    .ends_with("= -0.5: must be finite and at least 0")
            );
            refused += 1;
        }
    }
    assert_eq!(refused, 3 * 21 + 3);
}

/// Every kind drives a method, from 0 to beyond its end. A rate of 0 leaves x where it is.
#[test]
fn every_schedule_can_be_driven_through_a_method() {
    let map = ParamMap::flat(3).unwrap();
    let (rising, falling) = ([0.0, 0.1, 0.0], [0.1, 0.2, 0.0]);
    let [up, down] = [rising, falling].map(|numbers| every_kind(numbers, 0.9, [200, 5000]));
    let mut still = 0;
    for schedule in up.into_iter().chain(down) {
        let rule = Chain {
            lr: 1.0,
            mu: 0.0,
            init: 0.0,
        };
        let mut sgd = FirstOrder::<f64, _, 1>::new(rule, &map).unwrap();
        let (mut x, mut sum) = ([1.0; 3], 0.0);
        for t in 0..12_000 {
            sgd.adjust(|_, rule| rule.lr = schedule.at(t)).unwrap();
            if t % 100 == 0 {
                sgd.apply(&mut x, &[1.0, -1.0, 0.5]).unwrap();
                // The rule divides its rate by the number of the step.
                sum += schedule.at(t) / (t / 100 + 1) as f64;
            }
        }
        let expected = [1.0 - sum, 1.0 + sum, 1.0 - 0.5 * sum];
        for (x, expected) in x.iter().zip(expected) {
            assert!(
                (x - expected).abs() < 1e-12,
                "{schedule:?}: {x}, {expected}"
            );
        }
        still += u32::from(x == [1.0; 3]);
    }
    // From 0 to 0: all but those with a peak between, and what joins them.
    assert_eq!(still, 9);
}
