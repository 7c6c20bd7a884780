//! Averages of the parameters along their path, to evaluate in place of the last ones.

use crate::error::Error;
use crate::kernel::each;
use crate::params::ParamMap;
use crate::scalar::Scalar;
use crate::state::visit::{State, Visit};
use crate::tune::value::Bound;

/// How an [`Average`] weighs the parameters xₜ that it is shown, t = 0, 1, 2, …:
///
/// ```text
/// a ← a + μₜ(xₜ − a)
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Averaging {
    /// Exponential, with a warm-up: 1 − μₜ = min(decay, (1 + t)/(warmup + t)).
    ///
    /// `warmup` is 10 in TensorFlow's `ExponentialMovingAverage` with `num_updates` = t; 1 is none.
    /// The average begins at the parameters it is made with, and is biased towards them: their
    /// weight after k updates is Π(1 − μₜ), which during the warm-up is 1/C(k + 9, 9) for
    /// `warmup` = 10, and decayᵏ without one.
    Exponential {
        /// In [0, 1); averages over about 1/(1 − decay) updates.
        decay: f64,
        /// At least 1.
        warmup: f64,
    },
    /// The mean of x from t = `start` on (Polyak & Juditsky 1992, Ruppert 1988), without bias; xₜ
    /// itself until then: μₜ = 1/(1 + max(0, t − start)).
    ///
    /// PyTorch's `ASGD` is this with `start` = t0 + 1.
    Polyak {
        /// The first t that counts. Earlier parameters are too far from where the mean should be.
        start: u64,
    },
    /// As Bottou's `svmasgd` (2012, "Stochastic Gradient Descent Tricks"):
    /// μₜ = μ₀/(1 + μ₀(t − start)) after `start`, 1 until then. μ₀ = 1 is [`Averaging::Polyak`];
    /// less counts xₛₜₐᵣₜ as if it were 1/μ₀ updates.
    Asgd {
        /// The last t whose parameters are taken as they are.
        start: u64,
        /// μ₀, above 0.
        mu0: f64,
    },
}

impl Averaging {
    fn check(self) -> Result<(), Error> {
        let fields: &[(&'static str, f64, Bound)] = match self {
            Self::Exponential { decay, warmup } => &[
                ("decay", decay, Bound::Unit),
                ("warmup", warmup, Bound::Grow),
            ],
            Self::Polyak { .. } => &[],
            Self::Asgd { mu0, .. } => &[("mu0", mu0, Bound::Positive)],
        };
        (fields.iter()).try_for_each(|&(name, value, bound)| Error::bounded(name, value, bound))
    }

    /// (1 − μₜ, μₜ).
    fn weights(self, t: u64) -> (f64, f64) {
        let k = |start| t.saturating_sub(start) as f64;
        match self {
            Self::Exponential { decay, warmup } => {
                let t = t as f64;
                let keep = decay.min((1.0 + t) / (warmup + t));
                (keep, 1.0 - keep)
            }
            Self::Polyak { start } => (k(start) / (1.0 + k(start)), 1.0 / (1.0 + k(start))),
            Self::Asgd { start, .. } if t <= start => (0.0, 1.0),
            // Divided by μ₀, which may be large: μ₀k must not overflow.
            Self::Asgd { start, mu0 } => {
                let mu = 1.0 / (1.0 / mu0 + k(start));
                (1.0 - mu, mu)
            }
        }
    }
}

/// An average of the parameters along their path.
///
/// It is updated after each step, or every few. In single precision it keeps a second buffer with
/// what rounding cuts off, without which a mean stalls after some 10⁷ updates, and an exponential
/// one as soon as (1 − decay)·|x − a| is less than a rounding of a.
///
/// ```
/// use opt_core::{Average, Averaging, ParamMap};
///
/// let map = ParamMap::flat(1)?;
/// let mut mean = Average::new(Averaging::Polyak { start: 1 }, &map, &[0.0])?;
/// for x in [9.0, 1.0, 2.0, 3.0] {
///     mean.update(&[x])?;
/// }
/// assert_eq!(mean.value(), [2.0]);
/// # Ok::<(), opt_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Average<F> {
    kind: Averaging,
    params: ParamMap,
    value: Vec<F>,
    /// What is missing from `value`; empty in double precision.
    rest: Vec<F>,
    t: u64,
}

impl<F: Scalar> Average<F> {
    /// An average that begins at `x`.
    ///
    /// # Errors
    /// [`Error::Hyper`] if a number of `kind` is out of its range; as [`update`](Self::update).
    pub fn new(kind: Averaging, params: &ParamMap, x: &[F]) -> Result<Self, Error> {
        kind.check()?;
        params.check_len("x", x.len())?;
        check_finite(params, x)?;
        let double = F::epsilon().f64() <= f64::EPSILON;
        Ok(Self {
            kind,
            params: params.clone(),
            value: x.to_vec(),
            rest: vec![F::zero(); if double { 0 } else { x.len() }],
            t: 0,
        })
    }

    /// Takes the parameters after one more step into account.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::NonFiniteParameter`]; then nothing has changed.
    pub fn update(&mut self, x: &[F]) -> Result<(), Error> {
        self.params.check_len("x", x.len())?;
        check_finite(&self.params, x)?;
        let (keep, take) = self.kind.weights(self.t);
        self.t = self.t.saturating_add(1);
        if self.rest.is_empty() {
            each(&mut self.value, x, [], move |a, x, []| {
                (F::of(mix(a.f64(), x.f64(), keep, take)), [])
            });
        } else {
            each(&mut self.value, x, [&mut self.rest], move |a, x, [rest]| {
                let mean = mix(a.f64() + rest.f64(), x.f64(), keep, take);
                let value = F::of(mean);
                (value, [F::of(mean - value.f64())])
            });
        }
        Ok(())
    }

    /// The average, as long as the parameters.
    pub fn value(&self) -> &[F] {
        &self.value
    }

    /// The number of updates so far.
    pub fn updates(&self) -> u64 {
        self.t
    }
}

/// keep·a + take·b, for weights that add up to 1: never beyond a and b, and so finite.
#[inline(always)]
pub(crate) fn mix(a: f64, b: f64, keep: f64, take: f64) -> f64 {
    let mean = keep * a + take * b;
    let (lo, hi) = if a < b { (a, b) } else { (b, a) };
    if mean < lo {
        lo
    } else if mean > hi {
        hi
    } else {
        mean
    }
}

fn check_finite<F: Scalar>(params: &ParamMap, x: &[F]) -> Result<(), Error> {
    match params.check_gradient(x) {
        Err(Error::NonFiniteGradient {
            segment,
            index,
            value,
        }) => Err(Error::NonFiniteParameter {
            segment,
            index,
            value,
        }),
        checked => checked,
    }
}

/// Of another kind of average or another type of parameters, a snapshot does not fit. The kind's
/// numbers are configuration.
impl<F: Scalar> State<F> for Average<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.count("t", &mut self.t);
        self.params.visit("average", &mut self.value, visitor);
        if !self.rest.is_empty() {
            self.params.visit("rest", &mut self.rest, visitor);
        }
    }
}
