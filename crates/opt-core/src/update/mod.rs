//! How x moves, given a direction.

mod any_rule;
mod arrays;
mod bf16;
mod clock;
mod codec;
mod elementwise;
mod groups;
mod layout;

mod packed;
mod range;
mod rule;
mod run;
mod shard;
mod shown;
mod storage;
mod trusted;
mod tuning;

pub use any_rule::{AnyRule, Typed};
pub use arrays::ArrayPart;
pub use bf16::{Bf16, Rounding};
pub use elementwise::{Elementwise, FirstOrder};
pub use groups::{Groups, GroupsBuilder};

pub use rule::{Packing, Rule, Slot, Step, Takes};
pub use shard::each_parallel;
pub use storage::Storage;
pub use trusted::Trusted;

use rayon::prelude::*;

use crate::error::Error;
use crate::kernel::WAKE;
use crate::params::{ParamMap, Segment};
use crate::scalar::Scalar;
use crate::state::visit::State;
use crate::tune::Tune;

/// One segment of the parameters, and the direction to step it by; without one, the segment, its
/// state and its count of steps stay as they are.
#[derive(Debug)]
pub struct Part<'a, F> {
    /// The parameters, as long as the segment.
    pub x: &'a mut [F],
    /// Of the same length.
    pub d: Option<&'a [F]>,
}

impl<'a, F> Part<'a, F> {
    /// A segment with its direction.
    pub fn new(x: &'a mut [F], d: &'a [F]) -> Self {
        Self { x, d: Some(d) }
    }

    /// A segment that has none in this step.
    pub fn still(x: &'a mut [F]) -> Self {
        Self { x, d: None }
    }
}

/// How parameters move, given which way: no objective, no evaluation.
///
/// A step is a check of everything, that changes nothing, and then a move: so that groups, shards
/// and whole vectors are stepped all or not at all. [`apply`](Self::apply),
/// [`apply_parts`](Self::apply_parts) and [`apply_arrays`](Self::apply_arrays) do both. Who can lend
/// only one tensor at a time calls [`check`](Self::check) for every segment, then
/// [`advance`](Self::advance) for each: bitwise the same as `apply_parts`.
///
/// After a step that was not refused, x and all state are finite. An x that was not finite before,
/// or that leaves the type's range by this very step, is found in the pass that moves it, and is
/// [`Error::Diverged`]: the one error that comes after the move.
///
/// Within a step, numbers below the least normal one of the type (1.2e-38 and 2.2e-308) count as 0 on
/// x86-64, on every thread alike: arithmetic on them is up to a hundred times slower, and averages of
/// what is dead decay through that range. So a gradient that is as small, or becomes so times a
/// 1 − β, may count as 0. Other processors compute on.
pub trait Update<F: Scalar>: State<F> + Tune + Send + Sync {
    /// The names and places of the parameters.
    fn params(&self) -> &ParamMap;

    /// Whether segment number `segment` can be stepped by `d`. Changes nothing.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::NonFiniteGradient`], [`Error::GradientRange`], with the
    /// segment's name; [`Error::NoSegment`].
    fn check(&self, segment: usize, d: &[F]) -> Result<(), Error>;

    /// As [`check`](Self::check), for the whole vector.
    ///
    /// # Errors
    /// As there.
    fn check_whole(&self, d: &[F]) -> Result<(), Error>;

    /// Whether every direction without an element greater than `bound` can be taken, so that one of
    /// which that is known need not be read. `false` by default: then it is.
    fn takes_up_to(&self, bound: F) -> bool {
        let _ = bound;
        false
    }

    /// Moves the segments from number `first` on, whose directions have been checked.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::NoSegment`]; then nothing has changed. [`Error::Diverged`].
    fn advance(&mut self, first: usize, parts: &mut [Part<'_, F>]) -> Result<(), Error>;

    /// Moves all of `x` by `d`, which has been checked.
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    fn advance_whole(&mut self, x: &mut [F], d: &[F]) -> Result<(), Error>;

    /// Numbers of state for each parameter: what the update costs in memory.
    fn width(&self) -> usize;

    /// Bytes of state.
    fn bytes(&self) -> usize;

    /// Stores the state in another way from its start on, but for the segments that `whole` names.
    ///
    /// # Errors
    /// [`Error::Storage`] if the update does not, which is the default; if it has made a step; or if it
    /// has state that can't be rounded. Then nothing has changed.
    fn store(&mut self, storage: Storage, whole: &dyn Fn(&Segment) -> bool) -> Result<(), Error> {
        let _ = whole;
        match storage {
            Storage::Full => Ok(()),
            _ => Err(Error::Storage(
                "this update has one way to store its state".to_owned(),
            )),
        }
    }

    /// One step of the whole vector by the direction `d`, a gradient for example.
    ///
    /// # Errors
    /// As [`check`](Self::check); then neither `x` nor the state has changed. [`Error::Diverged`].
    fn apply(&mut self, x: &mut [F], d: &[F]) -> Result<(), Error> {
        self.params().check_len("x", x.len())?;
        self.check_whole(d)?;
        self.advance_whole(x, d)
    }

    /// One step where every tensor is a slice of its own: one part for each segment, in the map's
    /// order. Small tensors are grouped, so that many of them cost little more than one large one.
    ///
    /// # Errors
    /// As [`apply`](Self::apply); a wrong length names the segment.
    fn apply_parts(&mut self, parts: &mut [Part<'_, F>]) -> Result<(), Error> {
        let segments = self.params().segments();
        Error::length("list of tensors", segments.len(), parts.len())?;
        for (segment, part) in segments.iter().zip(&*parts) {
            Error::length(&segment.name, segment.range.len(), part.x.len())?;
        }
        let check =
            |(index, part): (usize, &Part<'_, F>)| part.d.map_or(Ok(()), |d| self.check(index, d));
        let fine = self.params().len() > WAKE
            && (parts.par_iter().with_min_len(8).enumerate()).all(|part| check(part).is_ok());
        if !fine {
            // In order: the first that is bad, in every run.
            parts.iter().enumerate().try_for_each(check)?;
        }
        self.advance(0, parts)
    }

    /// One step of arrays of any dimension and layout, one for each segment, in the map's order.
    /// Those that are not contiguous in row-major order are stepped by way of a copy.
    ///
    /// # Errors
    /// As [`apply_parts`](Self::apply_parts); [`Error::ArrayShape`].
    fn apply_arrays(&mut self, arrays: &mut [ArrayPart<'_, F>]) -> Result<(), Error> {
        arrays::apply(self, arrays)
    }
}

impl<F: Scalar, U: Update<F> + ?Sized> Update<F> for Box<U> {
    fn params(&self) -> &ParamMap {
        (**self).params()
    }

    fn check(&self, segment: usize, d: &[F]) -> Result<(), Error> {
        (**self).check(segment, d)
    }

    fn check_whole(&self, d: &[F]) -> Result<(), Error> {
        (**self).check_whole(d)
    }

    fn takes_up_to(&self, bound: F) -> bool {
        (**self).takes_up_to(bound)
    }

    fn advance(&mut self, first: usize, parts: &mut [Part<'_, F>]) -> Result<(), Error> {
        (**self).advance(first, parts)
    }

    fn advance_whole(&mut self, x: &mut [F], d: &[F]) -> Result<(), Error> {
        (**self).advance_whole(x, d)
    }

    fn width(&self) -> usize {
        (**self).width()
    }

    fn bytes(&self) -> usize {
        (**self).bytes()
    }

    fn store(&mut self, storage: Storage, whole: &dyn Fn(&Segment) -> bool) -> Result<(), Error> {
        (**self).store(storage, whole)
    }
}
