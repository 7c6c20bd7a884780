use std::fmt;

use opt_core::{
    Bound, Error, FieldVisitor, FirstOrder, Hyper, Method, Objective, Report, Rule, Scalar, Slot,
    State, Visit, each,
};

/// Nesterov's accelerated gradient with the true look-ahead (Nesterov 1983; Sutskever, Martens,
/// Dahl & Hinton 2013).
///
/// ```text
/// v ← μv + αf′(θ − μv)
/// θ ← θ − v
/// ```
///
/// As a rule it expects the gradient at θ − μv; [`LookAhead`] takes it there.
///
/// The slide drops μv from the velocity: on a quadratic with curvature 1, α = 1 and μ = 0.9 that
/// diverges.
#[derive(Clone, Debug, PartialEq)]
pub struct Nag {
    /// α.
    pub lr: f64,
    /// μ.
    pub momentum: f64,
    /// λ of coupled L2, taken at the look-ahead point.
    pub weight_decay: f64,
}

impl Default for Nag {
    fn default() -> Self {
        Self {
            lr: 0.01,
            momentum: 0.9,
            weight_decay: 0.0,
        }
    }
}

impl Hyper for Nag {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit("lr", &mut self.lr, Bound::Positive);
        visit("momentum", &mut self.momentum, Bound::Unit);
        visit("weight_decay", &mut self.weight_decay, Bound::NonNegative);
    }
}

impl<F: Scalar> Rule<F, 1> for Nag {
    fn slots(&self) -> [Slot; 1] {
        [Slot::zero("v")]
    }

    fn update(&self, _t: u64, x: &mut [F], g: &[F], slots: [&mut [F]; 1]) {
        let (lr, mu) = (F::of(self.lr), F::of(self.momentum));
        let decay = F::of(self.weight_decay);
        each(x, g, slots, move |x, g, [v]| {
            let v = mu * v + lr * (g + decay * (x - mu * v));
            (x - v, [v])
        });
    }
}

/// [`Nag`] over an objective: takes the gradient at θ − μv. The loss that a step reports is the
/// one there.
pub struct LookAhead<F> {
    inner: FirstOrder<F, Nag, 1>,
    ahead: Vec<F>,
    gradient: Vec<F>,
}

impl<F: Scalar> LookAhead<F> {
    /// From the rule with its state, which may have one rule per segment.
    pub fn new(inner: FirstOrder<F, Nag, 1>) -> Self {
        Self {
            inner,
            ahead: Vec::new(),
            gradient: Vec::new(),
        }
    }

    /// Changes hyper-parameters.
    ///
    /// # Errors
    /// As [`FirstOrder::adjust`].
    pub fn adjust(&mut self, change: impl FnMut(&mut Nag)) -> Result<(), Error> {
        self.inner.adjust(change)
    }
}

impl<F: Scalar> State<F> for LookAhead<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        self.inner.visit(visitor);
    }
}

impl<F: Scalar, O: Objective<F> + ?Sized> Method<F, O> for LookAhead<F> {
    fn step(&mut self, objective: &mut O, x: &mut [F]) -> Result<Report<F>, Error> {
        self.ahead.resize(x.len(), F::zero());
        self.gradient.resize(x.len(), F::zero());
        self.inner.pass(&mut self.ahead, x, |rule, ahead, x, [v]| {
            let mu = F::of(rule.momentum);
            each(ahead, x, [v], move |_, x, [v]| (x - mu * v, [v]));
        })?;
        let report = Report::new(objective.grad(&self.ahead, &mut self.gradient)?)?;
        self.inner.apply(x, &self.gradient)?;
        Ok(report)
    }

    fn set(&mut self, name: &str, value: f64) -> Result<(), Error> {
        Method::<F, O>::set(&mut self.inner, name, value)
    }
}

impl<F> fmt::Debug for LookAhead<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LookAhead").field(&self.inner).finish()
    }
}
