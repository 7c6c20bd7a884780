use opt_core::{Bound, FieldVisitor, Hyper, Rule, Scalar, Slot, Step, Takes, each};

use crate::ratio;

/// AdaDelta with both averages corrected for their start at 0, as Adam's are: the deck's "the moving
/// averages are biased by initialization".
///
/// ```text
/// r ← r + w₁(g² − r), w₁ = (1 − γ₁)/(1 − Πγ₁)
/// Δ ← √(d + ε_update)/√(r + ε_grad)·g
/// θ ← θ − αΔ
/// d ← d + w₂(Δ² − d), w₂ = (1 − γ₂)/(1 − Πγ₂)
/// ```
///
/// The products are over all steps so far, γᵗ for a constant γ. r and d are the corrected averages
/// themselves, r̂ and d̂: [`AdaDelta`](crate::AdaDelta)'s r over 1 − γᵗ, and its d over 1 − γ^(t − 1) where
/// Δ takes it, as it has one square less then; after the first step both are means of what has been.
///
/// With one γ the correction nearly cancels in Δ, all but that of ε_update, which AdaDelta in effect
/// divides by 1 − γᵗ: its first step is √(ε_update/(1 − γ)), this one's √ε_update, 4.5 times shorter at
/// the defaults. The bias is a warm start where steps are too short at first, not a fault.
///
/// The correction is Adam's (Kingma & Ba 2015), applied here; no paper has it.
///
/// It takes |g| ≤ ½√max of the type, see [the range of gradients](crate#range-of-gradients).
///
/// *Needs* a gradient of any minibatch. *Costs* two numbers of state for each parameter, and one pass over it, x and g.
/// *Relatives:* [`AdaDelta`](crate::AdaDelta), [`Adam`](crate::Adam).
///
/// The first step is √ε, whatever the gradient.
///
/// ```
/// use opt_firstorder::{FirstOrder, ParamMap, AdaDeltaCorrected};
///
/// let params = ParamMap::flat(1)?;
/// let rule = AdaDeltaCorrected { lr: 1.0, ..AdaDeltaCorrected::default() };
/// let mut update = FirstOrder::new(rule, &params)?;
/// let mut x = [1.0_f64];
/// update.apply(&mut x, &[3.0])?;
/// assert!((x[0] - (1.0 - 1e-3)).abs() < 1e-5);
/// # Ok::<(), opt_firstorder::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AdaDeltaCorrected {
    /// α; 1 in AdaDelta's paper.
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

impl Default for AdaDeltaCorrected {
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

impl Hyper for AdaDeltaCorrected {
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

impl<F: Scalar> Rule<F, 2> for AdaDeltaCorrected {
    fn slots(&self) -> [Slot; 2] {
        [Slot::positive("r", 0.0), Slot::positive("d", 0.0)]
    }

    fn decays(&self) -> Option<[f64; 2]> {
        Some([self.gamma_grad, self.gamma_update])
    }

    fn takes(&self) -> Takes {
        Takes::squared::<F>(1.0 - self.gamma_grad, self.eps_grad.sqrt())
    }

    fn update(&self, step: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 2]) -> bool {
        let (lr, decay) = (F::of(self.lr), F::of(self.weight_decay));
        let [weight1, weight2] = [
            (1.0 - self.gamma_grad) / step.debias[0],
            (1.0 - self.gamma_update) / step.debias[1],
        ];
        let (keep1, fresh1) = (F::of(1.0 - weight1), F::of(weight1));
        let (keep2, fresh2) = (F::of(1.0 - weight2), F::of(weight2));
        let (eps_grad, eps_update) = (F::of(self.eps_grad), F::of(self.eps_update));
        each(x, g, slots, move |x, g, [r, d]| {
            let g = g + decay * x;
            let r = keep1 * r + fresh1 * g * g;
            let step = ratio((d + eps_update).sqrt(), (r + eps_grad).sqrt()) * g;
            (x - lr * step, [r, keep2 * d + fresh2 * step * step])
        })
    }
}
