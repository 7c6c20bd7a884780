use opt_core::{Bound, FieldVisitor, Hyper, Rule, Scalar, Slot, Step, each};

use crate::{choose, sign};

/// Delta-bar-delta (Jacobs 1988): a learning rate for every parameter, which grows by addition while
/// the gradient agrees with its own recent average, and shrinks by a factor when it does not.
///
/// ```text
/// ε ← ε + κ if δ̄g > 0; ε(1 − φ) if δ̄g < 0; ε otherwise
/// δ̄ ← (1 − ϑ)g + ϑδ̄
/// θ ← θ − εg
/// ```
///
/// g is compared with the average before it is part of it. ε starts at `lr`, which has no effect
/// afterwards. The defaults are Jacobs' for XOR; they are large for most networks. [`Gains`] is
/// Hinton's form, which the deck words.
///
/// [`Gains`]: crate::Gains
///
/// It takes every finite gradient; one so small that (1 − ϑ)g vanishes in the type agrees with nothing.
///
/// *Paper:* Increased rates of convergence through learning rate adaptation.
/// *Needs* a gradient of any minibatch. *Costs* two numbers of state for each parameter, and one pass over it, x and g.
/// *Relatives:* [`Gains`](crate::Gains), [`RpropMinus`](crate::RpropMinus).
///
/// The rate grows by κ while the gradient keeps its sign.
///
/// ```
/// use opt_firstorder::{FirstOrder, ParamMap, DeltaBarDelta};
///
/// let params = ParamMap::flat(1)?;
/// let rule = DeltaBarDelta { lr: 0.1, kappa: 0.01, ..DeltaBarDelta::default() };
/// let mut update = FirstOrder::new(rule, &params)?;
/// let mut x = [1.0_f64];
/// for _ in 0..2 {
///     update.apply(&mut x, &[3.0])?;
/// }
/// assert!((x[0] - (1.0 - 0.1 * 3.0 - 0.11 * 3.0)).abs() < 1e-5);
/// # Ok::<(), opt_firstorder::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct DeltaBarDelta {
    /// ε₀, the rate that every parameter starts with.
    pub lr: f64,
    /// κ, in units of ε.
    pub kappa: f64,
    /// φ.
    pub phi: f64,
    /// ϑ.
    pub theta: f64,
    /// λ of coupled L2.
    pub weight_decay: f64,
}

impl Default for DeltaBarDelta {
    fn default() -> Self {
        Self {
            lr: 0.8,
            kappa: 0.035,
            phi: 0.333,
            theta: 0.7,
            weight_decay: 0.0,
        }
    }
}

impl Hyper for DeltaBarDelta {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("kappa", &mut self.kappa, Bound::NonNegative);
        visit.real("phi", &mut self.phi, Bound::Unit);
        visit.real("theta", &mut self.theta, Bound::Unit);
        visit.real("weight_decay", &mut self.weight_decay, Bound::NonNegative);
    }
}

impl<F: Scalar> Rule<F, 2> for DeltaBarDelta {
    fn slots(&self) -> [Slot; 2] {
        [Slot::exact("rate", self.lr), Slot::zero("trace")]
    }

    fn update(&self, _: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 2]) -> bool {
        let (kappa, keep) = (F::of(self.kappa), F::of(1.0 - self.phi));
        let (theta, fresh) = (F::of(self.theta), F::of(1.0 - self.theta));
        let decay = F::of(self.weight_decay);
        each(x, g, slots, move |x, g, [rate, trace]| {
            let g = g + decay * x;
            let agreement = sign(trace) * sign(g);
            let (more, less) = (rate + kappa, rate * keep);
            let rate = choose(agreement, more, less, rate);
            (x - rate * g, [rate, fresh * g + theta * trace])
        })
    }
}
