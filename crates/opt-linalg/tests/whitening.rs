//! `Whitening` against closed forms, and against what defines it.

#![cfg(any(feature = "lapack", feature = "faer"))]
#![cfg(any(feature = "lapack", feature = "faer"))]
#![allow(clippy::unwrap_used)] // in helpers of the tests too

use ndarray::{Array, Array1, Array2, Dimension, array, aview1, s};
use opt_core::{Snapshot, State};
use opt_linalg::{Eigh, Error, Form, Moments, Whitening, WhiteningOptions};
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

const FORMS: [Form; 2] = [Form::Pca, Form::Zca];

/// Every element within this of the expected one.
fn near<D: Dimension>(found: &Array<f64, D>, expected: &Array<f64, D>, tolerance: f64) -> bool {
    let close = |(a, b): (&f64, &f64)| (a - b).abs() <= tolerance;
    found.shape() == expected.shape() && found.iter().zip(expected).all(close)
}

fn options(form: Form, epsilon: f64, floor: f64) -> WhiteningOptions {
    WhiteningOptions {
        form,
        epsilon,
        floor,
    }
}

fn normal(rows: usize, columns: usize, seed: u64) -> Array2<f64> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    Array2::from_shape_simple_fn((rows, columns), || StandardNormal.sample(&mut rng))
}

/// Like small scans: 64 pixels in sixteenths of 0..=1, clipped at both ends, of which neighbours are
/// alike and three are 0 in every image.
fn scans() -> Array2<f64> {
    let noise = normal(1_797, 66, 9);
    Array2::from_shape_fn((1_797, 64), |(row, pixel)| {
        let around = noise.row(row).slice_move(s![pixel..pixel + 3]).sum();
        let level = (8.0 * around + 6.0).round().clamp(0.0, 16.0);
        if [0, 32, 39].contains(&pixel) {
            0.0
        } else {
            level / 16.0
        }
    })
}

fn moments(x: &Array2<f64>) -> Moments<f64> {
    let mut moments = Moments::new(x.ncols());
    moments.update(x.view()).unwrap();
    moments
}

fn whitening(moments: &Moments<f64>, options: &WhiteningOptions) -> (Whitening<f64>, Array1<f64>) {
    let mut eigh = Eigh::new();
    let eigen = eigh.compute(moments.lower()).unwrap();
    let mut whitening = Whitening::identity(eigen.values.len());
    whitening.update(moments.mean(), &eigen, options).unwrap();
    (whitening, eigen.values.to_owned())
}

fn largest(a: &Array2<f64>) -> f64 {
    a.iter().fold(0.0, |m, v| m.max(v.abs()))
}

/// What must hold for any sample, rank-deficient or not.
fn check(x: &Array2<f64>, epsilon: f64) {
    let (n, rows) = (x.ncols(), x.nrows() as f64);
    let moments = moments(x);
    let damped = moments.covariance() + epsilon * Array2::<f64>::eye(n);
    for form in FORMS {
        let (w, lambda) = whitening(&moments, &options(form, epsilon, 0.0));
        assert_eq!(w.c, moments.mean());
        // U·U⁻¹ = U⁻¹·U = I
        let eye = Array2::<f64>::eye(n);
        assert!(largest(&(w.u.dot(&w.u_inv) - &eye)) < 1e-10);
        assert!(largest(&(w.u_inv.dot(&w.u) - &eye)) < 1e-10);
        // UᵀU·(Σ + εI) = I, relative to the condition number of Σ + εI.
        let condition = (lambda[n - 1] + epsilon) / epsilon;
        let gram = w.u.t().dot(&w.u).dot(&damped);
        assert!(largest(&(gram - &eye)) < 1e-14 * condition.max(1e3));
        // The sample, whitened: mean 0, covariance diag(λ/(λ + ε)), in ZCA rotated back.
        let y = (x - &w.c).dot(&w.u.t());
        let mean = y.sum_axis(ndarray::Axis(0)) / rows;
        assert!(mean.iter().all(|v| v.abs() < 1e-10), "{mean}");
        let covariance = y.t().dot(&y) / rows;
        let ratios = lambda.mapv(|v| v.max(0.0) / (v.max(0.0) + epsilon));
        match form {
            Form::Pca => {
                assert!(largest(&(covariance - Array2::from_diag(&ratios))) < 1e-10);
            }
            Form::Zca => {
                assert!(largest(&(&w.u - &w.u.t())) == 0.0);
                // Σ(Σ + εI)⁻¹ = I − εUU
                let expected = &eye - &(epsilon * w.u.dot(&w.u));
                assert!(largest(&(covariance - expected)) < 1e-10);
            }
        }
    }
}

#[test]
fn two_by_two_in_closed_form() {
    // Σ = [[5, 3], [3, 5]]: λ = 2 and 8, along (1, ∓1)/√2.
    let x = array![[2.0, 2.0], [-2.0, -2.0], [1.0, -1.0], [-1.0, 1.0]] * 2.0_f64.sqrt() + 7.0;
    let moments = moments(&x);
    assert!(near(
        &moments.covariance(),
        &array![[5.0, 3.0], [3.0, 5.0]],
        1e-13
    ));
    let epsilon = 1.0;
    let (small, large) = (1.0 / 3.0_f64.sqrt(), 1.0 / 3.0);
    let (zca, _) = whitening(&moments, &options(Form::Zca, epsilon, 0.0));
    let (same, other) = ((large + small) / 2.0, (large - small) / 2.0);
    assert!(near(&zca.u, &array![[same, other], [other, same]], 1e-14));
    let (same, other) = (
        (1.0 / large + 1.0 / small) / 2.0,
        (1.0 / large - 1.0 / small) / 2.0,
    );
    assert!(near(
        &zca.u_inv,
        &array![[same, other], [other, same]],
        1e-14
    ));
    // Up to the sign of each row.
    let (mut pca, _) = whitening(&moments, &options(Form::Pca, epsilon, 0.0));
    for mut row in pca.u.rows_mut() {
        let sign = row[0].signum();
        row *= sign;
    }
    let half = 0.5_f64.sqrt();
    let expected = array![[small * half, -small * half], [large * half, large * half]];
    assert!(near(&pca.u, &expected, 1e-14), "{}", pca.u);
    assert!(near(&pca.c, &array![7.0, 7.0], 1e-14));
}

#[test]
fn whitens_random_and_rank_deficient_samples() {
    check(&normal(500, 40, 1), 1e-3);
    check(&normal(500, 1, 2), 0.1);
    // Fewer samples than features.
    check(&normal(9, 30, 3), 0.1);
    check(&normal(1, 5, 4), 0.1);
    // Dead units, and two that say the same.
    let mut dead = normal(100, 20, 5).mapv(|v| v.max(0.0));
    dead.column_mut(3).fill(0.0);
    dead.column_mut(8).fill(1.0);
    let twin = dead.column(1).to_owned();
    dead.column_mut(12).assign(&twin);
    check(&dead, 0.01);
    // Nothing varies at all.
    check(&Array2::from_elem((10, 4), 2.5), 0.25);
}

#[test]
fn whitens_scans_with_their_constant_pixels() {
    let x = scans();
    let moments = moments(&x);
    let (_, lambda) = whitening(&moments, &options(Form::Pca, 0.1, 0.0));
    // Three pixels are 0 in every image.
    let constant = moments
        .covariance()
        .diag()
        .iter()
        .filter(|&&v| v == 0.0)
        .count();
    assert_eq!(constant, 3);
    assert!(lambda.iter().take(3).all(|v| v.abs() < 1e-15), "{lambda}");
    for epsilon in [1.0, 0.1, 1e-3] {
        check(&x, epsilon);
    }
}

#[test]
fn single_precision_near_double() {
    let x = scans().mapv(|v| v as f32);
    let mut single = Moments::new(64);
    single.update(x.view()).unwrap();
    let mut eigh = Eigh::new();
    let eigen = eigh.compute(single.lower()).unwrap();
    let double = moments(&x.mapv(f64::from));
    let mut w = Whitening::identity(64);
    for form in FORMS {
        w.update(single.mean(), &eigen, &options(form, 0.01, 0.0))
            .unwrap();
        let (expected, _) = whitening(&double, &options(form, 0.01, 0.0));
        // The rotation is the eigensolver's choice, the gram matrix is not. It is at most 1/ε.
        let u = w.u.mapv(f64::from);
        let difference = u.t().dot(&u) - expected.u.t().dot(&expected.u);
        assert!(
            largest(&difference) < 1e-5 * 100.0,
            "{}",
            largest(&difference)
        );
        let product = w.u.dot(&w.u_inv) - Array2::<f32>::eye(64);
        assert!(product.iter().all(|v| v.abs() < 1e-5));
    }
}

#[test]
fn below_the_floor_a_direction_keeps_its_scale() {
    // λ = 1/16, 4, 16 on the axes; with floor 0.25, 4 is not below 0.25·16.
    let x = array![
        [0.25, 2.0, 4.0],
        [-0.25, -2.0, 4.0],
        [0.25, -2.0, -4.0],
        [-0.25, 2.0, -4.0]
    ];
    let moments = moments(&x);
    for form in FORMS {
        for (floor, first, second) in [(0.0, 0.3125, 4.25), (0.25, 1.0, 4.25), (0.26, 1.0, 1.0)] {
            let (w, _) = whitening(&moments, &options(form, 0.25, floor));
            let variances = array![first, second, 16.25];
            let gram = w.u.t().dot(&w.u);
            assert!(near(
                &gram,
                &Array2::from_diag(&variances.mapv(|v| 1.0 / v)),
                1e-14
            ));
            let back = w.u_inv.dot(&w.u_inv.t());
            assert!(near(&back, &Array2::from_diag(&variances), 1e-13), "{back}");
            assert!(near(&w.u.dot(&w.u_inv), &Array2::eye(3), 1e-14));
        }
    }
}

#[test]
fn what_is_refused_changes_nothing() {
    let moments = moments(&normal(50, 3, 9));
    let (mut w, _) = whitening(&moments, &WhiteningOptions::default());
    let before = w.clone();
    let mut eigh = Eigh::new();
    let eigen = eigh.compute(moments.lower()).unwrap();
    let mean = moments.mean();
    for epsilon in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = w
            .update(mean, &eigen, &options(Form::Pca, epsilon, 0.0))
            .unwrap_err();
        assert!(matches!(
            error,
            Error::Core(opt_core::Error::Hyper { name, .. }) if name == "epsilon"
        ));
    }
    for floor in [-0.1, 1.5, f64::NAN] {
        let error = w
            .update(mean, &eigen, &options(Form::Pca, 0.1, floor))
            .unwrap_err();
        assert!(matches!(
            error,
            Error::Core(opt_core::Error::Hyper { name, .. }) if name == "floor"
        ));
    }
    let default = WhiteningOptions::default();
    let error = w.update(aview1(&[0.0; 4]), &eigen, &default).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Width {
                what: "mean",
                expected: 3,
                found: 4
            }
        ),
        "{error}"
    );
    let error = w
        .update(aview1(&[0.0, f64::NAN, 0.0]), &eigen, &default)
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::NonFinite {
                what: "mean",
                column: 1,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(
        (&w.u, &w.u_inv, &w.c),
        (&before.u, &before.u_inv, &before.c)
    );
    // 1/√ε beyond f32.
    let mut single = Whitening::<f32>::identity(1);
    let (mut eigh, zero) = (Eigh::new(), Array2::zeros((1, 1)));
    let eigen = eigh.compute(zero.view()).unwrap();
    for epsilon in [1e-80, 1e80] {
        let error = single.update(aview1(&[0.0]), &eigen, &options(Form::Pca, epsilon, 0.0));
        assert!(matches!(error, Err(Error::Overflow { .. })));
    }
    assert_eq!(single.u, array![[1.0]]);
}

#[test]
fn another_size_is_allocated_anew_and_the_same_is_not() {
    let mut w = Whitening::identity(2);
    let mut eigh = Eigh::new();
    let mut places = Vec::new();
    for seed in 0..3 {
        let moments = moments(&normal(40, 6, seed));
        let eigen = eigh.compute(moments.lower()).unwrap();
        w.update(moments.mean(), &eigen, &WhiteningOptions::default())
            .unwrap();
        assert!(near(&w.u.dot(&w.u_inv), &Array2::eye(6), 1e-12));
        places.push((w.u.as_ptr(), w.u_inv.as_ptr()));
    }
    assert!(places.iter().all(|place| *place == places[0]));
    assert_eq!(Whitening::<f64>::identity(1 << 33).u.dim(), (0, 0));
}

#[test]
fn extreme_variances_stay_finite() {
    for scale in [1e-150, 1e150] {
        let moments = moments(&(normal(30, 4, 1) * scale));
        for form in FORMS {
            let (w, _) = whitening(&moments, &options(form, 1e-300, 0.0));
            assert!(w.u.iter().chain(&w.u_inv).all(|v| v.is_finite()));
            assert!(near(&w.u.dot(&w.u_inv), &Array2::eye(4), 1e-10));
        }
    }
}

#[test]
fn a_snapshot_holds_it_all() {
    fn named(w: &mut Whitening<f64>) -> [(&str, &mut dyn State<f64>); 1] {
        [("whitening", w)]
    }
    let (mut w, _) = whitening(&moments(&normal(30, 5, 2)), &WhiteningOptions::default());
    let mut restored = Whitening::identity(5);
    Snapshot::take(&mut named(&mut w))
        .unwrap()
        .restore(&mut named(&mut restored))
        .unwrap();
    assert_eq!(
        (w.u, w.u_inv, w.c),
        (restored.u, restored.u_inv, restored.c)
    );
}
