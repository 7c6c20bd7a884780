use opt_core::{Bound, FieldVisitor, Hyper, Rule, Scalar, Slot, Step, Takes, each};

use crate::ratio;

/// Adam with decoupled weight decay (Loshchilov & Hutter 2019).
///
/// m, s, m̂ and ŝ as in [`Adam`](crate::Adam), of the gradient without decay
///
/// ```text
/// θ ← θ − α(m̂/(√ŝ + ε) + λθ)
/// ```
///
/// The paper scales λ by its schedule alone, not by α; this is PyTorch's and optax's form.
///
/// It takes |g| ≤ ½√max of the type, see [the range of gradients](crate#range-of-gradients).
///
/// *Paper:* Decoupled weight decay regularization.
/// *Needs* a gradient of any minibatch. *Costs* two numbers of state for each parameter, and one pass over it, x and g.
/// *Relatives:* [`Adam`](crate::Adam).
///
/// The first step is α, and the decay αλθ beside it.
///
/// ```
/// use opt_firstorder::{FirstOrder, ParamMap, AdamW};
///
/// let params = ParamMap::flat(1)?;
/// let rule = AdamW { lr: 0.1, weight_decay: 0.01, ..AdamW::default() };
/// let mut update = FirstOrder::new(rule, &params)?;
/// let mut x = [1.0_f64];
/// update.apply(&mut x, &[3.0])?;
/// assert!((x[0] - (1.0 - 0.1 * 0.01 - 0.1)).abs() < 1e-5);
/// # Ok::<(), opt_firstorder::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AdamW {
    /// α, in units of θ.
    pub lr: f64,
    /// β₁, of the first moment.
    pub beta1: f64,
    /// β₂, of the second moment.
    pub beta2: f64,
    /// ε, in units of g.
    pub eps: f64,
    /// λ, decoupled: not part of the gradient.
    pub weight_decay: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        Self {
            lr: 0.001,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.01,
        }
    }
}

impl Hyper for AdamW {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("beta1", &mut self.beta1, Bound::Unit);
        visit.real("beta2", &mut self.beta2, Bound::Unit);
        visit.real("eps", &mut self.eps, Bound::NonNegative);
        visit.real("weight_decay", &mut self.weight_decay, Bound::NonNegative);
    }
}

impl<F: Scalar> Rule<F, 2> for AdamW {
    fn slots(&self) -> [Slot; 2] {
        [Slot::zero("m"), Slot::positive("s", 0.0)]
    }

    fn decays(&self) -> Option<[f64; 2]> {
        Some([self.beta1, self.beta2])
    }

    fn takes(&self) -> Takes {
        Takes::squared::<F>(1.0 - self.beta2, self.eps)
    }

    fn update(&self, step: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 2]) -> bool {
        let (b1, fresh1) = (F::of(self.beta1), F::of(1.0 - self.beta1));
        let (b2, fresh2) = (F::of(self.beta2), F::of(1.0 - self.beta2));
        let [debias1, debias2] = step.debias;
        let step = F::of(self.lr / debias1);
        let s_scale = F::of(1.0 / debias2);
        let (eps, shrink) = (F::of(self.eps), F::of(self.lr * self.weight_decay));
        each(x, g, slots, move |x, g, [m, s]| {
            let m = b1 * m + fresh1 * g;
            let s = b2 * s + fresh2 * g * g;
            let step = step * ratio(m, (s * s_scale).sqrt() + eps);
            (x - shrink * x - step, [m, s])
        })
    }
}
