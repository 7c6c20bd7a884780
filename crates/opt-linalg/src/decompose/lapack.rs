//! Decompositions by LAPACK: the only file that calls it.
//!
//! LAPACK's matrices are column-major. A row-major buffer read by columns is the transpose, which
//! for a symmetric matrix is itself: nothing is transposed here, but our lower triangle is LAPACK's
//! upper one (`uplo` is always `U`), and the eigenvectors that LAPACK writes into columns are the
//! rows of our matrix.

use std::ffi::c_int;

// Links the library; nothing of it is called by name.
use openblas_src as _;

use super::{resize, sealed};
use crate::Error;

/// What `?syevd` works in. Not to be named outside, as the trait that takes it.
#[allow(unnameable_types)]
#[derive(Clone, Debug, Default)]
pub struct Work<F> {
    floats: Vec<F>,
    integers: Vec<c_int>,
}

impl<F: Clone + Default> Work<F> {
    /// The least lengths that `?syevd` documents for order `n`. It gains nothing from more at an
    /// order where time matters, and could not say so: it returns its wish as a float, which in
    /// f32 is rounded above 2²⁴.
    fn fit(&mut self, n: usize) -> Result<(), Error> {
        let floats = n.checked_mul(n).and_then(|nn| nn.checked_mul(2));
        let floats = floats.and_then(|nn| nn.checked_add(6 * n + 1));
        let floats = floats.ok_or(Error::TooLarge { order: n })?;
        resize(&mut self.floats, floats, F::default(), n)?;
        resize(&mut self.integers, 5 * n + 3, 0, n)
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
        impl sealed::Backend for $f {
            fn eigh(a: &mut [Self], w: &mut [Self], work: &mut Work<Self>) -> Result<(), Error> {
                work.fit(w.len())?;
                let Work { floats, integers } = work;
                let Some(n) = order(w.len(), a.len()) else {
                    return refused("?syevd", -3);
                };
                let (Some(lwork), Some(liwork)) = (count(floats.len()), count(integers.len()))
                else {
                    return refused("?syevd", -8);
                };
                let (job, uplo, mut info) = (c"V".as_ptr(), c"U".as_ptr(), 0);
                let (a, w, work) = (a.as_mut_ptr(), w.as_mut_ptr(), floats.as_mut_ptr());
                let iwork = integers.as_mut_ptr();
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
                match info {
                    1.. => Err(Error::NotConverged),
                    info => refused("?syevd", info),
                }
            }

            fn factorize(n: usize, a: &mut [Self]) -> Result<(), Error> {
                let Some(n) = order(n, a.len()) else {
                    return refused("?potrf", -2);
                };
                let mut info = 0;
                // SAFETY: `a` points to n·n initialized elements with leading dimension n ≥ 1, by
                // `order`, and is borrowed exclusively; the other pointers are to one value each,
                // which live through the call.
                unsafe {
                    lapack_sys::$potrf(c"U".as_ptr(), &n, a.as_mut_ptr(), &n, &mut info);
                }
                match usize::try_from(info) {
                    Ok(minor @ 1..) => Err(Error::NotPositiveDefinite { minor }),
                    _ => refused("?potrf", info),
                }
            }

            fn invert(n: usize, factor: &[Self], out: &mut [Self]) -> Result<(), Error> {
                let Some(n) = order(n, out.len()).filter(|_| factor.len() == out.len()) else {
                    return refused("?potri", -2);
                };
                out.copy_from_slice(factor);
                let mut info = 0;
                // SAFETY: as in `factorize`; the routine works in place.
                unsafe {
                    lapack_sys::$potri(c"U".as_ptr(), &n, out.as_mut_ptr(), &n, &mut info);
                }
                refused("?potri", info)
            }

            fn solve(n: usize, factor: &[Self], b: &mut [Self]) -> Result<(), Error> {
                let Some(order) = order(n, factor.len()) else {
                    return refused("?potrs", -2);
                };
                let Some(columns) = count(b.len() / n) else {
                    return refused("?potrs", -3);
                };
                let (a, b, mut info) = (factor.as_ptr(), b.as_mut_ptr(), 0);
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
                refused("?potrs", info)
            }
        }
    };
}

lapack!(f32, ssyevd_, spotrf_, spotri_, spotrs_);
lapack!(f64, dsyevd_, dpotrf_, dpotri_, dpotrs_);

/// What LAPACK's `info` says, unless it is 0.
fn refused(routine: &'static str, info: c_int) -> Result<(), Error> {
    match info {
        0 => Ok(()),
        info => Err(Error::Lapack { routine, info }),
    }
}
