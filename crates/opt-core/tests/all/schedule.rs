//! Schedules against closed forms and PyTorch.

use opt_core::Schedule;

use crate::reference::{Reference, near};

fn values(schedule: &Schedule, steps: usize) -> Vec<f64> {
    (0..steps as u64).map(|t| schedule.at(t)).collect()
}

pub(crate) fn linear(from: f64, to: f64, steps: u64) -> Schedule {
    Schedule::Linear { from, to, steps }
}

pub(crate) fn cosine(from: f64, to: f64, steps: u64) -> Schedule {
    Schedule::Cosine { from, to, steps }
}

#[test]
fn schedules_that_pytorch_has() {
    let restarts = |to, steps, growth| Schedule::CosineRestarts {
        from: 0.1,
        to,
        steps,
        growth,
    };
    let cycle = |from, peak, to, rise, steps| Schedule::OneCycle {
        from,
        peak,
        to,
        rise,
        steps,
    };
    let three = [
        (0, cycle(0.004, 0.1, 0.004, 29, 58)),
        (58, cosine(0.004, 4e-7, 41)),
    ];
    let warm = linear(0.025, 0.1, 6);
    let decay = Schedule::Exponential {
        from: 0.1,
        factor: 0.8,
    };
    let stairs = [(0, 0.1), (3, 0.01), (7, 0.001)].map(|(t, v)| (t, Schedule::Constant(v)));
    let cases: [(&str, Schedule); 14] = [
        ("linear", linear(0.025, 0.1, 8)),
        (
            "step",
            Schedule::Step {
                from: 0.1,
                factor: 0.5,
                every: 3,
            },
        ),
        (
            "exponential",
            Schedule::Exponential {
                from: 0.1,
                factor: 0.9,
            },
        ),
        ("multistep", Schedule::join(stairs).unwrap()),
        ("cosine", cosine(0.1, 0.01, 10)),
        ("restarts", restarts(0.01, 4, 1)),
        ("restarts-2", restarts(0.01, 4, 2)),
        ("restarts-3", restarts(0.0, 1, 3)),
        ("one-cycle", cycle(0.004, 0.1, 4e-7, 29, 99)),
        ("one-cycle-momentum", cycle(0.95, 0.85, 0.95, 29, 99)),
        ("one-cycle-three", Schedule::join(three).unwrap()),
        (
            "warmup-cosine",
            Schedule::WarmupCosine {
                from: 0.025,
                peak: 0.1,
                to: 0.001,
                warmup: 6,
                steps: 20,
            },
        ),
        (
            "linear-then-exponential",
            Schedule::join([(0, warm), (6, decay)]).unwrap(),
        ),
        (
            "inverse-time",
            Schedule::InverseTime {
                from: 0.2,
                lambda: 0.05,
            },
        ),
    ];
    let reference = Reference::load();
    for (name, schedule) in cases {
        let expected = reference.row(name);
        near(name, &values(&schedule, expected.len()), expected);
    }
}

#[test]
fn closed_forms() {
    let cases: [(Schedule, u64, f64); 15] = [
        (Schedule::Constant(0.3), 99, 0.3),
        (Schedule::InverseSqrt { from: 0.5 }, 0, 0.5),
        (Schedule::InverseSqrt { from: 0.5 }, 24, 0.1),
        // 0.5/(1 + 0.5·0.25·8)
        (
            Schedule::InverseTime {
                from: 0.5,
                lambda: 0.25,
            },
            8,
            0.25,
        ),
        (
            Schedule::Step {
                from: 8.0,
                factor: 0.5,
                every: 10,
            },
            9,
            8.0,
        ),
        (
            Schedule::Step {
                from: 8.0,
                factor: 0.5,
                every: 10,
            },
            39,
            1.0,
        ),
        (
            Schedule::Exponential {
                from: 1.0,
                factor: 0.5,
            },
            3,
            0.125,
        ),
        (cosine(1.0, 0.2, 6), 2, 0.2 + 0.8 * 0.75), // cos 60° = ½
        (cosine(1.0, 0.2, 6), 3, 0.6),
        // (1 − cos(π/1000))/2 near its end, from the series of the sine.
        (cosine(1.0, 0.0, 1000), 999, 2.467_399_070_916_944e-6),
        (linear(0.0, 1.0, 4), 1, 0.25),
        (
            linear(1.0, 0.0, 1_000_000_007),
            1_000_000_006,
            1.0 / 1_000_000_007.0,
        ),
        (linear(-1.0, 1.0, 8), 5, 0.25),
        (linear(0.0, 1.0, 0), 0, 1.0),
        (cosine(0.0, 1.0, 0), 0, 1.0),
    ];
    for (schedule, t, expected) in cases {
        let found = schedule.at(t);
        let error = (found - expected).abs();
        assert!(error <= 1e-15 * expected, "{schedule:?} at {t}: {found}");
    }
}

#[test]
fn sutskevers_momentum() {
    // The printed form, with powers and logarithms.
    let printed = |t: u64, max: f64| {
        let k = (t / 250) as f64 + 1.0;
        (1.0 - 2.0_f64.powf(-1.0 - k.log2())).min(max)
    };
    let schedule = Schedule::Momentum { max: 0.99 };
    for t in [0, 249, 250, 999, 5_000, 12_499, 12_500, 1_000_000] {
        assert!((schedule.at(t) - printed(t, 0.99)).abs() < 1e-15);
    }
    assert_eq!((schedule.at(0), schedule.at(250)), (0.5, 0.75));
}

#[test]
fn restarts_come_in_time_and_no_period_overflows() {
    let of = |steps, growth| Schedule::CosineRestarts {
        from: 1.0,
        to: 0.25,
        steps,
        growth,
    };
    // 3 + 6 + 12 = 21.
    for t in [0, 3, 9, 21, 45] {
        assert_eq!(of(3, 2).at(t), 1.0, "{t}");
        assert!(t == 0 || of(3, 2).at(t - 1) < 1.0, "{t}");
    }
    // 2⁶⁴ − 1 = 1 + 2 + 4 + … + 2⁶³: a restart.
    assert_eq!(of(1, 2).at(u64::MAX), 1.0);
    for (steps, growth) in [(0, 0), (1, 0), (7, 1), (7, u64::MAX), (u64::MAX, u64::MAX)] {
        for t in [0, 1, 6, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
            let value = of(steps, growth).at(t);
            assert!(
                (0.25..=1.0).contains(&value),
                "{steps} {growth} {t}: {value}"
            );
        }
    }
}

#[test]
fn pieces_count_from_their_own_beginning_and_must_be_in_order() {
    let line = linear(1.0, 0.0, 10);
    let joined = Schedule::join([(5, line.clone()), (20, line.clone())]).unwrap();
    for (t, expected) in [
        (0, 1.0),
        (5, 1.0),
        (10, 0.5),
        (19, 0.0),
        (20, 1.0),
        (25, 0.5),
        (u64::MAX, 0.0),
    ] {
        assert_eq!(joined.at(t), expected, "{t}");
    }
    let cases: [(&[u64], &str); 4] = [
        (&[], "no pieces"),
        (&[20, 5], "begins at 5 follows one that begins at 20"),
        (&[0, 5, 5], "begins at 5 follows one that begins at 5"),
        (&[0, 9, 3], "begins at 3 follows one that begins at 9"),
    ];
    for (starts, expected) in cases {
        let pieces = starts.iter().map(|&start| (start, line.clone()));
        let error = Schedule::join(pieces).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
