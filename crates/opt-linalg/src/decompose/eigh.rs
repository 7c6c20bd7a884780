use ndarray::{ArrayView1, ArrayView2};
use opt_core::all_finite;

use super::backend::Work;
use super::{Decompose, copy_lower, resize, square};
use crate::Error;

/// Beyond it, the workspace of LAPACK's divide and conquer is longer than its 32-bit lengths can
/// tell. The pure-Rust backend has the same limit: what works, works by either.
const MAX_ORDER: usize = 32_766;

/// Eigenvalues and eigenvectors of symmetric matrices, by divide and conquer, with a workspace that is kept from call to call and grows with the largest matrix.
///
/// With `OPENBLAS_NUM_THREADS=1`, LAPACK runs on the calling thread. To use all cores, decompose the
/// matrices of several layers at once, each with its own `Eigh`: on two cores that takes half the
/// time, where two threads inside one decomposition of order 1,000 save less than a third. The
/// number of OpenBLAS's threads belongs to the whole process and may not change while any thread
/// is inside it, so nothing here does.
///
/// ```
/// use ndarray::aview2;
///
/// let mut eigh = opt_linalg::Eigh::new();
/// let eigen = eigh.compute(aview2(&[[2.0_f64, 1.0], [1.0, 2.0]]))?;
/// assert!((eigen.values[0] - 1.0).abs() < 1e-15 && (eigen.values[1] - 3.0).abs() < 1e-15);
/// // The eigenvector of 3 is ±(1, 1)/√2.
/// let v = eigen.vectors.row(1);
/// assert!((v[0] - v[1]).abs() < 1e-15 && (v[0].abs() - 0.5_f64.sqrt()).abs() < 1e-15);
/// # Ok::<(), opt_linalg::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Eigh<F> {
    vectors: Vec<F>,
    values: Vec<F>,
    work: Work<F>,
}

/// A = Σₖ values\[k\]·vₖvₖᵀ, where vₖ is row k of `vectors`: A = Eᵀ diag(values) E for E = `vectors`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Eigen<'a, F> {
    /// Eigenvalues, ascending, of shape (n). Those of a singular matrix may be slightly negative.
    pub values: ArrayView1<'a, F>,
    /// Orthonormal eigenvectors in rows, of shape (n, n). Their signs, and the basis within the
    /// space of a repeated eigenvalue, are LAPACK's choice.
    pub vectors: ArrayView2<'a, F>,
}

impl<F: Decompose> Eigh<F> {
    /// An empty workspace.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decomposes the symmetric matrix whose lower triangle `a` has; above the diagonal, `a` is
    /// not read.
    ///
    /// # Errors
    /// [`Error::NotSquare`], [`Error::EmptyMatrix`], [`Error::NonFinite`], [`Error::TooLarge`]
    /// beyond an order of 32,766; [`Error::NotConverged`] from LAPACK; [`Error::Overflow`] if an
    /// eigenvalue does.
    pub fn compute(&mut self, a: ArrayView2<'_, F>) -> Result<Eigen<'_, F>, Error> {
        let n = square(&a)?;
        if n > MAX_ORDER {
            return Err(Error::TooLarge { order: n });
        }
        resize(&mut self.vectors, n * n, F::zero(), n)?;
        resize(&mut self.values, n, F::zero(), n)?;
        copy_lower(&a, &mut self.vectors, n)?;
        F::eigh(&mut self.vectors, &mut self.values, &mut self.work)?;
        if !all_finite(&self.values) {
            return Err(Error::Overflow {
                what: "an eigenvalue",
            });
        }
        let vectors = ArrayView2::from_shape((n, n), &self.vectors);
        Ok(Eigen {
            values: ArrayView1::from(&self.values),
            vectors: vectors.map_err(|_| Error::TooLarge { order: n })?,
        })
    }
}
