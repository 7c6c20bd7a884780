use opt_core::{Bound, FieldVisitor, Hyper, Rule, Scalar, Slot, Step, Takes, each};

use crate::ratio;

/// AdaDelta (Zeiler 2012).
///
/// ```text
/// r ← γ₁r + (1 − γ₁)g²
/// Δ ← √(d + ε_update)/√(r + ε_grad)·g
/// θ ← θ − αΔ
/// d ← γ₂d + (1 − γ₂)Δ²
/// ```
///
/// The paper has one decay rate (ρ = 0.95), one ε = 1e-6 and α = 1. As ε_update has the units of θ²
/// and ε_grad those of g², they are two here: only then does rescaling the loss or the parameters
/// leave the path alone. By name, `gamma` and `eps` set both. With ε_update = 0 it never moves: what
/// starts it is ε, √(ε/(1 − ρ)) = 4.5e-3 for the first step whatever the gradient.
///
/// The slide lacks the root over the numerator and both ε; what biases the first steps are the
/// accumulators that start at zero, not "decay parameters". d averages Δ without α, as in PyTorch.
///
/// It takes |g| ≤ ½√max of the type, see [the range of gradients](crate#range-of-gradients).
///
/// *Paper:* ADADELTA: an adaptive learning rate method.
/// *Needs* a gradient of any minibatch. *Costs* two numbers of state for each parameter, and one pass over it, x and g.
/// *Relatives:* [`AdaDeltaImmediate`](crate::AdaDeltaImmediate), [`AdaDeltaCorrected`](crate::AdaDeltaCorrected), [`RmsProp`](crate::RmsProp).
///
/// The first step is √(ε/(1 − γ)), whatever the gradient.
///
/// ```
/// use opt_firstorder::{FirstOrder, ParamMap, AdaDelta};
///
/// let params = ParamMap::flat(1)?;
/// let rule = AdaDelta { lr: 1.0, ..AdaDelta::default() };
/// let mut update = FirstOrder::new(rule, &params)?;
/// let mut x = [1.0_f64];
/// update.apply(&mut x, &[3.0])?;
/// assert!((x[0] - (1.0 - (1e-6_f64 / 0.05).sqrt())).abs() < 1e-5);
/// # Ok::<(), opt_firstorder::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AdaDelta {
    /// α; 1 in the paper.
    pub lr: f64,
    /// γ₁, of the squared gradients.
    pub gamma_grad: f64,
    /// γ₂, of the squared updates.
    pub gamma_update: f64,
    /// Added to r, in units of g².
    pub eps_grad: f64,
    /// Added to d, in units of θ².
    pub eps_update: f64,
    /// λ of coupled L2.
    pub weight_decay: f64,
}

impl Default for AdaDelta {
    fn default() -> Self {
        Self {
            lr: 1.0,
            gamma_grad: 0.95,
            gamma_update: 0.95,
            eps_grad: 1e-6,
            eps_update: 1e-6,
            weight_decay: 0.0,
        }
    }
}

impl Hyper for AdaDelta {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("gamma_grad", &mut self.gamma_grad, Bound::Unit);
        visit.real("gamma_update", &mut self.gamma_update, Bound::Unit);
        visit.real("eps_grad", &mut self.eps_grad, Bound::NonNegative);
        visit.real("eps_update", &mut self.eps_update, Bound::NonNegative);
        visit.real("weight_decay", &mut self.weight_decay, Bound::NonNegative);
    }

    fn aliases() -> &'static [(&'static str, &'static [&'static str])] {
        &[
            ("gamma", &["gamma_grad", "gamma_update"]),
            ("eps", &["eps_grad", "eps_update"]),
        ]
    }
}

impl<F: Scalar> Rule<F, 2> for AdaDelta {
    fn slots(&self) -> [Slot; 2] {
        [Slot::positive("r", 0.0), Slot::positive("d", 0.0)]
    }

    fn takes(&self) -> Takes {
        Takes::squared::<F>(1.0 - self.gamma_grad, self.eps_grad.sqrt())
    }

    fn update(&self, _: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 2]) -> bool {
        let (lr, decay) = (F::of(self.lr), F::of(self.weight_decay));
        let (gamma1, fresh1) = (F::of(self.gamma_grad), F::of(1.0 - self.gamma_grad));
        let (gamma2, fresh2) = (F::of(self.gamma_update), F::of(1.0 - self.gamma_update));
        let (eps_grad, eps_update) = (F::of(self.eps_grad), F::of(self.eps_update));
        each(x, g, slots, move |x, g, [r, d]| {
            let g = g + decay * x;
            let r = gamma1 * r + fresh1 * g * g;
            let step = ratio((d + eps_update).sqrt(), (r + eps_grad).sqrt()) * g;
            (x - lr * step, [r, gamma2 * d + fresh2 * step * step])
        })
    }
}
