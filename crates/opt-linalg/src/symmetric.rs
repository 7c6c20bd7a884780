//! Symmetric products: half the work of a general one, over all threads.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use opt_core::Scalar;

use crate::Error;
use crate::kernel::multiply;

/// Floating-point operations that are not worth a second thread: some 0.3 ms of one core.
const SPLIT: usize = 1 << 25;

/// A block of C this wide is not split further: each product packs its factors anew.
const WIDTH: usize = 160;

/// Side of the square tiles of a transposition: two of them fit into the L1 cache.
pub(crate) const TILE: usize = 32;

/// C ← α·XᵀX + β·C in the lower triangle and on the diagonal, on all threads of the current rayon
/// pool; above, some of it, or nothing. [`mirror`] makes C symmetric.
///
/// X is of shape (rows, n), C (n, n). With β = 0, C is not read. The blocks depend on the shapes
/// alone: the result is the same for any number of threads.
///
/// # Errors
/// [`Error::Shape`] if the shapes don't match; C is then untouched.
pub fn gram<F: Scalar>(
    alpha: F,
    x: ArrayView2<'_, F>,
    beta: F,
    c: ArrayViewMut2<'_, F>,
) -> Result<(), Error> {
    if c.dim() != (x.ncols(), x.ncols()) {
        return Err(Error::Shape {
            a: x.t().dim(),
            b: x.dim(),
            c: c.dim(),
        });
    }
    blocks(alpha, (x, x), beta, c, true);
    Ok(())
}

/// C ← α·AᵀB + β·C in quarters; without the upper right one if C is on the diagonal.
fn blocks<F: Scalar>(
    alpha: F,
    (a, b): (ArrayView2<'_, F>, ArrayView2<'_, F>),
    beta: F,
    mut c: ArrayViewMut2<'_, F>,
    diagonal: bool,
) {
    let (m, n) = c.dim();
    let flops = [m, n, a.nrows()]
        .iter()
        .fold(2, |f: usize, &k| f.saturating_mul(k));
    // On the diagonal smaller, as half of such a block is for nothing.
    if m.max(n) <= WIDTH || flops <= if diagonal { SPLIT / 4 } else { SPLIT } {
        return multiply(alpha, &a.t(), &b, beta, &mut c);
    }
    let (i, j) = (half(m), half(n));
    let ((a_lo, a_hi), (b_lo, b_hi)) = (a.split_at(Axis(1), i), b.split_at(Axis(1), j));
    let (top, bottom) = c.split_at(Axis(0), i);
    let (c_11, c_12) = top.split_at(Axis(1), j);
    let (c_21, c_22) = bottom.split_at(Axis(1), j);
    rayon::join(
        || {
            blocks(alpha, (a_hi, b_lo), beta, c_21, false);
            if !diagonal {
                blocks(alpha, (a_lo, b_hi), beta, c_12, false);
            }
        },
        || {
            rayon::join(
                || blocks(alpha, (a_lo, b_lo), beta, c_11, diagonal),
                || blocks(alpha, (a_hi, b_hi), beta, c_22, diagonal),
            )
        },
    );
}

/// Zeros of shape (n, n), unless they don't fit into memory.
pub(crate) fn zeros<F: Scalar>(n: usize) -> Option<Array2<F>> {
    let len = n.checked_mul(n)?;
    let mut elements = Vec::new();
    elements.try_reserve_exact(len).ok()?;
    elements.resize(len, F::zero());
    Array2::from_shape_vec((n, n), elements).ok()
}

/// Half of a length, but on a multiple of a kernel's width.
fn half(n: usize) -> usize {
    n.div_ceil(2).next_multiple_of(TILE).min(n)
}

/// Copies the lower triangle of a square matrix over the upper one.
pub fn mirror<F: Scalar>(mut c: ArrayViewMut2<'_, F>) {
    let n = c.nrows().min(c.ncols());
    for top in (0..n).step_by(TILE) {
        for left in (top..n).step_by(TILE) {
            for i in top..(top + TILE).min(n) {
                for j in left.max(i + 1)..(left + TILE).min(n) {
                    c[[i, j]] = c[[j, i]];
                }
            }
        }
    }
}
