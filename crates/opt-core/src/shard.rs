//! How work on matching slices is split over threads: by recursion, down to pieces that stay in
//! cache, without allocation.

use crate::kernel::GRAIN;
use crate::{Scalar, Segment, each};

/// What is done to a piece: by the rule, to parameters, gradient and state.
pub(crate) trait Update<F, R, const N: usize>:
    Fn(&R, &mut [F], &[F], [&mut [F]; N]) + Sync
{
}
impl<F, R, const N: usize, T: Fn(&R, &mut [F], &[F], [&mut [F]; N]) + Sync> Update<F, R, N> for T {}

/// Matching pieces of the parameters, the gradient and the state.
pub(crate) struct Shard<'a, F, const N: usize> {
    pub(crate) x: &'a mut [F],
    pub(crate) g: &'a [F],
    pub(crate) slots: [&'a mut [F]; N],
}

impl<'a, F, const N: usize> Shard<'a, F, N> {
    fn split_at(self, mid: usize) -> (Self, Self) {
        let (x, x_hi) = self.x.split_at_mut(mid);
        let (g, g_hi) = self.g.split_at(mid);
        let (slots, slots_hi) = split_slots(self.slots, mid);
        let hi = Self {
            x: x_hi,
            g: g_hi,
            slots: slots_hi,
        };
        (Self { x, g, slots }, hi)
    }
}

pub(crate) type Slots<'a, F, const N: usize> = [&'a mut [F]; N];

fn split_slots<F, const N: usize>(
    slots: Slots<'_, F, N>,
    mid: usize,
) -> (Slots<'_, F, N>, Slots<'_, F, N>) {
    let mut hi = std::array::from_fn(|_| &mut [][..]);
    let mut k = 0;
    let lo = slots.map(|slot| {
        let (lo, rest) = slot.split_at_mut(mid);
        hi[k] = rest;
        k += 1;
        lo
    });
    (lo, hi)
}

/// Both halves, on two threads if together they are worth it.
fn both(len: usize, lo: impl FnOnce() + Send, hi: impl FnOnce() + Send) {
    if len > GRAIN {
        rayon::join(lo, hi);
    } else {
        lo();
        hi();
    }
}

/// One rule over one shard, halved down to pieces that stay in cache.
fn halve<F: Scalar, R: Sync, const N: usize>(
    rule: &R,
    shard: Shard<'_, F, N>,
    f: &impl Update<F, R, N>,
) {
    let len = shard.x.len();
    if len <= GRAIN {
        return f(rule, shard.x, shard.g, shard.slots);
    }
    let (lo, hi) = shard.split_at(len / 2);
    rayon::join(|| halve(rule, lo, f), || halve(rule, hi, f));
}

/// A shard that covers these segments, with one rule for each or a single one for all.
pub(crate) fn by_segment<F: Scalar, R: Sync, const N: usize>(
    segments: &[Segment],
    rules: &[R],
    shard: Shard<'_, F, N>,
    f: &impl Update<F, R, N>,
) {
    if let [rule] = rules {
        return halve(rule, shard, f);
    }
    let (segments_lo, segments_hi) = segments.split_at(segments.len() / 2);
    let (Some(first), Some(middle)) = (segments_lo.first(), segments_hi.first()) else {
        return;
    };
    let (rules_lo, rules_hi) = rules.split_at(segments_lo.len());
    let len = shard.x.len();
    let (lo, hi) = shard.split_at(middle.range.start - first.range.start);
    both(
        len,
        || by_segment(segments_lo, rules_lo, lo, f),
        || by_segment(segments_hi, rules_hi, hi, f),
    );
}

/// Tensors in allocations of their own, one rule for each or a single one for all.
pub(crate) fn parts<F: Scalar, R: Sync, const N: usize>(
    rules: &[R],
    x: &mut [&mut [F]],
    g: &[&[F]],
    slots: Slots<'_, F, N>,
    f: &impl Update<F, R, N>,
) {
    if let ([x], [g], [rule, ..]) = (&mut *x, g, rules) {
        return halve(rule, Shard { x, g, slots }, f);
    }
    let middle = x.len() / 2;
    if middle == 0 {
        return;
    }
    let (x_lo, x_hi) = x.split_at_mut(middle);
    let (g_lo, g_hi) = g.split_at(middle);
    let (rules_lo, rules_hi) = match rules {
        [_] => (rules, rules),
        _ => rules.split_at(middle),
    };
    let len_lo = g_lo.iter().map(|g| g.len()).sum();
    let len = len_lo + g_hi.iter().map(|g| g.len()).sum::<usize>();
    let (lo, hi) = split_slots(slots, len_lo);
    both(
        len,
        || parts(rules_lo, x_lo, g_lo, lo, f),
        || parts(rules_hi, x_hi, g_hi, hi, f),
    );
}

/// As [`each`], on all threads of the current rayon pool where the slices are long; bitwise the
/// same for any number of threads.
pub fn each_parallel<F: Scalar, const N: usize>(
    x: &mut [F],
    g: &[F],
    slots: [&mut [F]; N],
    f: impl Fn(F, F, [F; N]) -> (F, [F; N]) + Copy + Sync + 'static,
) {
    let n = slots
        .iter()
        .fold(x.len().min(g.len()), |n, s| n.min(s.len()));
    let shard = Shard {
        x: &mut x[..n],
        g: &g[..n],
        slots: slots.map(|s| &mut s[..n]),
    };
    halve(&(), shard, &|(), x, g, slots| each(x, g, slots, f));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_parallel_it_is_the_same_pass() {
        for n in [0, 1, GRAIN, 5 * GRAIN + 7] {
            let g: Vec<f32> = (0..n).map(|i| (i % 1013) as f32 * 0.37 - 90.0).collect();
            let (mut x, mut y) = (g.clone(), g.clone());
            let (mut s, mut t) = (vec![1.0; n], vec![1.0; n]);
            let step = |x: f32, g: f32, [s]: [f32; 1]| (x - 0.1 * g * s, [s + g]);
            for _ in 0..3 {
                each(&mut x, &g, [&mut s], step);
                each_parallel(&mut y, &g, [&mut t], step);
            }
            assert_eq!((x, s), (y, t));
        }
        // It ends with the shortest.
        let (mut x, mut s) = ([1.0; 5], [0.0; 4]);
        each_parallel(&mut x, &[1.0; 3], [&mut s], |x, g, [s]| (x + g, [s + 1.0]));
        assert_eq!((x, s), ([2.0, 2.0, 2.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0]));
    }
}
