//! Schedules: how a hyper-parameter changes with the number of updates.

/// A value as a function of the number `t` of updates already made (0 before the first).
///
/// It serves for any hyper-parameter:
///
/// ```
/// use opt_core::Schedule;
///
/// let warm = Schedule::Linear { from: 0.0, to: 0.1, steps: 100 };
/// let decay = Schedule::Cosine { from: 0.1, to: 0.0, steps: 900 };
/// let lr = Schedule::Join(vec![(0, warm), (100, decay)]);
/// assert_eq!(lr.at(50), 0.05);
/// assert!((lr.at(550) - 0.05).abs() < 1e-15);
/// // each update:  optimizer.adjust(|rule| rule.lr = lr.at(t))?;
/// ```
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
    /// from·factor^⌊t/every⌋.
    Step {
        /// Value at t = 0.
        from: f64,
        /// Multiplies the value at each stair.
        factor: f64,
        /// Updates between stairs; 0 counts as 1.
        every: u64,
    },
    /// from·factorᵗ.
    Exponential {
        /// Value at t = 0.
        from: f64,
        /// Multiplies the value at each update.
        factor: f64,
    },
    /// Half a cosine from `from` to `to` over `steps` updates, then `to` (Loshchilov & Hutter
    /// 2017, without restarts).
    Cosine {
        /// Value at t = 0.
        from: f64,
        /// Value from t = `steps` on.
        to: f64,
        /// Length.
        steps: u64,
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
    /// Sutskever, Martens, Dahl & Hinton (2013), for momentum:
    /// min(1 − 2^(−1−log₂(⌊t/250⌋+1)), max).
    Momentum {
        /// The limit: 0.9, 0.99, 0.995 or 0.999 in the paper.
        max: f64,
    },
    /// Pieces, each from the update it is paired with until the next begins, and each counting
    /// from its own beginning. Before the first begins, it is the first at its beginning; an
    /// empty list is 0. The pieces must be in order.
    Join(Vec<(u64, Schedule)>),
}

impl Schedule {
    /// The value after `t` updates.
    pub fn at(&self, t: u64) -> f64 {
        match *self {
            Self::Constant(value) => value,
            Self::InverseSqrt { from } => from / (t as f64 + 1.0).sqrt(),
            Self::Step {
                from,
                factor,
                every,
            } => from * factor.powf((t / every.max(1)) as f64),
            Self::Exponential { from, factor } => from * factor.powf(t as f64),
            Self::Cosine { from, to, steps } => {
                let angle = std::f64::consts::PI * progress(t, steps);
                to + (from - to) * 0.5 * (1.0 + angle.cos())
            }
            Self::Linear { from, to, steps } => from + (to - from) * progress(t, steps),
            // 2^(−1−log₂ k) = 1/(2k)
            Self::Momentum { max } => (1.0 - 0.5 / ((t / 250) as f64 + 1.0)).min(max),
            Self::Join(ref pieces) => {
                let begun = pieces.partition_point(|&(start, _)| start <= t);
                let piece = pieces.get(begun.saturating_sub(1));
                piece.map_or(0.0, |(start, piece)| piece.at(t.saturating_sub(*start)))
            }
        }
    }
}

/// How much of `steps` is over, in [0, 1].
fn progress(t: u64, steps: u64) -> f64 {
    if t >= steps {
        1.0
    } else {
        t as f64 / steps as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-15 * b.abs().max(1.0), "{a} is not {b}");
    }

    #[test]
    fn closed_forms() {
        near(Schedule::Constant(0.3).at(99), 0.3);
        near(Schedule::InverseSqrt { from: 0.5 }.at(0), 0.5);
        near(Schedule::InverseSqrt { from: 0.5 }.at(24), 0.1);
        let step = Schedule::Step {
            from: 8.0,
            factor: 0.5,
            every: 10,
        };
        near(step.at(9), 8.0);
        near(step.at(10), 4.0);
        near(step.at(39), 1.0);
        near(
            Schedule::Exponential {
                from: 1.0,
                factor: 0.5,
            }
            .at(3),
            0.125,
        );
        let cosine = Schedule::Cosine {
            from: 1.0,
            to: 0.2,
            steps: 6,
        };
        near(cosine.at(0), 1.0);
        near(cosine.at(2), 0.2 + 0.8 * 0.75); // cos 60° = ½
        near(cosine.at(3), 0.6);
        near(cosine.at(7), 0.2);
        near(
            Schedule::Linear {
                from: 0.0,
                to: 1.0,
                steps: 4,
            }
            .at(1),
            0.25,
        );
        near(
            Schedule::Linear {
                from: 0.0,
                to: 1.0,
                steps: 0,
            }
            .at(0),
            1.0,
        );
    }

    #[test]
    fn sutskevers_momentum() {
        // The printed form, with powers and logarithms.
        let printed = |t: u64, max: f64| {
            let k = (t / 250) as f64 + 1.0;
            (1.0 - 2.0_f64.powf(-1.0 - k.log2())).min(max)
        };
        let schedule = Schedule::Momentum { max: 0.99 };
        for t in [0, 249, 250, 999, 5_000, 12_499, 12_500, 1_000_000] {
            near(schedule.at(t), printed(t, 0.99));
        }
        near(schedule.at(0), 0.5);
        near(schedule.at(250), 0.75);
    }

    #[test]
    fn pieces_count_from_their_own_beginning() {
        let line = Schedule::Linear {
            from: 1.0,
            to: 0.0,
            steps: 10,
        };
        let joined = Schedule::Join(vec![(5, line.clone()), (20, line)]);
        near(joined.at(0), 1.0);
        near(joined.at(5), 1.0);
        near(joined.at(10), 0.5);
        near(joined.at(19), 0.0);
        near(joined.at(20), 1.0);
        near(joined.at(25), 0.5);
        near(Schedule::Join(Vec::new()).at(3), 0.0);
    }
}
