use opt_core::{Bound, FieldVisitor, Hyper, Rule, Scalar, Slot, Step, each};

use crate::sign;

/// The Manhattan rule: a fixed step against the sign of the gradient; [`RpropMinus`] with grow =
/// shrink = 1.
///
/// ```text
/// θ ← θ − Δ₀·sign(g), with sign(0) = 0
/// ```
///
/// It is the one rule for which the deck's "nine small steps one way, one step back" adds up to
/// 8δ; with Rprop's factors the sum is more than twice that.
///
/// [`RpropMinus`]: crate::RpropMinus
///
/// It takes every finite gradient.
///
/// *Needs* a gradient of any minibatch. *Costs* no state for each parameter, and one pass over it, x and g.
/// *Relatives:* [`RpropMinus`](crate::RpropMinus), [`Sgd`](crate::Sgd).
///
/// A step is `step0`, whatever the gradient.
///
/// ```
/// use opt_firstorder::{FirstOrder, ParamMap, Manhattan};
///
/// let params = ParamMap::flat(1)?;
/// let rule = Manhattan { step0: 0.1, ..Manhattan::default() };
/// let mut update = FirstOrder::new(rule, &params)?;
/// let mut x = [1.0_f64];
/// update.apply(&mut x, &[3.0])?;
/// assert!((x[0] - 0.9).abs() < 1e-5);
/// # Ok::<(), opt_firstorder::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Manhattan {
    /// Δ₀, in units of θ.
    pub step0: f64,
    /// λ of coupled L2.
    pub weight_decay: f64,
}

impl Default for Manhattan {
    fn default() -> Self {
        Self {
            step0: 0.1,
            weight_decay: 0.0,
        }
    }
}

impl Hyper for Manhattan {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("step0", &mut self.step0, Bound::NonNegative);
        visit.real("weight_decay", &mut self.weight_decay, Bound::NonNegative);
    }
}

impl<F: Scalar> Rule<F, 0> for Manhattan {
    fn slots(&self) -> [Slot; 0] {
        []
    }

    fn update(&self, _: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 0]) -> bool {
        let (step, decay) = (F::of(self.step0), F::of(self.weight_decay));
        each(x, g, slots, move |x, g, []| {
            (x - step * sign(g + decay * x), [])
        })
    }
}
