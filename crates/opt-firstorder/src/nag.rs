use opt_core::{
    Bound, Change, Error, Field, FieldVisitor, FirstOrder, Hyper, Method, Objective, ParamMap,
    Report, Rule, Scalar, Segment, Slot, State, Step, Tune, Visit, each, each_parallel,
};

/// Nesterov's accelerated gradient with the true look-ahead (Nesterov 1983; Sutskever, Martens,
/// Dahl & Hinton 2013).
///
/// ```text
/// v ← μv + αf′(θ − μv)
/// θ ← θ − v
/// ```
///
/// [`Nag::method`] makes the method, which takes its gradient at θ − μv.
///
/// The slide drops μv from the velocity: on a quadratic with curvature 1, α = 1 and μ = 0.9 that
/// diverges.
///
/// It takes every finite gradient; a θ that leaves the range of the type is [`Error::Diverged`](crate::Error::Diverged).
///
/// *Paper:* A method of solving a convex programming problem with convergence rate O(1/k²); On the importance of initialization and momentum in deep learning.
/// *Needs* a gradient at a point of its own, so an objective. *Costs* one number of state for each parameter, and two passes.
/// *Relatives:* [`Nesterov`](crate::Nesterov), [`Momentum`](crate::Momentum).
///
/// The first step is SGD's.
///
/// ```
/// use opt_firstorder::{Nag, Method, Objective};
///
/// let mut valley = opt_testkit::plane("valley").expect("it is one of them"); // ½x² + 50y²
/// let rule = Nag { lr: 0.01, ..Nag::default() };
/// let mut method = rule.method(Objective::<f64>::params(&valley))?;
/// let mut x = [-2.0_f64, 0.5];
/// method.step(&mut valley, &mut x)?;
/// assert!((x[0] + 1.98).abs() < 1e-12 && (x[1] - 0.0).abs() < 1e-12);
/// # Ok::<(), opt_firstorder::Error>(())
/// ```
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
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("momentum", &mut self.momentum, Bound::Unit);
        visit.real("weight_decay", &mut self.weight_decay, Bound::NonNegative);
    }
}

impl Nag {
    /// The method, with these settings for all parameters.
    ///
    /// # Errors
    /// As [`FirstOrder::new`].
    pub fn method<F: Scalar>(self, params: &ParamMap) -> Result<LookAhead<F>, Error> {
        Ok(LookAhead::new(FirstOrder::new(AtLookAhead(self), params)?))
    }
}

/// What moves, given the gradient at θ − μv: no rule for others, who would give it the one at θ.
#[derive(Clone, Debug, PartialEq)]
struct AtLookAhead(Nag);

impl Hyper for AtLookAhead {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        self.0.fields(visit);
    }
}

impl<F: Scalar> Rule<F, 1> for AtLookAhead {
    fn slots(&self) -> [Slot; 1] {
        [Slot::zero("v")]
    }

    fn update(&self, _: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 1]) -> bool {
        let (lr, mu) = (F::of(self.0.lr), F::of(self.0.momentum));
        let decay = F::of(self.0.weight_decay);
        each(x, g, slots, move |x, g, [v]| {
            let v = mu * v + lr * (g + decay * (x - mu * v));
            (x - v, [v])
        })
    }
}

/// [`Nag`] over an objective: takes the gradient at θ − μv. The loss that a step reports is the
/// one there.
#[derive(Debug)]
pub struct LookAhead<F: Scalar> {
    inner: FirstOrder<F, AtLookAhead, 1>,
    ahead: Vec<F>,
    gradient: Vec<F>,
}

impl<F: Scalar> LookAhead<F> {
    fn new(inner: FirstOrder<F, AtLookAhead, 1>) -> Self {
        Self {
            inner,
            ahead: Vec::new(),
            gradient: Vec::new(),
        }
    }

    /// Settings of their own for each segment, which is a group of its name.
    ///
    /// # Errors
    /// As [`FirstOrder::with`].
    pub fn with(params: &ParamMap, mut nag: impl FnMut(&Segment) -> Nag) -> Result<Self, Error> {
        let inner = FirstOrder::with(params, |segment| AtLookAhead(nag(segment)))?;
        Ok(Self::new(inner))
    }

    /// Changes hyper-parameters.
    ///
    /// # Errors
    /// As [`FirstOrder::adjust`].
    pub fn adjust(&mut self, mut change: impl FnMut(&[Segment], &mut Nag)) -> Result<(), Error> {
        self.inner
            .adjust(|segments, rule| change(segments, &mut rule.0))
    }
}

impl<F: Scalar> Tune for LookAhead<F> {
    fn list(&self) -> Vec<Field> {
        self.inner.list()
    }

    fn change(&mut self, name: &str, change: &Change) -> Result<(), Error> {
        self.inner.change(name, change)
    }
}

impl<F: Scalar> State<F> for LookAhead<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        self.inner.visit(visitor);
    }
}

impl<F: Scalar, O: Objective<F> + ?Sized> Method<F, O> for LookAhead<F> {
    fn step(&mut self, objective: &mut O, x: &mut [F]) -> Result<Report<F>, Error> {
        self.inner.params().check_len("x", x.len())?;
        self.ahead.resize(x.len(), F::zero());
        self.gradient.resize(x.len(), F::zero());
        for index in 0..self.inner.params().segments().len() {
            let range = self.inner.params().segment(index)?.range.clone();
            let mu = self.inner.rule(index).map_or(0.0, |rule| rule.0.momentum);
            let mu = F::of(mu);
            if let Some(v) = self.inner.slot_mut("v", index) {
                let ahead = &mut self.ahead[range.clone()];
                each_parallel(ahead, &x[range], [v], move |_, x, [v]| (x - mu * v, [v]));
            }
        }
        let report = Report::new(objective.grad(&self.ahead, &mut self.gradient)?)?;
        self.inner.apply(x, &self.gradient)?;
        objective.accept();
        Ok(report)
    }
}
