//! Gradients of several minibatches as one.

use super::average::mix;
use crate::error::Error;
use crate::kernel::each;
use crate::params::ParamMap;
use crate::scalar::Scalar;
use crate::state::visit::{State, Visit};

/// What becomes of a window that is not full when the data end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // there is no third way
pub enum Incomplete {
    /// Its mean is used.
    Keep,
    /// It is forgotten.
    Drop,
}

/// The mean gradient of a window of k minibatches, each weighted by its samples:
///
/// ```text
/// g = Σ nᵢgᵢ / Σ nᵢ
/// ```
///
/// which is the gradient of all samples as one batch, for a loss that is a mean over samples (with
/// any penalty on the parameters; not through batch normalization, which sees each minibatch
/// alone). The mean runs along, so that it cannot overflow where no gᵢ does.
///
/// ```
/// use opt_core::{Accumulate, Incomplete, ParamMap};
///
/// let map = ParamMap::flat(1)?;
/// let mut window = Accumulate::new(&map, 2)?;
/// let mut steps = Vec::new();
/// for (gradient, samples) in [([1.0], 30), ([5.0], 10), ([7.0], 5)] {
///     if window.add(&gradient, samples)? {
///         steps.push(window.mean()[0]);
///     }
/// }
/// if let Some(gradient) = window.finish(Incomplete::Keep) {
///     steps.push(gradient[0]);
/// }
/// assert_eq!(steps, [2.0, 7.0]);
/// # Ok::<(), opt_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Accumulate<F> {
    params: ParamMap,
    batches: u64,
    mean: Vec<F>,
    /// Minibatches and samples in the window.
    added: u64,
    samples: u64,
}

impl<F: Scalar> Accumulate<F> {
    /// Windows of this many minibatches.
    ///
    /// # Errors
    /// [`Error::Argument`] if `batches` is 0.
    pub fn new(params: &ParamMap, batches: u64) -> Result<Self, Error> {
        above_zero("batches", batches)?;
        Ok(Self {
            params: params.clone(),
            batches,
            mean: vec![F::zero(); params.len()],
            added: 0,
            samples: 0,
        })
    }

    /// Adds the mean gradient `g` of a minibatch of `samples`, and says whether the window is full:
    /// then [`mean`](Self::mean) is the gradient of a step, and the next call begins a new window.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::NonFiniteGradient`], [`Error::Argument`] if `samples` is 0; then
    /// nothing has changed.
    pub fn add(&mut self, g: &[F], samples: u64) -> Result<bool, Error> {
        above_zero("samples", samples)?;
        self.params.check_gradient(g)?;
        if self.added >= self.batches {
            self.clear();
        }
        let (old, new) = (self.samples as f64, samples as f64);
        let (keep, take) = (old / (old + new), new / (old + new));
        each(&mut self.mean, g, [], move |mean, g, []| {
            (F::of(mix(mean.f64(), g.f64(), keep, take)), [])
        });
        self.added += 1;
        self.samples = self.samples.saturating_add(samples);
        Ok(self.added >= self.batches)
    }

    /// The mean gradient of the window so far; all 0 if it has none.
    pub fn mean(&self) -> &[F] {
        &self.mean
    }

    /// Samples in the window so far.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Ends the window, and returns its mean if it is incomplete, has a gradient, and is to be
    /// kept. A full one has been used when `add` said so.
    pub fn finish(&mut self, incomplete: Incomplete) -> Option<&[F]> {
        if self.added == 0 || self.added >= self.batches {
            return None;
        }
        match incomplete {
            Incomplete::Keep => {
                // As a full one: `mean` stays until the next gradient.
                self.added = self.batches;
                Some(&self.mean)
            }
            Incomplete::Drop => {
                self.clear();
                None
            }
        }
    }

    fn clear(&mut self) {
        self.mean.fill(F::zero());
        (self.added, self.samples) = (0, 0);
    }
}

fn above_zero(name: &'static str, value: u64) -> Result<(), Error> {
    match value {
        0 => Err(Error::Argument { name, value: 0.0 }),
        _ => Ok(()),
    }
}

impl<F: Scalar> State<F> for Accumulate<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.count("added", &mut self.added);
        visitor.count("samples", &mut self.samples);
        self.params.visit("mean", &mut self.mean, visitor);
    }
}
