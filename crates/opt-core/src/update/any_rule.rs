use std::fmt;

use super::Part;
use super::packed::Packed;
use super::rule::{Rule, Slot, Takes};
use super::shard::{Steps, parts};
use crate::error::Error;
use crate::flush::flushing;
use crate::scalar::Scalar;
use crate::tune::{Change, Field, Tuned, list};

/// A [`Rule`] whose type, with its number of slots, has been forgotten. What [`Elementwise`] steps
/// segments by; sealed, as a rule is all that one has to write.
///
/// [`Elementwise`]: crate::Elementwise
pub trait AnyRule<F: Scalar>: fmt::Debug + Send + Sync + sealed::Advance<F> {
    /// The state buffers.
    fn slots(&self) -> Vec<Slot>;

    /// The number of the buffer of this name; asked for in steps, and so without allocation.
    fn slot(&self, name: &str) -> Option<usize>;

    /// Their number.
    fn width(&self) -> usize;

    /// See [`Rule::decays`].
    fn decays(&self) -> Option<[f64; 2]>;

    /// See [`Rule::takes`]; `None` for one that does not look at gradients.
    fn takes(&self) -> Option<Takes>;

    /// The hyper-parameters in effect.
    fn list(&self) -> Vec<Field>;

    /// The configured value of a field, if it is a number.
    fn configured(&self, name: &str) -> Option<f64>;

    /// Whether a change can be made.
    ///
    /// # Errors
    /// As [`Tune::change`](crate::Tune::change).
    fn may(&self, name: &str, change: &Change) -> Result<(), Error>;

    /// Makes a change.
    ///
    /// # Errors
    /// As [`Tune::change`](crate::Tune::change); then nothing has changed.
    fn change(&mut self, name: &str, change: &Change) -> Result<(), Error>;
}

/// Where the state of consecutive segments is.
pub(super) enum Memory<'a, F> {
    /// The slots one after another, each so long; the segments' part of a slot begins there.
    Plain(&'a mut [F], usize, usize),
    /// Of one segment.
    Packed(&'a mut Packed),
}

impl<'a, F> Memory<'a, F> {
    pub(super) fn of(
        packed: &'a mut Option<Packed>,
        state: &'a mut [F],
        stride: usize,
        from: usize,
    ) -> Self {
        match packed {
            Some(packed) => Self::Packed(packed),
            None => Self::Plain(state, stride, from),
        }
    }
}

pub(super) mod sealed {
    use super::{Memory, Part, Steps};

    #[allow(unnameable_types)]
    pub trait Advance<F: crate::Scalar> {
        /// Steps consecutive segments. Gives whether all is finite.
        #[allow(private_interfaces)]
        fn advance(
            &self,
            steps: Steps<'_>,
            list: &mut [Part<'_, F>],
            memory: Memory<'_, F>,
        ) -> bool;
    }
}

/// A rule with the number of its slots, and its settings as configured and in effect.
#[derive(Clone, Debug)]
pub struct Typed<R, const N: usize>(pub(super) Tuned<R>);

impl<F: Scalar, R: Rule<F, N>, const N: usize> AnyRule<F> for Typed<R, N> {
    fn slots(&self) -> Vec<Slot> {
        self.0.slots().to_vec()
    }

    fn slot(&self, name: &str) -> Option<usize> {
        self.0.slots().iter().position(|slot| slot.name == name)
    }

    fn width(&self) -> usize {
        N
    }

    fn decays(&self) -> Option<[f64; 2]> {
        self.0.decays()
    }

    fn takes(&self) -> Option<Takes> {
        Some(self.0.takes())
    }

    fn list(&self) -> Vec<Field> {
        list(&*self.0)
    }

    fn configured(&self, name: &str) -> Option<f64> {
        let fields = list(self.0.configured());
        let alias = R::aliases().iter().find(|(alias, _)| *alias == name);
        let name = alias
            .and_then(|(_, fields)| fields.first())
            .map_or(name, |f| *f);
        fields.iter().find(|f| f.name == name)?.value.real()
    }

    fn may(&self, name: &str, change: &Change) -> Result<(), Error> {
        self.0.clone().change::<F>(name, change)
    }

    fn change(&mut self, name: &str, change: &Change) -> Result<(), Error> {
        self.0.change::<F>(name, change)
    }
}

#[allow(private_interfaces)]
impl<F: Scalar, R: Rule<F, N>, const N: usize> sealed::Advance<F> for Typed<R, N> {
    fn advance(&self, steps: Steps<'_>, list: &mut [Part<'_, F>], memory: Memory<'_, F>) -> bool {
        let (state, stride, from) = match memory {
            Memory::Plain(state, stride, from) => (state, stride, from),
            Memory::Packed(packed) => {
                return match (steps.first(), list) {
                    (Some(step), [Part { x, d: Some(d) }]) => packed.advance(&*self.0, step, x, d),
                    _ => true,
                };
            }
        };
        let (mut rest, len) = (state, list.iter().map(|part| part.x.len()).sum::<usize>());
        let slots = std::array::from_fn(|_| {
            let (slot, after) = std::mem::take(&mut rest).split_at_mut(stride);
            rest = after;
            &mut slot[from..from + len]
        });
        let rule = &*self.0;
        parts(steps, list, slots, &|step, x, g, slots| {
            flushing(|| rule.update(step, x, g, slots))
        })
    }
}

/// The group that does not move: neither its parameters nor any state, at no cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frozen;

impl<F: Scalar> AnyRule<F> for Frozen {
    fn slots(&self) -> Vec<Slot> {
        Vec::new()
    }

    fn slot(&self, _: &str) -> Option<usize> {
        None
    }

    fn width(&self) -> usize {
        0
    }

    fn decays(&self) -> Option<[f64; 2]> {
        None
    }

    fn takes(&self) -> Option<Takes> {
        None
    }

    fn list(&self) -> Vec<Field> {
        Vec::new()
    }

    fn configured(&self, _: &str) -> Option<f64> {
        None
    }

    fn may(&self, name: &str, _: &Change) -> Result<(), Error> {
        Err(crate::tune::unknown(name, &[]))
    }

    fn change(&mut self, name: &str, _: &Change) -> Result<(), Error> {
        Err(crate::tune::unknown(name, &[]))
    }
}

#[allow(private_interfaces)]
impl<F: Scalar> sealed::Advance<F> for Frozen {
    fn advance(&self, _: Steps<'_>, _: &mut [Part<'_, F>], _: Memory<'_, F>) -> bool {
        true
    }
}
