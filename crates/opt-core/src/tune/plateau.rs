//! The schedule that looks at the loss.

use super::schedule::stairs;
use crate::error::Error;
use crate::scalar::Scalar;
use crate::state::visit::{State, Visit};
use crate::tune::value::Bound;

/// Settings of a schedule that lowers a value when the loss no longer falls.
///
/// Each loss that it is shown is better if it is below best − threshold·|best|. After more than
/// `patience` losses in a row that are not, the value is multiplied by `factor`, but not below
/// `least`; then `cooldown` losses are not counted.
///
/// Scaling the loss by a positive number changes nothing.
///
/// Differs from PyTorch's `ReduceLROnPlateau`: best·(1 − threshold) there takes a worse loss for a
/// better one where it is below 0; and no change is too small to be made (`eps` there, which has
/// the units of the value).
///
/// ```
/// use opt_core::Plateau;
///
/// let mut factor = Plateau { patience: 1, factor: 0.5, ..Plateau::default() }.schedule()?;
/// for (loss, value) in [(3.0, 1.0), (2.0, 1.0), (2.0, 1.0), (2.0, 0.5), (1.9, 0.5)] {
///     assert_eq!(factor.observe(loss)?, value);
/// }
/// # Ok::<(), opt_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Plateau {
    /// The value at first, in the units of what it sets; 1 for a factor. Above 0.
    pub from: f64,
    /// Multiplies the value; in (0, 1].
    pub factor: f64,
    /// Losses without progress that are borne.
    pub patience: u64,
    /// The part of the best loss that counts as progress; in [0, 1).
    pub threshold: f64,
    /// Losses after a reduction that are not counted.
    pub cooldown: u64,
    /// The value is never below; from 0 to `from`.
    pub least: f64,
}

impl Default for Plateau {
    /// PyTorch's, as a factor.
    fn default() -> Self {
        Self {
            from: 1.0,
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            cooldown: 0,
            least: 0.0,
        }
    }
}

impl Plateau {
    /// The schedule at its start.
    ///
    /// # Errors
    /// [`Error::Hyper`] with the first field that is out of range; [`Error::HyperConflict`] if
    /// `least` is above `from`.
    pub fn schedule(self) -> Result<PlateauSchedule, Error> {
        let fields = [
            ("from", self.from, Bound::Positive),
            ("factor", self.factor, Bound::Shrink),
            ("threshold", self.threshold, Bound::Unit),
            ("least", self.least, Bound::NonNegative),
        ];
        for (name, value, bound) in fields {
            Error::bounded(name, value, bound)?;
        }
        if self.least > self.from {
            let text = format!(
                "least = {}: must not be above from = {}",
                self.least, self.from
            );
            return Err(Error::HyperConflict(text));
        }
        Ok(PlateauSchedule {
            settings: self,
            best: f64::INFINITY,
            bad: 0,
            resting: 0,
            reductions: 0,
        })
    }
}

/// A [`Plateau`] that runs. Its [`State`] is all but the settings.
#[derive(Clone, Debug, PartialEq)]
pub struct PlateauSchedule {
    settings: Plateau,
    /// Infinite before the first loss.
    best: f64,
    bad: u64,
    resting: u64,
    reductions: u64,
}

impl PlateauSchedule {
    /// Takes a loss into account, such as an epoch's on held-out data, and returns the value from
    /// now on.
    ///
    /// # Errors
    /// [`Error::NonFiniteLoss`]; then nothing has changed.
    pub fn observe(&mut self, loss: f64) -> Result<f64, Error> {
        if !loss.is_finite() {
            return Err(Error::NonFiniteLoss(loss));
        }
        // Infinity minus infinity would be no number.
        let first = self.best == f64::INFINITY;
        if first || loss < self.best - self.settings.threshold * self.best.abs() {
            self.best = loss;
            self.bad = 0;
        } else {
            self.bad = self.bad.saturating_add(1);
        }
        if self.resting > 0 {
            self.resting -= 1;
            self.bad = 0;
        }
        if self.bad > self.settings.patience {
            self.bad = 0;
            self.resting = self.settings.cooldown;
            self.reductions = self.reductions.saturating_add(1);
        }
        Ok(self.value())
    }

    /// The value now: max(from·factorᵏ, least) after k reductions.
    pub fn value(&self) -> f64 {
        let Plateau {
            from,
            factor,
            least,
            ..
        } = self.settings;
        stairs(from, factor, self.reductions).max(least)
    }

    /// The best loss so far.
    pub fn best(&self) -> Option<f64> {
        Some(self.best).filter(|best| best.is_finite())
    }
}

impl<F: Scalar> State<F> for PlateauSchedule {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.number("best", &mut self.best);
        visitor.count("bad", &mut self.bad);
        visitor.count("resting", &mut self.resting);
        visitor.count("reductions", &mut self.reductions);
    }
}
