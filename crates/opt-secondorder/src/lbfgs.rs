use std::fmt;
use std::mem::swap;

use opt_core::{
    Bound, Error, Fallback, FieldVisitor, Hyper, Method, Objective, ParamMap, Report, Scalar,
    State, Visit, dot, each_parallel, norm,
};

use crate::line_search::{Outcome, Trial, Wolfe};

/// Limited-memory BFGS (Nocedal, Updating quasi-Newton matrices with limited storage, 1980; Liu &
/// Nocedal, On the limited memory BFGS method for large scale optimization, 1989).
///
/// ```text
/// s = θ⁺ − θ,  y = f′(θ⁺) − f′(θ),  ρ = 1/sᵀy        the last m steps, if sᵀy > ε|y|²
/// H ← γI,  γ = sᵀy/yᵀy of the newest                 then for each, oldest first:
/// H ← (I − ρsyᵀ)H(I − ρysᵀ) + ρssᵀ
/// θ ← θ − α·H·f′(θ)                                  α by the strong Wolfe conditions
/// ```
///
/// H is never formed: two passes over the memory multiply by it. A step costs one evaluation of
/// loss and gradient, sometimes a few more, and 4m products of vectors.
///
/// While there is no memory, the direction is −f′ and the first trial α₀·min(1, 1.01/|f′|), as in
/// SciPy's BFGS: a move of about length 1 at most, as nothing is known yet of how far to go.
///
/// Needs [`Objective`], and that it stays the same from step to step: the full data, not
/// minibatches. The loss and gradient of the point that was accepted serve the next step too, if
/// `x` still is that point. Where the objective changes, such as at a new batch, call
/// [`LbfgsMethod::restart`].
///
/// Differs from the papers in the line search, which is [`Wolfe`]'s, and in what happens when it
/// fails ([`LbfgsMethod`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Lbfgs {
    /// α₀, the step that the line search tries first. 1 is the quasi-Newton step itself; the search
    /// makes up for any other.
    pub lr: f64,
    /// m.
    pub memory: f64,
    /// c1 of [`Wolfe`].
    pub c1: f64,
    /// c2 of [`Wolfe`].
    pub c2: f64,
    /// Most evaluations of one line search.
    pub max_evaluations: f64,
    /// ε, an inverse curvature: a step along which f bends by no more than 0, or by more than 1/ε,
    /// is not remembered. Only steps that fail the second Wolfe condition are ever left out.
    pub eps: f64,
}

impl Default for Lbfgs {
    fn default() -> Self {
        Self {
            lr: 1.0,
            memory: 10.0,
            c1: 1e-4,
            c2: 0.9,
            max_evaluations: 20.0,
            eps: f64::EPSILON,
        }
    }
}

impl Hyper for Lbfgs {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit("lr", &mut self.lr, Bound::Positive);
        visit("memory", &mut self.memory, Bound::Count);
        visit("c1", &mut self.c1, Bound::Unit);
        visit("c2", &mut self.c2, Bound::Unit);
        visit("max_evaluations", &mut self.max_evaluations, Bound::Count);
        visit("eps", &mut self.eps, Bound::NonNegative);
    }

    fn conflicts(&self) -> Result<(), Error> {
        let (c1, c2) = (self.c1, self.c2);
        if c1 < c2 {
            return Ok(());
        }
        Err(Error::HyperConflict(format!(
            "c1 = {c1} must be below c2 = {c2}: else no step may satisfy both conditions"
        )))
    }
}

/// [`Lbfgs`] over an objective. Holds 2m + 6 vectors of the parameters' length, all made by `new`.
///
/// A step ends in one of these ways:
/// - a step was found along −H·f′: `x` moves;
/// - none was, or −H·f′ was no descent direction: the memory is dropped, and `x` moves along −f′,
///   which [`Report::fallback`] tells;
/// - no step is low enough there either, or the gradient is 0: `x` stays, which
///   [`Report::fallback`] tells, and so it will at every further step. At the end of a run this is
///   the rounding of the loss: a decrease below it cannot be seen;
/// - not a single trial had a finite loss and gradient: the first one's error, and nothing has
///   changed. Among finite ones, such trials only shorten the step.
///
/// A function that is not bounded below is followed as far as a line search goes.
#[derive(Clone)]
pub struct LbfgsMethod<F> {
    hyper: Lbfgs,
    params: ParamMap,
    /// The oldest first; beyond `used`, room.
    pairs: Vec<Pair<F>>,
    used: u64,
    /// Where the last step ended, with gradient and loss there, if `known` is not 0.
    at: Vec<F>,
    gradient: Vec<F>,
    loss: f64,
    known: u64,
    direction: Vec<F>,
    trial: Vec<F>,
    trial_gradient: Vec<F>,
    /// Takes the gradient of an `x` that is not `at`, until the step has succeeded.
    spare: Vec<F>,
}

/// A step and how the gradient changed along it.
#[derive(Clone, Default)]
struct Pair<F> {
    s: Vec<F>,
    y: Vec<F>,
    /// sᵀy and yᵀy.
    sy: f64,
    yy: f64,
    /// Of the two-loop recursion.
    alpha: f64,
}

/// What the trials of one step have met.
#[derive(Default)]
struct Met {
    finite: bool,
    error: Option<Error>,
}

impl<F: Scalar> LbfgsMethod<F> {
    /// # Errors
    /// [`Error::Hyper`], [`Error::HyperConflict`], or [`Error::SegmentTooLarge`] if the state does
    /// not fit into memory.
    pub fn new(hyper: Lbfgs, params: &ParamMap) -> Result<Self, Error> {
        hyper.check()?;
        let n = params.len();
        let mut method = Self {
            pairs: Vec::new(),
            used: 0,
            at: zeros(n)?,
            gradient: zeros(n)?,
            loss: 0.0,
            known: 0,
            direction: zeros(n)?,
            trial: zeros(n)?,
            trial_gradient: zeros(n)?,
            spare: zeros(n)?,
            params: params.clone(),
            hyper,
        };
        method.remember(method.hyper.memory)?;
        Ok(method)
    }

    /// Forgets the memory and the last evaluation: for an objective that has changed.
    pub fn restart(&mut self) {
        (self.used, self.known) = (0, 0);
    }

    /// Makes room for as many pairs; of too many, the newest stay.
    fn remember(&mut self, memory: f64) -> Result<(), Error> {
        let (m, n) = (memory as usize, self.params.len());
        let mut room = Vec::new();
        (room.try_reserve_exact(m.saturating_sub(self.pairs.len()))).map_err(|_| too_large())?;
        for _ in self.pairs.len()..m {
            room.push(Pair {
                s: zeros(n)?,
                y: zeros(n)?,
                ..Pair::default()
            });
        }
        let forgotten = self.used().saturating_sub(m);
        self.pairs.drain(..forgotten);
        self.used -= forgotten as u64;
        self.pairs.truncate(m);
        self.pairs.append(&mut room);
        Ok(())
    }

    fn used(&self) -> usize {
        usize::try_from(self.used).map_or(self.pairs.len(), |used| used.min(self.pairs.len()))
    }

    /// Loss and gradient at `x`, known or new. What a failing step has to put back comes back.
    fn evaluate<O: Objective<F> + ?Sized>(
        &mut self,
        objective: &mut O,
        x: &[F],
    ) -> Result<Option<f64>, Error> {
        if self.known != 0 && self.at == x {
            return Ok(None);
        }
        let loss = Report::new(objective.grad(x, &mut self.spare)?)?.loss;
        self.params.check_gradient(&self.spare)?;
        swap(&mut self.gradient, &mut self.spare);
        Ok(Some(std::mem::replace(&mut self.loss, loss.f64())))
    }

    /// Moves `x`, or not; tells what it fell back to.
    fn advance<O: Objective<F> + ?Sized>(
        &mut self,
        objective: &mut O,
        x: &mut [F],
    ) -> Result<Option<Fallback>, Error> {
        let length = norm(&self.gradient);
        if length == 0.0 {
            self.stay(x);
            return Ok(Some(Fallback::ZeroGradient));
        }
        let mut met = Met::default();
        each_parallel(&mut self.direction, &self.gradient, [], |_, g, []| (-g, []));
        if self.used() > 0 {
            self.multiply();
            let found = self.search(objective, x, self.hyper.lr, &mut met)?;
            if let Some(trial) = found.trial() {
                self.accept(x, trial);
                return Ok(None);
            }
            each_parallel(&mut self.direction, &self.gradient, [], |_, g, []| (-g, []));
        }
        let first = self.hyper.lr * (1.01 / length).min(1.0);
        let found = self.search(objective, x, first, &mut met)?;
        if let (false, Some(error)) = (met.finite, met.error) {
            return Err(error);
        }
        let dropped = self.used() > 0;
        self.used = 0;
        Ok(match found.trial() {
            Some(trial) => {
                self.accept(x, trial);
                dropped.then_some(Fallback::SteepestDescent)
            }
            None => {
                self.stay(x);
                Some(Fallback::NoLowerLoss)
            }
        })
    }

    /// The direction times H: the two-loop recursion.
    fn multiply(&mut self) {
        let used = self.used();
        let direction = &mut self.direction;
        for pair in self.pairs[..used].iter_mut().rev() {
            pair.alpha = dot(&pair.s, direction) / pair.sy;
            add(direction, -pair.alpha, &pair.y);
        }
        if let Some(newest) = self.pairs[..used].last_mut() {
            let gamma = F::of(newest.sy / newest.yy);
            each_parallel(direction, &newest.y, [], move |d, _, []| (gamma * d, []));
        }
        for pair in &self.pairs[..used] {
            let beta = dot(&pair.y, direction) / pair.sy;
            add(direction, pair.alpha - beta, &pair.s);
        }
    }

    /// A step along the direction; leaves its point and gradient in the trial's buffers.
    fn search<O: Objective<F> + ?Sized>(
        &mut self,
        objective: &mut O,
        x: &[F],
        first: f64,
        met: &mut Met,
    ) -> Result<Outcome, Error> {
        let wolfe = Wolfe {
            c1: self.hyper.c1,
            c2: self.hyper.c2,
            max_evaluations: self.hyper.max_evaluations as usize,
            ..Wolfe::default()
        };
        let slope = dot(&self.gradient, &self.direction);
        wolfe.search(self.loss, slope, first, |step| {
            self.trial.copy_from_slice(x);
            add(&mut self.trial, step, &self.direction);
            let loss = objective.grad(&self.trial, &mut self.trial_gradient)?;
            let fault = match Report::new(loss) {
                Ok(_) => self.params.check_gradient(&self.trial_gradient).err(),
                Err(error) => Some(error),
            };
            if let Some(error) = fault {
                met.error.get_or_insert(error);
                return Ok((f64::NAN, f64::NAN));
            }
            met.finite = true;
            Ok((loss.f64(), dot(&self.trial_gradient, &self.direction)))
        })
    }

    /// Goes to the last trial, and remembers the step.
    fn accept(&mut self, x: &mut [F], trial: Trial) {
        // The direction becomes s, the old gradient y.
        let s = &mut self.direction;
        each_parallel(x, &self.trial, [s], |x, new, [_]| (new, [new - x]));
        let (y, new) = (&mut self.gradient, &self.trial_gradient);
        each_parallel(y, new, [], |old, new, []| (new - old, []));
        let (sy, yy) = (dot(&self.direction, y), dot(y, y));
        if sy > self.hyper.eps * yy {
            let used = self.used();
            if used == self.pairs.len() {
                self.pairs.rotate_left(1);
            }
            let last = used.min(self.pairs.len().saturating_sub(1));
            if let Some(pair) = self.pairs.get_mut(last) {
                swap(&mut pair.s, &mut self.direction);
                swap(&mut pair.y, &mut self.gradient);
                (pair.sy, pair.yy) = (sy, yy);
                self.used = last as u64 + 1;
            }
        }
        swap(&mut self.gradient, &mut self.trial_gradient);
        self.loss = trial.value;
        self.stay(x);
    }

    /// `x` is where loss and gradient are known.
    fn stay(&mut self, x: &[F]) {
        self.at.copy_from_slice(x);
        self.known = 1;
    }
}

impl<F: Scalar, O: Objective<F> + ?Sized> Method<F, O> for LbfgsMethod<F> {
    fn step(&mut self, objective: &mut O, x: &mut [F]) -> Result<Report<F>, Error> {
        self.params.check_len("x", x.len())?;
        let replaced = self.evaluate(objective, x)?;
        let mut report = Report::new(F::of(self.loss))?;
        match (self.advance(objective, x), replaced) {
            (Ok(fallback), _) => {
                report.fallback = fallback;
                Ok(report)
            }
            (Err(error), Some(loss)) => {
                swap(&mut self.gradient, &mut self.spare);
                self.loss = loss;
                Err(error)
            }
            (Err(error), None) => Err(error),
        }
    }

    fn set(&mut self, name: &str, value: f64) -> Result<(), Error> {
        let hyper = self.hyper.with(name, value)?;
        self.remember(hyper.memory)?;
        self.hyper = hyper;
        Ok(())
    }
}

impl<F: Scalar> State<F> for LbfgsMethod<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.count("pairs", &mut self.used);
        for (index, pair) in self.pairs.iter_mut().enumerate() {
            self.params
                .visit(&format!("s{index}"), &mut pair.s, visitor);
            self.params
                .visit(&format!("y{index}"), &mut pair.y, visitor);
            visitor.number(&format!("sy{index}"), &mut pair.sy);
            visitor.number(&format!("yy{index}"), &mut pair.yy);
        }
        visitor.count("known", &mut self.known);
        visitor.number("loss", &mut self.loss);
        self.params.visit("at", &mut self.at, visitor);
        self.params.visit("gradient", &mut self.gradient, visitor);
    }
}

impl<F> fmt::Debug for LbfgsMethod<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LbfgsMethod")
            .field("hyper", &self.hyper)
            .field("pairs", &self.used)
            .field("loss", &(self.known != 0).then_some(self.loss))
            .finish_non_exhaustive()
    }
}

/// a ← a + c·b.
fn add<F: Scalar>(a: &mut [F], c: f64, b: &[F]) {
    let c = F::of(c);
    each_parallel(a, b, [], move |a, b, []| (a + c * b, []));
}

fn zeros<F: Scalar>(n: usize) -> Result<Vec<F>, Error> {
    let mut all = Vec::new();
    all.try_reserve_exact(n).map_err(|_| too_large())?;
    all.resize(n, F::zero());
    Ok(all)
}

fn too_large() -> Error {
    Error::SegmentTooLarge("memory of lbfgs".to_owned())
}
