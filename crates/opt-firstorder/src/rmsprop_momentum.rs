use opt_core::{Bound, FieldVisitor, Hyper, Rule, Scalar, Slot, Step, Takes, each};

use crate::ratio;

/// RMSProp with momentum (Graves 2013, without centring; TensorFlow's and PyTorch's RMSProp).
///
/// ```text
/// r ← γr + (1 − γ)g²
/// v ← μv + αg/(√r + ε)
/// θ ← θ − v
/// ```
///
/// μ = 0 is [`RmsProp`](crate::RmsProp), bit for bit. The deck says of μ > 0 that it "generally does
/// not show much improvement": where all normalized steps agree, it multiplies α by 1/(1 − μ), ten at
/// the default, and so wants a smaller α than RMSProp. α = 1e-4 and μ = 0.9 are Graves', whose γ is 0.95
/// and ε 1e-4.
///
/// Differs from Graves and TensorFlow, which have ε inside the root; as in PyTorch, and in all of this
/// crate but AdaDelta, it is outside. Differs from PyTorch, which keeps α outside of v: equal for
/// constant α, different under a schedule.
///
/// It takes |g| ≤ ½√max of the type, see [the range of gradients](crate#range-of-gradients).
///
/// *Paper:* Generating sequences with recurrent neural networks.
/// *Needs* a gradient of any minibatch. *Costs* two numbers of state for each parameter, and one pass over it, x and g.
/// *Relatives:* [`RmsProp`](crate::RmsProp), [`Adam`](crate::Adam).
///
/// The first step is RMSProp's.
///
/// ```
/// use opt_firstorder::{FirstOrder, ParamMap, RmsPropMomentum};
///
/// let params = ParamMap::flat(1)?;
/// let rule = RmsPropMomentum { lr: 0.1, ..RmsPropMomentum::default() };
/// let mut update = FirstOrder::new(rule, &params)?;
/// let mut x = [1.0_f64];
/// update.apply(&mut x, &[3.0])?;
/// assert!((x[0] - (1.0 - 0.1 / 0.1_f64.sqrt())).abs() < 1e-5);
/// # Ok::<(), opt_firstorder::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RmsPropMomentum {
    /// α, in units of θ.
    pub lr: f64,
    /// γ.
    pub gamma: f64,
    /// μ.
    pub momentum: f64,
    /// ε, in units of g.
    pub eps: f64,
    /// λ of coupled L2.
    pub weight_decay: f64,
}

impl Default for RmsPropMomentum {
    fn default() -> Self {
        Self {
            lr: 0.0001,
            gamma: 0.9,
            momentum: 0.9,
            eps: 1e-8,
            weight_decay: 0.0,
        }
    }
}

impl Hyper for RmsPropMomentum {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("gamma", &mut self.gamma, Bound::Unit);
        visit.real("momentum", &mut self.momentum, Bound::Unit);
        visit.real("eps", &mut self.eps, Bound::NonNegative);
        visit.real("weight_decay", &mut self.weight_decay, Bound::NonNegative);
    }
}

impl<F: Scalar> Rule<F, 2> for RmsPropMomentum {
    fn slots(&self) -> [Slot; 2] {
        [Slot::positive("r", 0.0), Slot::zero("v")]
    }

    fn takes(&self) -> Takes {
        Takes::squared::<F>(1.0 - self.gamma, self.eps)
    }

    fn update(&self, _: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 2]) -> bool {
        let (lr, eps, decay) = (F::of(self.lr), F::of(self.eps), F::of(self.weight_decay));
        let (gamma, fresh) = (F::of(self.gamma), F::of(1.0 - self.gamma));
        let mu = F::of(self.momentum);
        each(x, g, slots, move |x, g, [r, v]| {
            let g = g + decay * x;
            let r = gamma * r + fresh * g * g;
            let v = mu * v + lr * ratio(g, r.sqrt() + eps);
            (x - v, [r, v])
        })
    }
}
