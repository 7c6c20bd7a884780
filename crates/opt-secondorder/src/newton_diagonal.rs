use opt_core::{
    Bound, Error as CoreError, FieldVisitor, HessianDiag, Hyper, Method, ParamMap, Report, Scalar,
    State, Visit, each_parallel,
};

use crate::Bbprop;
use crate::vectors::propose;

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
        visit("lr", &mut self.lr, Bound::NonNegative);
        visit("damping", &mut self.damping, Bound::NonNegative);
        visit("decay", &mut self.decay, Bound::Unit);
    }
}

/// [`NewtonDiagonal`] over an objective.
#[derive(Clone, Debug)]
pub struct NewtonDiagonalMethod<F> {
    hyper: NewtonDiagonal,
    params: ParamMap,
    average: Vec<F>,
    t: u64,
    gradient: Vec<F>,
    diagonal: Vec<F>,
}

impl NewtonDiagonal {
    /// The method for these parameters.
    ///
    /// # Errors
    /// [`CoreError::Hyper`].
    pub fn method<F: Scalar>(
        self,
        params: &ParamMap,
    ) -> Result<NewtonDiagonalMethod<F>, CoreError> {
        self.check()?;
        let zeros = vec![F::zero(); params.len()];
        Ok(NewtonDiagonalMethod {
            hyper: self,
            params: params.clone(),
            average: zeros.clone(),
            t: 0,
            gradient: zeros.clone(),
            diagonal: zeros,
        })
    }
}

impl<F: Scalar> NewtonDiagonalMethod<F> {
    /// Turns the gradient into the direction, and the diagonal into the next average.
    fn precondition(&mut self, t: u64) {
        let NewtonDiagonal { damping, decay, .. } = self.hyper;
        let w = F::of((1.0 - decay) / (1.0 - decay.powf(t as f64)));
        let (mu, zero) = (F::of(damping), F::zero());
        let Self {
            average,
            gradient,
            diagonal,
            ..
        } = self;
        each_parallel(gradient, average, [diagonal], move |g, average, [h]| {
            let average = average + w * (h.abs() - average);
            let scale = average + mu;
            (if scale > zero { g / scale } else { zero }, [average])
        });
    }
}

impl<F: Scalar, O: HessianDiag<F> + ?Sized> Method<F, O> for NewtonDiagonalMethod<F> {
    fn step(&mut self, objective: &mut O, x: &mut [F]) -> Result<Report<F>, CoreError> {
        self.params.check_len("x", x.len())?;
        let report = Report::new(objective.grad(x, &mut self.gradient)?)?;
        self.params.check_gradient(&self.gradient)?;
        Bbprop::measure(objective, x, &mut self.diagonal)?;
        let t = self.t.saturating_add(1);
        self.precondition(t);
        propose(&self.params, x, &mut self.gradient, self.hyper.lr)?;
        // Nothing can fail from here on.
        x.copy_from_slice(&self.gradient);
        std::mem::swap(&mut self.average, &mut self.diagonal);
        self.t = t;
        objective.accept();
        Ok(report)
    }

    fn set(&mut self, name: &str, value: f64) -> Result<(), CoreError> {
        self.hyper = self.hyper.with(name, value)?;
        Ok(())
    }
}

impl<F: Scalar> State<F> for NewtonDiagonalMethod<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.count("t", &mut self.t);
        self.params.visit("h", &mut self.average, visitor);
    }
}
