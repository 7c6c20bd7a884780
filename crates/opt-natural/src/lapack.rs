//! Eigenvalues and Cholesky factors by LAPACK: the only file that calls it, and the only one with
//! unsafe code.
//!
//! LAPACK's matrices are column-major. A row-major buffer read by columns is the transpose, which
//! for a symmetric matrix is itself: nothing is transposed here, but our lower triangle is LAPACK's
//! upper one (`uplo` is always `U`), and the eigenvectors that LAPACK writes into columns are the
//! rows of our matrix.

use std::ffi::c_int;

use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut2};
use opt_core::{Bound, Scalar, all_finite};

use crate::Error;
use crate::error::bounded;
use crate::symmetric::{mirror, zeros};

// Links the library; nothing of it is called by name.
use openblas_src as _;

/// A type that LAPACK computes in: `f32` or `f64`. Sealed.
pub trait Lapack: Scalar + sealed::Routines {}

mod sealed {
    use super::c_int;

    /// LAPACK's routines on slices that hold what they say. Each returns LAPACK's `info`: 0, or
    /// −k if argument k is refused, or above 0 if the computation failed.
    #[allow(unnameable_types)]
    pub trait Routines: Sized {
        /// Eigenvalues into `w`, eigenvectors into the rows of `a`, of order `w.len()`.
        fn syevd(a: &mut [Self], w: &mut [Self], work: &mut [Self], iwork: &mut [c_int]) -> c_int;
        /// The factor U of A = UᵀU, column-major, in place.
        fn potrf(n: usize, a: &mut [Self]) -> c_int;
        /// The inverse from the factor, in place, in the same triangle.
        fn potri(n: usize, a: &mut [Self]) -> c_int;
        /// Solves for every run of `n` elements of `b`, in place.
        fn potrs(n: usize, a: &[Self], b: &mut [Self]) -> c_int;
    }
}

/// n as LAPACK's integer, if it is above 0 and `len` is n². It is then also a valid leading
/// dimension.
fn order(n: usize, len: usize) -> Option<c_int> {
    (n > 0 && n.checked_mul(n) == Some(len)).then_some(())?;
    c_int::try_from(n).ok()
}

fn count(len: usize) -> Option<c_int> {
    c_int::try_from(len).ok()
}

macro_rules! lapack {
    ($f:ty, $syevd:ident, $potrf:ident, $potri:ident, $potrs:ident) => {
        impl Lapack for $f {}

        impl sealed::Routines for $f {
            fn syevd(
                a: &mut [Self],
                w: &mut [Self],
                work: &mut [Self],
                iwork: &mut [c_int],
            ) -> c_int {
                let Some(n) = order(w.len(), a.len()) else {
                    return -3;
                };
                let (Some(lwork), Some(liwork)) = (count(work.len()), count(iwork.len())) else {
                    return -8;
                };
                let (job, uplo, mut info) = (c"V".as_ptr(), c"U".as_ptr(), 0);
                let (a, w, work) = (a.as_mut_ptr(), w.as_mut_ptr(), work.as_mut_ptr());
                let iwork = iwork.as_mut_ptr();
                // SAFETY: `a` points to n·n elements with leading dimension n ≥ 1 and `w` to n, by
                // `order`; `work` and `iwork` to as many as `lwork` and `liwork` say: the routine
                // returns with info < 0 before it touches them if it needs more. All four are
                // initialized and distinct, being exclusive borrows. `job` and `uplo` are read
                // as one character each, the scalars are read and `info` is written during the
                // call only.
                unsafe {
                    lapack_sys::$syevd(
                        job, uplo, &n, a, &n, w, work, &lwork, iwork, &liwork, &mut info,
                    );
                }
                info
            }

            fn potrf(n: usize, a: &mut [Self]) -> c_int {
                let Some(n) = order(n, a.len()) else {
                    return -2;
                };
                let mut info = 0;
                // SAFETY: `a` points to n·n initialized elements with leading dimension n ≥ 1, by
                // `order`, and is borrowed exclusively; the other pointers are to one value each,
                // which live through the call.
                unsafe {
                    lapack_sys::$potrf(c"U".as_ptr(), &n, a.as_mut_ptr(), &n, &mut info);
                }
                info
            }

            fn potri(n: usize, a: &mut [Self]) -> c_int {
                let Some(n) = order(n, a.len()) else {
                    return -2;
                };
                let mut info = 0;
                // SAFETY: as in `potrf`; the routine works in place.
                unsafe {
                    lapack_sys::$potri(c"U".as_ptr(), &n, a.as_mut_ptr(), &n, &mut info);
                }
                info
            }

            fn potrs(n: usize, a: &[Self], b: &mut [Self]) -> c_int {
                let Some(order) = order(n, a.len()) else {
                    return -2;
                };
                let Some(columns) = count(b.len() / n) else {
                    return -3;
                };
                let (a, b, mut info) = (a.as_ptr(), b.as_mut_ptr(), 0);
                // SAFETY: `a` points to n·n elements with leading dimension n ≥ 1, by `order`, and
                // is only read; `b` to at least n·columns, with leading dimension n, since columns
                // is b's length divided by n and rounded down. Both are initialized, `b` is
                // borrowed exclusively, and the other pointers are to one value each.
                unsafe {
                    lapack_sys::$potrs(
                        c"U".as_ptr(),
                        &order,
                        &columns,
                        a,
                        &order,
                        b,
                        &order,
                        &mut info,
                    );
                }
                info
            }
        }
    };
}

lapack!(f32, ssyevd_, spotrf_, spotri_, spotrs_);
lapack!(f64, dsyevd_, dpotrf_, dpotri_, dpotrs_);

/// Eigenvalues and eigenvectors of symmetric matrices, by divide and conquer (`?syevd`), with a
/// workspace that is kept from call to call and grows with the largest matrix.
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
/// let mut eigh = opt_natural::Eigh::new();
/// let eigen = eigh.compute(aview2(&[[2.0_f64, 1.0], [1.0, 2.0]]))?;
/// assert!((eigen.values[0] - 1.0).abs() < 1e-15 && (eigen.values[1] - 3.0).abs() < 1e-15);
/// // The eigenvector of 3 is ±(1, 1)/√2.
/// let v = eigen.vectors.row(1);
/// assert!((v[0] - v[1]).abs() < 1e-15 && (v[0].abs() - 0.5_f64.sqrt()).abs() < 1e-15);
/// # Ok::<(), opt_natural::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Eigh<F> {
    vectors: Vec<F>,
    values: Vec<F>,
    work: Vec<F>,
    iwork: Vec<c_int>,
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

impl<F: Lapack> Eigh<F> {
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
        // The least lengths that `?syevd` documents. It gains nothing from more at an order
        // where time matters, and could not say so: it returns its wish as a float, which in f32
        // is rounded above 2²⁴.
        let lwork = n.checked_mul(n).and_then(|nn| nn.checked_mul(2));
        let lwork = lwork.and_then(|nn| nn.checked_add(6 * n + 1));
        let lwork = lwork.filter(|&len| count(len).is_some());
        let lwork = lwork.ok_or(Error::TooLarge { order: n })?;
        resize(&mut self.vectors, n * n, n)?;
        resize(&mut self.values, n, n)?;
        resize(&mut self.work, lwork, n)?;
        resize(&mut self.iwork, 5 * n + 3, n)?;
        copy_lower(&a, &mut self.vectors, n)?;
        let (vectors, values) = (&mut self.vectors, &mut self.values);
        match F::syevd(vectors, values, &mut self.work, &mut self.iwork) {
            0 => {}
            info if info > 0 => return Err(Error::NotConverged { info }),
            info => return Err(lapack_error("?syevd", info)),
        }
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

/// The Cholesky factor of A + damping·I, for a symmetric positive definite matrix A, with a second
/// buffer, so that a failed update keeps the factor.
///
/// ```
/// use ndarray::aview2;
///
/// let a = aview2(&[[3.0, 2.0], [2.0, 4.0]]);
/// let factor = opt_natural::Cholesky::new(a, 1.0)?;
/// let mut b = [8.0, 9.0];
/// factor.solve(&mut b)?; // (A + I)·b = (8, 9)
/// assert!((b[0] - 1.375_f64).abs() < 1e-15 && (b[1] - 1.25_f64).abs() < 1e-15);
/// # Ok::<(), opt_natural::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cholesky<F> {
    n: usize,
    factor: Vec<F>,
    spare: Vec<F>,
}

impl<F: Lapack> Cholesky<F> {
    /// Factorizes. As [`update`](Self::update).
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn new(a: ArrayView2<'_, F>, damping: f64) -> Result<Self, Error> {
        let (factor, spare) = (Vec::new(), Vec::new());
        let mut new = Self {
            n: 0,
            factor,
            spare,
        };
        new.update(a, damping)?;
        Ok(new)
    }

    /// Factorizes A + damping·I, where `a` has the lower triangle of A; above the diagonal, it is
    /// not read. The order may be another than before.
    ///
    /// # Errors
    /// [`Error::NotSquare`], [`Error::EmptyMatrix`], [`Error::NonFinite`], [`Error::TooLarge`];
    /// [`Error::Core`] if the damping is below 0 or not finite; [`Error::NotPositiveDefinite`].
    /// Then the last factor is still there.
    pub fn update(&mut self, a: ArrayView2<'_, F>, damping: f64) -> Result<(), Error> {
        bounded("damping", damping, Bound::NonNegative)?;
        let n = square(&a)?;
        let len = n.checked_mul(n).ok_or(Error::TooLarge { order: n })?;
        resize(&mut self.spare, len, n)?;
        copy_lower(&a, &mut self.spare, n)?;
        for diagonal in self.spare.iter_mut().step_by(n + 1) {
            *diagonal += F::of(damping);
            if !diagonal.is_finite() {
                return Err(Error::Overflow {
                    what: "the damped diagonal",
                });
            }
        }
        match F::potrf(n, &mut self.spare) {
            0 => {}
            info => match usize::try_from(info) {
                Ok(minor) => return Err(Error::NotPositiveDefinite { minor }),
                Err(_) => return Err(lapack_error("?potrf", info)),
            },
        }
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
        match F::potrs(self.n, &self.factor, b) {
            0 => Ok(()),
            info => Err(lapack_error("?potrs", info)),
        }
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
        slice.copy_from_slice(&self.factor);
        match F::potri(n, slice) {
            0 => {}
            info => return Err(lapack_error("?potri", info)),
        }
        mirror(out.view_mut());
        if !out.as_slice().is_some_and(all_finite) {
            return Err(Error::Overflow {
                what: "the inverse",
            });
        }
        Ok(())
    }
}

fn lapack_error(routine: &'static str, info: c_int) -> Error {
    Error::Lapack { routine, info }
}

fn square<F>(a: &ArrayView2<'_, F>) -> Result<usize, Error> {
    match a.dim() {
        (0, 0) => Err(Error::EmptyMatrix),
        (rows, columns) if rows != columns => Err(Error::NotSquare { rows, columns }),
        (n, _) => Ok(n),
    }
}

/// Zeros where it grows; an allocation that fails is an error.
fn resize<T: Clone + Default>(v: &mut Vec<T>, len: usize, order: usize) -> Result<(), Error> {
    let more = len.saturating_sub(v.len());
    v.try_reserve_exact(more)
        .map_err(|_| Error::TooLarge { order })?;
    v.resize(len, T::default());
    Ok(())
}

/// Copies `a` into the row-major `out`, and checks its lower triangle.
fn copy_lower<F: Scalar>(a: &ArrayView2<'_, F>, out: &mut [F], n: usize) -> Result<(), Error> {
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
