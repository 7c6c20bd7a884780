use crate::error::Error;
use crate::scalar::Scalar;
use crate::state::visit::State;
use crate::tune::Tune;

/// One iteration of any training method.
///
/// What a method needs of the objective is the bound on `O` of its implementation: a missing
/// capability is a compile error.
pub trait Method<F: Scalar, O: ?Sized>: State<F> + Tune {
    /// Moves `x` by one iteration, on the minibatch that the objective has seen.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::NonFiniteLoss`], [`Error::NonFiniteGradient`], or what the
    /// objective refuses. Then neither `x` nor the method's state nor the model's has changed.
    /// [`Error::Diverged`] alone comes after `x` has moved.
    fn step(&mut self, objective: &mut O, x: &mut [F]) -> Result<Report<F>, Error>;
}

/// What a step has to tell.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report<F> {
    /// The loss where the step's gradient was taken: at `x` before the step, unless the method
    /// says otherwise.
    pub loss: F,
    /// What the method fell back to, if a part of it could not be computed.
    pub fallback: Option<Fallback>,
    /// What no element of the direction is greater than, if that is known without reading it: see
    /// [`Objective::gradient_bound`](crate::Objective::gradient_bound).
    pub bound: Option<F>,
    /// Whether the step moves x. `false` while a method only collects statistics.
    pub moves: bool,
}

/// What a method did instead of its usual step, which it could not make: the step was made all the
/// same, or not made, and counts. Not an error, but worth showing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fallback {
    /// The gradient is 0.
    #[error("the gradient is zero: x stays")]
    ZeroGradient,
    /// A trial point could not be evaluated, or its loss is not finite.
    #[error("a trial could not be evaluated, or was not finite: the step is shorter, or not made")]
    Trial,
    /// No step along the method's direction lowers the loss.
    #[error("no lower loss along the method's direction: steepest descent, without memory")]
    SteepestDescent,
    /// As [`SteepestDescent`](Self::SteepestDescent), but the next step does it.
    #[error("no lower loss along the method's direction: restarted")]
    Restarted,
    /// As far as the loss can tell, the step changes nothing.
    #[error("the step changes the loss by no more than its rounding: the gradient alone decided")]
    Rounding,
    /// The gradient is not 0, but its square is, in the arithmetic of the method.
    #[error(
        "the gradient's square vanishes in this type: x, or a part of it, stays; scale the loss"
    )]
    Vanishing,
    /// No step along −g lowers the loss.
    #[error("no lower loss along -g: x stays")]
    NoLowerLoss,
    /// No step along the method's direction lowers the loss, and the damping was raised.
    #[error("no step lowers the loss: none was made, the damping rises")]
    DampingRises,
    /// x was moved by somebody else.
    #[error("x has moved since the last step: restarted")]
    Moved,
    /// Curvature broke off: less of it was used than was asked for.
    #[error("the curvature broke off: what came before it serves")]
    CurvatureBroke,
    /// Curvature has nothing to go by.
    #[error("no curvature to go by: steepest descent")]
    NoCurvature,
    /// Statistics left the range of the type.
    #[error("the statistics overflowed: the last factors stay")]
    StatisticsOverflowed,
    /// A factorization failed.
    #[error("a factor could not be computed: the last ones stay")]
    FactorKept,
    /// A factor had no inverse.
    #[error("a factor had no inverse: the damping was raised")]
    DampingRaised,
    /// The step is not 0, but too short to move x in its type.
    #[error("the step vanishes beside x in this type: bring the inputs near 1")]
    Vanishes,
    /// The step was vetoed.
    #[error("the loss after the step is not finite: it was not made")]
    NotMade,
    /// Statistics are still collected: x has not moved.
    #[error("collecting statistics before the first step: x stays")]
    Collecting,
    /// Statistics are of fewer samples than the layer has inputs.
    #[error("fewer samples than the layer has inputs: whitening may do harm; raise `samples`")]
    FewSamples,
}

impl<F: Scalar> Report<F> {
    /// A report of this loss.
    ///
    /// # Errors
    /// [`Error::NonFiniteLoss`], so that a method checks it by making its report.
    pub fn new(loss: F) -> Result<Self, Error> {
        if loss.is_finite() {
            Ok(Self {
                loss,
                fallback: None,
                bound: None,
                moves: true,
            })
        } else {
            Err(Error::NonFiniteLoss(loss.f64()))
        }
    }
}
