use crate::{Error, ParamMap, Scalar};

/// One iteration of any training method.
///
/// What a method needs of the objective is the bound on `O` of its implementation: a missing
/// capability is a compile error.
pub trait Method<F: Scalar, O: ?Sized>: State<F> {
    /// Moves `x` by one iteration, on the minibatch that the objective has seen.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::NonFiniteLoss`], [`Error::NonFiniteGradient`], or what the
    /// objective refuses. Then neither `x` nor the method's state has changed.
    fn step(&mut self, objective: &mut O, x: &mut [F]) -> Result<Report<F>, Error>;

    /// Changes one hyper-parameter by name, as a schedule from a configuration does. In code,
    /// where the type is known, `adjust` does it without a string.
    ///
    /// # Errors
    /// [`Error::UnknownHyper`], or [`Error::Hyper`] if the value is out of range; then nothing
    /// has changed.
    fn set(&mut self, name: &str, value: f64) -> Result<(), Error>;
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
                moves: true,
            })
        } else {
            Err(Error::NonFiniteLoss(loss.f64()))
        }
    }
}

/// All that must survive a restart, by name.
///
/// Hyper-parameters are not state: whoever restores a method makes it with the same ones.
pub trait State<F: Scalar> {
    /// Shows every buffer and number to the visitor, in the same order and under the same,
    /// distinct names each time. The visitor may read or overwrite them.
    fn visit(&mut self, visitor: &mut dyn Visit<F>);
}

/// A reader or writer of state.
pub trait Visit<F> {
    /// A tensor, row-major. A state that is one value may leave the name empty.
    fn buffer(&mut self, name: &str, shape: &[usize], data: &mut [F]);
    /// A counter or seed.
    fn count(&mut self, name: &str, value: &mut u64);
    /// A number in double precision.
    fn number(&mut self, name: &str, value: &mut f64);
}

/// The parameter vector itself as state, so that a snapshot holds it beside the method's.
#[derive(Debug)]
pub struct Parameters<'a, F> {
    map: &'a ParamMap,
    x: &'a mut [F],
}

impl<'a, F: Scalar> Parameters<'a, F> {
    /// The tensors of `x`, by the names that `map` has for them.
    ///
    /// # Errors
    /// [`Error::Length`] unless `x` is as long as the map says.
    pub fn new(map: &'a ParamMap, x: &'a mut [F]) -> Result<Self, Error> {
        map.check_len("x", x.len())?;
        Ok(Self { map, x })
    }
}

impl<F: Scalar> State<F> for Parameters<'_, F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        for segment in self.map.segments() {
            let data = &mut self.x[segment.range.clone()];
            visitor.buffer(&segment.name, &segment.shape, data);
        }
    }
}

/// The parameters as one tensor, under the name that the snapshot gives it. [`Parameters`] has their
/// own names, which a partial restore needs.
impl<F: Scalar> State<F> for Vec<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.buffer("", &[self.len()], self);
    }
}

/// A counter, seed or place in the data as state, under the name that the snapshot gives it.
impl<F: Scalar> State<F> for u64 {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.count("", self);
    }
}

/// A number as state, under the name that the snapshot gives it.
impl<F: Scalar> State<F> for f64 {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.number("", self);
    }
}
