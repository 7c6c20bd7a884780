//! Schedules: how a hyper-parameter changes with the number of updates.

use std::f64::consts::FRAC_PI_2;

use crate::error::Error;

/// A value as a function of the number `t` of updates already made (0 before the first).
///
/// It serves for any hyper-parameter, in two ways: as the value itself, in the units of what it
/// sets; or as a factor without units that peaks at 1 and multiplies what is configured, so that
/// groups keep their ratios.
///
/// ```
/// use opt_core::Schedule;
///
/// let lr = Schedule::WarmupCosine { from: 0.0, peak: 0.1, to: 0.0, warmup: 100, steps: 1000 };
/// assert_eq!([0, 50, 100, 1000, 9999].map(|t| lr.at(t)), [0.0, 0.05, 0.1, 0.0, 0.0]);
/// assert!((lr.at(550) - 0.05).abs() < 1e-16);
/// // each update:  optimizer.adjust(|rule| rule.lr = lr.at(t))?;
///
/// let warm = Schedule::Linear { from: 0.0, to: 1.0, steps: 100 };
/// let slower = Schedule::InverseSqrt { from: 1.0 };
/// let factor = Schedule::join([(0, warm), (100, slower)])?;
/// assert_eq!(factor.at(103), 0.5);
/// # Ok::<(), opt_core::Error>(())
/// ```
///
/// # Range
/// Of a schedule that passes [`check`](Self::check), every value is finite and between the least
/// and the largest of its numbers `from`, `peak`, `to` (and 0 for what decays without end), for
/// every `t`; the ends are exact. A growth without end stops at [`f64::MAX`]. Without `check`,
/// numbers that are not finite give values that are not, which every method refuses.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Schedule {
    /// Always the same.
    Constant(f64),
    /// from/√(t+1): Adam's convergence theorem and the paper's logistic regression.
    InverseSqrt {
        /// Value at t = 0.
        from: f64,
    },
    /// from/(1 + |from|·λ·t) (Bottou 2012, "Stochastic Gradient Descent Tricks"), where λ is the
    /// objective's coefficient of λ/2·‖θ‖².
    ///
    /// As a factor of a rate α, it is `from: 1.0` and `lambda: α·λ`.
    InverseTime {
        /// Value at t = 0.
        from: f64,
        /// λ, in units of 1/from; at least 0.
        lambda: f64,
    },
    /// from·factor^⌊t/every⌋.
    Step {
        /// Value at t = 0.
        from: f64,
        /// Multiplies the value at each stair; at least 0.
        factor: f64,
        /// Updates between stairs; 0 counts as 1.
        every: u64,
    },
    /// from·factorᵗ.
    Exponential {
        /// Value at t = 0.
        from: f64,
        /// Multiplies the value at each update; at least 0.
        factor: f64,
    },
    /// A line from `from` to `to` over `steps` updates, then `to`: warm-up, or linear decay.
    Linear {
        /// Value at t = 0.
        from: f64,
        /// Value from t = `steps` on.
        to: f64,
        /// Length.
        steps: u64,
    },
    /// Half a cosine from `from` to `to` over `steps` updates, then `to` (Loshchilov & Hutter
    /// 2017, without restarts): to + (from − to)·(1 + cos(π·t/steps))/2.
    Cosine {
        /// Value at t = 0.
        from: f64,
        /// Value from t = `steps` on.
        to: f64,
        /// Length.
        steps: u64,
    },
    /// A line from `from` to `peak`, then half a cosine from `peak` to `to`, then `to`.
    WarmupCosine {
        /// Value at t = 0.
        from: f64,
        /// Value at t = `warmup`.
        peak: f64,
        /// Value from t = `steps` on.
        to: f64,
        /// Length of the line.
        warmup: u64,
        /// Length of both; should be above `warmup`.
        steps: u64,
    },
    /// Half a cosine from `from` towards `to` over `steps` updates, again and again, each `growth`
    /// times as long as the last (SGDR: Loshchilov & Hutter 2017, "SGDR: Stochastic Gradient
    /// Descent with Warm Restarts"). A restart comes where `to` would be reached.
    CosineRestarts {
        /// Value at t = 0 and at each restart.
        from: f64,
        /// What each cosine falls to.
        to: f64,
        /// Length of the first, T₀; 0 counts as 1.
        steps: u64,
        /// T_mult; 0 counts as 1.
        growth: u64,
    },
    /// Half a cosine up and one down, in one cycle over the whole run (Smith & Topin 2018,
    /// "Super-Convergence"; as PyTorch's `OneCycleLR`, whose defaults are from = peak/25,
    /// to = from/10⁴, rise = 0.3·steps).
    ///
    /// Momentum cycles the other way round: from 0.95 by 0.85 to 0.95.
    OneCycle {
        /// Value at t = 0.
        from: f64,
        /// Value at t = `rise`.
        peak: f64,
        /// Value from t = `steps` on.
        to: f64,
        /// Length of the way to the peak.
        rise: u64,
        /// Length of both; should be above `rise`.
        steps: u64,
    },
    /// Sutskever, Martens, Dahl & Hinton (2013), for momentum:
    /// min(1 − 2^(−1−log₂(⌊t/250⌋+1)), max).
    Momentum {
        /// The limit: 0.9, 0.99, 0.995 or 0.999 in the paper.
        max: f64,
    },
    /// Pieces one after another, as [`Schedule::join`] makes it.
    Join(Pieces),
}

/// The pieces of a [`Schedule::Join`]: at least one, each beginning after the one before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Pieces(Vec<(u64, Schedule)>);

impl Schedule {
    /// Pieces, each from the update it is paired with until the next begins, and each counting from
    /// its own beginning. Before the first begins, it is the first at its beginning.
    ///
    /// # Errors
    /// [`Error::Schedule`] without a piece, for a piece that does not begin after the one before
    /// it, and for what [`check`](Self::check) refuses in a piece.
    pub fn join(pieces: impl IntoIterator<Item = (u64, Self)>) -> Result<Self, Error> {
        let pieces: Vec<_> = pieces.into_iter().collect();
        if pieces.is_empty() {
            return Err(Error::Schedule("no pieces: give at least one".into()));
        }
        if let Some(pair) = pieces.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            let (first, second) = (pair[0].0, pair[1].0);
            return Err(Error::Schedule(format!(
                "a piece that begins at {second} follows one that begins at {first}: sort them"
            )));
        }
        pieces.iter().try_for_each(|(_, piece)| piece.check())?;
        Ok(Self::Join(Pieces(pieces)))
    }

    /// Refuses numbers that are not finite, and factors and λ below 0.
    ///
    /// # Errors
    /// [`Error::Schedule`] that names the number.
    pub fn check(&self) -> Result<(), Error> {
        for (name, value, least) in self.numbers() {
            if !(value.is_finite() && value >= least) {
                let bound = if least < 0.0 { "" } else { " and at least 0" };
                let text = format!("{name} = {value}: must be finite{bound}");
                return Err(Error::Schedule(text));
            }
        }
        Ok(())
    }

    /// Each number with its name and the least that it may be.
    fn numbers(&self) -> [(&'static str, f64, f64); 3] {
        let any = |name, value| (name, value, f64::MIN);
        let factor = |name, value| (name, value, 0.0);
        let none = any("", 0.0);
        match *self {
            Self::Constant(value) => [any("value", value), none, none],
            Self::InverseSqrt { from } => [any("from", from), none, none],
            Self::InverseTime { from, lambda } => {
                [any("from", from), factor("lambda", lambda), none]
            }
            Self::Step {
                from, factor: by, ..
            }
            | Self::Exponential { from, factor: by } => {
                [any("from", from), factor("factor", by), none]
            }
            Self::Linear { from, to, .. }
            | Self::Cosine { from, to, .. }
            | Self::CosineRestarts { from, to, .. } => [any("from", from), any("to", to), none],
            Self::WarmupCosine { from, peak, to, .. } | Self::OneCycle { from, peak, to, .. } => {
                [any("from", from), any("peak", peak), any("to", to)]
            }
            Self::Momentum { max } => [any("max", max), none, none],
            // Checked when it was made.
            Self::Join(_) => [none; 3],
        }
    }

    /// The value after `t` updates; NaN if [`check`](Self::check) refuses the schedule.
    pub fn at(&self, t: u64) -> f64 {
        if self.check().is_err() {
            return f64::NAN;
        }
        match *self {
            Self::Constant(value) => value,
            Self::InverseSqrt { from } => from / (t as f64 + 1.0).sqrt(),
            // Infinity times 0 would be no number.
            Self::InverseTime { from, lambda } => {
                from / (1.0 + (lambda * t as f64).min(f64::MAX) * from.abs())
            }
            Self::Step {
                from,
                factor,
                every,
            } => stairs(from, factor, t / every.max(1)),
            Self::Exponential { from, factor } => stairs(from, factor, t),
            Self::Linear { from, to, steps } => between(from, to, t, steps, |part| part),
            Self::Cosine { from, to, steps } => half_cosine(from, to, t, steps),
            Self::WarmupCosine {
                from,
                peak,
                to,
                warmup,
                steps,
            } => match t.checked_sub(warmup) {
                None => between(from, peak, t, warmup, |part| part),
                Some(t) => half_cosine(peak, to, t, steps.saturating_sub(warmup)),
            },
            Self::CosineRestarts {
                from,
                to,
                steps,
                growth,
            } => {
                let (t, steps) = cycle(t, steps.max(1), growth.max(1));
                half_cosine(from, to, t, steps)
            }
            Self::OneCycle {
                from,
                peak,
                to,
                rise,
                steps,
            } => match t.checked_sub(rise) {
                None => half_cosine(from, peak, t, rise),
                Some(t) => half_cosine(peak, to, t, steps.saturating_sub(rise)),
            },
            // 2^(−1−log₂ k) = 1/(2k)
            Self::Momentum { max } => (1.0 - 0.5 / ((t / 250) as f64 + 1.0)).min(max),
            Self::Join(Pieces(ref pieces)) => {
                let begun = pieces.partition_point(|&(start, _)| start <= t);
                // `join` has seen that there is one.
                let piece = pieces.get(begun.saturating_sub(1));
                piece.map_or(0.0, |(start, piece)| piece.at(t.saturating_sub(*start)))
            }
        }
    }
}

/// from·factorᵏ, as far as f64 goes.
pub(crate) fn stairs(from: f64, factor: f64, k: u64) -> f64 {
    let value = from * factor.powf(k as f64).min(f64::MAX);
    value.clamp(f64::MIN, f64::MAX)
}

/// The place within the cosine that `t` falls into, and its length.
fn cycle(t: u64, first: u64, growth: u64) -> (u64, u64) {
    if growth == 1 {
        return (t % first, first);
    }
    let (mut t, mut steps) = (t, first);
    while t >= steps {
        t -= steps;
        steps = steps.saturating_mul(growth);
    }
    (t, steps)
}

fn half_cosine(from: f64, to: f64, t: u64, steps: u64) -> f64 {
    // (1 − cos πp)/2 = sin²(πp/2), which keeps its digits where it is small.
    between(from, to, t, steps, |part| (FRAC_PI_2 * part).sin().powi(2))
}

/// From `from` at t = 0 to `to` at t = `steps`, both exactly, monotone and never beyond, along
/// `ease`: [0, 1] → [0, 1], with ease(p) + ease(1 − p) = 1.
fn between(from: f64, to: f64, t: u64, steps: u64, ease: impl Fn(f64) -> f64) -> f64 {
    if t >= steps {
        return to;
    }
    if t == 0 {
        return from;
    }
    let done = ease(t as f64 / steps as f64);
    // Not 1 − done: what is left has all its digits.
    let left = ease((steps - t) as f64 / steps as f64);
    let value = if (from < 0.0) != (to < 0.0) {
        // The difference might overflow.
        from * left + to * done
    } else if from.abs() <= to.abs() {
        from + (to - from) * done
    } else {
        // From the smaller one, so that a decay to next to nothing does not cancel.
        to + (from - to) * left
    };
    value.clamp(from.min(to), from.max(to))
}
