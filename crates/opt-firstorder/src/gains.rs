use opt_core::{Bound, Error, FieldVisitor, Hyper, Rule, Scalar, Slot, Step, each};

use crate::{choose, sign};

/// Adaptive gains (Hinton, Coursera lecture 6, 2012): momentum with a gain for every parameter that
/// grows by addition while gradient and velocity agree. The deck's wording of delta-bar-delta.
///
/// ```text
/// γ ← min(γ + up, max) if gv > 0; max(γ·down, min) if gv < 0; γ otherwise
/// v ← μv + αγg
/// θ ← θ − v
/// ```
///
/// γ starts at 1. As θ moves by −v, agreement means gv > 0.
///
/// It takes every finite gradient; one so small that αγg vanishes in the type leaves a velocity of 0, which
/// agrees with nothing.
///
/// *Paper:* Neural networks for machine learning, lecture 6.
/// *Needs* a gradient of any minibatch. *Costs* two numbers of state for each parameter, and one pass over it, x and g.
/// *Relatives:* [`DeltaBarDelta`](crate::DeltaBarDelta), [`Momentum`](crate::Momentum).
///
/// The gain grows by 0.05 while gradient and velocity agree.
///
/// ```
/// use opt_firstorder::{FirstOrder, ParamMap, Gains};
///
/// let params = ParamMap::flat(1)?;
/// let rule = Gains { lr: 0.1, ..Gains::default() };
/// let mut update = FirstOrder::new(rule, &params)?;
/// let mut x = [1.0_f64];
/// for _ in 0..2 {
///     update.apply(&mut x, &[3.0])?;
/// }
/// assert!((x[0] - (1.0 - 0.3 - (0.9 * 0.3 + 0.1 * 1.05 * 3.0))).abs() < 1e-5);
/// # Ok::<(), opt_firstorder::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Gains {
    /// α.
    pub lr: f64,
    /// μ.
    pub momentum: f64,
    /// Added to the gain on agreement.
    pub up: f64,
    /// Multiplies the gain on disagreement.
    pub down: f64,
    /// Least gain.
    pub gain_min: f64,
    /// Greatest gain.
    pub gain_max: f64,
    /// λ of coupled L2.
    pub weight_decay: f64,
}

impl Default for Gains {
    fn default() -> Self {
        Self {
            lr: 0.01,
            momentum: 0.9,
            up: 0.05,
            down: 0.95,
            gain_min: 0.1,
            gain_max: 10.0,
            weight_decay: 0.0,
        }
    }
}

impl Hyper for Gains {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("momentum", &mut self.momentum, Bound::Unit);
        visit.real("up", &mut self.up, Bound::NonNegative);
        visit.real("down", &mut self.down, Bound::Shrink);
        visit.real("gain_min", &mut self.gain_min, Bound::Positive);
        visit.real("gain_max", &mut self.gain_max, Bound::Positive);
        visit.real("weight_decay", &mut self.weight_decay, Bound::NonNegative);
    }

    fn conflicts(&self) -> Result<(), Error> {
        if self.gain_min <= self.gain_max {
            return Ok(());
        }
        let (min, max) = (self.gain_min, self.gain_max);
        Err(Error::HyperConflict(format!(
            "gain_min = {min} is above gain_max = {max}"
        )))
    }
}

impl<F: Scalar> Rule<F, 2> for Gains {
    fn slots(&self) -> [Slot; 2] {
        [Slot::exact("gain", 1.0), Slot::zero("v")]
    }

    fn update(&self, _: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 2]) -> bool {
        let (lr, mu, decay) = (
            F::of(self.lr),
            F::of(self.momentum),
            F::of(self.weight_decay),
        );
        let (up, down) = (F::of(self.up), F::of(self.down));
        let (min, max) = (F::of(self.gain_min), F::of(self.gain_max));
        each(x, g, slots, move |x, g, [gain, v]| {
            let g = g + decay * x;
            let agreement = sign(g) * sign(v);
            let (more, less) = ((gain + up).min(max), (gain * down).max(min));
            let gain = choose(agreement, more, less, gain);
            let v = mu * v + lr * gain * g;
            (x - v, [gain, v])
        })
    }
}
