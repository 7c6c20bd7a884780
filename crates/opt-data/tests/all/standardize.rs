//! Standardization: what it does, and that what it leaves is finite.

use ndarray::{Array2, Axis, array};
use opt_data::{Error, Standardize, digits};

#[test]
fn standardized_digits_have_mean_0_and_deviation_1() {
    let mut data = digits().unwrap();
    let scaling = Standardize::fit(data.inputs.view()).unwrap();
    scaling.apply(data.inputs.view_mut()).unwrap();
    let inputs = data.inputs.mapv(f64::from);
    let (mean, deviation) = (
        inputs.mean_axis(Axis(0)).unwrap(),
        inputs.std_axis(Axis(0), 0.0),
    );
    let mut constant = 0;
    for (mean, deviation) in mean.iter().zip(&deviation) {
        assert!(mean.abs() < 1e-6, "{mean}");
        // Pixels 0, 32 and 39 are never set.
        if *deviation == 0.0 {
            constant += 1;
        } else {
            assert!((deviation - 1.0).abs() < 1e-6, "{deviation}");
        }
    }
    assert_eq!(constant, 3);
}

#[test]
fn constant_features_are_not_scaled() {
    // 0.1 is not exact, so a naive variance of many of them would not be 0.
    let scaling = Standardize::fit(Array2::from_elem((1_000, 1), 0.1).view()).unwrap();
    assert_eq!(scaling.deviation, array![1.0]);
    let mut other = array![[2.1_f32]];
    scaling.apply(other.view_mut()).unwrap();
    assert!((other[[0, 0]] - 2.0).abs() < 1e-6);
}

#[test]
fn the_ends_of_f32_are_standardized() {
    for x in [f32::MAX, 1e-45] {
        let mut inputs = array![[x], [-x]];
        Standardize::fit(inputs.view())
            .unwrap()
            .apply(inputs.view_mut())
            .unwrap();
        assert_eq!(inputs, array![[1.0], [-1.0]]);
    }
}

#[test]
fn standardize_checks_its_input() {
    let empty = Standardize::fit(Array2::zeros((0, 3)).view());
    assert!(matches!(empty, Err(Error::Empty { .. })));
    let nan = Standardize::fit(array![[0.0, 1.0], [2.0, f32::NAN]].view());
    assert!(matches!(
        nan,
        Err(Error::NonFinite {
            sample: 1,
            feature: 1,
            ..
        })
    ));

    let scaling = Standardize::fit(array![[0.0, 1.0], [2.0, 3.0]].view()).unwrap();
    let mut wide = Array2::ones((1, 3));
    let error = scaling.apply(wide.view_mut());
    assert!(matches!(
        error,
        Err(Error::Shape {
            expected: 2,
            found: 3,
            ..
        })
    ));
    assert_eq!(wide, Array2::<f32>::ones((1, 3)));
}

#[test]
fn what_is_scaled_is_finite_or_refused() {
    let scaling = |mean: f64, deviation: f64| Standardize {
        mean: array![0.0, mean],
        deviation: array![1.0, deviation],
    };
    // Fitted on next to nothing, applied to the largest; and fields that a caller filled.
    let tiny = Standardize::fit(array![[0.0, 0.0], [0.0, 1e-45]].view()).unwrap();
    assert!(tiny.deviation[1] > 0.0);
    for (scaling, x) in [
        (tiny, 1.0),
        (scaling(0.0, 1e-45), f32::MAX),
        (scaling(0.0, 0.0), 1.0),
        (scaling(1.0, 0.0), 1.0),
        (scaling(f64::NAN, 1.0), 1.0),
        (scaling(0.0, f64::NAN), 1.0),
        (scaling(-1e308, 1e-308), 1.0),
    ] {
        let before = array![[5.0, x]];
        let mut inputs = before.clone();
        let error = scaling.apply(inputs.view_mut()).unwrap_err();
        let scale =
            matches!(error, Error::Scale { sample: 0, feature: 1, value, .. } if value == x);
        assert!(scale, "{error}");
        assert_eq!(inputs, before, "nothing has changed");
    }
    for x in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut inputs = array![[5.0, 1.0], [x, 1.0]];
        let error = scaling(0.0, 1.0).apply(inputs.view_mut()).unwrap_err();
        let named = matches!(
            error,
            Error::NonFinite {
                sample: 1,
                feature: 0,
                ..
            }
        );
        assert!(named && inputs[[0, 0]] == 5.0, "{error}");
    }
}

#[test]
fn all_magnitudes_come_out_finite() {
    // Columns that are constant, nearly so, tiny, huge, or both.
    let all = [0.0, 1e-45, 1e-38, 1e-20, 1.0, 1.000_000_1, 1e20, f32::MAX];
    for a in all {
        for b in all {
            for (a, b) in [(a, b), (a, -b)] {
                let mut inputs = array![[a], [a], [b], [a]];
                let scaling = Standardize::fit(inputs.view()).unwrap();
                scaling.apply(inputs.view_mut()).unwrap();
                assert!(scaling.deviation[0] > 0.0 && scaling.mean[0].is_finite());
                // One of four that differs: 3/√3 from the mean.
                let expected = if a == b { 0.0 } else { 3.0_f32.sqrt() };
                assert!(
                    (inputs[[2, 0]].abs() - expected).abs() < 1e-6,
                    "{a} {b}: {inputs}"
                );
            }
        }
    }
}
