//! `Cholesky` against closed forms.

#![cfg(any(feature = "lapack", feature = "faer"))]
#![cfg(any(feature = "lapack", feature = "faer"))]
#![allow(clippy::unwrap_used)] // in helpers of the tests too

use ndarray::{Array, Array2, Dimension, ShapeBuilder, array, s};
use opt_linalg::{Cholesky, Decompose, Error};

/// Every element within this of the expected one.
fn near<D: Dimension>(found: &Array<f64, D>, expected: &Array<f64, D>, tolerance: f64) -> bool {
    let close = |(a, b): (&f64, &f64)| (a - b).abs() <= tolerance;
    found.shape() == expected.shape() && found.iter().zip(expected).all(close)
}

fn second_difference<F: Decompose>(n: usize) -> Array2<F> {
    Array2::from_shape_fn((n, n), |(i, j)| match i.abs_diff(j) {
        0 => F::of(2.0),
        1 => F::of(-1.0),
        _ => F::zero(),
    })
}

/// Its inverse: (i+1)(n−j)/(n+1) for i ≤ j.
fn green(n: usize, i: usize, j: usize) -> f64 {
    ((i.min(j) + 1) * (n - i.max(j))) as f64 / (n + 1) as f64
}

fn second_differences<F: Decompose>(n: usize) {
    let factor = Cholesky::<F>::new(second_difference(n).view(), 0.0).unwrap();
    let mut inverse = Array2::zeros((0, 0));
    factor.inverse(&mut inverse).unwrap();
    // The condition number is about 0.4·n², the largest element n/4.
    let tolerance = 0.5 * (n * n * n) as f64 * F::epsilon().f64();
    for ((i, j), v) in inverse.indexed_iter() {
        assert!(
            (v.f64() - green(n, i, j)).abs() <= tolerance,
            "({i}, {j}) of {n}: {v}"
        );
    }
    assert_eq!(inverse, inverse.t());
    // Every row of the identity is a right-hand side; so is, alone, the last.
    let mut rows = Array2::<F>::eye(n);
    factor.solve(rows.as_slice_mut().unwrap()).unwrap();
    let mut last = vec![F::zero(); n];
    last[n - 1] = F::one();
    factor.solve(&mut last).unwrap();
    for ((i, j), v) in rows.indexed_iter() {
        assert!((v.f64() - green(n, i, j)).abs() <= tolerance);
    }
    for (j, v) in last.iter().enumerate() {
        assert!((v.f64() - green(n, n - 1, j)).abs() <= tolerance);
    }
}

#[test]
fn inverse_and_solutions_in_closed_form() {
    for n in [1, 2, 3, 31, 32, 33, 100, 150] {
        second_differences::<f64>(n);
        second_differences::<f32>(n);
    }
}

#[test]
fn damping_is_added_to_the_diagonal() {
    // (11ᵀ + γI)⁻¹ = (I − 11ᵀ/(n + γ))/γ, where 11ᵀ alone is singular.
    let (n, damping) = (7, 0.25);
    let mut inverse = Array2::zeros((n, n));
    let ones = Array2::<f64>::ones((n, n));
    let factor = Cholesky::new(ones.view(), damping).unwrap();
    factor.inverse(&mut inverse).unwrap();
    let expected = (Array2::<f64>::eye(n) - 1.0 / (n as f64 + damping)) / damping;
    assert!(near(&inverse, &expected, 1e-13));
}

#[test]
fn only_the_lower_triangle_is_read_in_any_layout() {
    let n = 40;
    let a = second_difference::<f64>(n);
    let mut expected = Array2::zeros((n, n));
    Cholesky::new(a.view(), 0.5)
        .unwrap()
        .inverse(&mut expected)
        .unwrap();
    let mut lower = a.clone();
    lower
        .indexed_iter_mut()
        .filter(|((i, j), _)| j > i)
        .for_each(|(_, v)| *v = f64::NAN);
    let mut column_major = Array2::zeros((n, n).f());
    column_major.assign(&lower);
    let mut wide = Array2::zeros((2 * n, n));
    wide.slice_mut(s![..;-2, ..]).assign(&lower);
    for view in [lower.view(), column_major.view(), wide.slice(s![..;-2, ..])] {
        let mut inverse = Array2::zeros((n, n).f());
        Cholesky::new(view, 0.5)
            .unwrap()
            .inverse(&mut inverse)
            .unwrap();
        assert_eq!(inverse, expected);
    }
}

#[test]
fn a_failed_update_keeps_the_factor_and_a_good_one_may_change_the_order() {
    let mut factor = Cholesky::new(array![[4.0]].view(), 0.0).unwrap();
    let indefinite = array![[1.0, 0.0, 0.0], [0.0, 1.0, 2.0], [0.0, 2.0, 4.0 - 1e-9]];
    let error = factor.update(indefinite.view(), 0.0).unwrap_err();
    assert!(
        matches!(error, Error::NotPositiveDefinite { minor: 3 }),
        "{error}"
    );
    let mut nan = Array2::<f64>::eye(5);
    nan[[3, 1]] = f64::NAN;
    let error = factor.update(nan.view(), 0.0).unwrap_err();
    assert!(
        matches!(
            error,
            Error::NonFinite {
                row: 3,
                column: 1,
                ..
            }
        ),
        "{error}"
    );
    for damping in [-1.0, f64::NAN, f64::INFINITY] {
        let error = factor.update(Array2::eye(2).view(), damping).unwrap_err();
        assert!(matches!(
            error,
            Error::Core(opt_core::Error::Hyper { name, .. }) if name == "damping"
        ));
    }
    for (rows, columns) in [(2, 3), (0, 0)] {
        factor
            .update(Array2::zeros((rows, columns)).view(), 1.0)
            .unwrap_err();
    }
    let mut b = [2.0];
    factor.solve(&mut b).unwrap();
    assert_eq!(b, [0.5]);
    factor.update(indefinite.view(), 1.0).unwrap();
    let mut b = [2.0, 0.0, 0.0];
    factor.solve(&mut b).unwrap();
    assert!((b[0] - 1.0_f64).abs() < 1e-15);
}

#[test]
fn the_inverse_is_written_in_place() {
    let a = second_difference::<f32>(50);
    let mut factor = Cholesky::new(a.view(), 0.0).unwrap();
    let mut inverse = Array2::zeros((50, 50));
    let place = inverse.as_ptr();
    for _ in 0..3 {
        factor.update(a.view(), 0.1).unwrap();
        factor.inverse(&mut inverse).unwrap();
    }
    assert_eq!(inverse.as_ptr(), place);
}

#[test]
fn lengths_and_overflow() {
    let factor = Cholesky::new(Array2::<f32>::eye(3).view(), 0.0).unwrap();
    let mut b = [1.0, 2.0, 3.0, 4.0];
    let error = factor.solve(&mut b).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Width {
                expected: 3,
                found: 4,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(b, [1.0, 2.0, 3.0, 4.0]);
    factor.solve(&mut []).unwrap();
    // 1/1e-40 is beyond f32.
    let tiny = Cholesky::new(Array2::from_elem((1, 1), 1e-40_f32).view(), 0.0).unwrap();
    let error = tiny.inverse(&mut Array2::zeros((1, 1))).unwrap_err();
    assert!(matches!(error, Error::Overflow { .. }), "{error}");
    let huge = Cholesky::new(Array2::<f32>::eye(2).view(), 1e39).unwrap_err();
    assert!(matches!(huge, Error::Overflow { .. }), "{huge}");
}

#[test]
fn a_pivot_lost_to_overflow_is_not_positive() {
    // Indefinite; its factor's third row overflows, and its last pivot is 1 − ∞² − (∞·0)².
    let a = array![[1e-38_f32, 0.0, 3e38], [0.0, 1.0, 0.0], [3e38, 0.0, 1.0]];
    let error = Cholesky::new(a.view(), 0.0).unwrap_err();
    assert!(
        matches!(error, Error::NotPositiveDefinite { minor: 3 }),
        "{error}"
    );
}
