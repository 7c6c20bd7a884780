use opt_core::Error;

use crate::interval::Interval;
use crate::trial::Trial;

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
/// φ(α) − φ(0) drowns in rounding near a minimum, where φ′ does not: a value is known to ε|φ|, the
/// minimum of φ is lost to √ε, and that of φ′ = 0 only to ε. So where φ(α) is within `noise` of φ(0),
/// the slopes tell how much φ has changed:
///
/// ```text
/// φ(α) − φ(0) ≈ ½α(φ′(0) + φ′(α))
/// ```
///
/// The first condition then reads φ′(α) ≤ (2c1 − 1)φ′(0), and both are the approximate Wolfe
/// conditions of W. W. Hager and H. Zhang, A new conjugate gradient method with guaranteed descent and
/// an efficient line search, 2005.
///
/// Nothing here has units: φ or α in others give the same steps, in those.
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
    /// The longest step; none by default. Where φ falls that far, its step is the outcome.
    pub max_step: f64,
    /// Width of the interval, relative to its upper end, at which the search stops; 1e-10 by
    /// default.
    pub tolerance: f64,
    /// Evaluations before it gives up, not counting the one that returns to the best; 20 by
    /// default.
    pub max_evaluations: usize,
    /// How far rounding may take φ(α) from what it is, in units of φ; 0 by default.
    pub noise: f64,
}

impl Default for Wolfe {
    fn default() -> Self {
        Self {
            c1: 1e-4,
            c2: 0.9,
            min_step: 0.0,
            max_step: f64::INFINITY,
            tolerance: 1e-10,
            max_evaluations: 20,
            noise: 0.0,
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
        if !(Trial::new(0.0, (value, slope)).descends() && step > 0.0) {
            return Ok(Outcome::Nothing);
        }
        let tilt = self.c1 * slope;
        // All but the result is in φ(α) − φ(0): beside φ(0), small differences would round away.
        let start = Trial::new(0.0, (0.0, slope));
        let low = |t: Trial| t.is_finite() && t.value <= t.step * tilt;
        let mut step = self.bounded(step);
        let mut interval = Interval::new(start, step, self.max_step - self.min_step);
        let mut last = start;
        let mut try_step = |step: f64| {
            let trial = Trial::new(step, phi(step)?);
            Ok::<_, Error>((trial, self.rise(trial, value, slope)))
        };
        let mut found = start;
        for _ in 0..self.max_evaluations {
            (found, last) = try_step(step)?;
            if low(last) && last.slope.abs() <= -self.c2 * slope {
                return Ok(Outcome::Wolfe(found));
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
        if best.value < 0.0 && !(low(last) && last.value <= best.value) {
            (found, last) = try_step(best.step)?;
        }
        Ok(if low(last) && last.value < 0.0 {
            Outcome::Decrease(found)
        } else {
            Outcome::Nothing
        })
    }

    /// The trial with φ(α) − φ(0) as its value: by the slopes, where values can't tell.
    fn rise(&self, trial: Trial, value: f64, slope: f64) -> Trial {
        let mut rise = trial.value - value;
        if self.noise > 0.0 && rise.abs() <= self.noise {
            rise = 0.5 * trial.step * (slope + trial.slope);
        }
        Trial {
            value: rise,
            ..trial
        }
    }

    fn bounded(&self, step: f64) -> f64 {
        step.max(self.min_step).min(self.max_step)
    }
}
