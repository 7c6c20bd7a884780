use opt_core::{Bound, FieldVisitor, Hyper, Rule, Scalar, Slot, Step, Takes, each};

use crate::ratio;

/// Adam (Kingma & Ba 2015).
///
/// ```text
/// m ← β₁m + (1 − β₁)g
/// s ← β₂s + (1 − β₂)g²
/// m̂ = m/(1 − Πβ₁), ŝ = s/(1 − Πβ₂), over all steps so far
/// θ ← θ − αm̂/(√ŝ + ε)
/// ```
///
/// For a constant gradient every step is α. The paper calls |step| ≤ 3.16α a bound; it is not: the
/// least upper bound is 7.27α at the defaults.
///
/// The slide prints 1 − (1 − γ)ᵗ, which is right only where γ means 1 − β, and no ε. Differs from
/// Keras, which folds the corrections into α and so has an ε larger by 1/√(1 − β₂ᵗ).
///
/// It takes |g| ≤ ½√max of the type, see [the range of gradients](crate#range-of-gradients).
///
/// *Paper:* Adam: a method for stochastic optimization.
/// *Needs* a gradient of any minibatch. *Costs* two numbers of state for each parameter, and one pass over it, x and g.
/// *Relatives:* [`AdamW`](crate::AdamW), [`AmsGrad`](crate::AmsGrad), [`AdaMax`](crate::AdaMax), [`RmsProp`](crate::RmsProp).
///
/// Under a constant gradient every step is α.
///
/// ```
/// use opt_firstorder::{FirstOrder, ParamMap, Adam};
///
/// let params = ParamMap::flat(1)?;
/// let rule = Adam { lr: 0.1, ..Adam::default() };
/// let mut update = FirstOrder::new(rule, &params)?;
/// let mut x = [1.0_f64];
/// for _ in 0..10 {
///     update.apply(&mut x, &[3.0])?;
/// }
/// assert!((x[0] - 0.0).abs() < 1e-5);
/// # Ok::<(), opt_firstorder::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    /// α, in units of θ.
    pub lr: f64,
    /// β₁, of the first moment.
    pub beta1: f64,
    /// β₂, of the second moment.
    pub beta2: f64,
    /// ε, in units of g.
    pub eps: f64,
    /// λ of coupled L2.
    pub weight_decay: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self {
            lr: 0.001,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
        }
    }
}

impl Hyper for Adam {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("beta1", &mut self.beta1, Bound::Unit);
        visit.real("beta2", &mut self.beta2, Bound::Unit);
        visit.real("eps", &mut self.eps, Bound::NonNegative);
        visit.real("weight_decay", &mut self.weight_decay, Bound::NonNegative);
    }
}

impl<F: Scalar> Rule<F, 2> for Adam {
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
        let (eps, decay) = (F::of(self.eps), F::of(self.weight_decay));
        each(x, g, slots, move |x, g, [m, s]| {
            let g = g + decay * x;
            let m = b1 * m + fresh1 * g;
            let s = b2 * s + fresh2 * g * g;
            (x - step * ratio(m, (s * s_scale).sqrt() + eps), [m, s])
        })
    }
}
