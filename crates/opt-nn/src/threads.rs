//! How much of a batch, and of the network, is worth the thread pool.

use opt_core::Scalar;

use crate::net::Net;

/// Rows that inference takes at a time, at most: enough for full speed.
const CHUNK: usize = 1000;

/// Elements that the widest layer has for that many rows, at most: a bound on memory.
const WIDE: usize = 1 << 24;

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
    if net.operations(rows) <= SMALL {
        return f();
    }
    rayon::join(f, || ()).0
}

/// Rows that inference takes at a time; with the patches of convolutions, if they are kept.
pub(crate) fn chunk<F: Scalar>(net: &Net<F>, patches: bool) -> usize {
    let widths = net.shapes.iter().map(|shape| {
        let kept = if patches { shape.fan_in } else { 0 };
        (shape.positions() * kept).max(shape.output.len())
    });
    (WIDE / widths.max().unwrap_or(1).max(1)).clamp(1, CHUNK)
}
