//! How far to go along a direction p, where f falls: φ(α) = f(θ + αp), whose slope is φ′(α) = pᵀf′.
//!
//! Everything here is in double precision. Where f is computed in `f32`, its values have a rounding
//! of some 6e-8·|f|, and a decrease below that cannot be seen: close to a minimum a search then
//! finds nothing, though there is a lower point, and has spent all its evaluations. That is the end
//! of what `f32` can tell, and no fault of the direction. (In `f64` the same comes at 1e-16·|f|.)

use opt_core::Error;

use crate::interval::Interval;

/// Backtracking until the loss is low enough (Armijo 1966).
///
/// ```text
/// c ← step, factor·step, factor²·step, …  until  φ(c) ≤ φ(0) + c1·c·φ′(0)
/// ```
///
/// For directions that have a length of their own, as Newton's: it never lengthens the step, and
/// needs no gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Armijo {
    /// Share of the linear decrease that is asked for, in [0, 1); 1e-4 by default.
    pub c1: f64,
    /// What a refused step is multiplied by, in (0, 1); ½ by default.
    pub factor: f64,
    /// Evaluations before it gives up; 20 by default, and so down to 2e-6 of the first step.
    pub max_evaluations: usize,
}

impl Default for Armijo {
    fn default() -> Self {
        Self {
            c1: 1e-4,
            factor: 0.5,
            max_evaluations: 20,
        }
    }
}

impl Armijo {
    /// The first step, from `step` downwards, that is low enough, and φ there. `value` and `slope`
    /// are φ(0) and φ′(0).
    ///
    /// A φ(c) that is not finite counts as too high. `None` if no step was low enough; also,
    /// without an evaluation, unless `value` is finite, `slope` finite and below 0, and `step`
    /// above 0. The last evaluation is that of the step returned.
    ///
    /// ```
    /// use opt_secondorder::Armijo;
    ///
    /// let bowl = |c: f64| Ok((c - 1.0).powi(2));
    /// assert_eq!(Armijo::default().search(1.0, -2.0, 6.0, bowl)?, Some((1.5, 0.25)));
    /// # Ok::<(), opt_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of `phi`.
    pub fn search(
        &self,
        value: f64,
        slope: f64,
        step: f64,
        mut phi: impl FnMut(f64) -> Result<f64, Error>,
    ) -> Result<Option<(f64, f64)>, Error> {
        let start = Trial::new(0.0, (value, slope));
        let mut c = step;
        for _ in 0..self.max_evaluations {
            if !(start.descends() && c > 0.0) {
                break;
            }
            let trial = phi(c)?;
            if trial.is_finite() && trial <= value + self.c1 * c * slope {
                return Ok(Some((c, trial)));
            }
            c *= self.factor;
        }
        Ok(None)
    }
}

/// A step α with φ(α) and φ′(α).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trial {
    /// α.
    pub step: f64,
    /// φ(α).
    pub value: f64,
    /// φ′(α).
    pub slope: f64,
}

impl Trial {
    fn new(step: f64, (value, slope): (f64, f64)) -> Self {
        Self { step, value, slope }
    }

    pub(crate) fn is_finite(self) -> bool {
        self.value.is_finite() && self.slope.is_finite()
    }

    /// Whether there is something to search from here.
    fn descends(self) -> bool {
        self.is_finite() && self.slope < 0.0
    }

    /// The same of φ(α) − tilt·α.
    pub(crate) fn tilted(self, tilt: f64) -> Self {
        Self {
            step: self.step,
            value: self.value - tilt * self.step,
            slope: self.slope - tilt,
        }
    }

    /// Half-way to another step.
    pub(crate) fn middle(self, step: f64) -> f64 {
        self.step + 0.5 * (step - self.step)
    }
}

/// What [`Wolfe::search`] has found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// A step that satisfies both conditions.
    Wolfe(Trial),
    /// A step that satisfies the first condition alone, with φ truly below φ(0): the lowest that
    /// was tried.
    Decrease(Trial),
    /// None of these.
    Nothing,
}

impl Outcome {
    /// The step that was found, however good.
    pub fn trial(self) -> Option<Trial> {
        match self {
            Self::Wolfe(trial) | Self::Decrease(trial) => Some(trial),
            Self::Nothing => None,
        }
    }
}

/// A step by the strong Wolfe conditions (J. J. Moré and D. J. Thuente, Line search algorithms with
/// guaranteed sufficient decrease, 1994), in the form of MINPACK-2.
///
/// ```text
/// φ(α) ≤ φ(0) + c1·α·φ′(0)        |φ′(α)| ≤ c2·|φ′(0)|
/// ```
///
/// The interval between two trials shrinks about a minimum of φ(α) − c1·α·φ′(0), then of φ, by
/// cubic and quadratic interpolation; until there are two such trials, the step grows up to
/// fivefold at a time. c1 < c2 makes sure that such a step exists if φ is smooth and bounded below.
///
/// Differs from the paper where φ or φ′ is not finite: such a trial halves the way from the best
/// step so far, and no later trial goes as far, if it lay beyond the best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wolfe {
    /// c1, in (0, c2); 1e-4 by default.
    pub c1: f64,
    /// c2, in (c1, 1); 0.9 by default, which suits quasi-Newton directions. Towards 0 the search
    /// becomes exact.
    pub c2: f64,
    /// The shortest step; 0 by default.
    pub min_step: f64,
    /// The longest step; 1e20 by default. Where φ falls that far, its step is the outcome.
    pub max_step: f64,
    /// Width of the interval, relative to its upper end, at which the search stops; 1e-10 by
    /// default.
    pub tolerance: f64,
    /// Evaluations before it gives up, not counting the one that returns to the best; 20 by
    /// default.
    pub max_evaluations: usize,
}

impl Default for Wolfe {
    fn default() -> Self {
        Self {
            c1: 1e-4,
            c2: 0.9,
            min_step: 0.0,
            max_step: 1e20,
            tolerance: 1e-10,
            max_evaluations: 20,
        }
    }
}

impl Wolfe {
    /// Searches from the trial `step`, which is moved into the bounds. `value` and `slope` are φ(0)
    /// and φ′(0); `phi` returns (φ(α), φ′(α)).
    ///
    /// The last evaluation is that of the step returned, so that whatever `phi` left behind, such
    /// as a gradient, belongs to it.
    ///
    /// [`Outcome::Decrease`] if rounding, the bounds, values that are not finite, or the number of
    /// evaluations end the search early; [`Outcome::Nothing`] if it then has no step that is low
    /// enough; also, without an evaluation, unless `value` is finite, `slope` finite and below 0,
    /// and `step` above 0.
    ///
    /// # Errors
    /// Those of `phi`.
    pub fn search(
        &self,
        value: f64,
        slope: f64,
        step: f64,
        mut phi: impl FnMut(f64) -> Result<(f64, f64), Error>,
    ) -> Result<Outcome, Error> {
        let start = Trial::new(0.0, (value, slope));
        if !(start.descends() && step > 0.0) {
            return Ok(Outcome::Nothing);
        }
        let tilt = self.c1 * slope;
        let low = |t: Trial| t.is_finite() && t.value <= value + t.step * tilt;
        let mut step = self.bounded(step);
        let mut interval = Interval::new(start, step, self.max_step - self.min_step);
        let mut last = start;
        for _ in 0..self.max_evaluations {
            last = Trial::new(step, phi(step)?);
            if low(last) && last.slope.abs() <= -self.c2 * slope {
                return Ok(Outcome::Wolfe(last));
            }
            step = if last.is_finite() {
                let too_short = step == self.min_step && !(low(last) && last.slope < tilt);
                if too_short || step == self.max_step && low(last) && last.slope <= tilt {
                    break;
                }
                interval.narrow(last, low(last), tilt)
            } else {
                interval.shorten(step)
            };
            step = self.bounded(step);
            if interval.is_exhausted(step, self.tolerance) {
                break;
            }
        }
        let best = interval.best;
        if best.value < value && !(low(last) && last.value <= best.value) {
            last = Trial::new(best.step, phi(best.step)?);
        }
        Ok(if low(last) && last.value < value {
            Outcome::Decrease(last)
        } else {
            Outcome::Nothing
        })
    }

    fn bounded(&self, step: f64) -> f64 {
        step.max(self.min_step).min(self.max_step)
    }
}
