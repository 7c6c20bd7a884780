//! Accumulated gradients against the gradient of all samples as one batch.

use opt_core::{Accumulate, Error, Incomplete, ParamMap, Scalar, Snapshot};

/// The mean gradient of ½(w·xᵢ − yᵢ)² over these samples, at w = (0.3, −0.7, 0.1).
fn gradient(samples: std::ops::Range<u32>) -> [f64; 3] {
    let n = f64::from(samples.end - samples.start);
    let mut sum = [0.0; 3];
    for i in samples {
        let i = f64::from(i);
        let x = [i.sin(), (2.0 * i).cos(), 1.0];
        let error = 0.3 * x[0] - 0.7 * x[1] + 0.1 - (0.5 * i).sin();
        for (sum, x) in sum.iter_mut().zip(x) {
            *sum += error * x / n;
        }
    }
    sum
}

fn window<F: Scalar>(batches: u64) -> Accumulate<F> {
    let map = ParamMap::new([("w", vec![2]), ("b", vec![1])]).unwrap();
    Accumulate::new(&map, batches).unwrap()
}

#[test]
fn a_window_is_the_union_of_its_minibatches() {
    // Ends of the minibatches, of unlike sizes; windows of three.
    let ends = [0, 7, 8, 40, 100, 101, 141, 150];
    let mut accumulated = window(3);
    let mut windows = Vec::new();
    for (i, pair) in ends.windows(2).enumerate() {
        let g = gradient(pair[0]..pair[1]);
        let full = accumulated.add(&g, u64::from(pair[1] - pair[0])).unwrap();
        assert_eq!(full, i % 3 == 2);
        if full {
            windows.push((accumulated.samples(), accumulated.mean().to_vec()));
        }
    }
    let rest = accumulated.finish(Incomplete::Keep).unwrap().to_vec();
    windows.push((accumulated.samples(), rest));
    let unions = [0..40, 40..141, 141..150];
    assert_eq!(windows.len(), unions.len());
    for ((samples, mean), union) in windows.iter().zip(unions) {
        assert_eq!(*samples, u64::from(union.end - union.start));
        for (found, expected) in mean.iter().zip(gradient(union)) {
            assert!((found - expected).abs() < 1e-15, "{found}: {expected}");
        }
    }
}

#[test]
fn the_last_window_is_kept_or_dropped_and_the_next_one_is_new() {
    // Minibatches of one sample with the gradients 1, 2, 3, …; how many of them; the windows'
    // means; what is kept at the end.
    let cases: [(u64, u32, &[f64], Option<f64>); 6] = [
        (2, 0, &[], None),
        (2, 1, &[], Some(1.0)),
        (2, 2, &[1.5], None),
        (2, 5, &[1.5, 3.5], Some(5.0)),
        (1, 3, &[1.0, 2.0, 3.0], None),
        (4, 7, &[2.5], Some(6.0)),
    ];
    for (batches, n, expected, last) in cases {
        for incomplete in [Incomplete::Keep, Incomplete::Drop] {
            let mut window = window::<f32>(batches);
            for epoch in 0..2 {
                let mut means = Vec::new();
                for i in 1..=n {
                    if window.add(&[i as f32; 3], 1).unwrap() {
                        means.push(f64::from(window.mean()[0]));
                    }
                }
                assert_eq!(means, expected, "{batches} {n} {epoch}");
                let kept = window.finish(incomplete).map(|g| f64::from(g[0]));
                let wanted = last.filter(|_| incomplete == Incomplete::Keep);
                assert_eq!(kept, wanted, "{batches} {n} {epoch}");
                // Once only.
                assert_eq!(window.finish(incomplete), None);
            }
        }
    }
}

fn extremes<F: Scalar>() {
    let (max, tiny) = (F::max_value(), F::min_positive_value() * F::epsilon());
    for pair in [[max, max], [max, -max], [tiny, tiny], [max, tiny]] {
        for samples in [[1, 1], [1, 1_000_003], [u64::MAX, 1], [u64::MAX, u64::MAX]] {
            let mut window = window::<F>(6);
            for i in 0..6 {
                window.add(&[pair[i % 2]; 3], samples[i % 2]).unwrap();
                let mean = window.mean()[0];
                let (lo, hi) = (pair[0].min(pair[1]), pair[0].max(pair[1]));
                assert!(lo <= mean && mean <= hi, "{pair:?} {samples:?}: {mean}");
            }
        }
    }
}

#[test]
fn no_finite_gradient_gives_one_that_is_not() {
    extremes::<f32>();
    extremes::<f64>();
}

#[test]
fn a_run_goes_on_in_the_middle_of_a_window() {
    let gradients: Vec<[f32; 3]> = (0..8_u16)
        .map(|i| [1.0, 0.3, -0.7].map(|v| v / f32::from(i + 1)))
        .collect();
    let add = |window: &mut Accumulate<f32>, range: std::ops::Range<usize>| {
        let mut means = Vec::new();
        for i in range {
            if window.add(&gradients[i], i as u64 + 1).unwrap() {
                means.push(window.mean().to_vec());
            }
        }
        means
    };
    let whole = add(&mut window(3), 0..8);
    assert_eq!(whole.len(), 2);
    for stop in 0..8 {
        let mut first = window(3);
        let mut means = add(&mut first, 0..stop);
        let saved = Snapshot::take(&mut [("g", &mut first)]).unwrap();
        let mut second = window(3);
        saved.restore(&mut [("g", &mut second)]).unwrap();
        means.extend(add(&mut second, stop..8));
        assert_eq!(means, whole, "{stop}");
        let mean = second.finish(Incomplete::Keep).unwrap().to_vec();
        let mut last = window(3);
        add(&mut last, 6..8);
        // The last window has minibatches 7 and 8.
        assert_eq!(last.finish(Incomplete::Keep).unwrap(), mean);
    }
}

#[test]
fn what_is_no_gradient_is_refused_and_changes_nothing() {
    let map = ParamMap::flat(3).unwrap();
    let none = Accumulate::<f64>::new(&map, 0).unwrap_err();
    assert!(matches!(
        none,
        Error::Argument {
            name: "batches",
            ..
        }
    ));
    let mut window = window::<f64>(2);
    window.add(&[1.0, 2.0, 3.0], 4).unwrap();
    let before = format!("{window:?}");
    let error = window.add(&[1.0; 3], 0).unwrap_err();
    assert!(matches!(
        error,
        Error::Argument {
            name: "samples",
            ..
        }
    ));
    for len in [0, 2, 4] {
        let error = window.add(&vec![1.0; len], 1).unwrap_err();
        assert!(matches!(error, Error::Length { .. }));
    }
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = window.add(&[1.0, 2.0, bad], 1).unwrap_err();
        assert!(
            matches!(error, Error::NonFiniteGradient { segment, index: 0, .. } if segment == "b")
        );
    }
    assert_eq!(format!("{window:?}"), before);
    // Nor does a full window begin anew for a gradient that is refused.
    assert!(window.add(&[1.0; 3], 1).unwrap());
    let before = format!("{window:?}");
    assert!(window.add(&[f64::NAN; 3], 1).is_err());
    assert_eq!(format!("{window:?}"), before);
}
