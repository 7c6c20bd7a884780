use opt_core::{Bound, FieldVisitor, Hyper, Rule, Scalar, Slot, Step, Takes, each};

use crate::ratio;

/// AdaGrad (Duchi, Hazan & Singer 2011), diagonal form.
///
/// ```text
/// r ← r + g²
/// θ ← θ − αg/(√r + ε)
/// ```
///
/// r starts at `initial_accumulator`. For a constant gradient the steps are α/√t.
///
/// The slide accumulates θ² instead of the squared gradient, and has no ε. Differs from optax and
/// Keras, which put ε inside the root and start r at 0.1.
///
/// It takes |g| ≤ ½√max of the type, see [the range of gradients](crate#range-of-gradients).
/// r saturates at the greatest number of the type instead of becoming infinite.
///
/// *Paper:* Adaptive subgradient methods for online learning and stochastic optimization.
/// *Needs* a gradient of any minibatch. *Costs* one number of state for each parameter, and one pass over it, x and g.
/// *Relatives:* [`RmsProp`](crate::RmsProp), [`AdaDelta`](crate::AdaDelta).
///
/// Under a constant gradient the k-th step is α/√k.
///
/// ```
/// use opt_firstorder::{FirstOrder, ParamMap, AdaGrad};
///
/// let params = ParamMap::flat(1)?;
/// let rule = AdaGrad { lr: 0.1, ..AdaGrad::default() };
/// let mut update = FirstOrder::new(rule, &params)?;
/// let mut x = [1.0_f64];
/// for _ in 0..2 {
///     update.apply(&mut x, &[3.0])?;
/// }
/// assert!((x[0] - (1.0 - 0.1 - 0.1 / 2.0_f64.sqrt())).abs() < 1e-5);
/// # Ok::<(), opt_firstorder::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AdaGrad {
    /// α, in units of θ.
    pub lr: f64,
    /// ε, in units of g.
    pub eps: f64,
    /// r₀, in units of g².
    pub initial_accumulator: f64,
    /// λ of coupled L2.
    pub weight_decay: f64,
}

impl Default for AdaGrad {
    fn default() -> Self {
        Self {
            lr: 0.01,
            eps: 1e-10,
            initial_accumulator: 0.0,
            weight_decay: 0.0,
        }
    }
}

impl Hyper for AdaGrad {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("eps", &mut self.eps, Bound::NonNegative);
        visit.real(
            "initial_accumulator",
            &mut self.initial_accumulator,
            Bound::NonNegative,
        );
        visit.real("weight_decay", &mut self.weight_decay, Bound::NonNegative);
    }
}

impl<F: Scalar> Rule<F, 1> for AdaGrad {
    fn slots(&self) -> [Slot; 1] {
        [Slot::positive("r", self.initial_accumulator)]
    }

    fn takes(&self) -> Takes {
        Takes::squared::<F>(1.0, self.eps)
    }

    fn update(&self, _: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 1]) -> bool {
        let (lr, eps, decay) = (F::of(self.lr), F::of(self.eps), F::of(self.weight_decay));
        let most = F::max_value();
        each(x, g, slots, move |x, g, [r]| {
            let g = g + decay * x;
            let r = (r + g * g).min(most); // a sum that never falls
            (x - lr * ratio(g, r.sqrt() + eps), [r])
        })
    }
}
