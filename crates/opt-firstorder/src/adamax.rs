use opt_core::{Bound, FieldVisitor, Hyper, Rule, Scalar, Slot, Step, each};

/// AdaMax (Kingma & Ba 2015, section 7.1): Adam by the infinity norm.
///
/// ```text
/// m ← β₁m + (1 − β₁)g
/// u ← max(β₂u, |g|)
/// θ ← θ − α/(1 − Πβ₁)·m/(u + ε)
/// ```
///
/// u needs no bias correction. The paper has no ε, which is the default here, and leaves 0/0 open: a
/// parameter stays while u + ε is below the least normal number of the type (1.2e-38 in `f32`,
/// 2.2e-308 in `f64`), where m/u is rounding alone. The paper's |step| ≤ α is 1.0091α at the
/// defaults.
///
/// The slide prints 1 − (1 − γ)ᵗ. Differs from PyTorch and optax, whose ε is inside the maximum,
/// max(β₂u, |g| + ε); with ε = 0 they are the same.
///
/// It takes every finite gradient.
///
/// *Paper:* Adam: a method for stochastic optimization.
/// *Needs* a gradient of any minibatch. *Costs* two numbers of state for each parameter, and one pass over it, x and g.
/// *Relatives:* [`Adam`](crate::Adam).
///
/// Under a constant gradient every step is α.
///
/// ```
/// use opt_firstorder::{FirstOrder, ParamMap, AdaMax};
///
/// let params = ParamMap::flat(1)?;
/// let rule = AdaMax { lr: 0.1, ..AdaMax::default() };
/// let mut update = FirstOrder::new(rule, &params)?;
/// let mut x = [1.0_f64];
/// for _ in 0..10 {
///     update.apply(&mut x, &[3.0])?;
/// }
/// assert!((x[0] - 0.0).abs() < 1e-5);
/// # Ok::<(), opt_firstorder::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AdaMax {
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

impl Default for AdaMax {
    fn default() -> Self {
        Self {
            lr: 0.002,
            beta1: 0.9,
            beta2: 0.999,
            eps: 0.0,
            weight_decay: 0.0,
        }
    }
}

impl Hyper for AdaMax {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("beta1", &mut self.beta1, Bound::Unit);
        visit.real("beta2", &mut self.beta2, Bound::Unit);
        visit.real("eps", &mut self.eps, Bound::NonNegative);
        visit.real("weight_decay", &mut self.weight_decay, Bound::NonNegative);
    }
}

impl<F: Scalar> Rule<F, 2> for AdaMax {
    fn slots(&self) -> [Slot; 2] {
        [Slot::zero("m"), Slot::positive("u", 0.0)]
    }

    fn decays(&self) -> Option<[f64; 2]> {
        Some([self.beta1, 0.0])
    }

    fn update(&self, step: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 2]) -> bool {
        let (b1, fresh1) = (F::of(self.beta1), F::of(1.0 - self.beta1));
        let (b2, eps, decay) = (F::of(self.beta2), F::of(self.eps), F::of(self.weight_decay));
        let step = F::of(self.lr / step.debias[0]);
        let least = F::min_positive_value();
        each(x, g, slots, move |x, g, [m, u]| {
            let g = g + decay * x;
            let m = b1 * m + fresh1 * g;
            let u = (b2 * u).max(g.abs());
            let d = u + eps;
            // Below, both cease to fall: what was long ago would move x for ever.
            let ratio = if d < least { F::zero() } else { m / d };
            (x - step * ratio, [m, u])
        })
    }
}
