use opt_core::{Bound, FieldVisitor, Hyper, Rule, Scalar, Slot, Step, each};

/// Momentum, the heavy ball (Polyak 1964), in the deck's form.
///
/// ```text
/// v ← μv + αg
/// θ ← θ − v
/// ```
///
/// For a constant gradient the velocity after t steps is (1 − μᵗ)/(1 − μ)·αg; the deck's gain of
/// 1/(1 − μ) is the limit.
///
/// Differs from PyTorch, which keeps α outside (b ← μb + g, θ ← θ − αb): equal for constant α,
/// different under a schedule.
///
/// It takes every finite gradient; a θ that leaves the range of the type is [`Error::Diverged`](crate::Error::Diverged).
///
/// *Paper:* Polyak, Some methods of speeding up the convergence of iteration methods, 1964.
/// *Needs* a gradient of any minibatch. *Costs* one number of state for each parameter, and one pass over it, x and g.
/// *Relatives:* [`Nag`](crate::Nag), [`Nesterov`](crate::Nesterov), [`Gains`](crate::Gains).
///
/// The second step has 0.9 of the first one in it.
///
/// ```
/// use opt_firstorder::{FirstOrder, ParamMap, Momentum};
///
/// let params = ParamMap::flat(1)?;
/// let rule = Momentum { lr: 0.1, ..Momentum::default() };
/// let mut update = FirstOrder::new(rule, &params)?;
/// let mut x = [1.0_f64];
/// for _ in 0..2 {
///     update.apply(&mut x, &[3.0])?;
/// }
/// assert!((x[0] - (1.0 - 0.3 - (0.9 * 0.3 + 0.3))).abs() < 1e-5);
/// # Ok::<(), opt_firstorder::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Momentum {
    /// α.
    pub lr: f64,
    /// μ.
    pub momentum: f64,
    /// λ of coupled L2.
    pub weight_decay: f64,
}

impl Default for Momentum {
    fn default() -> Self {
        Self {
            lr: 0.01,
            momentum: 0.9,
            weight_decay: 0.0,
        }
    }
}

impl Hyper for Momentum {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("momentum", &mut self.momentum, Bound::Unit);
        visit.real("weight_decay", &mut self.weight_decay, Bound::NonNegative);
    }
}

impl<F: Scalar> Rule<F, 1> for Momentum {
    fn slots(&self) -> [Slot; 1] {
        [Slot::zero("v")]
    }

    fn update(&self, _: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 1]) -> bool {
        let (lr, mu, decay) = (
            F::of(self.lr),
            F::of(self.momentum),
            F::of(self.weight_decay),
        );
        each(x, g, slots, move |x, g, [v]| {
            let v = mu * v + lr * (g + decay * x);
            (x - v, [v])
        })
    }
}
