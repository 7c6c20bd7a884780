//! How much of a batch, and of the network, is worth the thread pool.

use ndarray::{ArrayView2, Axis};
use opt_core::Scalar;

use crate::net::Net;

/// Rows that inference takes at a time: enough for full speed, and a bound on memory.
pub(crate) const CHUNK: usize = 1000;

/// Multiplications of a forward pass that are not worth a second thread.
const SMALL: usize = 1 << 24;

/// Runs `f` inside the thread pool if the network is so large that its products will be split:
/// otherwise each of them, and every pass, would wake the pool from outside, at tens of
/// microseconds.
pub(crate) fn pooled<F: Scalar, R: Send>(
    net: &Net<F>,
    rows: usize,
    f: impl FnOnce() -> R + Send,
) -> R {
    if rows.saturating_mul(net.params.len()) <= SMALL {
        return f();
    }
    rayon::join(f, || ()).0
}

pub(crate) fn take<F>(a: ArrayView2<'_, F>, start: usize, end: usize) -> ArrayView2<'_, F> {
    let (_, from) = a.split_at(Axis(0), start);
    from.split_at(Axis(0), end - start).0
}
