use opt_core::Error;

use crate::trial::Trial;

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
