//! Pooling of maps, channels last.

use opt_core::Scalar;

use crate::Error;
use crate::buffer::grow;
use crate::rows::{each_pair, each_row};
use crate::shape::Maps;

/// Pooling of each map on its own: of ⌊(height − size)/stride⌋ + 1 windows from top to bottom, and
/// as many across as the width gives. Pixels beyond the last window are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// What becomes of a window.
    pub kind: PoolKind,
    /// Height and width of the windows, pixels; up to 255.
    pub size: usize,
    /// From one window to the next, pixels.
    pub stride: usize,
}

/// What becomes of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PoolKind {
    /// The greatest pixel, the first of them where several are; NaN if there is one.
    Max,
    /// The mean of the pixels.
    Average,
}

impl Pool {
    /// Max-pooling.
    pub fn max(size: usize, stride: usize) -> Self {
        Self {
            kind: PoolKind::Max,
            size,
            stride,
        }
    }

    /// Average pooling.
    pub fn average(size: usize, stride: usize) -> Self {
        Self {
            kind: PoolKind::Average,
            ..Self::max(size, stride)
        }
    }
}

/// Pooling between maps of known shapes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pooling {
    pub(crate) pool: Pool,
    pub(crate) from: Maps,
    pub(crate) to: Maps,
}

impl Pooling {
    /// Where pixel `k` of the window at `to` (y, x) begins, in a sample.
    fn pixel(&self, (y, x): (usize, usize), k: usize) -> usize {
        let Pool { size, stride, .. } = self.pool;
        let (row, column) = (y * stride + k / size, x * stride + k % size);
        (row * self.from.width + column) * self.from.channels
    }

    fn windows(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let Maps { height, width, .. } = self.to;
        (0..height).flat_map(move |y| (0..width).map(move |x| (y, x)))
    }

    fn share<F: Scalar>(&self) -> F {
        F::of(((self.pool.size * self.pool.size) as f64).recip())
    }

    /// Pools `rows` samples; leaves in `chosen` which pixel of each window is the greatest.
    pub(crate) fn forward<F: Scalar>(
        &self,
        rows: usize,
        input: &[F],
        chosen: &mut Vec<u16>,
        out: &mut [F],
    ) -> Result<(), Error> {
        let (long, short) = (self.from.len(), self.to.len());
        if self.pool.kind == PoolKind::Average {
            self.average(input, out);
            return Ok(());
        }
        grow(chosen, rows, short)?;
        let (out, chosen) = (&mut out[..rows * short], &mut chosen[..rows * short]);
        each_pair(out, chosen, short, |row, out, chosen| {
            let input = &input[row * long..(row + 1) * long];
            let channels = self.from.channels;
            let each = out.chunks_exact_mut(channels);
            let each = each.zip(chosen.chunks_exact_mut(channels));
            for ((out, chosen), at) in each.zip(self.windows()) {
                out.copy_from_slice(&input[self.pixel(at, 0)..][..channels]);
                chosen.fill(0);
                for k in 1..self.pool.size * self.pool.size {
                    let pixel = &input[self.pixel(at, k)..][..channels];
                    for ((best, which), &h) in out.iter_mut().zip(&mut *chosen).zip(pixel) {
                        // A NaN is taken, and stays.
                        let more = h > *best || h.is_nan();
                        *best = if more { h } else { *best };
                        *which = if more { k as u16 } else { *which };
                    }
                }
            }
        });
        Ok(())
    }

    fn average<F: Scalar>(&self, input: &[F], out: &mut [F]) {
        let (long, share) = (self.from.len(), self.share::<F>());
        each_row(out, self.to.len(), |row, out| {
            let input = &input[row * long..(row + 1) * long];
            let channels = self.from.channels;
            for (out, at) in out.chunks_exact_mut(channels).zip(self.windows()) {
                out.fill(F::zero());
                for k in 0..self.pool.size * self.pool.size {
                    let pixel = &input[self.pixel(at, k)..][..channels];
                    out.iter_mut()
                        .zip(pixel)
                        .for_each(|(o, &h)| *o += h * share);
                }
            }
        });
    }

    /// What a move of the pixels does to the windows, where the greatest of each stays the greatest.
    pub(crate) fn along<F: Scalar>(&self, input: &[F], chosen: &[u16], out: &mut [F]) {
        if self.pool.kind == PoolKind::Average {
            return self.average(input, out);
        }
        let (long, short) = (self.from.len(), self.to.len());
        each_row(out, short, |row, out| {
            let input = &input[row * long..(row + 1) * long];
            let chosen = &chosen[row * short..(row + 1) * short];
            let channels = self.from.channels;
            let each = out.chunks_exact_mut(channels);
            let each = each.zip(chosen.chunks_exact(channels));
            for ((out, chosen), at) in each.zip(self.windows()) {
                for (c, (out, &k)) in out.iter_mut().zip(chosen).enumerate() {
                    *out = input[self.pixel(at, k.into()) + c];
                }
            }
        });
    }

    /// From the slope by the windows to that by the pixels. For a second derivative (`square`), of
    /// which a pixel takes the square of its share.
    pub(crate) fn backward<F: Scalar>(
        &self,
        delta: &[F],
        chosen: &[u16],
        square: bool,
        under: &mut [F],
    ) {
        let (short, share) = (self.to.len(), self.share::<F>());
        let share = if square { share * share } else { share };
        each_row(under, self.from.len(), |row, under| {
            under.fill(F::zero());
            let delta = &delta[row * short..(row + 1) * short];
            let channels = self.from.channels;
            for ((w, at), delta) in (self.windows().enumerate()).zip(delta.chunks_exact(channels)) {
                if self.pool.kind == PoolKind::Max {
                    let from = row * short + w * channels;
                    let chosen = &chosen[from..from + channels];
                    for (c, (&d, &k)) in delta.iter().zip(chosen).enumerate() {
                        under[self.pixel(at, k.into()) + c] += d;
                    }
                    continue;
                }
                for k in 0..self.pool.size * self.pool.size {
                    let pixel = &mut under[self.pixel(at, k)..][..channels];
                    pixel
                        .iter_mut()
                        .zip(delta)
                        .for_each(|(u, &d)| *u += d * share);
                }
            }
        });
    }
}
