use std::fmt;

use opt_core::{
    Bound, Error, FieldVisitor, FirstOrder, Hyper, Method, Objective, Report, Rule, Scalar, Slot,
    State, Visit, each,
};

use crate::rprop::{Sizes, ordered, sized};
use crate::sign;

/// Improved Rprop with backtracking (Igel & Hüsken 2000): a changed sign takes the last step of
/// that parameter back, but only if the loss rose.
///
/// ```text
/// s = g·g_prev
/// Δ ← min(η⁺Δ, step_max) if s > 0, max(η⁻Δ, step_min) if s < 0
/// δ ← −δ if s < 0 and the loss rose, 0 if s < 0 and it did not, −sign(g)Δ otherwise
/// θ ← θ + δ
/// g_prev ← 0 if s < 0, else g
/// ```
///
/// As a rule it has to be told whether the loss rose; [`Backtracking`] does that over an
/// objective. It takes no weight decay: the loss would not know of it, so it belongs into the
/// objective. The slide has none of the members' rules for a changed sign.
#[derive(Clone, Debug, PartialEq)]
pub struct IRpropPlus {
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
    /// Whether the loss is above that of the step before. Not a hyper-parameter: an input.
    pub loss_rose: bool,
}

impl Default for IRpropPlus {
    fn default() -> Self {
        Self {
            step0: 0.1,
            grow: 1.2,
            shrink: 0.5,
            step_min: 1e-6,
            step_max: 50.0,
            loss_rose: false,
        }
    }
}

impl Hyper for IRpropPlus {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit("step0", &mut self.step0, Bound::Positive);
        visit("grow", &mut self.grow, Bound::Grow);
        visit("shrink", &mut self.shrink, Bound::Shrink);
        visit("step_min", &mut self.step_min, Bound::Positive);
        visit("step_max", &mut self.step_max, Bound::Positive);
    }

    fn conflicts(&self) -> Result<(), Error> {
        ordered(self.step_min, self.step_max)
    }
}

impl<F: Scalar> Rule<F, 3> for IRpropPlus {
    fn slots(&self) -> [Slot; 3] {
        let [step, g_prev] = sized(self.step0);
        [step, g_prev, Slot::zero("delta")]
    }

    fn update(&self, _t: u64, x: &mut [F], g: &[F], slots: [&mut [F]; 3]) {
        let sizes = Sizes {
            grow: F::of(self.grow),
            shrink: F::of(self.shrink),
            min: F::of(self.step_min),
            max: F::of(self.step_max),
        };
        let back = F::of(if self.loss_rose { -1.0 } else { 0.0 });
        each(x, g, slots, move |x, g, [step, g_prev, delta]| {
            let agreement = sign(g) * sign(g_prev);
            let step = sizes.next(step, agreement);
            let (delta, g) = if agreement < F::zero() {
                (back * delta, F::zero())
            } else {
                (-sign(g) * step, g)
            };
            (x + delta, [step, g, delta])
        });
    }
}

/// [`IRpropPlus`] over an objective: compares each loss with the last one.
pub struct Backtracking<F> {
    inner: FirstOrder<F, IRpropPlus, 3>,
    last_loss: f64,
    gradient: Vec<F>,
}

impl<F: Scalar> Backtracking<F> {
    /// From the rule with its state, which may have one rule per segment.
    pub fn new(inner: FirstOrder<F, IRpropPlus, 3>) -> Self {
        Self {
            inner,
            last_loss: f64::INFINITY,
            gradient: Vec::new(),
        }
    }

    /// Changes hyper-parameters.
    ///
    /// # Errors
    /// As [`FirstOrder::adjust`].
    pub fn adjust(&mut self, change: impl FnMut(&mut IRpropPlus)) -> Result<(), Error> {
        self.inner.adjust(change)
    }
}

impl<F: Scalar> State<F> for Backtracking<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        self.inner.visit(visitor);
        visitor.number("last_loss", &mut self.last_loss);
    }
}

impl<F: Scalar, O: Objective<F> + ?Sized> Method<F, O> for Backtracking<F> {
    fn step(&mut self, objective: &mut O, x: &mut [F]) -> Result<Report<F>, Error> {
        self.gradient.resize(x.len(), F::zero());
        let report = Report::new(objective.grad(x, &mut self.gradient)?)?;
        let loss = report.loss.f64();
        let rose = loss > self.last_loss;
        self.inner.adjust(|rule| rule.loss_rose = rose)?;
        self.inner.apply(x, &self.gradient)?;
        self.last_loss = loss;
        Ok(report)
    }

    fn set(&mut self, name: &str, value: f64) -> Result<(), Error> {
        Method::<F, O>::set(&mut self.inner, name, value)
    }
}

impl<F> fmt::Debug for Backtracking<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backtracking")
            .field("inner", &self.inner)
            .field("last_loss", &self.last_loss)
            .finish_non_exhaustive()
    }
}
