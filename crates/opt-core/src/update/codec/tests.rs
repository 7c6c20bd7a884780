use super::*;

fn halves(values: &[f64], t: u64) -> (bool, Vec<f64>) {
    let (mut codes, mut out) = (vec![0; values.len()], vec![0.0; values.len()]);
    let mut piece = Halves::new(&mut codes);
    let fine = piece.encode(0, values, Noise::new(1, t, 0));
    piece.decode(0, &mut out);
    (fine, out)
}

fn block(values: &[f64], t: u64, positive: bool) -> (bool, Vec<f64>) {
    let (mut codes, mut bases) = (vec![0; values.len()], vec![0; 1]);
    let (mut out, noise) = (vec![0.0; values.len()], Noise::new(1, t, 0));
    let mut piece = Blocks::new(&mut codes, &mut bases, positive);
    let fine = piece.encode(0, values, noise);
    piece.decode(0, &mut out);
    (fine, out)
}

/// Values that have so few bits come back as they were.
#[test]
fn what_fits_is_kept() {
    let few = [
        0.0,
        1.0,
        -1.5,
        0.875,
        -0.25,
        3.0_f64.powi(3) / 32.0,
        240.0,
        -0.0,
    ];
    let huge = f64::from(f32::MAX).log2().floor().exp2();
    for scale in [1.0, 2.0_f64.powi(-100), 2.0_f64.powi(90), huge / 256.0] {
        let values = few.map(|v| v * scale);
        for t in 0..50 {
            assert_eq!(halves(&values, t), (true, values.to_vec()));
            let positive = values.map(f64::abs);
            let kept = [0, 1, 3, 4, 6, 7].map(|at| values[at]);
            assert_eq!(block(&kept, t, false), (true, kept.to_vec()));
            let kept = [0, 1, 2, 3, 4, 6].map(|at| positive[at]);
            assert_eq!(block(&kept, t, true), (true, kept.to_vec()));
        }
    }
}

/// The mean over many steps is the value, though one step has few bits, down to where a single
/// code is left; but for what is divided by, which is not rounded to 0.
#[test]
fn rounding_is_right_on_average() {
    let trials = 40_000;
    for magnitude in [1.0_f64, 0.77, 0.123, 1e-2, 1e-3, 2e-5, 1e-5] {
        for value in [magnitude, -magnitude] {
            // The first fixes the top of the block.
            let values = [1.1, value];
            let mean = |f: &dyn Fn(u64) -> f64| (0..trials).map(f).sum::<f64>() / trials as f64;
            // A step of the code: 2^-7 and 2^-3 of the value, or the least there is.
            let least = (magnitude / 8.0).max(1.1 * 2.0_f64.powi(-14));
            let cases = [
                (mean(&|t| halves(&values, t).1[1]), magnitude / 128.0),
                (mean(&|t| block(&values, t, false).1[1]), least),
            ];
            for (found, unit) in cases {
                let error = (found - value).abs();
                // The deviation of one trial is at most half a unit.
                let allowed = 5.0 * 0.5 * unit / (trials as f64).sqrt();
                assert!(error <= allowed, "{value}: {found}");
            }
            if value > 0.0 {
                let found = mean(&|t| block(&values, t, true).1[1]);
                let allowed = 5.0 * 0.5 * value / 8.0 / (trials as f64).sqrt();
                assert!((found - value).abs() <= allowed, "{value}: {found}");
            }
        }
    }
}

#[test]
fn what_is_divided_by_is_not_rounded_to_nothing() {
    for value in [1e-9, 1e-12, 1e-30] {
        for t in 0..200 {
            let (fine, out) = block(&[1.0, value, 0.0], t, true);
            assert!(fine && out[1] > 0.0 && out[2] == 0.0, "{out:?}");
            // Of either sign it may be.
            let (_, out) = block(&[1.0, value, -value], t, false);
            assert!(out[1] >= 0.0 && out[2] <= 0.0, "{out:?}");
        }
    }
}

#[test]
fn all_that_is_read_is_finite_and_what_is_not_is_told() {
    let max = f64::from(f32::MAX);
    for t in 0..200 {
        for values in [[max, -max, 1.0], [0.0; 3], [1e-40, -1e-45, 1e-38]] {
            let magnitudes = values.map(f64::abs);
            for (fine, out) in [
                halves(&values, t),
                block(&values, t, false),
                block(&magnitudes, t, true),
            ] {
                assert!(fine && out.iter().all(|v| v.is_finite()), "{out:?}");
            }
        }
        for bad in [f64::NAN, f64::INFINITY, -f64::INFINITY, 1e39] {
            let values = [1.0, bad, 2.0];
            assert!(
                !halves(&values, t).0 && !block(&values, t, false).0,
                "{bad}"
            );
            assert!(!block(&values, t, true).0, "{bad}");
        }
    }
}
