use opt_core::{Bound, FieldVisitor, Hyper, Rule, Scalar, Slot, Step, Takes, each};

use crate::ratio;

/// RMSProp (Tieleman & Hinton, Coursera lecture 6, 2012).
///
/// ```text
/// r ← γr + (1 − γ)g²
/// θ ← θ − αg/(√r + ε)
/// ```
///
/// r starts at 0, and so the first step is α/√(1 − γ): 3.2α at γ = 0.9.
///
/// The slide has no ε. γ is PyTorch's `alpha`, which defaults to 0.99 there; Keras puts ε inside the
/// root. "RMSProp = Rprop + SGD" on the slide means an Rprop for minibatches.
///
/// It takes |g| ≤ ½√max of the type, see [the range of gradients](crate#range-of-gradients).
///
/// *Paper:* Neural networks for machine learning, lecture 6.
/// *Needs* a gradient of any minibatch. *Costs* one number of state for each parameter, and one pass over it, x and g.
/// *Relatives:* [`RmsPropCentered`](crate::RmsPropCentered), [`RmsPropMomentum`](crate::RmsPropMomentum), [`AdaGrad`](crate::AdaGrad), [`Adam`](crate::Adam).
///
/// The first step is α/√(1 − γ), whatever the gradient.
///
/// ```
/// use opt_firstorder::{FirstOrder, ParamMap, RmsProp};
///
/// let params = ParamMap::flat(1)?;
/// let rule = RmsProp { lr: 0.1, ..RmsProp::default() };
/// let mut update = FirstOrder::new(rule, &params)?;
/// let mut x = [1.0_f64];
/// update.apply(&mut x, &[3.0])?;
/// assert!((x[0] - (1.0 - 0.1 / 0.1_f64.sqrt())).abs() < 1e-5);
/// # Ok::<(), opt_firstorder::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RmsProp {
    /// α, in units of θ.
    pub lr: f64,
    /// γ.
    pub gamma: f64,
    /// ε, in units of g.
    pub eps: f64,
    /// λ of coupled L2.
    pub weight_decay: f64,
}

impl Default for RmsProp {
    fn default() -> Self {
        Self {
            lr: 0.001,
            gamma: 0.9,
            eps: 1e-8,
            weight_decay: 0.0,
        }
    }
}

impl Hyper for RmsProp {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("gamma", &mut self.gamma, Bound::Unit);
        visit.real("eps", &mut self.eps, Bound::NonNegative);
        visit.real("weight_decay", &mut self.weight_decay, Bound::NonNegative);
    }
}

impl<F: Scalar> Rule<F, 1> for RmsProp {
    fn slots(&self) -> [Slot; 1] {
        [Slot::positive("r", 0.0)]
    }

    fn takes(&self) -> Takes {
        Takes::squared::<F>(1.0 - self.gamma, self.eps)
    }

    fn update(&self, _: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 1]) -> bool {
        let (lr, eps, decay) = (F::of(self.lr), F::of(self.eps), F::of(self.weight_decay));
        let (gamma, fresh) = (F::of(self.gamma), F::of(1.0 - self.gamma));
        each(x, g, slots, move |x, g, [r]| {
            let g = g + decay * x;
            let r = gamma * r + fresh * g * g;
            (x - lr * ratio(g, r.sqrt() + eps), [r])
        })
    }
}
