use ndarray::{Array2, ArrayView2, ArrayViewMut2};
use opt_core::{Bound, all_finite};

use super::{Decompose, copy_lower, resize, square};
use crate::Error;
use crate::symmetric::{mirror, zeros};

/// The Cholesky factor of A + damping·I, for a symmetric positive definite matrix A, with a second
/// buffer, so that a failed update keeps the factor.
///
/// ```
/// use ndarray::aview2;
///
/// let a = aview2(&[[3.0, 2.0], [2.0, 4.0]]);
/// let factor = opt_linalg::Cholesky::new(a, 1.0)?;
/// let mut b = [8.0, 9.0];
/// factor.solve(&mut b)?; // (A + I)·b = (8, 9)
/// assert!((b[0] - 1.375_f64).abs() < 1e-15 && (b[1] - 1.25_f64).abs() < 1e-15);
/// # Ok::<(), opt_linalg::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cholesky<F> {
    n: usize,
    factor: Vec<F>,
    spare: Vec<F>,
}

impl<F: Decompose> Cholesky<F> {
    /// Factorizes. As [`update`](Self::update).
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn new(a: ArrayView2<'_, F>, damping: f64) -> Result<Self, Error> {
        let mut new = Self::empty();
        new.update(a, damping)?;
        Ok(new)
    }

    /// Of no matrix yet: a workspace.
    pub(crate) fn empty() -> Self {
        Self {
            n: 0,
            factor: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Factorizes A + damping·I, where `a` has the lower triangle of A; above the diagonal, it is
    /// not read. The order may be another than before.
    ///
    /// # Errors
    /// [`Error::NotSquare`], [`Error::EmptyMatrix`], [`Error::NonFinite`], [`Error::TooLarge`];
    /// [`Error::Core`] if the damping is below 0 or not finite; [`Error::NotPositiveDefinite`].
    /// Then the last factor is still there.
    pub fn update(&mut self, a: ArrayView2<'_, F>, damping: f64) -> Result<(), Error> {
        opt_core::Error::bounded("damping", damping, Bound::NonNegative)?;
        let n = square(&a)?;
        let len = n.checked_mul(n).ok_or(Error::TooLarge { order: n })?;
        resize(&mut self.spare, len, F::zero(), n)?;
        copy_lower(&a, &mut self.spare, n)?;
        for diagonal in self.spare.iter_mut().step_by(n + 1) {
            *diagonal += F::of(damping);
            if !diagonal.is_finite() {
                return Err(Error::Overflow {
                    what: "the damped diagonal",
                });
            }
        }
        F::factorize(n, &mut self.spare)?;
        // OpenBLAS takes a pivot that is NaN, by an overflow in its row, for a positive one.
        let mut pivots = self.spare.iter().step_by(n + 1);
        if let Some(at) = pivots.position(|pivot| !pivot.is_finite()) {
            return Err(Error::NotPositiveDefinite { minor: at + 1 });
        }
        std::mem::swap(&mut self.factor, &mut self.spare);
        self.n = n;
        Ok(())
    }

    /// b ← (A + damping·I)⁻¹·b, for every run of n elements of `b`: that is for each row of a
    /// row-major matrix of shape (rows, n).
    ///
    /// # Errors
    /// [`Error::Width`] if the length of `b` is not a multiple of n; then nothing has changed.
    pub fn solve(&self, b: &mut [F]) -> Result<(), Error> {
        if !b.len().is_multiple_of(self.n) {
            return Err(Error::Width {
                what: "right-hand sides",
                expected: self.n,
                found: b.len(),
            });
        }
        F::solve(self.n, &self.factor, b)
    }

    /// Writes (A + damping·I)⁻¹, of shape (n, n) and exactly symmetric, over `out`, which is
    /// allocated anew only if it is of another shape or layout.
    ///
    /// # Errors
    /// [`Error::Overflow`] if an element of the inverse does; `out` then holds nothing of use.
    pub fn inverse(&self, out: &mut Array2<F>) -> Result<(), Error> {
        let n = self.n;
        if out.dim() != (n, n) || !out.is_standard_layout() {
            *out = zeros(n).ok_or(Error::TooLarge { order: n })?;
        }
        let slice = out.as_slice_mut().ok_or(Error::TooLarge { order: n })?;
        self.inverse_over(slice)
    }

    /// As [`inverse`](Self::inverse), over n·n elements.
    pub(crate) fn inverse_over(&self, out: &mut [F]) -> Result<(), Error> {
        let n = self.n;
        F::invert(n, &self.factor, out)?;
        let both = ArrayViewMut2::from_shape((n, n), &mut *out);
        mirror(both.map_err(|_| Error::TooLarge { order: n })?);
        if !all_finite(out) {
            return Err(Error::Overflow {
                what: "the inverse",
            });
        }
        Ok(())
    }

    /// Makes room for factors of so many elements.
    pub(crate) fn reserve(&mut self, len: usize) {
        for buffer in [&mut self.factor, &mut self.spare] {
            buffer.reserve(len.saturating_sub(buffer.len()));
        }
    }
}
