//! The state of a rule for one tensor, as burn keeps and records it.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn_core::tensor::{Device, Element, TensorData};
use burn_optim::{RecordState, StateSink, StateSource};
use opt_core::{Bits, FirstOrder, ParamMap, Rule, Scalar, State, Visit};

use crate::{Error, host};

/// The state of a rule for one tensor.
///
/// In a burn record it is the buffers `slot0`, `slot1`, … in the order of [`Rule::slots`], and the
/// numbers `t`, `decayed1`, `decayed2` (steps, and the products of the decay rates over them),
/// `rule` (a code of the buffers' names) and `bits` (32 or 64).
pub struct RuleState<R, const N: usize, const D: usize> {
    /// Locked only to be recorded or cloned: a state can be shown only by who may change it.
    inner: Mutex<Inner<R, N>>,
}

pub(crate) enum Inner<R, const N: usize> {
    /// No step has been made.
    Fresh,
    /// The rate that it was last told, and the update.
    F32(f64, FirstOrder<f32, R, N>),
    /// As `F32`.
    F64(f64, FirstOrder<f64, R, N>),
    /// From a record or another state: what the next step makes the update of.
    Read(Raw),
}

/// The types that rules compute in.
pub(crate) trait Kept<R, const N: usize>: Scalar + Element {
    /// The update, if the state is of this type.
    fn kept(inner: &mut Inner<R, N>) -> Option<(&mut f64, &mut FirstOrder<Self, R, N>)>;

    fn keep(lr: f64, update: FirstOrder<Self, R, N>) -> Inner<R, N>;
}

macro_rules! kept {
    ($t:ty, $variant:ident) => {
        impl<R, const N: usize> Kept<R, N> for $t {
            fn kept(inner: &mut Inner<R, N>) -> Option<(&mut f64, &mut FirstOrder<Self, R, N>)> {
                match inner {
                    Inner::$variant(lr, update) => Some((lr, update)),
                    _ => None,
                }
            }

            fn keep(lr: f64, update: FirstOrder<Self, R, N>) -> Inner<R, N> {
                Inner::$variant(lr, update)
            }
        }
    };
}

kept!(f32, F32);
kept!(f64, F64);

impl<R, const N: usize, const D: usize> RuleState<R, N, D> {
    fn new(inner: Inner<R, N>) -> Self {
        Self {
            inner: Mutex::new(inner),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<R, N>> {
        // Nothing is left half done where a lock is held.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get_mut(&mut self) -> &mut Inner<R, N> {
        (self.inner.get_mut()).unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R, const N: usize> Inner<R, N> {
    /// Makes the update for a tensor of this shape, at this rate, where there is none yet;
    /// `configured` gives the rule.
    pub(crate) fn ready<F: Kept<R, N>>(
        &mut self,
        lr: f64,
        shape: &[usize],
        configured: impl Fn() -> Result<R, Error>,
    ) -> Result<(), Error>
    where
        R: Rule<F, N>,
    {
        if matches!(self, Self::Fresh | Self::Read(_)) {
            let name = format!("x{shape:?}");
            let params = ParamMap::new([(name, shape.to_vec())])?;
            let mut update = FirstOrder::new(configured()?, &params)?;
            if let Self::Read(raw) = self {
                raw.fill(&mut update, shape)?;
            }
            *self = F::keep(lr, update);
        }
        let (last, update) = self.update::<F>(shape)?;
        if *last != lr {
            let rule = configured()?;
            update.adjust(|_, now| *now = rule.clone())?;
            *last = lr;
        }
        Ok(())
    }

    /// The update that has been made for a tensor of this shape, and its rate.
    pub(crate) fn update<F: Kept<R, N>>(
        &mut self,
        shape: &[usize],
    ) -> Result<(&mut f64, &mut FirstOrder<F, R, N>), Error>
    where
        R: Rule<F, N>,
    {
        let wrong = |why: String| Err(Error::Record(format!("the state of x{shape:?} {why}")));
        let Some((last, update)) = F::kept(self) else {
            return wrong(format!("is of another type than {}", F::DTYPE));
        };
        let of = update.params().segments().first();
        if of.is_none_or(|of| of.shape != shape) {
            return wrong(format!("is that of {of:?}"));
        }
        Ok((last, update))
    }
}

impl<R: Rule<f32, N> + Rule<f64, N>, const N: usize, const D: usize> RuleState<R, N, D> {
    fn raw(&self) -> Option<Raw> {
        match &mut *self.lock() {
            Inner::Fresh => None,
            Inner::F32(_, update) => Some(Raw::of(update)),
            Inner::F64(_, update) => Some(Raw::of(update)),
            Inner::Read(raw) => Some(raw.clone()),
        }
    }
}

impl<R, const N: usize, const D: usize> Default for RuleState<R, N, D> {
    fn default() -> Self {
        Self::new(Inner::Fresh)
    }
}

impl<R: Rule<f32, N> + Rule<f64, N>, const N: usize, const D: usize> Clone for RuleState<R, N, D> {
    fn clone(&self) -> Self {
        Self::new(self.raw().map_or(Inner::Fresh, Inner::Read))
    }
}

impl<R, const N: usize, const D: usize> fmt::Debug for RuleState<R, N, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleState").finish_non_exhaustive()
    }
}

impl<R, const N: usize, const D: usize> RecordState for RuleState<R, N, D>
where
    R: Rule<f32, N> + Rule<f64, N>,
{
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        match self.raw() {
            Some(raw) => raw.put(prefix, out),
            None => out.push_scalar(prefix, FRESH, true.into()),
        }
    }

    /// Never `None`, of which burn would silently make a new state: what is damaged, or of another
    /// rule, is refused by the next step.
    fn state_unflatten(prefix: &str, src: &mut StateSource, _: &Device) -> Option<Self> {
        Some(match src.take_scalar(prefix, FRESH) {
            Some(_) => Self::default(),
            None => Self::new(Inner::Read(Raw::get(N, prefix, src))),
        })
    }
}

/// What is recorded of a tensor that has made no step.
const FRESH: &str = "fresh";
const DECAYED: [&str; 2] = ["decayed1", "decayed2"];

/// A state's numbers without its rule.
#[derive(Clone, Default)]
pub(crate) struct Raw {
    bits: u64,
    rule: u64,
    t: u64,
    decayed: [Option<f64>; 2],
    slots: Vec<TensorData>,
    /// Why it is none.
    broken: Option<String>,
}

impl Raw {
    fn put(self, prefix: &str, out: &mut StateSink) {
        for (name, value) in [("bits", self.bits), ("rule", self.rule), ("t", self.t)] {
            out.push_scalar(prefix, name, value.into());
        }
        for (name, value) in DECAYED.into_iter().zip(self.decayed) {
            if let Some(value) = value {
                out.push_scalar(prefix, name, value.into());
            }
        }
        for (at, data) in self.slots.into_iter().enumerate() {
            out.push_tensor(prefix, &format!("slot{at}"), data);
        }
    }

    fn get(slots: usize, prefix: &str, src: &mut StateSource) -> Self {
        let (mut raw, mut missing) = (Self::default(), None);
        for (name, to) in [
            ("bits", &mut raw.bits),
            ("rule", &mut raw.rule),
            ("t", &mut raw.t),
        ] {
            match src.take_scalar(prefix, name).map(u64::try_from) {
                Some(Ok(value)) => *to = value,
                _ => missing = Some(name.to_owned()),
            }
        }
        for (name, to) in DECAYED.into_iter().zip(&mut raw.decayed) {
            let value = src.take_scalar(prefix, name).map(f64::try_from);
            *to = value.and_then(Result::ok);
        }
        for at in 0..slots {
            let name = format!("slot{at}");
            match src.take_tensor(prefix, &name) {
                Some(data) => raw.slots.push(data),
                None => missing = Some(name),
            }
        }
        raw.broken = missing.map(|name| format!("`{prefix}.{name}` is missing, or no number"));
        raw
    }

    fn of<F: Scalar + Element, R: Rule<F, N>, const N: usize>(
        update: &mut FirstOrder<F, R, N>,
    ) -> Self {
        let mut raw = Self {
            bits: 8 * size_of::<F>() as u64,
            rule: update.rule(0).map_or(0, code),
            ..Self::default()
        };
        update.visit(&mut Take(&mut raw));
        raw
    }

    /// Writes the numbers into a new update, if all of them fit.
    fn fill<F: Scalar + Element, R: Rule<F, N>, const N: usize>(
        &self,
        update: &mut FirstOrder<F, R, N>,
        shape: &[usize],
    ) -> Result<(), Error> {
        let wrong = |text: String| Err(Error::Record(text));
        if let Some(why) = &self.broken {
            return wrong(why.clone());
        }
        if update.rule(0).map(code) != Some(self.rule) {
            let rule = update.rule(0);
            return wrong(format!("the state of x{shape:?} is not of {rule:?}"));
        }
        if self.bits != 8 * size_of::<F>() as u64 {
            let (bits, dtype) = (self.bits, F::DTYPE);
            return wrong(format!("the state has {bits} bits, must be {dtype}"));
        }
        if let Some(data) = (self.slots.iter()).find(|data| data.shape().as_slice() != shape) {
            let found = data.shape().as_slice();
            return wrong(format!("the state has shape {found:?}, must be {shape:?}"));
        }
        let mut give = Give {
            raw: self,
            slots: self.slots.iter(),
            missing: None,
        };
        update.visit(&mut give);
        match give.missing {
            Some(name) => wrong(format!("the state lacks `{name}`")),
            None => Ok(()),
        }
    }
}

/// What tells the buffers of rules apart: FNV-1a of their names.
fn code<F: Scalar, R: Rule<F, N>, const N: usize>(rule: &R) -> u64 {
    let names = rule.slots().map(|slot| slot.name);
    let bytes = names.iter().flat_map(|name| name.bytes().chain([b'/']));
    bytes.fold(0xcbf2_9ce4_8422_2325, |code, byte| {
        (code ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

struct Take<'a>(&'a mut Raw);

impl<F: Element> Visit<F> for Take<'_> {
    fn buffer(&mut self, _: &str, shape: &[usize], data: &mut [F]) {
        let data = TensorData::new(data.to_vec(), shape.to_vec());
        self.0.slots.push(data);
    }

    fn count(&mut self, _: &str, value: &mut u64) {
        self.0.t = *value;
    }

    fn number(&mut self, name: &str, value: &mut f64) {
        for (decayed, to) in DECAYED.into_iter().zip(&mut self.0.decayed) {
            if name.starts_with(decayed) {
                *to = Some(*value);
            }
        }
    }

    // A state for one tensor is stored as it is.
    fn packed(&mut self, _: &str, _: &[usize], _: Bits<'_>) {}
}

struct Give<'a> {
    raw: &'a Raw,
    slots: std::slice::Iter<'a, TensorData>,
    missing: Option<String>,
}

impl<F: Scalar + Element> Visit<F> for Give<'_> {
    fn buffer(&mut self, name: &str, _: &[usize], data: &mut [F]) {
        if !self.slots.next().is_some_and(|from| host::copy(from, data)) {
            self.missing = Some(name.to_owned());
        }
    }

    fn count(&mut self, _: &str, value: &mut u64) {
        *value = self.raw.t;
    }

    fn number(&mut self, name: &str, value: &mut f64) {
        for (decayed, from) in DECAYED.into_iter().zip(self.raw.decayed) {
            match from {
                Some(from) if name.starts_with(decayed) => *value = from,
                None if name.starts_with(decayed) => self.missing = Some(name.to_owned()),
                _ => {}
            }
        }
    }

    fn packed(&mut self, name: &str, _: &[usize], _: Bits<'_>) {
        self.missing = Some(name.to_owned());
    }
}
