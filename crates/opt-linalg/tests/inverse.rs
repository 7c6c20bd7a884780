//! Damped inverses of low rank: within their bound of the dense ones.
#![cfg(any(feature = "lapack", feature = "faer"))]
#![allow(clippy::unwrap_used)] // in helpers of the tests too

use ndarray::{Array1, Array2};
use opt_core::{Scalar, norm};
use opt_linalg::{Accuracy, Cholesky, DampedInverse, Decompose, Error, InverseWork};

/// Numbers without a pattern.
fn wave<F: Scalar>(rows: usize, columns: usize, salt: f64) -> Array2<F> {
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        let v = (12.9898 * i as f64 + 78.233 * j as f64 + salt).sin() * 43_758.547;
        F::of(v - v.floor() - 0.5)
    })
}

/// A matrix with these eigenvalues, by reflections of a diagonal.
fn of_spectrum<F: Scalar>(values: &[f64]) -> Array2<F> {
    let mut a = Array2::from_diag(&Array1::from(values.to_vec()));
    for salt in 0..3 {
        let v = wave::<f64>(values.len(), 1, salt.into());
        let reflection = Array2::eye(values.len()) - 2.0 * v.dot(&v.t()) / (&v * &v).sum();
        a = reflection.dot(&a).dot(&reflection);
    }
    a.mapv(F::of)
}

const N: usize = 200;

/// Name, eigenvalue number k, damping, and the ranks that are expected by pivots and by eigenvectors.
type Case = (&'static str, fn(usize) -> f64, f64, [Option<usize>; 2]);

const CASES: [Case; 6] = [
    ("nothing", |_| 0.0, 0.1, [Some(0); 2]),
    ("all far below", |_| 1e-6, 0.1, [Some(0); 2]),
    ("few", |k| if k < 5 { 3.0 } else { 0.0 }, 0.1, [Some(5); 2]),
    (
        "falling",
        |k| 2.0 * 0.8_f64.powi(k as i32),
        0.1,
        [Some(48), Some(32)],
    ),
    (
        "slowly falling",
        |k| 3.0 / (1.0 + k as f64).powi(2),
        0.1,
        [None, Some(38)],
    ),
    ("all above", |k| 1.0 + k as f64, 0.1, [None; 2]),
];

fn compare<F: Decompose>(rounding: f64) {
    let mut work = InverseWork::<F>::default();
    for (name, value, damping, ranks) in CASES {
        let values: Vec<f64> = (0..N).map(value).collect();
        let a = of_spectrum::<F>(&values);
        let mut dense = Array2::zeros((N, N));
        let factor = Cholesky::new(a.view(), damping).unwrap();
        factor.inverse(&mut dense).unwrap();
        let rows = wave::<F>(7, N, 0.3);
        for (eigenvectors, most) in [false, true].into_iter().zip(ranks) {
            for tolerance in [0.1, 0.01, 1e-3, 0.0] {
                let what = format!("{name}, {eigenvectors}, {tolerance}");
                let accuracy = Accuracy {
                    tolerance,
                    eigenvectors,
                };
                let mut inverse = DampedInverse::new(N);
                inverse
                    .update(a.view(), damping, accuracy, &mut work)
                    .unwrap();
                if tolerance == 0.01 {
                    let k = inverse.rank();
                    assert!(k.is_some() == most.is_some() && k <= most, "{what}: {k:?}");
                }
                assert!(tolerance > 0.0 || inverse.rank().is_none());
                let mut out = Array2::from_elem((7, N), F::nan());
                let scratch = &mut Vec::new();
                inverse
                    .product(rows.view(), out.view_mut(), scratch)
                    .unwrap();
                let exact = rows.dot(&dense);
                for (out, exact) in out.rows().into_iter().zip(exact.rows()) {
                    let error = norm((&out - &exact).as_slice().unwrap());
                    let limit = (tolerance + rounding) * norm(exact.as_slice().unwrap());
                    assert!(error <= limit, "{what}: {error:e}, {limit:e}");
                }
            }
        }
    }
}

#[test]
fn products_are_within_the_tolerance_of_the_dense_inverse_s() {
    compare::<f64>(1e-10);
    compare::<f32>(1e-3);
}

#[test]
fn a_small_matrix_and_no_damping_are_dense() {
    let accuracy = Accuracy {
        tolerance: 0.01,
        eigenvectors: true,
    };
    let mut work = InverseWork::<f64>::default();
    for (n, damping) in [(127, 1.0), (200, 0.0)] {
        let mut inverse = DampedInverse::new(n);
        inverse
            .update(Array2::eye(n).view(), damping, accuracy, &mut work)
            .unwrap();
        assert_eq!(inverse.rank(), None, "{n}");
    }
}

#[test]
fn what_is_refused() {
    let mut work = InverseWork::<f64>::default();
    let accuracy = Accuracy {
        tolerance: 0.01,
        eigenvectors: true,
    };
    let mut inverse = DampedInverse::new(N);
    let mut update =
        |a: &Array2<f64>, damping| inverse.update(a.view(), damping, accuracy, &mut work);
    assert!(matches!(
        update(&Array2::eye(3), 1.0),
        Err(Error::Width { .. })
    ));
    assert!(matches!(
        update(&Array2::zeros((N, 3)), 1.0),
        Err(Error::NotSquare { .. })
    ));
    assert!(matches!(update(&Array2::eye(N), -1.0), Err(Error::Core(_))));
    assert!(matches!(
        update(&-Array2::eye(N), 0.1),
        Err(Error::NotPositiveDefinite { .. })
    ));
    let mut bad = Array2::eye(N);
    bad[[7, 3]] = f64::NAN;
    assert!(matches!(update(&bad, 1.0), Err(Error::NonFinite { .. })));
    let mut out = Array2::zeros((1, 3));
    let result = inverse.product(
        Array2::zeros((1, 3)).view(),
        out.view_mut(),
        &mut Vec::new(),
    );
    assert!(matches!(result, Err(Error::Shape { .. })));
}
