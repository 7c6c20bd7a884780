//! How work on matching slices is split over threads: by recursion, down to pieces that stay in
//! cache, without allocation.

use super::{Part, Step};
use crate::kernel::{GRAIN, each, join};
use crate::scalar::Scalar;

/// Elements of a slot in few bits that share an exponent, and that are decoded at a time: few, so that the
/// decoded ones stay in L1. A piece ends at a multiple.
pub(super) const BLOCK: usize = 256;

/// A stretch of one slot, however it is stored.
pub(super) trait Piece: Send + Sized {
    /// Keeps what is before `middle`, and gives the rest.
    fn split_off(&mut self, middle: usize) -> Self;
}

impl<T: Send> Piece for &mut [T] {
    fn split_off(&mut self, middle: usize) -> Self {
        let (lo, hi) = std::mem::take(self).split_at_mut(middle);
        *self = lo;
        hi
    }
}

/// What is done to a piece of parameters, gradient and state; gives whether it left all finite.
pub(super) trait Work<F, S, const N: usize>:
    Fn(&Step, &mut [F], &[F], [S; N]) -> bool + Sync
{
}
impl<F, S, const N: usize, T> Work<F, S, N> for T where
    T: Fn(&Step, &mut [F], &[F], [S; N]) -> bool + Sync
{
}

/// The steps of consecutive segments.
#[derive(Clone, Copy)]
pub(super) enum Steps<'a> {
    /// One for all.
    Same(Step),
    /// One for each.
    Each(&'a [Step]),
}

impl Steps<'_> {
    pub(super) fn first(&self) -> Option<&Step> {
        match self {
            Self::Same(step) => Some(step),
            Self::Each(steps) => steps.first(),
        }
    }

    pub(super) fn split_at(self, middle: usize) -> (Self, Self) {
        match self {
            Self::Same(_) => (self, self),
            Self::Each(steps) => {
                let (lo, hi) = steps.split_at(middle.min(steps.len()));
                (Self::Each(lo), Self::Each(hi))
            }
        }
    }
}

/// Both halves, on two threads if together they are worth it.
pub(super) fn both(
    len: usize,
    lo: impl FnOnce() -> bool + Send,
    hi: impl FnOnce() -> bool + Send,
) -> bool {
    let (lo, hi) = join(len, lo, hi);
    lo & hi
}

/// One rule over one stretch, halved down to pieces that stay in cache.
pub(super) fn halve<F: Scalar, S: Piece, const N: usize>(
    step: &Step,
    x: &mut [F],
    g: &[F],
    mut slots: [S; N],
    f: &impl Work<F, S, N>,
) -> bool {
    let len = x.len();
    if len <= GRAIN {
        return f(step, x, g, slots);
    }
    let middle = (len / 2).next_multiple_of(BLOCK);
    let ((x_lo, x_hi), (g_lo, g_hi)) = (x.split_at_mut(middle), g.split_at(middle));
    let rest = slots.each_mut().map(|slot| slot.split_off(middle));
    both(
        len,
        || halve(step, x_lo, g_lo, slots, f),
        || halve(step, x_hi, g_hi, rest, f),
    )
}

/// Tensors in allocations of their own, whose state lies side by side in the slots. Those without
/// a gradient are left alone.
pub(super) fn parts<F: Scalar, S: Piece, const N: usize>(
    steps: Steps<'_>,
    list: &mut [Part<'_, F>],
    mut slots: [S; N],
    f: &impl Work<F, S, N>,
) -> bool {
    if let [part] = list {
        return match (steps.first(), part.d) {
            (Some(step), Some(d)) => halve(step, part.x, d, slots, f),
            _ => true,
        };
    }
    let middle = list.len() / 2;
    if middle == 0 {
        return true;
    }
    let (lo, hi) = list.split_at_mut(middle);
    let (steps_lo, steps_hi) = steps.split_at(middle);
    let len_lo = lo.iter().map(|part| part.x.len()).sum();
    let len = len_lo + hi.iter().map(|part| part.x.len()).sum::<usize>();
    let rest = slots.each_mut().map(|slot| slot.split_off(len_lo));
    both(
        len,
        || parts(steps_lo, lo, slots, f),
        || parts(steps_hi, hi, rest, f),
    )
}

/// As [`each`], on all threads of the current rayon pool where the slices are long; bitwise the
/// same for any number of threads.
pub fn each_parallel<F: Scalar, const N: usize>(
    x: &mut [F],
    g: &[F],
    slots: [&mut [F]; N],
    f: impl Fn(F, F, [F; N]) -> (F, [F; N]) + Copy + Sync + 'static,
) -> bool {
    let n = slots
        .iter()
        .fold(x.len().min(g.len()), |n, s| n.min(s.len()));
    let slots = slots.map(|s| &mut s[..n]);
    let none = Step {
        t: 0,
        debias: [1.0; 2],
    };
    halve(&none, &mut x[..n], &g[..n], slots, &|_, x, g, slots| {
        each(x, g, slots, f)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_parallel_it_is_the_same_pass() {
        for n in [0, 1, 31, 33, 700, GRAIN, 5 * GRAIN + 7] {
            let g: Vec<f32> = (0..n).map(|i| (i % 1013) as f32 * 0.37 - 90.0).collect();
            let (mut x, mut y) = (g.clone(), g.clone());
            let (mut s, mut t) = (vec![1.0; n], vec![1.0; n]);
            let step = |x: f32, g: f32, [s]: [f32; 1]| (x - 0.1 * g * s, [s + g]);
            let (mut z, mut u) = (x.clone(), s.clone());
            for _ in 0..3 {
                for i in 0..n {
                    (z[i], [u[i]]) = step(z[i], g[i], [u[i]]);
                }
                assert!(each(&mut x, &g, [&mut s], step));
                assert!(each_parallel(&mut y, &g, [&mut t], step));
            }
            assert_eq!((&x, &s), (&z, &u));
            assert_eq!((x, s), (y, t));
        }
        // It ends with the shortest.
        let (mut x, mut s) = ([1.0; 5], [0.0; 4]);
        each_parallel(&mut x, &[1.0; 3], [&mut s], |x, g, [s]| (x + g, [s + 1.0]));
        assert_eq!((x, s), ([2.0, 2.0, 2.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0]));
    }
}
