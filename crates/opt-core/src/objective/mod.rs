//! What is minimized, and what more a method may need of it.

mod counted;
mod curvature;
mod layered;
mod team;

pub use counted::{Call, Counted};
pub use curvature::{GaussNewton, HessianDiag, HessianProduct, PerSample};
pub use layered::{
    Fisher, Layer, LayerKind, LayerPlace, Layered, MatrixView, ObserveInputs, Reparametrized,
    SampledFisher, VectorView,
};
pub use team::{Processes, Team};

use crate::error::Error;
use crate::params::ParamMap;
use crate::scalar::Scalar;

/// What is minimized: a model with its loss, that has seen a minibatch.
///
/// All evaluations between two steps see the same minibatch and the same dropout masks: whoever
/// loads the next batch does so between calls of [`Method::step`](crate::Method::step).
///
/// An objective returns a loss that is not finite as it is, and an error only if it could not be
/// evaluated; the methods turn the former into [`Error::NonFiniteLoss`].
pub trait Objective<F: Scalar> {
    /// Names and places of the parameters.
    fn params(&self) -> &ParamMap;

    /// The loss at `x`.
    ///
    /// # Errors
    /// [`Error::Length`], or what the model refuses.
    fn value(&mut self, x: &[F]) -> Result<F, Error>;

    /// The loss at `x`; writes its gradient over `g`.
    ///
    /// # Errors
    /// As [`value`](Self::value). `g` is then undefined.
    fn grad(&mut self, x: &[F], g: &mut [F]) -> Result<F, Error>;

    /// A bound that the objective vouches for: every element of the gradient that the last
    /// [`grad`](Self::grad) wrote is at most so large, and not NaN. A step then does not read the
    /// gradient to check it. An objective may have seen the greatest element while it had it in
    /// cache, or know a bound without a pass over the gradient, from what it was made of. `None` by
    /// default, and a bound that is not finite, say nothing: the gradient is read.
    fn gradient_bound(&self) -> Option<F> {
        None
    }

    /// The step that the last evaluations were for has been made: statistics of the model's own,
    /// such as batch normalization's running averages, follow it now. Never called for a step that
    /// was refused. Nothing by default.
    fn accept(&mut self) {}
}
