use opt_core::{
    Bound, Change, Error, Field, FieldVisitor, FirstOrder, Hyper, Method, Objective, ParamMap,
    Report, Rule, Scalar, Segment, Slot, State, Step, Tune, Visit, each,
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
/// [`IRpropPlus::method`] makes the method, which needs an objective: whether the loss rose counts.
/// It takes no weight decay: the loss would not know of it, so it belongs into the
/// objective. The slide has none of the members' rules for a changed sign.
///
/// It takes every finite gradient.
///
/// *Paper:* Improving the Rprop learning algorithm.
/// *Needs* the loss beside the gradient, so an objective, and the same samples at every step. *Costs* three numbers of state for each
/// parameter, and one pass.
/// *Relatives:* [`IRpropMinus`](crate::IRpropMinus), [`RpropPlus`](crate::RpropPlus).
///
/// The first step is `step0` down the gradient's signs.
///
/// ```
/// use opt_firstorder::{IRpropPlus, Method, Objective};
///
/// let mut valley = opt_testkit::plane("valley").expect("it is one of them"); // ½x² + 50y²
/// let rule = IRpropPlus { step0: 0.1, ..IRpropPlus::default() };
/// let mut method = rule.method(Objective::<f64>::params(&valley))?;
/// let mut x = [-2.0_f64, 0.5];
/// method.step(&mut valley, &mut x)?;
/// assert!((x[0] + 1.9).abs() < 1e-12 && (x[1] - 0.4).abs() < 1e-12);
/// # Ok::<(), opt_firstorder::Error>(())
/// ```
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
}

impl Default for IRpropPlus {
    fn default() -> Self {
        Self {
            step0: 0.1,
            grow: 1.2,
            shrink: 0.5,
            step_min: 1e-6,
            step_max: 50.0,
        }
    }
}

impl Hyper for IRpropPlus {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("step0", &mut self.step0, Bound::Positive);
        visit.real("grow", &mut self.grow, Bound::Grow);
        visit.real("shrink", &mut self.shrink, Bound::Shrink);
        visit.real("step_min", &mut self.step_min, Bound::Positive);
        visit.real("step_max", &mut self.step_max, Bound::Positive);
    }

    fn conflicts(&self) -> Result<(), Error> {
        ordered(self.step_min, self.step_max)
    }
}

impl IRpropPlus {
    /// The method, with these settings for all parameters.
    ///
    /// # Errors
    /// As [`FirstOrder::new`].
    pub fn method<F: Scalar>(self, params: &ParamMap) -> Result<Backtracking<F>, Error> {
        Ok(Backtracking::new(FirstOrder::new(Told::new(self), params)?))
    }
}

/// The settings, and whether the loss is above that of the step before.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    settings: IRpropPlus,
    rose: bool,
}

impl Told {
    fn new(settings: IRpropPlus) -> Self {
        let rose = false;
        Self { settings, rose }
    }
}

impl Hyper for Told {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        self.settings.fields(visit);
    }

    fn conflicts(&self) -> Result<(), Error> {
        self.settings.conflicts()
    }
}

impl<F: Scalar> Rule<F, 3> for Told {
    fn slots(&self) -> [Slot; 3] {
        let [step, g_prev] = sized(self.settings.step0);
        [step, g_prev, Slot::zero("delta")]
    }

    fn update(&self, _: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 3]) -> bool {
        let settings = &self.settings;
        let sizes = Sizes {
            grow: F::of(settings.grow),
            shrink: F::of(settings.shrink),
            min: F::of(settings.step_min),
            max: F::of(settings.step_max),
        };
        let back = F::of(if self.rose { -1.0 } else { 0.0 });
        each(x, g, slots, move |x, g, [step, g_prev, delta]| {
            let agreement = sign(g) * sign(g_prev);
            let step = sizes.next(step, agreement);
            let (delta, g) = if agreement < F::zero() {
                (back * delta, F::zero())
            } else {
                (-sign(g) * step, g)
            };
            (x + delta, [step, g, delta])
        })
    }
}

/// [`IRpropPlus`] over an objective: compares each loss with the last one.
#[derive(Debug)]
pub struct Backtracking<F: Scalar> {
    inner: FirstOrder<F, Told, 3>,
    last_loss: f64,
    gradient: Vec<F>,
}

impl<F: Scalar> Backtracking<F> {
    fn new(inner: FirstOrder<F, Told, 3>) -> Self {
        Self {
            inner,
            last_loss: f64::INFINITY,
            gradient: Vec::new(),
        }
    }

    /// Settings of their own for each segment, which is a group of its name.
    ///
    /// # Errors
    /// As [`FirstOrder::with`].
    pub fn with(
        params: &ParamMap,
        mut settings: impl FnMut(&Segment) -> IRpropPlus,
    ) -> Result<Self, Error> {
        let inner = FirstOrder::with(params, |segment| Told::new(settings(segment)))?;
        Ok(Self::new(inner))
    }

    /// Changes hyper-parameters.
    ///
    /// # Errors
    /// As [`FirstOrder::adjust`].
    pub fn adjust(
        &mut self,
        mut change: impl FnMut(&[Segment], &mut IRpropPlus),
    ) -> Result<(), Error> {
        self.inner
            .adjust(|segments, rule| change(segments, &mut rule.settings))
    }
}

impl<F: Scalar> Tune for Backtracking<F> {
    fn list(&self) -> Vec<Field> {
        self.inner.list()
    }

    fn change(&mut self, name: &str, change: &Change) -> Result<(), Error> {
        self.inner.change(name, change)
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
        self.inner.params().check_len("x", x.len())?;
        self.gradient.resize(x.len(), F::zero());
        let report = Report::new(objective.grad(x, &mut self.gradient)?)?;
        let loss = report.loss.f64();
        let rose = loss > self.last_loss;
        self.inner.inform(|rule| rule.rose = rose);
        self.inner.apply(x, &self.gradient)?;
        self.last_loss = loss;
        objective.accept();
        Ok(report)
    }
}
