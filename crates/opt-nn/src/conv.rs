//! Convolution: patches of the maps, times the weight.
//!
//! The patches of a minibatch take kernel² times the room of its maps. They are made piece by piece,
//! in a buffer that stays in cache, and each piece is multiplied before the next is made. Samples are
//! dealt out to a fixed number of groups, which run side by side: so sums over the samples are made in
//! the same order whatever the number of threads.

use opt_core::Scalar;
use opt_linalg::gemm;
use rayon::prelude::*;

use crate::buffer::{add, grow, scale, view, view_mut};
use crate::linear::{Group, Input, Linear, Work};
use crate::rows::each_row;
use crate::shape::Shape;
use crate::{Convolution, Error};

/// Samples run in at most so many groups, each with a gradient of its own to sum up.
const GROUPS: usize = 8;

/// Elements of a piece: a quarter of an MB of `f32`, in the cache of one core beside its product.
const PIECE: usize = 1 << 18;

/// Elements that are moved at once where a row of a kernel has no more.
const SHORT: usize = 16;

/// A convolution between maps of known shapes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patches {
    pub(crate) convolution: Convolution,
    pub(crate) shape: Shape,
}

impl Patches {
    fn units(&self) -> usize {
        self.shape.output.channels
    }

    /// The parts of the patch at `position` that are inside of the map: where each row of the kernel
    /// begins and ends in the patch, and where it begins in the map.
    fn parts(&self, position: usize) -> impl Iterator<Item = Part> + use<> {
        let Convolution {
            kernel,
            stride,
            padding,
        } = self.convolution;
        let (maps, across) = (self.shape.input, self.shape.output.width);
        let (top, left) = (position / across * stride, position % across * stride);
        // Of the columns left + 0, …, left + kernel of the padded map.
        let (first, last) = (
            padding.saturating_sub(left),
            kernel.min(maps.width + padding - left),
        );
        (0..kernel).map(move |k| {
            let outside = top + k < padding || top + k >= maps.height + padding;
            let last = if outside { first } else { last };
            let start = k * kernel * maps.channels;
            Part {
                row: (start, start + kernel * maps.channels),
                inside: (start + first * maps.channels, start + last * maps.channels),
                from: if outside {
                    0
                } else {
                    ((top + k - padding) * maps.width + left + first - padding) * maps.channels
                },
            }
        })
    }

    /// Writes the patches of `rows` rows of h, those of positions of samples, from row `first` on.
    fn fill<F: Scalar>(&self, input: &[F], first: usize, rows: usize, patches: &mut [F]) {
        let (positions, long) = (self.shape.positions(), self.shape.input.len());
        let (run, fan_in) = (
            self.convolution.kernel * self.shape.input.channels,
            self.shape.fan_in,
        );
        for row in 0..rows {
            let at = first + row;
            let sample = &input[at / positions * long..][..long];
            let patches = &mut patches[row * fan_in..rows * fan_in];
            for part in self.parts(at % positions) {
                let (start, end) = part.inside;
                // Few at a time are copied in one move of a fixed length, which writes over what comes
                // next in the buffer, before that is written.
                if end - start == run && run <= SHORT {
                    let to = patches[start..].first_chunk_mut::<SHORT>();
                    let from = sample[part.from..].first_chunk::<SHORT>();
                    if let (Some(to), Some(from)) = (to, from) {
                        *to = *from;
                        continue;
                    }
                }
                patches[part.row.0..start].fill(F::zero());
                patches[end..part.row.1].fill(F::zero());
                patches[start..end].copy_from_slice(&sample[part.from..part.from + end - start]);
            }
        }
    }

    /// Adds a patch of slopes to those of the pixels: the transpose of [`fill`](Self::fill).
    fn fold<F: Scalar>(&self, patch: &[F], row: usize, under: &mut [F]) {
        let (positions, long) = (self.shape.positions(), self.shape.input.len());
        let sample = &mut under[row / positions * long..][..long];
        for part in self.parts(row % positions) {
            let (start, end) = part.inside;
            add(
                &mut sample[part.from..part.from + end - start],
                &patch[start..end],
            );
        }
    }

    /// All patches of a minibatch, of shape (rows, fan_in).
    pub(crate) fn fill_all<F: Scalar>(&self, input: &[F], patches: &mut [F]) {
        // Of each sample.
        let positions = self.shape.positions();
        each_row(patches, positions * self.shape.fan_in, |sample, patches| {
            self.fill(input, sample * positions, positions, patches);
        });
    }

    /// From the slopes by all patches to those by the pixels.
    pub(crate) fn fold_all<F: Scalar>(&self, patches: &[F], under: &mut [F]) {
        let (positions, fan_in) = (self.shape.positions(), self.shape.fan_in);
        each_row(under, self.shape.input.len(), |sample, under| {
            under.fill(F::zero());
            let own = &patches[sample * positions * fan_in..][..positions * fan_in];
            for (position, patch) in own.chunks_exact(fan_in).enumerate() {
                self.fold(patch, position, under);
            }
        });
    }

    /// Samples in a group.
    fn deal(&self, samples: usize) -> usize {
        samples.div_ceil(GROUPS).max(1)
    }

    /// Rows in a piece.
    fn piece(&self) -> usize {
        (PIECE / self.shape.fan_in).max(16)
    }

    /// Calls `f` with each group's buffers, its samples of `of_rows` and of `of_samples`.
    fn grouped<F: Scalar, A: Send>(
        &self,
        samples: usize,
        work: &mut Work<F>,
        parts: impl Iterator<Item = A>,
        f: impl Fn(&mut Group<F>, A) -> Result<(), Error> + Sync,
    ) -> Result<(), Error> {
        let count = samples.div_ceil(self.deal(samples));
        let new = || Group {
            patches: Vec::new(),
            partial: Vec::new(),
            single: Vec::new(),
        };
        if work.groups.len() < count {
            work.groups.resize_with(count, new);
        }
        let mut all = work.groups[..count].iter_mut().zip(parts);
        if rayon::current_thread_index().is_none() {
            return all.try_for_each(|(group, part)| f(group, part));
        }
        // On the stack: a step allocates nothing.
        let mut dealt: [Option<_>; GROUPS] = std::array::from_fn(|_| all.next());
        let dealt = dealt.par_iter_mut().with_max_len(1);
        dealt.try_for_each(|part| match part.take() {
            Some((group, part)) => f(group, part),
            None => Ok(()),
        })
    }

    /// Sums Σ δᵀh over some samples into `to`, piece by piece.
    fn sum<F: Scalar>(
        &self,
        (delta, input): (&[F], &[F]),
        patches: &mut Vec<F>,
        to: &mut [F],
    ) -> Result<(), Error> {
        let (units, fan_in, piece) = (self.units(), self.shape.fan_in, self.piece());
        grow(patches, piece, fan_in)?;
        for (k, delta) in delta.chunks(piece * units).enumerate() {
            let rows = delta.len() / units;
            self.fill(input, k * piece, rows, patches);
            let beta = if k == 0 { F::zero() } else { F::one() };
            let (delta, h) = (view(delta, rows, units)?, view(patches, rows, fan_in)?);
            gemm(F::one(), delta.t(), h, beta, view_mut(to, units, fan_in)?)?;
        }
        Ok(())
    }

    /// `to` ← what `sum` gives of each group, over all groups, + β·`to`.
    fn reduce<F: Scalar>(
        &self,
        (delta, input): (&[F], Input<'_, F>),
        (beta, to): (F, &mut [F]),
        work: &mut Work<F>,
        sum: impl Fn(&mut Group<F>, (&[F], &[F])) -> Result<(), Error> + Sync,
    ) -> Result<(), Error> {
        let (input, long) = (self.input(input)?, self.shape.input.len());
        let each = self.shape.positions() * self.units();
        let (samples, size) = (delta.len() / each, self.units() * self.shape.fan_in);
        let deal = self.deal(samples);
        let parts = delta.chunks(deal * each).zip(input.chunks(deal * long));
        self.grouped(samples, work, parts, |group, part| {
            grow(&mut group.partial, size, 1)?;
            sum(group, part)
        })?;
        scale(to, beta);
        for group in &work.groups[..samples.div_ceil(deal)] {
            add(to, &group.partial[..size]);
        }
        Ok(())
    }

    fn input<'a, F>(&self, input: Input<'a, F>) -> Result<&'a [F], Error> {
        match input {
            Input::Dense(input) => Ok(input),
            Input::Sparse(_) => Err(Error::Sparse { what: "convolved" }),
        }
    }
}

/// One row of a kernel.
struct Part {
    /// All of it, in the patch.
    row: (usize, usize),
    /// What is inside of the map.
    inside: (usize, usize),
    /// Where that begins, in the map.
    from: usize,
}

impl<F: Scalar> Linear<F> for Patches {
    fn forward(
        &self,
        weight: &[F],
        input: Input<'_, F>,
        beta: F,
        a: &mut [F],
        work: &mut Work<F>,
    ) -> Result<(), Error> {
        let (units, fan_in, piece) = (self.units(), self.shape.fan_in, self.piece());
        let (each, long) = (self.shape.positions() * units, self.shape.input.len());
        let (samples, input) = (a.len() / each, self.input(input)?);
        let (deal, w) = (self.deal(samples), view(weight, units, fan_in)?);
        let parts = a.chunks_mut(deal * each).zip(input.chunks(deal * long));
        self.grouped(samples, work, parts, |group, (a, input)| {
            grow(&mut group.patches, piece, fan_in)?;
            for (k, a) in a.chunks_mut(piece * units).enumerate() {
                let rows = a.len() / units;
                self.fill(input, k * piece, rows, &mut group.patches);
                let h = view(&group.patches, rows, fan_in)?;
                gemm(F::one(), h, w.t(), beta, view_mut(a, rows, units)?)?;
            }
            Ok(())
        })
    }

    fn gradient(
        &self,
        delta: &[F],
        input: Input<'_, F>,
        beta: F,
        to: &mut [F],
        work: &mut Work<F>,
    ) -> Result<(), Error> {
        self.reduce((delta, input), (beta, to), work, |group, part| {
            let Group {
                patches, partial, ..
            } = group;
            self.sum(part, patches, partial)
        })
    }

    fn backward(
        &self,
        weight: &[F],
        delta: &[F],
        beta: F,
        under: &mut [F],
        work: &mut Work<F>,
    ) -> Result<(), Error> {
        let (units, fan_in, piece) = (self.units(), self.shape.fan_in, self.piece());
        let (each, long) = (self.shape.positions() * units, self.shape.input.len());
        let samples = delta.len() / each;
        let (deal, w) = (self.deal(samples), view(weight, units, fan_in)?);
        let parts = delta.chunks(deal * each).zip(under.chunks_mut(deal * long));
        self.grouped(samples, work, parts, |group, (delta, under)| {
            grow(&mut group.patches, piece, fan_in)?;
            scale(under, beta);
            for (k, delta) in delta.chunks(piece * units).enumerate() {
                let rows = delta.len() / units;
                let delta = view(delta, rows, units)?;
                let slopes = view_mut(&mut group.patches, rows, fan_in)?;
                gemm(F::one(), delta, w, F::zero(), slopes)?;
                let patches = group.patches.chunks_exact(fan_in).take(rows);
                for (row, patch) in patches.enumerate() {
                    self.fold(patch, k * piece + row, under);
                }
            }
            Ok(())
        })
    }

    fn squares(
        &self,
        delta: &[F],
        input: Input<'_, F>,
        to: &mut [F],
        work: &mut Work<F>,
    ) -> Result<(), Error> {
        let each = self.shape.positions() * self.units();
        let (long, size) = (self.shape.input.len(), self.units() * self.shape.fan_in);
        self.reduce(
            (delta, input),
            (F::zero(), to),
            work,
            |group, (delta, input)| {
                let Group {
                    patches,
                    partial,
                    single,
                } = group;
                grow(single, size, 1)?;
                partial[..size].fill(F::zero());
                for (delta, input) in delta.chunks(each).zip(input.chunks(long)) {
                    self.sum((delta, input), patches, single)?;
                    let all = partial[..size].iter_mut().zip(&single[..size]);
                    all.for_each(|(sum, &g)| *sum += g * g);
                }
                Ok(())
            },
        )
    }
}
