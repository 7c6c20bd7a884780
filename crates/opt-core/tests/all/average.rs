//! Averages against closed forms and PyTorch, over the range of both types, and resumed.

use opt_core::{Average, Averaging, Error, ParamMap, Scalar, Snapshot};

use crate::reference::{Reference, near};

fn exponential(decay: f64, warmup: f64) -> Averaging {
    Averaging::Exponential { decay, warmup }
}

/// The average after each of these.
fn averages<F: Scalar>(kind: Averaging, start: F, xs: &[F]) -> Vec<f64> {
    let mut average = Average::new(kind, &ParamMap::flat(1).unwrap(), &[start]).unwrap();
    let after = xs.iter().map(|&x| {
        average.update(&[x]).unwrap();
        average.value()[0].f64()
    });
    after.collect()
}

#[test]
fn averages_that_pytorch_has() {
    let reference = Reference::load();
    let x = reference.row("average-x");
    // AveragedModel begins at the first x that it sees.
    near(
        "ema",
        &averages(exponential(0.9, 1.0), x[0], &x[1..]),
        &reference.row("ema")[1..],
    );
    let mean = averages(Averaging::Polyak { start: 5 }, 0.0, x);
    near("before", &mean[..5], &x[..5]);
    near("swa", &mean[5..], reference.row("swa"));
    for i in 0..2 {
        let x = reference.row(&format!("asgd-x-{i}"));
        // t0 = 4.
        for kind in [
            Averaging::Polyak { start: 5 },
            Averaging::Asgd { start: 5, mu0: 1.0 },
        ] {
            let mean = averages(kind, 9.0, x);
            near("asgd", &mean, reference.row(&format!("asgd-mean-{i}")));
        }
    }
}

#[test]
fn the_start_has_the_weight_that_is_documented() {
    let zeros = [0.0; 300];
    // 1/C(k + 9, 9), until (1 + t)/(10 + t) is above the decay, at t = 890; then times decay.
    let warm = averages(exponential(0.99, 10.0), 1.0, &[0.0; 1000]);
    let mut weight = 1.0;
    for (t, found) in warm.iter().enumerate() {
        let k = (t + 1) as f64;
        weight = match t {
            0..890 => (1..=9).map(|i| f64::from(i) / (k + f64::from(i))).product(),
            _ => weight * 0.99,
        };
        assert!(
            (found / weight - 1.0).abs() < 1e-12,
            "{k}: {found}, {weight}"
        );
    }
    assert_eq!(warm[0], 0.1);
    let cold = averages(exponential(0.99, 1.0), 1.0, &zeros);
    for (t, found) in cold.iter().enumerate() {
        let weight = 0.99_f64.powi(t as i32 + 1);
        assert!((found / weight - 1.0).abs() < 1e-12);
    }
}

#[test]
fn bottous_average_counts_its_start_as_one_over_mu0_updates() {
    let xs: Vec<f64> = (0..40).map(|t| f64::from(t * t % 17)).collect();
    for (start, mu0) in [(0, 1.0), (3, 0.25), (7, 0.125), (7, 4.0)] {
        let kind = Averaging::Asgd { start, mu0 };
        let start = start as usize;
        for (t, found) in averages(kind, 5.0, &xs).into_iter().enumerate() {
            let later = xs.get(start + 1..=t).unwrap_or_default();
            let expected = if t <= start {
                xs[t]
            } else {
                (xs[start] / mu0 + later.iter().sum::<f64>()) / (1.0 / mu0 + later.len() as f64)
            };
            assert!((found - expected).abs() < 1e-13, "{t}: {found}, {expected}");
        }
    }
}

#[test]
fn in_single_precision_a_long_average_does_not_stall() {
    let map = ParamMap::flat(1).unwrap();
    let n = 1_000_000_u32;
    let mut mean = Average::new(Averaging::Polyak { start: 0 }, &map, &[0.0_f32]).unwrap();
    let mut slow = Average::new(exponential(0.999_99, 1.0), &map, &[0.0_f32]).unwrap();
    for i in 0..n {
        // The later ones weigh each less than a rounding of the mean.
        mean.update(&[if i < n / 2 {
            1.0
        } else {
            1.0 + i as f32 / n as f32
        }])
        .unwrap();
        slow.update(&[1.0]).unwrap();
    }
    // ½·1 + ½·(1 + ¾)
    assert!(
        (mean.value()[0] - 1.375).abs() < 2e-6,
        "{}",
        mean.value()[0]
    );
    let exact = 1.0 - 0.999_99_f64.powi(n as i32);
    assert!(
        (f64::from(slow.value()[0]) - exact).abs() < 1e-7,
        "{}",
        slow.value()[0]
    );
}

fn extremes<F: Scalar>(kind: Averaging) {
    let (max, tiny) = (F::max_value(), F::min_positive_value() * F::epsilon());
    for pair in [
        [max, max],
        [max, -max],
        [tiny, tiny],
        [tiny, -tiny],
        [max, tiny],
    ] {
        let xs: Vec<F> = pair.iter().cycle().take(200).copied().collect();
        for value in averages(kind, pair[0], &xs) {
            let (lo, hi) = (pair[0].min(pair[1]).f64(), pair[0].max(pair[1]).f64());
            assert!(lo <= value && value <= hi, "{kind:?} {pair:?}: {value}");
        }
    }
    // What does not move has itself as its average.
    let value = F::of(0.1);
    assert!(
        averages(kind, value, &[value; 300])
            .iter()
            .all(|&a| a == value.f64())
    );
}

fn kinds() -> [Averaging; 7] {
    [
        exponential(0.9, 10.0),
        exponential(0.0, 1.0),
        exponential(1.0_f64.next_down(), f64::MAX),
        Averaging::Polyak { start: 3 },
        Averaging::Polyak { start: u64::MAX },
        Averaging::Asgd {
            start: 2,
            mu0: 5e-324,
        },
        Averaging::Asgd {
            start: 2,
            mu0: f64::MAX,
        },
    ]
}

#[test]
fn no_finite_number_gives_one_that_is_not() {
    for kind in kinds() {
        extremes::<f32>(kind);
        extremes::<f64>(kind);
    }
}

fn resumed<F: Scalar>(kind: Averaging) {
    let map = ParamMap::new([("w", vec![2]), ("b", vec![1])]).unwrap();
    let x = |t: i32| [1.0, 0.3, 0.7].map(|v| F::of(v * f64::from(t).sin()));
    let mut whole = Average::new(kind, &map, &x(9)).unwrap();
    (0..20).for_each(|t| whole.update(&x(t)).unwrap());
    for stop in 0..20 {
        let mut first = Average::new(kind, &map, &x(9)).unwrap();
        (0..stop).for_each(|t| first.update(&x(t)).unwrap());
        let saved = Snapshot::take(&mut [("average", &mut first)]).unwrap();
        let mut second = Average::new(kind, &map, &[F::zero(); 3]).unwrap();
        saved.restore(&mut [("average", &mut second)]).unwrap();
        assert_eq!(second.updates(), stop as u64);
        (stop..20).for_each(|t| second.update(&x(t)).unwrap());
        let all = |average| Snapshot::take(&mut [("a", average)]).unwrap();
        assert_eq!(all(&mut second), all(&mut whole));
    }
}

#[test]
fn resumed_averages_go_on_to_the_bit() {
    for kind in kinds() {
        resumed::<f32>(kind);
        resumed::<f64>(kind);
    }
}

#[test]
fn what_is_no_average_is_refused_and_changes_nothing() {
    let map = ParamMap::new([("w", vec![2]), ("b", vec![1])]).unwrap();
    let x = [1.0, 2.0, 3.0];
    let bad = [
        (exponential(1.0, 10.0), "decay"),
        (exponential(-0.1, 10.0), "decay"),
        (exponential(f64::NAN, 10.0), "decay"),
        (exponential(0.9, 0.5), "warmup"),
        (exponential(0.9, f64::INFINITY), "warmup"),
        (Averaging::Asgd { start: 0, mu0: 0.0 }, "mu0"),
        (
            Averaging::Asgd {
                start: 0,
                mu0: f64::NAN,
            },
            "mu0",
        ),
    ];
    for (kind, expected) in bad {
        let error = Average::new(kind, &map, &x).unwrap_err();
        assert!(
            matches!(&error, Error::Hyper { name, .. } if name == expected),
            "{error}"
        );
    }
    let mut average = Average::new(exponential(0.5, 1.0), &map, &x).unwrap();
    average.update(&[2.0; 3]).unwrap();
    let before = format!("{average:?}");
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = average.update(&[1.0, 2.0, bad]).unwrap_err();
        let named = matches!(&error, Error::NonFiniteParameter { segment, index: 0, value }
            if segment == "b" && value.to_bits() == bad.to_bits());
        assert!(named, "{error:?}");
        assert!(Average::new(exponential(0.5, 1.0), &map, &[1.0, 2.0, bad]).is_err());
    }
    for len in [0, 2, 4] {
        assert!(matches!(
            average.update(&vec![1.0; len]),
            Err(Error::Length { .. })
        ));
        assert!(Average::new(exponential(0.5, 1.0), &map, &vec![1.0; len]).is_err());
    }
    assert_eq!(format!("{average:?}"), before);
}
