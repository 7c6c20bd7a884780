//! What is minimized, and what more a method may need of it.

mod counted;
mod curvature;
mod layered;

pub use counted::{Call, Counted};
pub use curvature::{GaussNewton, HessianDiag, HessianProduct, PerSample};
pub use layered::{
    Fisher, Layer, LayerKind, LayerPlace, Layered, MatrixView, ObserveInputs, Reparametrized,
    SampledFisher, VectorView,
};

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

    /// The step that the last evaluations were for has been made: statistics of the model's own,
    /// such as batch normalization's running averages, follow it now. Never called for a step that
    /// was refused. Nothing by default.
    fn accept(&mut self) {}
}
