//! `Eigh` against closed forms, reconstruction and orthogonality. The tolerances are the
//! backward-error bounds that LAPACK's own tests use: a small multiple of n·ε·‖A‖.

#![cfg(any(feature = "lapack", feature = "faer"))]
#![cfg(any(feature = "lapack", feature = "faer"))]
#![allow(clippy::unwrap_used)] // in helpers of the tests too

use std::f64::consts::PI;

use ndarray::{Array2, ArrayView2, ShapeBuilder, array, s};
use opt_core::Scalar;
use opt_linalg::{Decompose, Eigh, Error};
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

fn normal(rows: usize, columns: usize, seed: u64) -> Array2<f64> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    Array2::from_shape_simple_fn((rows, columns), || StandardNormal.sample(&mut rng))
}

fn symmetric(n: usize, seed: u64) -> Array2<f64> {
    let a = normal(n, n, seed);
    &a + &a.t()
}

fn frobenius(a: &Array2<f64>) -> f64 {
    a.iter().map(|v| v * v).sum::<f64>().sqrt()
}

fn eps<F: Scalar>() -> f64 {
    F::epsilon().f64()
}

/// −1, 2, −1: eigenvalues 2 − 2cos(kπ/(n+1)), eigenvectors √(2/(n+1))·sin(jkπ/(n+1)).
fn second_difference(n: usize) -> Array2<f64> {
    Array2::from_shape_fn((n, n), |(i, j)| match i.abs_diff(j) {
        0 => 2.0,
        1 => -1.0,
        _ => 0.0,
    })
}

/// Ascending eigenvalues, orthonormal rows, and EᵀΛE = A; all sums in f64.
fn check<F: Decompose>(eigh: &mut Eigh<F>, a: &Array2<f64>) -> Vec<f64> {
    let a = a.mapv(F::of);
    let n = a.nrows();
    let eigen = eigh.compute(a.view()).unwrap();
    let (a, e) = (a.mapv(F::f64), eigen.vectors.mapv(F::f64));
    let values: Vec<f64> = eigen.values.iter().map(|v| v.f64()).collect();
    assert_eq!((values.len(), e.dim()), (n, (n, n)));
    assert!(values.is_sorted(), "{values:?}");
    let bound = 5.0 * n as f64 * eps::<F>();
    let orthogonality = frobenius(&(e.dot(&e.t()) - Array2::<f64>::eye(n)));
    assert!(orthogonality <= bound, "n = {n}: {orthogonality}");
    let scaled = Array2::from_shape_fn((n, n), |(k, j)| values[k] * e[[k, j]]);
    let residual = frobenius(&(e.t().dot(&scaled) - &a));
    assert!(residual <= bound * frobenius(&a), "n = {n}: {residual}");
    values
}

fn both(a: &Array2<f64>) -> (Vec<f64>, Vec<f64>) {
    (
        check(&mut Eigh::<f32>::new(), a),
        check(&mut Eigh::<f64>::new(), a),
    )
}

fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (k, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= tolerance,
            "{k}: {found}, not {expected}"
        );
    }
}

#[test]
fn random_matrices_of_many_orders_in_one_workspace() {
    let (mut single, mut double) = (Eigh::<f32>::new(), Eigh::<f64>::new());
    // Large, small, large: the workspace grows and is reused.
    for n in [1, 2, 3, 200, 5, 26, 64, 1, 137, 199] {
        let a = symmetric(n, n as u64);
        check(&mut single, &a);
        check(&mut double, &a);
        let fresh = Eigh::new()
            .compute(a.view())
            .map(|e| (e.values.to_owned(), e.vectors.to_owned()));
        let reused = double.compute(a.view()).unwrap();
        let (values, vectors) = fresh.unwrap();
        assert_eq!(
            (reused.values, reused.vectors),
            (values.view(), vectors.view())
        );
    }
}

#[test]
fn order_one_and_two_in_closed_form() {
    for v in [-3.0, 0.0, 1e-30, 7.5] {
        let mut eigh = Eigh::<f64>::new();
        let a = array![[v]];
        let eigen = eigh.compute(a.view()).unwrap();
        assert_eq!(eigen.values[0], v);
        assert_eq!(eigen.vectors[[0, 0]].abs(), 1.0);
    }
    // (a + d)/2 ± √((a − d)²/4 + b²)
    for (a, b, d) in [
        (2.0_f64, 1.0, 2.0),
        (1.0, -4.0, 7.0),
        (-1.0, 0.5, 3.0),
        (0.0, 2.0, 0.0),
    ] {
        let (middle, radius) = ((a + d) / 2.0, ((a - d) * (a - d) / 4.0 + b * b).sqrt());
        let (_, values) = both(&array![[a, b], [b, d]]);
        close(&values, &[middle - radius, middle + radius], 1e-14);
    }
}

#[test]
fn second_differences_have_known_eigenvalues_and_vectors() {
    for n in [2, 3, 10, 50, 200] {
        let angle = |k: usize| (k + 1) as f64 * PI / (n + 1) as f64;
        let expected: Vec<f64> = (0..n).map(|k| 2.0 - 2.0 * angle(k).cos()).collect();
        let a = second_difference(n);
        let (single, double) = both(&a);
        close(&double, &expected, 4.0 * n as f64 * f64::EPSILON);
        close(&single, &expected, 4.0 * n as f64 * eps::<f32>());
        let mut eigh = Eigh::new();
        let eigen = eigh.compute(a.view()).unwrap();
        for k in 0..n {
            // Rows are eigenvectors: a transposed result would fail here for k ≠ j.
            let sign = eigen.vectors[[k, 0]].signum();
            for j in 0..n {
                let v = (2.0 / (n + 1) as f64).sqrt() * ((j + 1) as f64 * angle(k)).sin();
                let found = sign * eigen.vectors[[k, j]];
                assert!((found - v).abs() < 1e-10, "({k}, {j}): {found}, not {v}");
            }
        }
    }
}

#[test]
fn zero_diagonal_and_repeated() {
    for n in [1, 2, 30, 100] {
        let (single, double) = both(&Array2::zeros((n, n)));
        assert!(single.iter().chain(&double).all(|&v| v == 0.0));
        // A diagonal matrix in an order that is not ascending.
        let diagonal: Vec<f64> = (0..n).map(|i| ((i * 37) % n) as f64 - 3.0).collect();
        let a = Array2::from_diag(&ndarray::aview1(&diagonal));
        let mut sorted = diagonal.clone();
        sorted.sort_by(f64::total_cmp);
        close(&both(&a).1, &sorted, 1e-13 * n as f64);
        // 3·I + 2·11ᵀ: 3 again and again, and 3 + 2n.
        let repeated = 3.0 * Array2::<f64>::eye(n) + 2.0;
        let mut expected = vec![3.0; n - 1];
        expected.push(3.0 + 2.0 * n as f64);
        close(&both(&repeated).1, &expected, 1e-14 * (n * n) as f64);
    }
}

#[test]
fn graded_from_1e_minus_8_to_1e8() {
    // D·Q·D is of size dᵢdⱼ; the eigenvalues are then bounded below only relative to the largest.
    for n in [2, 17, 80] {
        let grade = |i: usize| 10.0_f64.powf(-4.0 + 8.0 * i as f64 / (n - 1) as f64);
        for reversed in [false, true] {
            let place = |i: usize| if reversed { n - 1 - i } else { i };
            let q = symmetric(n, 7);
            let a = Array2::from_shape_fn((n, n), |(i, j)| {
                grade(place(i)) * q[[i, j]] * grade(place(j))
            });
            both(&a);
        }
        // A diagonal one is exact: no entry is lost beside one 10¹⁶ times as large.
        let diagonal: Vec<f64> = (0..n).map(|i| grade(i) * grade(i)).collect();
        assert_eq!(
            both(&Array2::from_diag(&ndarray::aview1(&diagonal))).1,
            diagonal
        );
    }
}

#[test]
fn rows_apart_from_the_others_are_exact_by_faer() {
    // A dead unit, one of 10⁻¹² and one of 10¹², among rows that are coupled.
    let (n, apart) = (40, [(3, 0.0), (17, 1e-12), (39, 1e12)]);
    let mut a = symmetric(n, 11);
    for (i, value) in apart {
        a.row_mut(i).fill(0.0);
        a.column_mut(i).fill(0.0);
        a[[i, i]] = value;
    }
    both(&a);
    if cfg!(feature = "lapack") {
        return; // LAPACK rotates them among the others
    }
    let mut eigh = Eigh::new();
    let eigen = eigh.compute(a.view()).unwrap();
    for (i, value) in apart {
        let pair = (0..n).find(|&k| eigen.vectors[[k, i]].abs() > 0.5).unwrap();
        let others = (0..n).filter(|&j| j != i);
        let rest = others.map(|j| eigen.vectors[[pair, j]].abs()).sum::<f64>();
        assert_eq!(rest, 0.0, "{value}");
        assert_eq!(eigen.values[pair], value);
    }
}

#[test]
fn rank_deficient() {
    for (n, rank) in [(20, 3), (150, 40)] {
        let x = normal(rank, n, 3);
        let a = x.t().dot(&x);
        let (single, double) = both(&a);
        let largest = double[n - 1];
        for k in 0..n - rank {
            assert!(double[k].abs() <= n as f64 * f64::EPSILON * largest);
            assert!(single[k].abs() <= n as f64 * eps::<f32>() * largest);
        }
        assert!(double[n - rank] > 1e-3 * largest);
    }
}

#[test]
fn only_the_lower_triangle_is_read_in_any_layout() {
    let n = 60;
    let a = symmetric(n, 5);
    let mut eigh = Eigh::new();
    let expected = eigh
        .compute(a.view())
        .map(|e| (e.values.to_owned(), e.vectors.to_owned()));
    let (values, vectors) = expected.unwrap();
    let mut lower = a.clone();
    lower
        .indexed_iter_mut()
        .filter(|((i, j), _)| j > i)
        .for_each(|(_, v)| *v = f64::NAN);
    let mut column_major = Array2::from_elem((n, n).f(), 0.0);
    column_major.assign(&lower);
    let mut wide = Array2::from_elem((2 * n, 3 * n), 9.0);
    wide.slice_mut(s![..;2, ..;3]).assign(&lower);
    for view in [
        lower.view(),
        column_major.view(),
        wide.slice(s![..;2, ..;3]),
    ] {
        let eigen = eigh.compute(view).unwrap();
        assert_eq!(
            (eigen.values, eigen.vectors),
            (values.view(), vectors.view())
        );
    }
}

#[test]
fn many_at_once_as_alone() {
    let matrices: Vec<_> = (0..8).map(|seed| symmetric(90, seed)).collect();
    let one = |a: &Array2<f64>| {
        let mut eigh = Eigh::new();
        let eigen = eigh.compute(a.view()).unwrap();
        (eigen.values.to_owned(), eigen.vectors.to_owned())
    };
    let alone: Vec<_> = matrices.iter().map(one).collect();
    let together: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = matrices
            .iter()
            .map(|a| scope.spawn(move || one(a)))
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(alone, together);
}

#[test]
fn what_is_not_a_finite_square_matrix_is_refused() {
    let mut eigh = Eigh::<f32>::new();
    let shapes = [(2, 3), (3, 2), (0, 4), (1, 0)];
    for (rows, columns) in shapes {
        let error = eigh
            .compute(Array2::zeros((rows, columns)).view())
            .unwrap_err();
        assert!(
            matches!(error, Error::NotSquare { rows: r, columns: c } if (r, c) == (rows, columns))
        );
    }
    let error = eigh.compute(Array2::zeros((0, 0)).view()).unwrap_err();
    assert!(matches!(error, Error::EmptyMatrix), "{error}");
    for (row, column) in [(0, 0), (40, 3), (63, 63), (63, 0)] {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut a = Array2::<f32>::eye(64);
            a[[row, column]] = bad;
            let error = eigh.compute(a.view()).unwrap_err();
            assert!(
                matches!(error, Error::NonFinite { what: "matrix", row: r, column: c, value }
                    if (r, c) == (row, column) && value.total_cmp(&f64::from(bad)).is_eq()),
                "{error}"
            );
        }
    }
    // It works on after an error.
    check(&mut eigh, &symmetric(10, 1));
}

#[test]
fn an_order_beyond_lapacks_integers_is_refused_before_it_is_allocated() {
    let one = Array2::<f64>::ones((1, 1));
    for n in [32_767, 1 << 20, 1 << 31] {
        let huge: ArrayView2<'_, f64> = one.broadcast((n, n)).unwrap();
        let error = Eigh::new().compute(huge).unwrap_err();
        assert!(
            matches!(error, Error::TooLarge { order } if order == n),
            "{error}"
        );
    }
}

#[test]
fn values_near_the_ends_of_the_range() {
    // Entries whose squares overflow or vanish: LAPACK scales them.
    for unit in [1e30, 1e-30] {
        let a = unit * symmetric(20, 4);
        check(&mut Eigh::<f32>::new(), &a);
    }
    // The largest eigenvalue, n times the entries, is beyond f32.
    let error = Eigh::new()
        .compute(Array2::from_elem((9, 9), 3e38_f32).view())
        .unwrap_err();
    assert!(matches!(error, Error::Overflow { .. }), "{error}");
}
