use opt_core::{
    Bound, Direction, Error as CoreError, FieldVisitor, FirstOrder, HessianDiag, Hyper, ParamMap,
    Report, Scalar, Staged, State, Train, Tuned, Visit, each_parallel,
};

use crate::curvature::Bbprop;
use crate::descent::Descent;

/// Newton's method with the diagonal of the Hessian, also known as stochastic diagonal
/// Levenberg–Marquardt (LeCun, Bottou, Orr & Müller, Efficient BackProp, 1998).
///
/// ```text
/// w = (1 − ρ)/(1 − ρᵗ)
/// h̄ ← h̄ + w(|h| − h̄)
/// θ ← θ − α·g/(h̄ + μ)
/// ```
///
/// h is the diagonal that the objective gives, so h̄ = Σρᵗ⁻ᵏ|hₖ| / Σρᵗ⁻ᵏ: the usual average with
/// bias correction, written so that h̄ = |h| exactly after the first step. Where h̄ + μ = 0, which
/// takes μ = 0, a parameter does not move.
///
/// Needs [`HessianDiag`]. A step takes a gradient and a diagonal.
///
/// The diagonal leaves out how the parameters work together: many that pull the same way overshoot
/// with α = 1, which is why the default is far below. [`ExactDiagonal`](crate::ExactDiagonal)
/// gives the diagonal of a small problem that only has products.
///
/// *Relatives:* [`Newton`](crate::Newton), [`Esgd`](crate::Esgd), [`Vsgd`](crate::Vsgd).
///
/// A quadratic whose Hessian is diagonal is solved in one step.
///
/// ```
/// use opt_core::{Method, Objective};
/// use opt_secondorder::NewtonDiagonal;
///
/// let mut plane = opt_testkit::plane("valley").expect("it is one of them");
/// let settings = NewtonDiagonal { lr: 1.0, damping: 0.0, ..NewtonDiagonal::default() };
/// let mut method = settings.method(Objective::<f64>::params(&plane))?;
/// let mut x = plane.start;
/// method.step(&mut plane, &mut x)?;
/// assert!(x[0].abs() < 1e-9 && x[1].abs() < 1e-9);
/// # Ok::<(), opt_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct NewtonDiagonal {
    /// α. With 0, `x` stays, and h̄ moves on.
    pub lr: f64,
    /// μ, in units of h: keeps steps finite where the loss is flat.
    pub damping: f64,
    /// ρ. With 0, h̄ is the last minibatch's.
    pub decay: f64,
}

impl Default for NewtonDiagonal {
    fn default() -> Self {
        Self {
            lr: 0.01,
            damping: 0.02,
            decay: 0.95,
        }
    }
}

impl Hyper for NewtonDiagonal {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("damping", &mut self.damping, Bound::NonNegative);
        visit.real("decay", &mut self.decay, Bound::Unit);
    }
}

impl NewtonDiagonal {
    /// g/(h̄ + μ) alone, for any [`Update`](opt_core::Update): `lr` is not read.
    ///
    /// # Errors
    /// As [`Hyper::check`].
    pub fn direction<F: Scalar>(
        &self,
        params: &ParamMap,
    ) -> Result<NewtonDiagonalDirection<F>, CoreError> {
        let settings = Average {
            damping: self.damping,
            decay: self.decay,
        };
        let zeros = vec![F::zero(); params.len()];
        Ok(NewtonDiagonalDirection {
            settings: Tuned::new::<F>(settings)?,
            params: params.clone(),
            average: zeros.clone(),
            t: 0,
            next: zeros,
            staged: false,
        })
    }

    /// The method for these parameters, θ ← θ − αd.
    ///
    /// # Errors
    /// As [`direction`](Self::direction).
    pub fn method<F: Scalar>(
        &self,
        params: &ParamMap,
    ) -> Result<NewtonDiagonalMethod<F>, CoreError> {
        let descent = FirstOrder::new(Descent { lr: self.lr }, params)?;
        Ok(Train::along(self.direction(params)?, descent))
    }
}

/// Diagonal Newton with plain descent.
pub type NewtonDiagonalMethod<F> = Train<F, NewtonDiagonalDirection<F>, FirstOrder<F, Descent, 0>>;

#[derive(Clone, Debug, PartialEq)]
struct Average {
    damping: f64,
    decay: f64,
}

impl Hyper for Average {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("damping", &mut self.damping, Bound::NonNegative);
        visit.real("decay", &mut self.decay, Bound::Unit);
    }
}

/// The gradient by the diagonal: made by [`NewtonDiagonal::direction`].
#[derive(Clone, Debug)]
pub struct NewtonDiagonalDirection<F: Scalar> {
    settings: Tuned<Average>,
    params: ParamMap,
    average: Vec<F>,
    t: u64,
    /// The diagonal, then the average after the step that is proposed.
    next: Vec<F>,
    staged: bool,
}

opt_core::tune_by!(NewtonDiagonalDirection, settings);

impl<F: Scalar, O: HessianDiag<F> + ?Sized> Direction<F, O> for NewtonDiagonalDirection<F> {
    fn propose(&mut self, objective: &mut O, x: &[F], d: &mut [F]) -> Result<Report<F>, CoreError> {
        self.staged = false;
        self.params.check_len("x", x.len())?;
        let report = Report::new(objective.grad(x, d)?)?;
        self.params.check_gradient(d)?;
        Bbprop::measure(objective, x, &mut self.next)?;
        let Average { damping, decay } = *self.settings;
        let t = self.t.saturating_add(1);
        let w = F::of((1.0 - decay) / (1.0 - decay.powf(t as f64)));
        let (mu, zero) = (F::of(damping), F::zero());
        let (average, next) = (&self.average, &mut self.next);
        each_parallel(d, average, [next], move |g, average, [h]| {
            let average = average + w * (h.abs() - average);
            let scale = average + mu;
            (if scale > zero { g / scale } else { zero }, [average])
        });
        self.staged = true;
        Ok(report)
    }
}

impl<F: Scalar> Staged for NewtonDiagonalDirection<F> {
    fn commit(&mut self) {
        if std::mem::take(&mut self.staged) {
            std::mem::swap(&mut self.average, &mut self.next);
            self.t = self.t.saturating_add(1);
        }
    }
}

impl<F: Scalar> State<F> for NewtonDiagonalDirection<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.count("t", &mut self.t);
        self.params.visit("h", &mut self.average, visitor);
    }
}
