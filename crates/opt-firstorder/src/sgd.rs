use opt_core::{Bound, FieldVisitor, Hyper, Rule, Scalar, Slot, Step, each};

/// Stochastic gradient descent (Robbins & Monro 1951).
///
/// ```text
/// θ ← θ − αg
/// ```
///
/// The deck's slide prints the full gradient f′(θ); on a minibatch it is an estimate of it.
///
/// It takes every finite gradient; a θ that leaves the range of the type is [`Error::Diverged`](crate::Error::Diverged).
///
/// *Paper:* Robbins & Monro, A stochastic approximation method, 1951.
/// *Needs* a gradient of any minibatch. *Costs* no state for each parameter, and one pass over it, x and g.
/// *Relatives:* [`Momentum`](crate::Momentum), [`Nesterov`](crate::Nesterov).
///
/// A gradient of 3 and a rate of 0.1.
///
/// ```
/// use opt_firstorder::{FirstOrder, ParamMap, Sgd};
///
/// let params = ParamMap::flat(1)?;
/// let rule = Sgd { lr: 0.1, ..Sgd::default() };
/// let mut update = FirstOrder::new(rule, &params)?;
/// let mut x = [1.0_f64];
/// update.apply(&mut x, &[3.0])?;
/// assert!((x[0] - 0.7).abs() < 1e-5);
/// # Ok::<(), opt_firstorder::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Sgd {
    /// α, in units of θ²/loss.
    pub lr: f64,
    /// λ of coupled L2.
    pub weight_decay: f64,
}

impl Default for Sgd {
    fn default() -> Self {
        Self {
            lr: 0.01,
            weight_decay: 0.0,
        }
    }
}

impl Hyper for Sgd {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("weight_decay", &mut self.weight_decay, Bound::NonNegative);
    }
}

impl<F: Scalar> Rule<F, 0> for Sgd {
    fn slots(&self) -> [Slot; 0] {
        []
    }

    fn update(&self, _: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 0]) -> bool {
        let (lr, decay) = (F::of(self.lr), F::of(self.weight_decay));
        each(x, g, slots, move |x, g, []| (x - lr * (g + decay * x), []))
    }
}
