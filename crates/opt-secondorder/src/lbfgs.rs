use std::fmt;
use std::mem::swap;

use opt_core::{
    Bound, Change, Error, Fallback, Field, FieldVisitor, Hyper, Method, Objective, ParamMap,
    Report, Scalar, State, Tune, Tuned, Visit, dot, each_parallel, list_hyper, norm,
};

use crate::memory::{Memory, zeros};
use crate::trial::Trial;
use crate::vectors::{add, check_range, length, negate, square_is_zero};
use crate::wolfe::{Outcome, Wolfe};

/// How many units in the last place of the loss its rounding may amount to.
const NOISE: f64 = 1e3;

/// Limited-memory BFGS (Nocedal, Updating quasi-Newton matrices with limited storage, 1980; Liu &
/// Nocedal, On the limited memory BFGS method for large scale optimization, 1989).
///
/// ```text
/// s = θ⁺ − θ,  y = f′(θ⁺) − f′(θ),  ρ = 1/sᵀy        the last m steps, if sᵀy > ε|s||y|
/// H ← γI,  γ = sᵀy/yᵀy of the newest                 then for each, oldest first:
/// H ← (I − ρsyᵀ)H(I − ρysᵀ) + ρssᵀ
/// θ ← θ − α·H·f′(θ)                                  α by the strong Wolfe conditions
/// ```
///
/// H is never formed: two passes over the memory multiply by it. A step costs one evaluation of
/// loss and gradient, sometimes a few more, and 4m products of vectors.
///
/// While there is no memory, the direction is −f′, and the first trial a move as long as |θ| or as
/// 2|f|/|f′|, to where a parabola whose minimum is 0 has it: the shorter one that is not 0, or 1 if
/// both are. So no constant has units: scaling the loss or θ by powers of two scales the path, and
/// does not change a bit of it.
///
/// Needs [`Objective`], and that it stays the same from step to step: the full data, not
/// minibatches. The loss and gradient of the point that was accepted serve the next step too, if
/// `x` still is that point. Where the objective changes, such as at a new batch, call
/// [`LbfgsMethod::restart`].
///
/// Near a minimum the loss changes by less than its rounding, but the gradient still tells: where a
/// step promises less than 1,000 units in the last place of the loss, the line search goes by slopes,
/// as [`Wolfe`] does within its `noise`. The report says so where the loss does not fall, and it never
/// comes to more than that above the least so far.
///
/// ```
/// use opt_core::{Method, Objective};
/// use opt_secondorder::Lbfgs;
///
/// let mut plane = opt_testkit::plane("rosenbrock").expect("it is one of them");
/// let mut lbfgs = Lbfgs::default().method(Objective::<f64>::params(&plane))?;
/// let mut x = plane.start;
/// for _ in 0..45 {
///     lbfgs.step(&mut plane, &mut x)?;
/// }
/// assert!((x[0] - 1.0).abs() < 1e-9 && (x[1] - 1.0).abs() < 1e-9);
/// # Ok::<(), opt_core::Error>(())
/// ```
///
/// Differs from the papers in the line search, which is [`Wolfe`]'s, and in what happens when it
/// fails ([`LbfgsMethod`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Lbfgs {
    /// α₀, the step that the line search tries first, as a share of the quasi-Newton step or of the
    /// first move. The search makes up for any but 0, with which `x` stays.
    pub lr: f64,
    /// m.
    pub memory: u64,
    /// c1 of [`Wolfe`].
    pub c1: f64,
    /// c2 of [`Wolfe`].
    pub c2: f64,
    /// Most evaluations of one line search.
    pub max_evaluations: u64,
    /// ε, the least cosine between s and y that is remembered. Where f bends down along s there is
    /// none, and near 0 it is made of rounding.
    pub eps: f64,
}

impl Default for Lbfgs {
    fn default() -> Self {
        Self {
            lr: 1.0,
            memory: 10,
            c1: 1e-4,
            c2: 0.9,
            max_evaluations: 20,
            eps: f64::EPSILON,
        }
    }
}

impl Hyper for Lbfgs {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.count("memory", &mut self.memory, 1);
        visit.real("c1", &mut self.c1, Bound::Unit);
        visit.real("c2", &mut self.c2, Bound::Unit);
        visit.count("max_evaluations", &mut self.max_evaluations, 1);
        visit.real("eps", &mut self.eps, Bound::Unit);
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

impl Lbfgs {
    /// The method for these parameters.
    ///
    /// # Errors
    /// [`Error::Hyper`], [`Error::HyperConflict`], or [`Error::SegmentTooLarge`] if the state does
    /// not fit into memory.
    pub fn method<F: Scalar>(self, params: &ParamMap) -> Result<LbfgsMethod<F>, Error> {
        let hyper = Tuned::new::<F>(self)?;
        let n = params.len();
        let mut memory = Memory::default();
        memory.resize(size(hyper.memory), n)?;
        Ok(LbfgsMethod {
            memory,
            at: zeros(n)?,
            gradient: zeros(n)?,
            loss: 0.0,
            least: 0.0,
            known: 0,
            direction: zeros(n)?,
            trial: zeros(n)?,
            trial_gradient: zeros(n)?,
            spare: zeros(n)?,
            params: params.clone(),
            hyper,
        })
    }
}

/// [`Lbfgs`] over an objective. Holds 2m + 6 vectors of the parameters' length, all made at once.
///
/// A step ends in one of these ways:
/// - a step was found along −H·f′: `x` moves. [`Report::fallback`] tells if a trial on the way was
///   not finite, which only shortens the step, or if the loss could not tell the step from none;
/// - none was, or −H·f′ was no descent direction: the memory is dropped, and `x` moves along −f′,
///   which [`Report::fallback`] tells;
/// - no step is low enough there either, or the gradient is 0, or so small that its square is: `x`
///   stays, which [`Report::fallback`] tells, and so it will at every further step;
/// - the objective refused a trial, not a single one had a finite loss and gradient, or the
///   gradient's square overflows: an error, and nothing has changed.
///
/// A function that is not bounded below is followed as far as a line search goes.
#[derive(Clone)]
pub struct LbfgsMethod<F> {
    hyper: Tuned<Lbfgs>,
    params: ParamMap,
    memory: Memory<F>,
    /// Where the last step ended, with gradient and loss there, if `known` is not 0.
    at: Vec<F>,
    gradient: Vec<F>,
    loss: f64,
    /// The least loss on the way here.
    least: f64,
    known: u64,
    direction: Vec<F>,
    trial: Vec<F>,
    trial_gradient: Vec<F>,
    /// Takes the gradient of an `x` that is not `at`, until the step has succeeded.
    spare: Vec<F>,
}

/// What the trials of one step have met.
#[derive(Default)]
struct Met {
    finite: bool,
    error: Option<Error>,
}

impl<F: Scalar> LbfgsMethod<F> {
    /// Forgets the memory and the last evaluation: for an objective that has changed.
    pub fn restart(&mut self) {
        self.memory.clear();
        self.known = 0;
    }

    /// Loss and gradient at `x`, known or new. What a failing step has to put back comes back.
    fn evaluate<O: Objective<F> + ?Sized>(
        &mut self,
        objective: &mut O,
        x: &[F],
    ) -> Result<Option<[f64; 2]>, Error> {
        if self.known != 0 && self.at == x {
            return Ok(None);
        }
        let loss = Report::new(objective.grad(x, &mut self.spare)?)?.loss.f64();
        self.params.check_gradient(&self.spare)?;
        swap(&mut self.gradient, &mut self.spare);
        let before = [self.loss, self.least];
        [self.loss, self.least] = [loss; 2];
        Ok(Some(before))
    }

    /// Moves `x`, or not; tells whether, and what it fell back to.
    fn advance<O: Objective<F> + ?Sized>(
        &mut self,
        objective: &mut O,
        x: &mut [F],
    ) -> Result<(bool, Option<Fallback>), Error> {
        let size = norm(&self.gradient);
        let standstill = square_is_zero(size, dot(&self.gradient, &self.gradient))?;
        if standstill.is_some() || self.hyper.lr == 0.0 {
            self.stay(x);
            return Ok((false, standstill));
        }
        let mut met = Met::default();
        let remembers = self.memory.used() > 0;
        negate(&mut self.direction, &self.gradient);
        let mut found = Outcome::Nothing;
        if remembers {
            self.memory.multiply(&mut self.direction);
            found = self.search(objective, x, self.hyper.lr, &mut met)?;
        }
        let dropped = remembers && found == Outcome::Nothing;
        if found == Outcome::Nothing {
            negate(&mut self.direction, &self.gradient);
            let mut lengths = [norm(x), 2.0 * self.loss.abs() / size];
            lengths.sort_by(f64::total_cmp);
            let first = self.hyper.lr * (length(lengths) / size);
            found = self.search(objective, x, first, &mut met)?;
            if let Some(error) = met.error.take_if(|_| !met.finite) {
                return Err(error);
            }
            self.memory.clear();
        }
        let Some(trial) = found.trial() else {
            self.stay(x);
            return Ok((false, Some(Fallback::NoLowerLoss)));
        };
        let fallback = if dropped {
            Some(Fallback::SteepestDescent)
        } else if met.error.is_some() {
            Some(Fallback::Trial)
        } else {
            (trial.value >= self.loss).then_some(Fallback::Rounding)
        };
        self.accept(x, trial);
        Ok((true, fallback))
    }

    /// A step along the direction; leaves its point and gradient in the trial's buffers.
    fn search<O: Objective<F> + ?Sized>(
        &mut self,
        objective: &mut O,
        x: &[F],
        first: f64,
        met: &mut Met,
    ) -> Result<Outcome, Error> {
        let slope = dot(&self.gradient, &self.direction);
        // What it has risen by is spent.
        let noise = NOISE * F::epsilon().f64() * self.least.abs() + self.least - self.loss;
        let drowns = -0.5 * first * slope <= noise;
        let wolfe = Wolfe {
            c1: self.hyper.c1,
            c2: self.hyper.c2,
            max_evaluations: size(self.hyper.max_evaluations),
            noise: if drowns { noise } else { 0.0 },
            ..Wolfe::default()
        };
        wolfe.search(self.loss, slope, first, |step| {
            self.trial.copy_from_slice(x);
            add(&mut self.trial, step, &self.direction);
            let (mut loss, mut fault) = (F::nan(), check_range(&self.params, &self.trial));
            if fault.is_ok() {
                loss = objective.grad(&self.trial, &mut self.trial_gradient)?;
                let gradient = &self.trial_gradient;
                fault = Report::new(loss).and_then(|_| self.params.check_gradient(gradient));
            }
            if let Err(error) = fault {
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
        let (s, y) = (&mut self.direction, &mut self.gradient);
        each_parallel(x, &self.trial, [s], |x, new, [_]| (new, [new - x]));
        each_parallel(y, &self.trial_gradient, [], |old, new, []| (new - old, []));
        (self.memory).remember(&mut self.direction, &mut self.gradient, self.hyper.eps);
        swap(&mut self.gradient, &mut self.trial_gradient);
        self.loss = trial.value;
        self.least = self.least.min(trial.value);
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
        match self.advance(objective, x) {
            Ok((moves, fallback)) => {
                (report.moves, report.fallback) = (moves, fallback);
                if moves || self.hyper.lr == 0.0 {
                    objective.accept();
                }
                Ok(report)
            }
            Err(error) => {
                if let Some(before) = replaced {
                    swap(&mut self.gradient, &mut self.spare);
                    [self.loss, self.least] = before;
                }
                Err(error)
            }
        }
    }
}

impl<F: Scalar> Tune for LbfgsMethod<F> {
    fn list(&self) -> Vec<Field> {
        list_hyper(&*self.hyper)
    }

    fn change(&mut self, name: &str, change: &Change) -> Result<(), Error> {
        let mut hyper = self.hyper.clone();
        hyper.change::<F>(name, change)?;
        self.memory.resize(size(hyper.memory), self.params.len())?;
        self.hyper = hyper;
        Ok(())
    }
}

/// A count as a size: what does not fit is refused by whatever allocates it.
fn size(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

impl<F: Scalar> State<F> for LbfgsMethod<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        self.memory.visit(&self.params, visitor);
        visitor.count("known", &mut self.known);
        visitor.number("loss", &mut self.loss);
        visitor.number("least", &mut self.least);
        self.params.visit("at", &mut self.at, visitor);
        self.params.visit("gradient", &mut self.gradient, visitor);
    }
}

impl<F: Scalar> fmt::Debug for LbfgsMethod<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LbfgsMethod")
            .field("hyper", &self.hyper)
            .field("pairs", &self.memory.used())
            .field("loss", &(self.known != 0).then_some(self.loss))
            .finish_non_exhaustive()
    }
}
