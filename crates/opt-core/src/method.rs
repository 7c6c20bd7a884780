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
    pub fallback: Option<&'static str>,
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
    /// A tensor, row-major.
    fn buffer(&mut self, name: &str, shape: &[usize], data: &mut [F]);
    /// A counter or seed.
    fn count(&mut self, name: &str, value: &mut u64);
    /// A number in double precision.
    fn number(&mut self, name: &str, value: &mut f64);
}

/// The parameter vector itself as state, so that a snapshot holds it beside the method's.
#[derive(Debug)]
pub struct Parameters<'a, F> {
    /// Names and shapes.
    pub map: &'a ParamMap,
    /// The parameters. Of another length than the map's, nothing is visited.
    pub x: &'a mut [F],
}

impl<F: Scalar> State<F> for Parameters<'_, F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        if self.x.len() != self.map.len() {
            return;
        }
        for segment in self.map.segments() {
            if let Some(data) = self.x.get_mut(segment.range.clone()) {
                visitor.buffer(&segment.name, &segment.shape, data);
            }
        }
    }
}
