//! Resilient backpropagation (Riedmiller & Braun 1993; Igel & Hüsken 2000): the members that need
//! no loss.

use opt_core::{Bound, Error, FieldVisitor, Hyper, Rule, Scalar, Slot, Step, each};

use crate::{choose, sign};

macro_rules! rprop {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// The step sizes follow the signs in the same way in all members:
        ///
        /// ```text
        /// s = g·g_prev
        /// Δ ← min(η⁺Δ, step_max) if s > 0; max(η⁻Δ, step_min) if s < 0; Δ otherwise
        /// ```
        ///
        /// sign(0) = 0, and g_prev starts at 0. It is a full-batch method: on minibatches the
        /// noise of the signs decides.
        ///
        /// The slide lacks the sign in the update, the limits of Δ, and what happens after a
        /// change of sign. `step0` has no effect after the first step. It takes every finite
        /// gradient.
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            /// Δ₀, the step that every parameter starts with, in units of θ.
            pub step0: f64,
            /// η⁺, while the gradient keeps its sign.
            pub grow: f64,
            /// η⁻, when the gradient changes its sign.
            pub shrink: f64,
            /// Least step.
            pub step_min: f64,
            /// Greatest step.
            pub step_max: f64,
            /// λ of coupled L2.
            pub weight_decay: f64,
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    step0: 0.1,
                    grow: 1.2,
                    shrink: 0.5,
                    step_min: 1e-6,
                    step_max: 50.0,
                    weight_decay: 0.0,
                }
            }
        }

        impl Hyper for $name {
            fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
                visit.real("step0", &mut self.step0, Bound::Positive);
                visit.real("grow", &mut self.grow, Bound::Grow);
                visit.real("shrink", &mut self.shrink, Bound::Shrink);
                visit.real("step_min", &mut self.step_min, Bound::Positive);
                visit.real("step_max", &mut self.step_max, Bound::Positive);
                visit.real("weight_decay", &mut self.weight_decay, Bound::NonNegative);
            }

            fn conflicts(&self) -> Result<(), Error> {
                ordered(self.step_min, self.step_max)
            }
        }

        impl $name {
            fn sizes<F: Scalar>(&self) -> Sizes<F> {
                Sizes {
                    grow: F::of(self.grow),
                    shrink: F::of(self.shrink),
                    min: F::of(self.step_min),
                    max: F::of(self.step_max),
                }
            }
        }
    };
}

rprop! {
    /// Rprop without backtracking: a changed sign shrinks the step and is followed all the same.
    ///
    /// ```text
    /// θ ← θ − sign(g)Δ
    /// g_prev ← g
    /// ```
    ///
    /// *Paper:* A direct adaptive method for faster backpropagation learning: the RPROP algorithm.
    /// *Needs* a gradient over all samples. *Costs* two numbers of state for each parameter, and one pass.
    /// *Relatives:* [`RpropPlus`](crate::RpropPlus), [`IRpropMinus`](crate::IRpropMinus), [`Manhattan`](crate::Manhattan).
    ///
    /// While the gradient keeps its sign, steps grow by 1.2.
    ///
    /// ```
    /// use opt_firstorder::{FirstOrder, ParamMap, RpropMinus};
    ///
    /// let params = ParamMap::flat(1)?;
    /// let mut update = FirstOrder::new(RpropMinus::default(), &params)?;
    /// let mut x = [1.0_f64];
    /// update.apply(&mut x, &[3.0])?;
    /// update.apply(&mut x, &[2.0])?;
    /// assert!((x[0] - (1.0 - 0.1 - 0.12)).abs() < 1e-12);
    /// # Ok::<(), opt_firstorder::Error>(())
    /// ```
    RpropMinus
}

rprop! {
    /// The original Rprop, with backtracking: a changed sign takes the last step of that
    /// parameter back.
    ///
    /// ```text
    /// δ ← −δ if s < 0, else −sign(g)Δ
    /// θ ← θ + δ
    /// g_prev ← 0 if s < 0, else g
    /// ```
    ///
    /// *Paper:* A direct adaptive method for faster backpropagation learning: the RPROP algorithm.
    /// *Needs* a gradient over all samples. *Costs* three numbers of state for each parameter, and one pass.
    /// *Relatives:* [`RpropMinus`](crate::RpropMinus), [`IRpropPlus`](crate::IRpropPlus).
    ///
    /// While the gradient keeps its sign, steps grow by 1.2.
    ///
    /// ```
    /// use opt_firstorder::{FirstOrder, ParamMap, RpropPlus};
    ///
    /// let params = ParamMap::flat(1)?;
    /// let mut update = FirstOrder::new(RpropPlus::default(), &params)?;
    /// let mut x = [1.0_f64];
    /// update.apply(&mut x, &[3.0])?;
    /// update.apply(&mut x, &[2.0])?;
    /// assert!((x[0] - (1.0 - 0.1 - 0.12)).abs() < 1e-12);
    /// # Ok::<(), opt_firstorder::Error>(())
    /// ```
    RpropPlus
}

rprop! {
    /// Improved Rprop without backtracking: after a changed sign the parameter waits one step.
    /// This is what PyTorch calls Rprop; optax applies the same moves one step late.
    ///
    /// ```text
    /// g ← 0 if s < 0
    /// θ ← θ − sign(g)Δ
    /// g_prev ← g
    /// ```
    ///
    /// *Paper:* Improving the Rprop learning algorithm.
    /// *Needs* a gradient over all samples. *Costs* two numbers of state for each parameter, and one pass.
    /// *Relatives:* [`RpropMinus`](crate::RpropMinus), [`IRpropPlus`](crate::IRpropPlus).
    ///
    /// While the gradient keeps its sign, steps grow by 1.2.
    ///
    /// ```
    /// use opt_firstorder::{FirstOrder, ParamMap, IRpropMinus};
    ///
    /// let params = ParamMap::flat(1)?;
    /// let mut update = FirstOrder::new(IRpropMinus::default(), &params)?;
    /// let mut x = [1.0_f64];
    /// update.apply(&mut x, &[3.0])?;
    /// update.apply(&mut x, &[2.0])?;
    /// assert!((x[0] - (1.0 - 0.1 - 0.12)).abs() < 1e-12);
    /// # Ok::<(), opt_firstorder::Error>(())
    /// ```
    IRpropMinus
}

pub(crate) fn ordered(min: f64, max: f64) -> Result<(), Error> {
    if min <= max {
        return Ok(());
    }
    let text = format!("step_min = {min} is above step_max = {max}");
    Err(Error::HyperConflict(text))
}

/// How a step size follows the signs.
#[derive(Clone, Copy)]
pub(crate) struct Sizes<F> {
    pub(crate) grow: F,
    pub(crate) shrink: F,
    pub(crate) min: F,
    pub(crate) max: F,
}

impl<F: Scalar> Sizes<F> {
    #[inline(always)]
    pub(crate) fn next(self, step: F, agreement: F) -> F {
        let more = (step * self.grow).min(self.max);
        let less = (step * self.shrink).max(self.min);
        choose(agreement, more, less, step)
    }
}

/// Buffers: step sizes and the last gradient.
pub(crate) fn sized(step0: f64) -> [Slot; 2] {
    let step = Slot::exact("step", step0);
    [step, Slot::zero("g_prev")]
}

impl<F: Scalar> Rule<F, 2> for RpropMinus {
    fn slots(&self) -> [Slot; 2] {
        sized(self.step0)
    }

    fn update(&self, _: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 2]) -> bool {
        let (sizes, decay) = (self.sizes(), F::of(self.weight_decay));
        each(x, g, slots, move |x, g, [step, g_prev]| {
            let g = g + decay * x;
            let step = sizes.next(step, sign(g) * sign(g_prev));
            (x - sign(g) * step, [step, g])
        })
    }
}

impl<F: Scalar> Rule<F, 2> for IRpropMinus {
    fn slots(&self) -> [Slot; 2] {
        sized(self.step0)
    }

    fn update(&self, _: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 2]) -> bool {
        let (sizes, decay) = (self.sizes(), F::of(self.weight_decay));
        each(x, g, slots, move |x, g, [step, g_prev]| {
            let g = g + decay * x;
            let agreement = sign(g) * sign(g_prev);
            let step = sizes.next(step, agreement);
            let g = if agreement < F::zero() { F::zero() } else { g };
            (x - sign(g) * step, [step, g])
        })
    }
}

impl<F: Scalar> Rule<F, 3> for RpropPlus {
    fn slots(&self) -> [Slot; 3] {
        let [step, g_prev] = sized(self.step0);
        [step, g_prev, Slot::zero("delta")]
    }

    fn update(&self, _: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 3]) -> bool {
        let (sizes, decay) = (self.sizes(), F::of(self.weight_decay));
        each(x, g, slots, move |x, g, [step, g_prev, delta]| {
            let g = g + decay * x;
            let agreement = sign(g) * sign(g_prev);
            let step = sizes.next(step, agreement);
            let (delta, g) = if agreement < F::zero() {
                (-delta, F::zero())
            } else {
                (-sign(g) * step, g)
            };
            (x + delta, [step, g, delta])
        })
    }
}
