//! Buffers that only grow, and what is done to all of one.

use ndarray::{ArrayView2, ArrayViewMut2, Axis};
use opt_core::{Scalar, each};

use crate::Error;

/// Makes room for (rows, width) elements. A buffer never shrinks, so that a smaller batch and
/// the next larger one allocate nothing.
pub(crate) fn grow<T: Clone + Default>(
    buffer: &mut Vec<T>,
    rows: usize,
    width: usize,
) -> Result<(), Error> {
    let too_large = || Error::BatchTooLarge { rows };
    let len = rows.checked_mul(width).ok_or_else(too_large)?;
    if let Some(more @ 1..) = len.checked_sub(buffer.len()) {
        buffer.try_reserve_exact(more).map_err(|_| too_large())?;
        buffer.resize(len, T::default());
    }
    Ok(())
}

/// The first `rows` rows of a buffer.
pub(crate) fn view<F>(buffer: &[F], rows: usize, width: usize) -> Result<ArrayView2<'_, F>, Error> {
    ArrayView2::from_shape((rows, width), &buffer[..rows * width])
        .map_err(|_| Error::BatchTooLarge { rows })
}

/// The first `rows` rows of a buffer, mutable.
pub(crate) fn view_mut<F>(
    buffer: &mut [F],
    rows: usize,
    width: usize,
) -> Result<ArrayViewMut2<'_, F>, Error> {
    ArrayViewMut2::from_shape((rows, width), &mut buffer[..rows * width])
        .map_err(|_| Error::BatchTooLarge { rows })
}

pub(crate) fn take<F>(a: ArrayView2<'_, F>, start: usize, end: usize) -> ArrayView2<'_, F> {
    let (_, from) = a.split_at(Axis(0), start);
    from.split_at(Axis(0), end - start).0
}

/// `to ← from ∘ from`, in as much of the buffer as that takes.
pub(crate) fn square<F: Scalar>(from: &[F], to: &mut Vec<F>) -> Result<(), Error> {
    grow(to, from.len(), 1)?;
    opt_core::each_parallel(&mut to[..from.len()], from, [], |_, v, []| (v * v, []));
    Ok(())
}

/// `to ← β·to`; with β = 0, `to` is not read.
pub(crate) fn scale<F: Scalar>(to: &mut [F], beta: F) {
    if beta == F::zero() {
        to.fill(F::zero());
    } else if beta != F::one() {
        to.iter_mut().for_each(|v| *v *= beta);
    }
}

/// `to ← to + from`.
pub(crate) fn add<F: Scalar>(to: &mut [F], from: &[F]) {
    each(to, from, [], |to, v, []| (to + v, []));
}
