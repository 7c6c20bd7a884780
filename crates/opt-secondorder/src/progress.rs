//! The numbers of scaled conjugate gradients: damping, and what a step is worth.

use opt_core::{Fallback, Visit};

/// λ stays in this range, times the first curvature: below, it is nothing beside any that a
/// difference of gradients resolves; above, no step is left.
const LAMBDA: (f64, f64) = (1e-20, 1e100);

/// How many units in the last place of the loss its rounding may amount to.
const NOISE: f64 = 10.0;

/// What an iteration leaves to the next, but for vectors. A step works on a copy, so that an error
/// changes nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// k − 1: iterations since the start.
    pub(crate) k: u64,
    /// 1 if the last one failed; then all below belongs to the x whose fingerprint is `at`.
    pub(crate) failed: u64,
    pub(crate) at: u64,
    /// E(x).
    pub(crate) loss: f64,
    /// The least E since the start.
    least: f64,
    /// X.
    pub(crate) reach: f64,
    /// The curvature that λ is relative to.
    pub(crate) unit: f64,
    pub(crate) lambda: f64,
    lambda_bar: f64,
    pub(crate) delta: f64,
    pub(crate) mu: f64,
    /// |p|².
    pub(crate) pp: f64,
}

impl Progress {
    pub(crate) fn start() -> Self {
        Self {
            k: 0,
            failed: 0,
            at: 0,
            loss: 0.0,
            least: f64::MAX,
            reach: 0.0,
            unit: 0.0,
            lambda: 0.0,
            lambda_bar: 0.0,
            delta: 0.0,
            mu: 0.0,
            pp: 0.0,
        }
    }

    /// λ within its limits.
    pub(crate) fn clamped(&self, lambda: f64) -> f64 {
        let [least, most] = [LAMBDA.0, LAMBDA.1].map(|limit| (limit * self.unit).min(f64::MAX));
        lambda.max(least).min(most)
    }

    /// What is rounding of E.
    fn noise(&self, epsilon: f64) -> f64 {
        NOISE * epsilon * self.loss.abs()
    }

    /// E at a new x. Where that is above what a step could have led to, somebody else moved x.
    pub(crate) fn arrive(&mut self, loss: f64, epsilon: f64) {
        self.loss = loss;
        if self.least > loss || self.least + self.noise(epsilon) < loss {
            self.least = loss;
        }
    }

    /// Scales δ, makes it positive, and gives α.
    pub(crate) fn scale(&mut self) -> f64 {
        self.delta += (self.lambda - self.lambda_bar) * self.pp;
        if self.delta <= 0.0 {
            self.lambda_bar = self.clamped(2.0 * (self.lambda - self.delta / self.pp));
            self.delta = self.lambda * self.pp - self.delta;
            self.lambda = self.lambda_bar;
        }
        self.mu / self.delta
    }

    /// Whether the step α is taken, by the loss there, and what is to be said of it.
    pub(crate) fn judge(
        &mut self,
        alpha: f64,
        loss: f64,
        epsilon: f64,
    ) -> (bool, Option<Fallback>) {
        let (decrease, predicted) = (self.loss - loss, 0.5 * self.mu * alpha);
        let noise = self.noise(epsilon);
        let drowned = loss.is_finite() && predicted <= noise && loss <= self.least + noise;
        let ratio = if !loss.is_finite() {
            -2.0
        } else if drowned {
            1.0
        } else {
            decrease / predicted
        };
        let success = ratio >= 0.0;
        if !success && self.lambda >= self.clamped(f64::MAX) {
            return self.vanish();
        }
        self.k = self.k.saturating_add(1);
        self.failed = u64::from(!success);
        self.lambda_bar = if success { 0.0 } else { self.lambda };
        if ratio >= 0.75 {
            self.lambda = self.clamped(0.25 * self.lambda);
        } else if ratio < 0.25 {
            self.lambda = self.clamped(self.lambda + self.delta * (1.0 - ratio) / self.pp);
        }
        let fallback = if drowned && decrease <= 0.0 {
            Some(Fallback::Rounding)
        } else {
            (!loss.is_finite()).then_some(Fallback::Trial)
        };
        (success, fallback)
    }

    /// There is no shorter step along p: it starts again along −E′, where that is the end.
    pub(crate) fn vanish(&mut self) -> (bool, Option<Fallback>) {
        if self.mu != self.pp {
            // p is not r, or the two products would be one.
            let Self { least, reach, .. } = *self;
            *self = Self {
                least,
                reach,
                ..Self::start()
            };
            return (false, Some(Fallback::Restarted));
        }
        self.failed = 1;
        self.lambda_bar = self.lambda;
        (false, Some(Fallback::NoLowerLoss))
    }

    pub(crate) fn visit<F>(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.count("k", &mut self.k);
        visitor.count("failed", &mut self.failed);
        visitor.count("at", &mut self.at);
        visitor.number("loss", &mut self.loss);
        visitor.number("least", &mut self.least);
        visitor.number("reach", &mut self.reach);
        visitor.number("unit", &mut self.unit);
        visitor.number("lambda", &mut self.lambda);
        visitor.number("lambda_bar", &mut self.lambda_bar);
        visitor.number("delta", &mut self.delta);
        visitor.number("mu", &mut self.mu);
        visitor.number("pp", &mut self.pp);
    }
}
