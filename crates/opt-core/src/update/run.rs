//! How a step goes through the segments: stretches of one group, each in one pass.

use std::ops::Range;

use super::Part;
use super::any_rule::{AnyRule, Memory};
use super::clock::Clocks;
use super::packed::Packed;
use super::shard::{Steps, both};
use crate::params::Segment;
use crate::scalar::Scalar;

/// Segments that follow one rule.
pub(super) struct Group<K: ?Sized> {
    /// Stands before the names of its fields; empty if there is only one group.
    pub(super) name: String,
    pub(super) rule: Box<K>,
}

/// Consecutive segments of one group.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) group: usize,
    pub(super) segments: Range<usize>,
    /// In the parameter vector.
    pub(super) range: Range<usize>,
    /// Of all slots, in the state.
    pub(super) state: Range<usize>,
    pub(super) clocks: Clocks,
    /// The state instead, of a segment that is alone in its run.
    pub(super) packed: Option<Packed>,
}

/// What is moved.
pub(super) enum Source<'s, 'a, F> {
    /// Some segments, each a part.
    Parts(&'s mut [Part<'a, F>]),
    /// All segments, side by side, with their direction.
    Whole(&'s mut [F], &'s [F]),
}

/// The runs that a source, from segment number `first` on, falls into, with their state.
pub(super) fn by_run<F: Scalar, K: AnyRule<F> + ?Sized>(
    rules: (&[Group<K>], &[Segment]),
    runs: &mut [Run],
    first: usize,
    source: Source<'_, '_, F>,
    state: &mut [F],
) -> bool {
    if let [run] = runs {
        return run.advance(&*rules.0[run.group].rule, rules.1, first, source, state);
    }
    let (lo, hi) = runs.split_at_mut(runs.len() / 2);
    let (Some(start), Some(middle), Some(last)) = (lo.first(), hi.first(), hi.last()) else {
        return true;
    };
    let len = last.range.end - start.range.start;
    let (state_lo, state_hi) = state.split_at_mut(middle.state.start - start.state.start);
    let segment = middle.segments.start;
    let (source_lo, source_hi) = match source {
        Source::Parts(parts) => {
            let (lo, hi) = parts.split_at_mut(segment - first);
            (Source::Parts(lo), Source::Parts(hi))
        }
        Source::Whole(x, d) => {
            let at = middle.range.start - start.range.start;
            let ((x_lo, x_hi), (d_lo, d_hi)) = (x.split_at_mut(at), d.split_at(at));
            (Source::Whole(x_lo, d_lo), Source::Whole(x_hi, d_hi))
        }
    };
    both(
        len,
        || by_run(rules, lo, first, source_lo, state_lo),
        || by_run(rules, hi, segment, source_hi, state_hi),
    )
}

impl Run {
    fn advance<F: Scalar, K: AnyRule<F> + ?Sized>(
        &mut self,
        rule: &K,
        segments: &[Segment],
        first: usize,
        source: Source<'_, '_, F>,
        state: &mut [F],
    ) -> bool {
        if rule.takes().is_none() {
            return true; // frozen
        }
        let (begin, stride, decays) = (self.range.start, self.range.len(), rule.decays());
        let packed = &mut self.packed;
        match source {
            Source::Parts(parts) => {
                let moves = parts.iter().map(|part| part.d.is_some());
                let steps = self.clocks.tick(first - self.segments.start, decays, moves);
                let from = segments[first].range.start - begin;
                rule.advance(steps, parts, Memory::of(packed, state, stride, from))
            }
            Source::Whole(x, d) => {
                let moves = std::iter::repeat_n(true, self.segments.len());
                match self.clocks.tick(0, decays, moves) {
                    steps @ Steps::Same(_) => {
                        let memory = Memory::of(packed, state, stride, 0);
                        rule.advance(steps, &mut [Part::new(x, d)], memory)
                    }
                    Steps::Each(steps) => {
                        let segments = &segments[self.segments.clone()];
                        segments
                            .iter()
                            .zip(steps)
                            .fold(true, |fine, (segment, step)| {
                                let (start, end) =
                                    (segment.range.start - begin, segment.range.end - begin);
                                let mut part = [Part::new(&mut x[start..end], &d[start..end])];
                                let step = Steps::Same(*step);
                                let memory = Memory::of(packed, state, stride, start);
                                rule.advance(step, &mut part, memory) & fine
                            })
                    }
                }
            }
        }
    }
}
