//! Clipping, over the whole range of both types.

use opt_core::{Error, Scalar, clip_global_norm, clip_global_norm_parts, clip_value};

#[test]
fn the_norm_is_clipped_only_above_the_limit() {
    let mut g = [3.0, 4.0];
    assert_eq!(clip_global_norm(&mut g, 10.0).unwrap(), 5.0);
    assert_eq!(clip_global_norm(&mut g, 5.0).unwrap(), 5.0);
    assert_eq!(g, [3.0, 4.0]);
    assert_eq!(clip_global_norm(&mut g, 2.5).unwrap(), 5.0);
    assert_eq!(g, [1.5, 2.0]);
    assert_eq!(clip_global_norm::<f64>(&mut [], 1.0).unwrap(), 0.0);
    assert_eq!(clip_global_norm(&mut [0.0_f32; 3], 1.0).unwrap(), 0.0);
}

#[test]
fn parts_have_one_norm() {
    let (mut a, mut b, mut c) = ([2.0_f32, 4.0], [], [4.0]);
    let parts = &mut [&mut a[..], &mut b[..], &mut c[..]];
    assert_eq!(clip_global_norm_parts(parts, 6.5).unwrap(), 6.0);
    assert_eq!(clip_global_norm_parts(parts, 3.0).unwrap(), 6.0);
    assert_eq!((a, c), ([1.0, 2.0], [2.0]));
    assert_eq!(clip_global_norm_parts::<f64>(&mut [], 3.0).unwrap(), 0.0);
    // One bad element anywhere, and none of the parts is touched.
    let (mut a, mut b) = ([3.0, 4.0], [f64::NAN]);
    let error = clip_global_norm_parts(&mut [&mut a, &mut b], 1.0).unwrap_err();
    assert!(matches!(error, Error::NonFiniteNorm(v) if v.is_nan()));
    assert_eq!(a, [3.0, 4.0]);
}

/// `n` elements of ±`value` have the norm value·√n; clipped, each is ±max_norm/√n.
fn equal<F: Scalar>(value: f64, n: usize, max_norm: f64) {
    let sign = |i: usize| if i.is_multiple_of(3) { -1.0 } else { 1.0 };
    let mut g: Vec<F> = (0..n).map(|i| F::of(value * sign(i))).collect();
    let root = (n as f64).sqrt();
    let norm = clip_global_norm(&mut g, max_norm).unwrap();
    let exact = F::of(value).f64() * root;
    assert!(
        norm == exact || (norm / exact - 1.0).abs() < 1e-13,
        "{norm}: {exact}"
    );
    // Rounded once, and as near as the norm before.
    let wanted = max_norm / root;
    let slack = wanted * (F::epsilon().f64() / 2.0 + 1e-13)
        + (F::min_positive_value() * F::epsilon()).f64();
    for (i, v) in g.iter().enumerate() {
        let error = (v.f64() * sign(i) - wanted).abs();
        assert!(
            error <= slack,
            "{value:e} {n} {max_norm:e}: {v} is not {wanted:e}"
        );
    }
}

#[test]
fn every_scale_that_the_types_have_is_clipped_rightly() {
    let million = 1_000_000;
    equal::<f32>(3e38, million, 1e-5);
    equal::<f32>(f64::from(f32::MAX), 4, 1.0);
    equal::<f32>(f64::from(f32::MAX), million, 1e40);
    equal::<f32>(1e-44, million, 1e-42 * 2.0);
    equal::<f32>(1.0, 9, 1e-30);
    let (max, min) = (f64::MAX, f64::MIN_POSITIVE);
    for n in [4, 49, million] {
        // The norm is no f64; the last factors are not normal, or 0.
        for max_norm in [max, 1e308, 1e300, 1.0, 1e-5, 1e-200, 1e-305] {
            equal::<f64>(max, n, max_norm);
        }
        equal::<f64>(1e300, n, 1e-20);
        equal::<f64>(1e200, n, 1e-150);
        equal::<f64>(1.0, n, 1e-300);
        equal::<f64>(min * 4.0, n, min * 2.0);
    }
    // Parts of which none overflows, together do.
    let (mut a, mut b) = ([max, 0.0], [0.0, -max]);
    let norm = clip_global_norm_parts(&mut [&mut a, &mut b], 1.0).unwrap();
    assert_eq!(norm, f64::INFINITY);
    let half = 0.5_f64.sqrt();
    assert!((a[0] - half).abs() < 1e-15 && (b[1] + half).abs() < 1e-15);
    assert_eq!((a[1], b[0]), (0.0, 0.0));
}

#[test]
fn small_elements_beside_large_ones_keep_their_digits() {
    // 3·2⁻⁶⁰⁰ beside 2¹⁰⁰⁰, clipped to 2⁹⁹⁰: the scale is 2⁻¹⁰, exactly.
    let power = |k: i32| 2.0_f64.powi(k);
    let mut g = [power(1000), 3.0 * power(-600)];
    clip_global_norm(&mut g, power(990)).unwrap();
    assert_eq!(g, [power(990), 3.0 * power(-610)]);
    // The norm is 2·2¹⁰²³, no f64.
    let mut g = [
        power(1023),
        power(1023),
        power(1023),
        -power(1023),
        3.0 * power(-700),
    ];
    assert_eq!(
        clip_global_norm(&mut g, power(1000)).unwrap(),
        f64::INFINITY
    );
    assert_eq!(g[..4], [power(999), power(999), power(999), -power(999)]);
    assert_eq!(g[4], 3.0 * power(-724));
}

#[test]
fn values_are_clipped_on_both_sides() {
    let mut g = [-3.0, 0.5, 2.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    clip_value(&mut g, 1.0).unwrap();
    assert_eq!(g[..5], [-1.0, 0.5, 1.0, 1.0, -1.0]);
    assert!(g[5].is_nan());
}

#[test]
fn bad_limits_are_refused_and_change_nothing() {
    fn refused<F: Scalar>(bad: &[f64], clip: impl Fn(&mut [F], f64) -> Result<(), Error>) {
        for &bad in bad {
            let mut g = [F::of(3.0), F::of(-4.0)];
            let error = clip(&mut g, bad).unwrap_err();
            assert!(matches!(error, Error::Argument { .. }), "{bad}");
            assert_eq!(g, [F::of(3.0), F::of(-4.0)]);
        }
    }
    let never = [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let norm = |g: &mut [f64], limit| clip_global_norm(g, limit).map(|_| ());
    refused(&never, clip_value::<f64>);
    refused(&never, norm);
    // What f32 has as 0 would leave nothing; what it has as infinity would limit nothing.
    refused(&[&never[..], &[1e-50, 1e39]].concat(), clip_value::<f32>);
    let norm = |g: &mut [f32], limit| clip_global_norm(g, limit).map(|_| ());
    refused(&[&never[..], &[1e-50]].concat(), norm);
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut g = [1.0, bad, 2.0];
        let error = clip_global_norm(&mut g, 1.0).unwrap_err();
        assert!(matches!(error, Error::NonFiniteNorm(_)));
        assert_eq!((g[0], g[2]), (1.0, 2.0));
    }
}
