//! One product on the calling thread: the only file that calls a library for it.
//!
//! In pure Rust by the `gemm` crates of the two types, which choose among the kernels for AVX2,
//! AVX-512 and NEON as they run; with the feature `openblas` by ndarray's call of the BLAS.

use ndarray::{ArrayView2, ArrayViewMut2, Axis};
use opt_core::Scalar;

/// Whether neighbours in memory are those of a row, and not of a column.
pub(crate) fn has_rows<F>(c: &ArrayViewMut2<'_, F>) -> bool {
    let stride = |axis| c.stride_of(Axis(axis)).unsigned_abs();
    stride(0) >= stride(1)
}

/// C ← α·A·B + β·C for shapes that match.
#[cfg(feature = "openblas")]
pub(crate) fn multiply<F: Scalar>(
    alpha: F,
    a: &ArrayView2<'_, F>,
    b: &ArrayView2<'_, F>,
    beta: F,
    c: &mut ArrayViewMut2<'_, F>,
) {
    ndarray::linalg::general_mat_mul(alpha, a, b, beta, c);
}

/// C ← α·A·B + β·C for shapes that match; others are left alone.
///
/// The library's kernels hold a few columns of their result in registers, and store a number at a
/// time where a column is not contiguous. Of a C that has rows they are asked for Cᵀ = Bᵀ·Aᵀ: up to
/// 2.5 times as fast where the inner dimension is short.
#[cfg(not(feature = "openblas"))]
pub(crate) fn multiply<F: Scalar>(
    alpha: F,
    a: &ArrayView2<'_, F>,
    b: &ArrayView2<'_, F>,
    beta: F,
    c: &mut ArrayViewMut2<'_, F>,
) {
    use std::any::TypeId;

    let ((m, k), n, has_rows) = (a.dim(), b.ncols(), has_rows(c));
    if b.nrows() != k || c.dim() != (m, n) {
        return;
    }
    macro_rules! of_type {
        ($f:ident, $library:ident) => {{
            let kernel = $library::gemm::$f::get_gemm_fn();
            // F is this type: nothing is rounded.
            let (alpha, beta) = (alpha.f64() as $f, beta.f64() as $f);
            let none = gemm_common::Parallelism::None;
            let (a_row, a_column) = strides(a.strides());
            let (b_row, b_column) = strides(b.strides());
            let (c_row, c_column) = strides(c.strides());
            let (a, b) = (a.as_ptr().cast::<$f>(), b.as_ptr().cast::<$f>());
            let (c, read) = (c.as_mut_ptr().cast::<$f>(), beta != 0.0);
            // SAFETY: F is $f, by its `TypeId`. The three pointers and their strides are those of
            // views of shapes (m, k), (k, n) and (m, n): all elements that the kernel addresses
            // are in them, and initialized; those of C are distinct and borrowed exclusively.
            unsafe {
                if has_rows {
                    kernel(
                        n, m, k, c, c_row, c_column, read, b, b_row, b_column, a, a_row, a_column,
                        beta, alpha, false, false, false, none,
                    );
                } else {
                    kernel(
                        m, n, k, c, c_column, c_row, read, a, a_column, a_row, b, b_column, b_row,
                        beta, alpha, false, false, false, none,
                    );
                }
            }
        }};
    }
    if TypeId::of::<F>() == TypeId::of::<f32>() {
        of_type!(f32, gemm_f32);
    } else if TypeId::of::<F>() == TypeId::of::<f64>() {
        of_type!(f64, gemm_f64);
    } else {
        // There is no third type.
        ndarray::linalg::general_mat_mul(alpha, a, b, beta, c);
    }
}

#[cfg(not(feature = "openblas"))]
fn strides(of: &[isize]) -> (isize, isize) {
    match *of {
        [row, column] => (row, column),
        _ => (0, 0), // there are two
    }
}
