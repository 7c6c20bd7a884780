use opt_core::{Bound, FieldVisitor, Hyper, Rule, Scalar, Slot, Step, Takes, each};

use crate::ratio;

/// AdaDelta without its time delay: what the deck's question "why do updates have a time delay?" asks
/// for.
///
/// [`AdaDelta`](crate::AdaDelta) divides by an average that has today's gradient, and multiplies by one
/// that has not yet today's update. Here both have today's: Δ is the solution of
///
/// ```text
/// Δ²(γr + (1 − γ)g² + ε_grad) = g²(γd + (1 − γ)Δ² + ε_update)
/// ```
///
/// in which (1 − γ)g²Δ² cancels, so that there is a closed form:
///
/// ```text
/// Δ ← √(γd + ε_update)/√(γr + ε_grad)·g
/// θ ← θ − αΔ
/// r ← γr + (1 − γ)g²
/// d ← γd + (1 − γ)Δ²
/// ```
///
/// **It is gradient descent.** From d = r = 0, the first Δ² is ε_update/ε_grad·g², and if d is that many
/// times r, so is every later one: Δ = √(ε_update/ε_grad)·g for ever, whatever the gradients. All that
/// AdaDelta adapts, it owes to the delay: it alone keeps numerator and denominator apart, and it bounds
/// |Δ| by √((d + ε_update)/(1 − γ)), where here an outlier makes a step as long as itself. Hence the
/// default of α, which is that of [`Sgd`](crate::Sgd) and not AdaDelta's 1. It is here to show this, not
/// to train with.
///
/// Derived from the question; no paper has it. It needs one γ: with two, nothing cancels, and where
/// (γ₁ − γ₂)g² > γ₁r + ε_grad no Δ solves the equation.
///
/// It takes |g| ≤ ½√max of the type, see [the range of gradients](crate#range-of-gradients).
///
/// *Needs* a gradient of any minibatch. *Costs* two numbers of state for each parameter, and one pass over it, x and g.
/// *Relatives:* [`AdaDelta`](crate::AdaDelta), [`Sgd`](crate::Sgd).
///
/// With one ε for both it is gradient descent.
///
/// ```
/// use opt_firstorder::{FirstOrder, ParamMap, AdaDeltaImmediate};
///
/// let params = ParamMap::flat(1)?;
/// let rule = AdaDeltaImmediate { lr: 0.1, ..AdaDeltaImmediate::default() };
/// let mut update = FirstOrder::new(rule, &params)?;
/// let mut x = [1.0_f64];
/// update.apply(&mut x, &[3.0])?;
/// assert!((x[0] - 0.7).abs() < 1e-5);
/// # Ok::<(), opt_firstorder::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AdaDeltaImmediate {
    /// α.
    pub lr: f64,
    /// γ, of both averages.
    pub gamma: f64,
    /// Added to r, in units of g².
    pub eps_grad: f64,
    /// Added to d, in units of θ².
    pub eps_update: f64,
    /// λ of coupled L2.
    pub weight_decay: f64,
}

impl Default for AdaDeltaImmediate {
    fn default() -> Self {
        Self {
            lr: 0.01,
            gamma: 0.95,
            eps_grad: 1e-6,
            eps_update: 1e-6,
            weight_decay: 0.0,
        }
    }
}

impl Hyper for AdaDeltaImmediate {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("gamma", &mut self.gamma, Bound::Unit);
        visit.real("eps_grad", &mut self.eps_grad, Bound::NonNegative);
        visit.real("eps_update", &mut self.eps_update, Bound::NonNegative);
        visit.real("weight_decay", &mut self.weight_decay, Bound::NonNegative);
    }

    fn aliases() -> &'static [(&'static str, &'static [&'static str])] {
        &[("eps", &["eps_grad", "eps_update"])]
    }
}

impl<F: Scalar> Rule<F, 2> for AdaDeltaImmediate {
    fn slots(&self) -> [Slot; 2] {
        // The rate is their quotient for ever: what is rounded off one of them stays.
        [Slot::exact("r", 0.0), Slot::exact("d", 0.0)]
    }

    fn takes(&self) -> Takes {
        Takes::squared::<F>(1.0 - self.gamma, self.eps_grad.sqrt())
    }

    fn update(&self, _: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 2]) -> bool {
        let (lr, decay) = (F::of(self.lr), F::of(self.weight_decay));
        let (gamma, fresh) = (F::of(self.gamma), F::of(1.0 - self.gamma));
        let (eps_grad, eps_update) = (F::of(self.eps_grad), F::of(self.eps_update));
        each(x, g, slots, move |x, g, [r, d]| {
            let g = g + decay * x;
            let (r, d) = (gamma * r, gamma * d);
            let step = ratio((d + eps_update).sqrt(), (r + eps_grad).sqrt()) * g;
            (x - lr * step, [r + fresh * g * g, d + fresh * step * step])
        })
    }
}
