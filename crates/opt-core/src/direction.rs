use crate::error::Error;
use crate::method::Report;
use crate::objective::Objective;
use crate::scalar::Scalar;
use crate::state::visit::{State, Visit};
use crate::tune::{Change, Field, Tune, unknown};

/// What a direction has staged, taken over once x has moved. A trait of its own because
/// [`Direction`] has the objective as a parameter, which `commit` does not depend on.
pub trait Staged {
    /// Makes the statistics that the last proposal staged count. What an earlier one staged, whose
    /// step was refused, is gone.
    fn commit(&mut self);
}

/// Which way x moves: the gradient, or what curvature makes of it. What a direction needs of the
/// objective is the bound on `O` of its implementation.
///
/// Any [`Update`](crate::Update) moves by it, joined by [`Train`](crate::Train). One of one's own, the
/// gradient over the running average of its norm:
///
/// ```
/// use opt_core::{
///     Bound, Direction, Error, FieldVisitor, Hyper, Objective, Report, Scalar, Staged, State, Tuned,
///     Visit, norm, tune_by,
/// };
///
/// #[derive(Clone, Debug)]
/// struct Decay(f64);
///
/// impl Hyper for Decay {
///     fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
///         visit.real("decay", &mut self.0, Bound::Unit);
///     }
/// }
///
/// struct Normalized<F> {
///     settings: Tuned<Decay>,
///     average: f64,
///     next: f64,
///     kind: std::marker::PhantomData<F>,
/// }
///
/// tune_by!(Normalized, settings);
///
/// impl<F: Scalar, O: Objective<F> + ?Sized> Direction<F, O> for Normalized<F> {
///     fn propose(&mut self, objective: &mut O, x: &[F], d: &mut [F]) -> Result<Report<F>, Error> {
///         let report = Report::new(objective.grad(x, d)?)?;
///         let decay = self.settings.0;
///         self.next = decay * self.average + (1.0 - decay) * norm(d);
///         let scale = F::of(self.next.max(f64::MIN_POSITIVE).recip());
///         d.iter_mut().for_each(|d| *d *= scale);
///         Ok(report)
///     }
/// }
///
/// impl<F> Staged for Normalized<F> {
///     fn commit(&mut self) {
///         self.average = self.next;
///     }
/// }
///
/// impl<F: Scalar> State<F> for Normalized<F> {
///     fn visit(&mut self, visitor: &mut dyn Visit<F>) {
///         visitor.number("average", &mut self.average);
///     }
/// }
/// ```
pub trait Direction<F: Scalar, O: ?Sized>: Staged + State<F> + Tune {
    /// Evaluates the objective at `x`, and writes over `d` the direction to move *against*: g, or
    /// what stands in its place. Statistics are staged: nothing that counts has changed until
    /// [`Staged::commit`].
    ///
    /// # Errors
    /// [`Error::NonFiniteLoss`], [`Error::NonFiniteGradient`], or what the objective refuses.
    fn propose(&mut self, objective: &mut O, x: &[F], d: &mut [F]) -> Result<Report<F>, Error>;
}

impl<T: Staged + ?Sized> Staged for Box<T> {
    fn commit(&mut self) {
        (**self).commit();
    }
}

impl<F: Scalar, O: ?Sized, D: Direction<F, O> + ?Sized> Direction<F, O> for Box<D> {
    fn propose(&mut self, objective: &mut O, x: &[F], d: &mut [F]) -> Result<Report<F>, Error> {
        (**self).propose(objective, x, d)
    }
}

/// The gradient itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gradient;

impl Staged for Gradient {
    fn commit(&mut self) {}
}

impl<F: Scalar> State<F> for Gradient {
    fn visit(&mut self, _: &mut dyn Visit<F>) {}
}

impl Tune for Gradient {
    fn list(&self) -> Vec<Field> {
        Vec::new()
    }

    fn change(&mut self, name: &str, _: &Change) -> Result<(), Error> {
        Err(unknown(name, &[]))
    }
}

impl<F: Scalar, O: Objective<F> + ?Sized> Direction<F, O> for Gradient {
    fn propose(&mut self, objective: &mut O, x: &[F], d: &mut [F]) -> Result<Report<F>, Error> {
        let mut report = Report::new(objective.grad(x, d)?)?;
        report.bound = objective.gradient_bound();
        Ok(report)
    }
}
