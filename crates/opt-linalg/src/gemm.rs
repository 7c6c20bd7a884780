use ndarray::{ArrayView2, ArrayViewMut2, Axis};
use opt_core::Scalar;

use crate::Error;
use crate::kernel::{has_rows, multiply};

/// Floating-point operations that are not worth a second thread: some 0.3 ms of one core. Both
/// halves of a product pack the shared factor, so splitting further costs more than it balances.
const SPLIT: usize = 1 << 25;

/// Elements of C that are not worth a second thread: in smaller parts of a product with a long inner
/// dimension, packing A and B takes as long as multiplying them.
const AREA: usize = 1 << 15;

/// Halves end on a multiple of this, so that no kernel works on a ragged edge in the middle.
const ALIGN: usize = 32;

/// C ← α·A·B + β·C, on all threads of the current rayon pool.
///
/// A is of shape (m, k), B (k, n), C (m, n), of any strides: transposed views are multiplied
/// without a copy. With β = 0, C is not read.
///
/// A product of more than some 10⁷ operations is halved, along the columns of C unless there are
/// twice as many rows (of a C that is column-major, along the rows), until the parts are small, in operations or in elements of C; each part is
/// one call of a library, on one thread. The parts depend on the shapes alone, so that the result is
/// the same for any number of threads. With the feature `openblas`, the BLAS must itself run on one
/// thread (`OPENBLAS_NUM_THREADS=1`), or its threads compete with rayon's for the cores.
///
/// ```
/// use ndarray::{Array2, array};
///
/// let (a, b) = (array![[1.0, 2.0], [3.0, 4.0]], array![[5.0, 6.0]]);
/// let mut c = Array2::zeros((2, 1));
/// opt_linalg::gemm(1.0, a.view(), b.t(), 0.0, c.view_mut())?;
/// assert_eq!(c, array![[17.0], [39.0]]);
/// # Ok::<(), opt_linalg::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] if the shapes don't match; C is then untouched.
pub fn gemm<F: Scalar>(
    alpha: F,
    a: ArrayView2<'_, F>,
    b: ArrayView2<'_, F>,
    beta: F,
    c: ArrayViewMut2<'_, F>,
) -> Result<(), Error> {
    if a.ncols() != b.nrows() || c.dim() != (a.nrows(), b.ncols()) {
        return Err(Error::Shape {
            a: a.dim(),
            b: b.dim(),
            c: c.dim(),
        });
    }
    halve(alpha, a, b, beta, c);
    Ok(())
}

fn halve<F: Scalar>(
    alpha: F,
    a: ArrayView2<'_, F>,
    b: ArrayView2<'_, F>,
    beta: F,
    mut c: ArrayViewMut2<'_, F>,
) {
    let ((m, k), n) = (a.dim(), b.ncols());
    // Across the contiguous axis of C, as halves of the other would each pack all of the factor that
    // costs more to pack.
    let contiguous_rows = has_rows(&c);
    let (across, along) = if contiguous_rows { (m, n) } else { (n, m) };
    let long = across > along.saturating_mul(2);
    let (axis, by_rows) = (if long { across } else { along }, long == contiguous_rows);
    let middle = axis.div_ceil(2).next_multiple_of(ALIGN);
    let small = flops(m, n, k) <= SPLIT || m.saturating_mul(n) <= AREA;
    if small || middle >= axis {
        return multiply(alpha, &a, &b, beta, &mut c);
    }
    if by_rows {
        let (a_lo, a_hi) = a.split_at(Axis(0), middle);
        let (c_lo, c_hi) = c.split_at(Axis(0), middle);
        rayon::join(
            || halve(alpha, a_lo, b, beta, c_lo),
            || halve(alpha, a_hi, b, beta, c_hi),
        );
    } else {
        let (b_lo, b_hi) = b.split_at(Axis(1), middle);
        let (c_lo, c_hi) = c.split_at(Axis(1), middle);
        rayon::join(
            || halve(alpha, a, b_lo, beta, c_lo),
            || halve(alpha, a, b_hi, beta, c_hi),
        );
    }
}

fn flops(m: usize, n: usize, k: usize) -> usize {
    m.saturating_mul(n).saturating_mul(k).saturating_mul(2)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use super::*;

    /// Small integers, of which every sum in the tests is exact in either type.
    fn integers<F: Scalar>(rows: usize, cols: usize, salt: usize) -> Array2<F> {
        Array2::from_shape_fn((rows, cols), |(i, j)| {
            F::of(((i * 31 + j * 17 + salt * 7) % 13) as f64 - 6.0)
        })
    }

    /// In memory too, not only as a view.
    fn transposed<F: Scalar>(a: &Array2<F>) -> Array2<F> {
        a.t().as_standard_layout().into_owned()
    }

    fn naive<F: Scalar>(a: &Array2<F>, b: &Array2<F>) -> Array2<F> {
        let mut c = Array2::zeros((a.nrows(), b.ncols()));
        for i in 0..a.nrows() {
            for k in 0..a.ncols() {
                for j in 0..b.ncols() {
                    c[[i, j]] += a[[i, k]] * b[[k, j]];
                }
            }
        }
        c
    }

    fn compare<F: Scalar>(m: usize, n: usize, k: usize) {
        let (a, b) = (integers::<F>(m, k, 1), integers::<F>(k, n, 2));
        let (at, bt) = (transposed(&a), transposed(&b));
        let (old, product) = (integers::<F>(m, n, 3), naive(&a, &b));
        for (alpha, beta) in [(1.0, 0.0), (2.0, 1.0), (-1.0, 3.0)] {
            let (alpha, beta) = (F::of(alpha), F::of(beta));
            let expected = &product * alpha + &old * beta;
            for (left, right) in [
                (a.view(), b.view()),
                (at.t(), b.view()),
                (a.view(), bt.t()),
                (at.t(), bt.t()),
            ] {
                let mut c = old.clone();
                gemm(alpha, left, right, beta, c.view_mut()).unwrap();
                assert_eq!(c, expected, "({m}, {k})·({k}, {n}), {alpha}, {beta}");
                // Into a transposed output.
                let mut ct = integers::<F>(m, n, 3).t().as_standard_layout().into_owned();
                gemm(alpha, left, right, beta, ct.view_mut().reversed_axes()).unwrap();
                assert_eq!(ct.t(), expected);
            }
        }
    }

    #[test]
    fn against_a_triple_loop_below_and_above_the_split() {
        for (m, n, k) in [(1, 1, 1), (1, 9, 5), (9, 1, 5), (3, 5, 7), (17, 33, 65)] {
            assert!(flops(m, n, k) <= SPLIT);
            compare::<f32>(m, n, k);
            compare::<f64>(m, n, k);
        }
        for (m, n, k) in [(257, 131, 521), (67, 701, 397), (1, 33001, 511)] {
            assert!(flops(m, n, k) > SPLIT && m * n > AREA);
            compare::<f32>(m, n, k);
            compare::<f64>(m, n, k);
        }
    }

    #[test]
    fn strided_reversed_and_broadcast_views() {
        let (wide, b) = (integers::<f64>(40, 60, 1), integers::<f64>(20, 30, 2));
        let row = integers::<f64>(1, 20, 5);
        let views = [
            wide.slice(s![..;2, ..;3]),
            wide.slice(s![..20;-1, ..20;-1]),
            row.broadcast((20, 20)).unwrap(),
        ];
        for a in views {
            let expected = naive(&a.to_owned(), &b);
            let mut c = Array2::from_elem((40, 60), f64::NAN);
            gemm(1.0, a, b.view(), 0.0, c.slice_mut(s![..;2, ..;2])).unwrap();
            assert_eq!(c.slice(s![..;2, ..;2]), expected);
            assert!(c[[1, 1]].is_nan(), "wrote between the strides");
        }
    }

    #[test]
    fn beta_zero_does_not_read_c_and_empty_sums_are_zero() {
        for (m, n, k) in [(8, 8, 8), (300, 300, 300), (20, 20, 0)] {
            let (a, b) = (Array2::<f32>::ones((m, k)), Array2::<f32>::ones((k, n)));
            let mut c = Array2::from_elem((m, n), f32::NAN);
            gemm(1.0, a.view(), b.view(), 0.0, c.view_mut()).unwrap();
            assert_eq!(c, Array2::from_elem((m, n), k as f32));
        }
        // No columns, but strides as of a full matrix.
        let full = Array2::<f32>::ones((20, 20));
        let (a, b) = (full.slice(s![.., ..0]), full.slice(s![..0, ..]));
        let mut c = Array2::from_elem((20, 20), f32::NAN);
        gemm(1.0, a, b, 0.0, c.view_mut()).unwrap();
        assert_eq!(c.sum(), 0.0);
        let (a, b) = (full.slice(s![..0, ..]), full.view());
        gemm(1.0, a, b, 0.0, Array2::zeros((0, 20)).view_mut()).unwrap();
    }

    #[test]
    fn a_long_inner_product_has_nothing_to_split() {
        let one = Array2::<f64>::ones((1, 1));
        let k = SPLIT + 1;
        let (a, b) = (
            one.broadcast((1, k)).unwrap(),
            one.broadcast((k, 1)).unwrap(),
        );
        let mut c = Array2::zeros((1, 1));
        gemm(1.0, a, b, 0.0, c.view_mut()).unwrap();
        assert_eq!(c[[0, 0]], k as f64);
    }

    #[test]
    fn shapes_that_do_not_match_are_refused() {
        let a = Array2::<f64>::zeros((2, 3));
        for (b, c) in [((4, 5), (2, 5)), ((3, 5), (3, 5)), ((3, 5), (2, 4))] {
            let (b, mut c) = (Array2::zeros(b), Array2::zeros(c));
            let error = gemm(1.0, a.view(), b.view(), 0.0, c.view_mut()).unwrap_err();
            assert!(matches!(error, Error::Shape { a: (2, 3), .. }), "{error}");
        }
    }
}
