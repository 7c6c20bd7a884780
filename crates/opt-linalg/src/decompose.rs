//! What a backend offers: decompositions on slices that hold what they say.
//!
//! A row-major matrix whose lower triangle counts goes in. The backend that is compiled is one
//! module, and all that is unsafe in it is in that one.

#[cfg(not(feature = "lapack"))]
mod apart;
mod cholesky;
mod eigh;
#[cfg(not(feature = "lapack"))]
mod faer;
#[cfg(feature = "lapack")]
mod lapack;

use ndarray::{ArrayView2, ArrayViewMut2};
use opt_core::{Scalar, all_finite};

pub use self::cholesky::Cholesky;
pub use self::eigh::{Eigen, Eigh};
use crate::Error;

#[cfg(not(feature = "lapack"))]
use self::faer as backend;
#[cfg(feature = "lapack")]
use self::lapack as backend;

/// A type that matrices are decomposed in: `f32` or `f64`. Sealed.
pub trait Decompose: Scalar + sealed::Backend {}

impl Decompose for f32 {}
impl Decompose for f64 {}

mod sealed {
    use super::backend::Work;
    use crate::Error;

    #[allow(unnameable_types)]
    pub trait Backend: Sized {
        /// Eigenvalues, ascending, into `w`; eigenvectors into the rows of `a`, of order
        /// `w.len()`.
        fn eigh(a: &mut [Self], w: &mut [Self], work: &mut Work<Self>) -> Result<(), Error>;

        /// The Cholesky factor of `a`, of order `n`, in place. Only the backend reads it.
        fn factorize(n: usize, a: &mut [Self]) -> Result<(), Error>;

        /// The inverse from the factor into the lower triangle of `out`.
        fn invert(n: usize, factor: &[Self], out: &mut [Self]) -> Result<(), Error>;

        /// Solves by the factor for every run of `n` elements of `b`, in place.
        fn solve(n: usize, factor: &[Self], b: &mut [Self]) -> Result<(), Error>;
    }
}

fn square<F>(a: &ArrayView2<'_, F>) -> Result<usize, Error> {
    match a.dim() {
        (0, 0) => Err(Error::EmptyMatrix),
        (rows, columns) if rows != columns => Err(Error::NotSquare { rows, columns }),
        (n, _) => Ok(n),
    }
}

/// `value` where it grows; an allocation that fails is an error.
fn resize<T: Clone>(v: &mut Vec<T>, len: usize, value: T, order: usize) -> Result<(), Error> {
    let more = len.saturating_sub(v.len());
    v.try_reserve_exact(more)
        .map_err(|_| Error::TooLarge { order })?;
    v.resize(len, value);
    Ok(())
}

/// Copies `a` into the row-major `out`, and checks its lower triangle.
pub(crate) fn copy_lower<F: Scalar>(
    a: &ArrayView2<'_, F>,
    out: &mut [F],
    n: usize,
) -> Result<(), Error> {
    let matrix = ArrayViewMut2::from_shape((n, n), &mut *out);
    matrix.map_err(|_| Error::TooLarge { order: n })?.assign(a);
    for (row, elements) in out.chunks_exact(n).enumerate() {
        let lower = elements.get(..=row).unwrap_or(elements);
        if !all_finite(lower) {
            return Err(Error::non_finite("matrix", row, lower.iter()));
        }
    }
    Ok(())
}
