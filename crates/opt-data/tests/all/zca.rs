//! ZCA whitening against what defines it, and the file that keeps it.

#![cfg(any(feature = "lapack", feature = "faer"))]
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, like tests, may panic"
)]

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{Array2, Axis, array};
use opt_data::{Error, Zca, digits};

fn covariance(x: &Array2<f64>) -> Array2<f64> {
    let centred = x - &x.mean_axis(Axis(0)).unwrap();
    centred.t().dot(&centred) / x.nrows() as f64
}

fn largest(a: &Array2<f64>) -> f64 {
    a.iter().fold(0.0, |m, v| m.max(v.abs()))
}

#[test]
fn whitens_what_it_was_fitted_on() {
    // More rows than a chunk.
    let x = digits().unwrap().inputs.to_owned();
    let sigma = covariance(&x.mapv(f64::from));
    for epsilon in [1.0, 0.1, 1e-3] {
        let zca = Zca::fit(x.view(), epsilon).unwrap();
        let w = zca.matrix().mapv(f64::from);
        assert_eq!(w, w.t());
        // W = (Σ + εI)^(−1/2), without a decomposition of ours: W²(Σ + εI) = I.
        let damped = &sigma + &(epsilon * Array2::<f64>::eye(64));
        let identity = w.dot(&w).dot(&damped) - Array2::<f64>::eye(64);
        assert!(
            largest(&identity) < 1e-5 / epsilon.sqrt(),
            "{}",
            largest(&identity)
        );

        let mut white = x.clone();
        zca.apply(white.view_mut()).unwrap();
        let white = white.mapv(f64::from);
        assert!(
            white
                .mean_axis(Axis(0))
                .unwrap()
                .iter()
                .all(|m| m.abs() < 1e-5)
        );
        // λ/(λ + ε) in the eigenbasis is Σ(Σ + εI)⁻¹, so that times Σ + εI it is Σ.
        let rest = covariance(&white).dot(&damped) - &sigma;
        assert!(largest(&rest) < 1e-5, "{}", largest(&rest));
        // And row by row it is W(x − μ).
        let centred = x.mapv(f64::from) - zca.mean().mapv(f64::from);
        assert!(largest(&(centred.dot(&w) - &white)) < 1e-4);
    }
}

#[test]
fn other_layouts_and_few_samples() {
    let x = digits().unwrap().inputs.to_owned();
    let zca = Zca::fit(x.view(), 0.1).unwrap();
    let mut expected = x.clone();
    zca.apply(expected.view_mut()).unwrap();
    let mut turned = x.t().as_standard_layout().into_owned();
    assert_eq!(Zca::fit(turned.t(), 0.1).unwrap(), zca);
    zca.apply(turned.view_mut().reversed_axes()).unwrap();
    assert!(largest(&(&turned.t() - &expected).mapv(f64::from)) < 1e-5);
    zca.apply(Array2::zeros((0, 64)).view_mut()).unwrap();

    // More features than a product takes at a time, and than samples.
    let wide = Array2::from_shape_fn((40, 521), |(i, j)| ((i * 37 + j * j) % 101) as f32 / 50.0);
    let zca = Zca::fit(wide.view(), 0.1).unwrap();
    let (w, mean) = (zca.matrix().mapv(f64::from), zca.mean().mapv(f64::from));
    let expected = (wide.mapv(f64::from) - mean).dot(&w);
    let mut white = wide;
    zca.apply(white.view_mut()).unwrap();
    assert!(largest(&(white.mapv(f64::from) - expected)) < 1e-4);

    // One sample: every direction is without variance.
    let one = Zca::fit(array![[1.0, 2.0]].view(), 0.25).unwrap();
    assert!(largest(&(one.matrix().mapv(f64::from) - 2.0 * Array2::eye(2))) < 1e-6);
}

#[test]
fn what_cannot_be_whitened_is_refused_and_stays() {
    let x = array![[1.0, 2.0], [3.0, 5.0]];
    for epsilon in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-78, f64::MIN_POSITIVE] {
        let error = Zca::fit(x.view(), epsilon).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Setting {
                    what: "epsilon",
                    ..
                }
            ),
            "{error}"
        );
    }
    for epsilon in [1e-76, 1e76, 1e300] {
        let zca = Zca::fit(x.view(), epsilon).unwrap();
        assert!(zca.matrix().iter().all(|w| w.is_finite()), "{epsilon}");
    }
    let error = Zca::fit(Array2::zeros((0, 2)).view(), 0.1).unwrap_err();
    assert!(matches!(error, Error::Empty { .. }));
    assert!(Zca::fit(Array2::zeros((2, 0)).view(), 0.1).is_err());
    let error = Zca::fit(array![[0.0, 1.0], [0.0, f32::INFINITY]].view(), 0.1).unwrap_err();
    assert!(matches!(
        error,
        Error::NonFinite {
            sample: 1,
            feature: 1,
            ..
        }
    ));
    // The squares of the greatest numbers of f32 are none of f64's.
    Zca::fit(array![[f32::MAX], [f32::MIN]].view(), 0.1).unwrap();

    let zca = Zca::fit(x.view(), 1e-6).unwrap();
    let refused = |mut y: Array2<f32>| {
        let before = y.clone();
        let error = zca.apply(y.view_mut()).unwrap_err();
        assert!(
            y.iter()
                .zip(&before)
                .all(|(a, b)| a.to_bits() == b.to_bits())
        );
        error
    };
    assert!(matches!(
        refused(Array2::zeros((1, 3))),
        Error::Shape {
            expected: 2,
            found: 3,
            ..
        }
    ));
    let error = refused(array![[0.0, 0.0], [f32::NAN, 0.0]]);
    assert!(matches!(
        error,
        Error::NonFinite {
            sample: 1,
            feature: 0,
            ..
        }
    ));
    let error = refused(array![[0.0, 0.0], [0.0, f32::MAX]]);
    assert!(
        matches!(
            error,
            Error::Scale {
                sample: 1,
                feature: 1,
                ..
            }
        ),
        "{error}"
    );
}

fn cache(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_file(&path);
    path
}

#[test]
fn the_cache_is_of_these_inputs_and_this_epsilon() {
    let x = digits().unwrap().inputs.to_owned();
    let path = cache("zca-cache");
    let fitted = Zca::fit_cached(x.view(), 0.1, &path).unwrap();
    assert_eq!(fitted, Zca::fit(x.view(), 0.1).unwrap());
    let kept = fs::read(&path).unwrap();
    assert_eq!(kept.len(), 16 + 32 + 4 * 64 * 65 + 32);
    let modified = || fs::metadata(&path).unwrap().modified().unwrap();
    let before = modified();
    assert_eq!(Zca::fit_cached(x.view(), 0.1, &path).unwrap(), fitted);
    assert_eq!(modified(), before);

    // Of another ε, of inputs that differ in one bit, or of as many in another shape: anew.
    let mut other = x.clone();
    other[[7, 7]] = f32::from_bits(other[[7, 7]].to_bits() ^ 1);
    let halves = x.to_shape((2 * 1_797, 32)).unwrap();
    for (inputs, epsilon) in [(x.view(), 0.2), (other.view(), 0.1), (halves.view(), 0.1)] {
        let found = Zca::fit_cached(inputs, epsilon, &path).unwrap();
        assert_eq!(found, Zca::fit(inputs, epsilon).unwrap());
        assert_ne!(fs::read(&path).unwrap(), kept);
    }

    // A damaged one too.
    let flipped = |at: usize| {
        let mut bytes = kept.clone();
        bytes[at] ^= 1;
        bytes
    };
    let (cut, long) = (kept[..kept.len() - 1].to_vec(), [&kept[..], &[0]].concat());
    for bytes in [
        flipped(20),
        flipped(50),
        flipped(9_000),
        flipped(kept.len() - 1),
        cut,
        long,
        kept[..16].to_vec(),
    ] {
        fs::write(&path, bytes).unwrap();
        assert_eq!(Zca::fit_cached(x.view(), 0.1, &path).unwrap(), fitted);
        assert_eq!(fs::read(&path).unwrap(), kept);
    }
}

#[test]
fn what_is_no_cache_stays() {
    let x = array![[1.0, 2.0], [3.0, 5.0]];
    let path = cache("zca-other");
    for bytes in [&b""[..], b"theirs", b"something else, and longer"] {
        fs::write(&path, bytes).unwrap();
        let error = Zca::fit_cached(x.view(), 0.1, &path).unwrap_err();
        assert!(matches!(error, Error::Format { .. }), "{error}");
        assert!(error.to_string().starts_with(&path.display().to_string()));
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    assert!(matches!(
        Zca::fit_cached(x.view(), 0.1, folder),
        Err(Error::Io { .. })
    ));
    let nowhere = folder.join("no-such-folder/zca");
    assert!(matches!(
        Zca::fit_cached(x.view(), 0.1, nowhere),
        Err(Error::Write(_))
    ));
    // An error of fitting leaves no file.
    let path = cache("zca-none");
    assert!(Zca::fit_cached(x.view(), 0.0, &path).is_err());
    assert!(!path.exists());
}
