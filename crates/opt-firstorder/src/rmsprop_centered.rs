use opt_core::{Bound, FieldVisitor, Hyper, Rule, Scalar, Slot, Step, Takes, each};

use crate::ratio;

/// RMSProp by the gradient's variance (Graves 2013).
///
/// ```text
/// r ← γr + (1 − γ)g²
/// ḡ ← γḡ + (1 − γ)g
/// θ ← θ − αg/(√(r − ḡ²) + ε)
/// ```
///
/// Rounding can make the variance negative: it is clamped at 0.
///
/// Differs from the paper, which has ε inside the root and momentum on top; as in PyTorch, ε is
/// outside, where γ is `alpha`.
///
/// It takes |g| ≤ ½√max of the type, see [the range of gradients](crate#range-of-gradients).
/// Where the gradient does not vary at all, r − ḡ² falls to rounding and the step rises towards αg/ε.
///
/// *Paper:* Generating sequences with recurrent neural networks.
/// *Needs* a gradient of any minibatch. *Costs* two numbers of state for each parameter, and one pass over it, x and g.
/// *Relatives:* [`RmsProp`](crate::RmsProp).
///
/// The first step, by the variance of one gradient.
///
/// ```
/// use opt_firstorder::{FirstOrder, ParamMap, RmsPropCentered};
///
/// let params = ParamMap::flat(1)?;
/// let rule = RmsPropCentered { lr: 0.1, ..RmsPropCentered::default() };
/// let mut update = FirstOrder::new(rule, &params)?;
/// let mut x = [1.0_f64];
/// update.apply(&mut x, &[3.0])?;
/// assert!((x[0] - (1.0 - 0.1 * 3.0 / (0.1 * 9.0 - 0.09_f64).sqrt())).abs() < 1e-5);
/// # Ok::<(), opt_firstorder::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RmsPropCentered {
    /// α, in units of θ.
    pub lr: f64,
    /// γ.
    pub gamma: f64,
    /// ε, in units of g.
    pub eps: f64,
    /// λ of coupled L2.
    pub weight_decay: f64,
}

impl Default for RmsPropCentered {
    fn default() -> Self {
        Self {
            lr: 0.001,
            gamma: 0.9,
            eps: 1e-8,
            weight_decay: 0.0,
        }
    }
}

impl Hyper for RmsPropCentered {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("gamma", &mut self.gamma, Bound::Unit);
        visit.real("eps", &mut self.eps, Bound::NonNegative);
        visit.real("weight_decay", &mut self.weight_decay, Bound::NonNegative);
    }
}

impl<F: Scalar> Rule<F, 2> for RmsPropCentered {
    fn slots(&self) -> [Slot; 2] {
        [Slot::exact("r", 0.0), Slot::zero("mean")]
    }

    fn takes(&self) -> Takes {
        Takes::squared::<F>(1.0 - self.gamma, self.eps)
    }

    fn update(&self, _: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 2]) -> bool {
        let (lr, eps, decay) = (F::of(self.lr), F::of(self.eps), F::of(self.weight_decay));
        let (gamma, fresh) = (F::of(self.gamma), F::of(1.0 - self.gamma));
        each(x, g, slots, move |x, g, [r, mean]| {
            let g = g + decay * x;
            let r = gamma * r + fresh * g * g;
            let mean = gamma * mean + fresh * g;
            let variance = (r - mean * mean).max(F::zero());
            (x - lr * ratio(g, variance.sqrt() + eps), [r, mean])
        })
    }
}
