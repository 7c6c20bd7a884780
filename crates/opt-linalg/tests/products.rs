//! `gram` against sums written out, and what both products promise of threads. The values are small
//! integers, of which every sum is exact in either type.

#![allow(clippy::unwrap_used)] // in helpers of the tests too

use ndarray::{Array2, ArrayView2, s};
use opt_core::Scalar;
use opt_linalg::{Error, gemm, gram, mirror};
use rayon::ThreadPoolBuilder;

fn integers<F: Scalar>(rows: usize, columns: usize, salt: usize) -> Array2<F> {
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        F::of(((i * 31 + j * 17 + salt * 7) % 13) as f64 - 6.0)
    })
}

/// Without a structure that rounding would not touch.
fn uneven(rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(i, j)| ((i * 29 + j * 7) as f32).sin())
}

fn check<F: Scalar>(x: ArrayView2<'_, F>, alpha: f64, beta: f64) {
    let n = x.ncols();
    let old = integers::<F>(n, n, 3);
    let mut c = match beta {
        0.0 => Array2::from_elem((n, n), F::nan()),
        _ => old.clone(),
    };
    gram(F::of(alpha), x, F::of(beta), c.view_mut()).unwrap();
    mirror(c.view_mut());
    for i in 0..n {
        for j in 0..=i {
            let pairs = x.column(i).into_iter().zip(x.column(j));
            let sum: f64 = pairs.map(|(a, b)| a.f64() * b.f64()).sum();
            let expected = alpha * sum + beta * old[[i, j]].f64();
            assert_eq!(c[[i, j]].f64(), expected, "({i}, {j}) of {:?}", x.dim());
            assert_eq!(c[[j, i]], c[[i, j]]);
        }
    }
}

#[test]
fn gram_below_and_above_the_split_in_any_layout() {
    for (rows, n) in [(1, 1), (7, 3), (0, 5), (40, 33), (700, 201), (300, 450)] {
        for (alpha, beta) in [(1.0, 0.0), (2.0, 1.0), (-1.0, 3.0)] {
            check(integers::<f32>(rows, n, 1).view(), alpha, beta);
            check(integers::<f64>(rows, n, 1).view(), alpha, beta);
            check(integers::<f64>(n, rows, 1).t(), alpha, beta);
        }
    }
    let wide = integers::<f64>(90, 200, 2);
    check(wide.slice(s![..;-3, ..;2]), 1.0, 0.0);
}

#[test]
fn gram_refuses_other_shapes_and_leaves_them() {
    let x = Array2::<f64>::ones((4, 3));
    for shape in [(4, 4), (3, 4), (4, 3), (2, 2)] {
        let mut c = Array2::from_elem(shape, 7.0);
        let error = gram(1.0, x.view(), 0.0, c.view_mut()).unwrap_err();
        assert!(
            matches!(error, Error::Shape { a: (3, 4), b: (4, 3), c } if c == shape),
            "{error}"
        );
        assert_eq!(c, Array2::from_elem(shape, 7.0));
    }
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    let (a, b, x) = (uneven(300, 501), uneven(501, 400), uneven(801, 350));
    let run = |threads: usize| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| {
            let mut c = Array2::zeros((300, 400));
            gemm(1.0, a.view(), b.view(), 0.0, c.view_mut()).unwrap();
            let mut g = Array2::zeros((350, 350));
            gram(1.0, x.view(), 0.0, g.view_mut()).unwrap();
            (c, g)
        })
    };
    let alone = run(1);
    for threads in [2, 3, 8] {
        assert_eq!(run(threads), alone, "{threads} threads");
    }
}

#[test]
fn a_refusal_reaches_a_method_as_its_own_error() {
    let wrong = || -> Result<(), opt_core::Error> {
        let a = Array2::<f64>::ones((2, 3));
        Ok(gemm(
            1.0,
            a.view(),
            a.view(),
            0.0,
            Array2::zeros((2, 3)).view_mut(),
        )?)
    };
    let error = wrong().unwrap_err();
    assert!(matches!(error, opt_core::Error::Objective(_)), "{error}");
}
