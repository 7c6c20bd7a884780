use opt_core::{Bound, FieldVisitor, Hyper, Rule, Scalar, Slot, Step, Takes, each};

use crate::ratio;

/// AMSGrad (Reddi, Kale & Kumar 2018): Adam whose second moment never falls.
///
/// m and s as in [`Adam`](crate::Adam)
///
/// ```text
/// p ← max(p, s)
/// θ ← θ − αm̂/(√(p/(1 − β₂ᵗ)) + ε)
/// ```
///
/// As in PyTorch, the maximum is of the uncorrected s, and is corrected afterwards. The paper has no
/// bias correction; optax takes the maximum of the corrected ŝ.
///
/// It takes |g| ≤ ½√max of the type, see [the range of gradients](crate#range-of-gradients).
///
/// *Paper:* On the convergence of Adam and beyond.
/// *Needs* a gradient of any minibatch. *Costs* three numbers of state for each parameter, and one pass over it, x and g.
/// *Relatives:* [`Adam`](crate::Adam).
///
/// Under a constant gradient every step is α.
///
/// ```
/// use opt_firstorder::{FirstOrder, ParamMap, AmsGrad};
///
/// let params = ParamMap::flat(1)?;
/// let rule = AmsGrad { lr: 0.1, ..AmsGrad::default() };
/// let mut update = FirstOrder::new(rule, &params)?;
/// let mut x = [1.0_f64];
/// for _ in 0..10 {
///     update.apply(&mut x, &[3.0])?;
/// }
/// assert!((x[0] - 0.0).abs() < 1e-5);
/// # Ok::<(), opt_firstorder::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AmsGrad {
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

impl Default for AmsGrad {
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

impl Hyper for AmsGrad {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("beta1", &mut self.beta1, Bound::Unit);
        visit.real("beta2", &mut self.beta2, Bound::Unit);
        visit.real("eps", &mut self.eps, Bound::NonNegative);
        visit.real("weight_decay", &mut self.weight_decay, Bound::NonNegative);
    }
}

impl<F: Scalar> Rule<F, 3> for AmsGrad {
    fn slots(&self) -> [Slot; 3] {
        [
            Slot::zero("m"),
            Slot::positive("s", 0.0),
            Slot::exact("s_max", 0.0),
        ]
    }

    fn decays(&self) -> Option<[f64; 2]> {
        Some([self.beta1, self.beta2])
    }

    fn takes(&self) -> Takes {
        Takes::squared::<F>(1.0 - self.beta2, self.eps)
    }

    fn update(&self, step: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 3]) -> bool {
        let (b1, fresh1) = (F::of(self.beta1), F::of(1.0 - self.beta1));
        let (b2, fresh2) = (F::of(self.beta2), F::of(1.0 - self.beta2));
        let [debias1, debias2] = step.debias;
        let step = F::of(self.lr / debias1);
        let s_scale = F::of(1.0 / debias2);
        let (eps, decay) = (F::of(self.eps), F::of(self.weight_decay));
        each(x, g, slots, move |x, g, [m, s, s_max]| {
            let g = g + decay * x;
            let m = b1 * m + fresh1 * g;
            let s = b2 * s + fresh2 * g * g;
            let s_max = s_max.max(s);
            (
                x - step * ratio(m, (s_max * s_scale).sqrt() + eps),
                [m, s, s_max],
            )
        })
    }
}
