use opt_core::{
    Bound, Fallback, FieldVisitor, Hyper, Method, Objective, ParamMap, Report, Scalar, State,
    Visit, all_finite, dot, each_parallel,
};

use crate::Error;

/// λ stays in this range: below, it is nothing beside any curvature that a difference of gradients
/// resolves; above, no step is left.
const LAMBDA: (f64, f64) = (1e-20, 1e100);

/// A gradient of a lesser squared norm counts as zero, so that no quotient underflows.
const ZERO: f64 = 1e-200;

/// Scaled conjugate gradients (Møller, A scaled conjugate gradient algorithm for fast supervised
/// learning, Neural Networks 6, 1993).
///
/// Conjugate directions p with the step of a quadratic model, μ/δ, instead of a line search. Where
/// the model is wrong, λ is added to its curvature, as Levenberg and Marquardt do.
///
/// ```text
/// start        r = p = −E′(x), λ = λ₁, λ̄ = 0, k = 1
/// curvature    after a success: σₖ = σ/|p|, δ = pᵀ(E′(x + σₖp) − E′(x))/σₖ
/// scaling      δ ← δ + (λ − λ̄)|p|²
///              if δ ≤ 0: λ̄ ← 2(λ − δ/|p|²), δ ← λ|p|² − δ, λ ← λ̄
/// step         μ = pᵀr, α = μ/δ, Δ = 2δ(E(x) − E(x + αp))/μ²
/// success      if Δ ≥ 0: x ← x + αp, r′ = −E′(x), λ̄ ← 0, if Δ ≥ ¾: λ ← λ/4
///              if k mod N = 0: p ← r′, else p ← r′ + ((|r′|² − r′ᵀr)/μ)p
/// failure      if Δ < 0: x stays, λ̄ ← λ
/// damping      if Δ < ¼: λ ← λ + δ(1 − Δ)/|p|²
/// k ← k + 1
/// ```
///
/// N is the number of parameters, and k counts failures too. Needs [`Objective`], evaluated elsewhere than at x: a step is one
/// iteration, and costs two gradients and a value, or a value alone after a failure. It reads like
/// a line search that is spread over steps, so the objective must stay the same: load the full data,
/// and call [`ScgMethod::restart`] after a change. Beside x there are six vectors of its length.
///
/// Differs from the paper in its guards:
/// - Near the minimum E(x) − E(x + αp) is all rounding. Where both the predicted decrease μ²/(2δ)
///   and what the loss has risen are at most 10ε·max(1, |E|), ε being that of `F`, Δ counts as 1. In
///   `f32` that ends all comparison of losses at a relative 1e-6: take `f64` to go further.
/// - A direction with μ ≤ 0 does not descend: p ← r.
/// - λ stays in [1e-20, 1e100]. A failure at the upper end restarts the method; along −E′ it is
///   final, and the report says that no step lowers the loss.
/// - Where E(x + αp) is not finite, the step has failed, and a quarter of it comes next (Δ = −2).
#[derive(Clone, Debug, PartialEq)]
pub struct Scg {
    /// σ, the length of the step that the curvature is measured over, in units of x; the paper has
    /// at most 1e-4. Rounding of E′ is divided by it, and a step that rounding of x swallows finds
    /// no curvature: in `f32`, with many parameters, it should be greater.
    pub sigma: f64,
    /// λ₁, the damping at the start, in units of E″; the paper has at most 1e-6.
    pub lambda: f64,
}

impl Default for Scg {
    fn default() -> Self {
        Self {
            sigma: 1e-4,
            lambda: 1e-6,
        }
    }
}

impl Hyper for Scg {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit("sigma", &mut self.sigma, Bound::Positive);
        visit("lambda", &mut self.lambda, Bound::Positive);
    }
}

/// What an iteration leaves to the next, but for vectors. A step works on a copy, so that an error
/// changes nothing.
#[derive(Clone, Copy, Debug)]
struct Progress {
    /// k − 1: iterations since the start.
    k: u64,
    /// 1 if the last one failed; then all below belongs to the x whose fingerprint is `at`.
    failed: u64,
    at: u64,
    /// E(x).
    loss: f64,
    lambda: f64,
    lambda_bar: f64,
    delta: f64,
    mu: f64,
    /// |p|².
    pp: f64,
}

impl Progress {
    fn start(hyper: &Scg) -> Self {
        Self {
            k: 0,
            failed: 0,
            at: 0,
            loss: 0.0,
            lambda: hyper.lambda.clamp(LAMBDA.0, LAMBDA.1),
            lambda_bar: 0.0,
            delta: 0.0,
            mu: 0.0,
            pp: 0.0,
        }
    }

    /// Scales δ, makes it positive, and gives α.
    fn scale(&mut self) -> f64 {
        self.delta += (self.lambda - self.lambda_bar) * self.pp;
        if self.delta <= 0.0 {
            self.lambda_bar = (2.0 * (self.lambda - self.delta / self.pp)).min(LAMBDA.1);
            self.delta = self.lambda * self.pp - self.delta;
            self.lambda = self.lambda_bar;
        }
        self.mu / self.delta
    }

    /// Whether the step α is taken, by the loss there, and what is to be said of it.
    fn judge(
        &mut self,
        alpha: f64,
        loss: f64,
        noise: f64,
        hyper: &Scg,
    ) -> (bool, Option<Fallback>) {
        let (decrease, predicted) = (self.loss - loss, 0.5 * self.mu * alpha);
        let ratio = if !loss.is_finite() {
            -2.0
        } else if predicted <= noise && -decrease <= noise {
            1.0
        } else {
            decrease / predicted
        };
        self.k = self.k.saturating_add(1);
        let success = ratio >= 0.0;
        if !success && self.lambda >= LAMBDA.1 && self.mu != self.pp {
            // p is not r, or the two products would be one.
            *self = Self::start(hyper);
            return (false, Some(Fallback::Restarted));
        }
        let fallback = match (success, loss.is_finite()) {
            (true, _) => None,
            _ if self.lambda >= LAMBDA.1 => Some(Fallback::NoLowerLoss),
            (_, false) => Some(Fallback::Trial),
            _ => None,
        };
        self.failed = u64::from(!success);
        self.lambda_bar = if success { 0.0 } else { self.lambda };
        if ratio >= 0.75 {
            self.lambda = (0.25 * self.lambda).max(LAMBDA.0);
        } else if ratio < 0.25 {
            self.lambda = (self.lambda + self.delta * (1.0 - ratio) / self.pp).min(LAMBDA.1);
        }
        (success, fallback)
    }
}

/// [`Scg`] over an objective.
///
/// After a failed step the next one relies on x being where it was. Should it not be, which a
/// fingerprint of x shows, the method restarts there. After a success x may have been moved, by a
/// projection for example: the gradient is taken anew in any case.
///
/// ```
/// use opt_core::{Error, Method, Objective, ParamMap};
/// use opt_secondorder::{Scg, ScgMethod};
///
/// /// f(x) = x₀² + 10 x₁²
/// struct Bowl(ParamMap);
///
/// impl Objective<f64> for Bowl {
///     fn params(&self) -> &ParamMap {
///         &self.0
///     }
///     fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
///         Ok(x[0] * x[0] + 10.0 * x[1] * x[1])
///     }
///     fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
///         g.copy_from_slice(&[2.0 * x[0], 20.0 * x[1]]);
///         self.value(x)
///     }
/// }
///
/// let mut bowl = Bowl(ParamMap::flat(2)?);
/// let mut scg = ScgMethod::new(Scg::default(), bowl.params())?;
/// let mut x = [3.0, -1.0];
/// for _ in 0..4 {
///     scg.step(&mut bowl, &mut x)?;
/// }
/// assert!(bowl.value(&x)? < 1e-12);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ScgMethod<F> {
    hyper: Scg,
    params: ParamMap,
    now: Progress,
    /// −r and p of the last step.
    gradient: Vec<F>,
    direction: Vec<F>,
    /// Those of this step, until it can fail no more.
    next_gradient: Vec<F>,
    next_direction: Vec<F>,
    /// x + σₖp, then x + αp.
    point: Vec<F>,
    /// E′(x + σₖp) − E′(x).
    difference: Vec<F>,
}

impl<F: Scalar> ScgMethod<F> {
    /// # Errors
    /// [`Error::Hyper`](opt_core::Error::Hyper).
    pub fn new(hyper: Scg, params: &ParamMap) -> Result<Self, opt_core::Error> {
        hyper.check()?;
        let zeros = vec![F::zero(); params.len()];
        Ok(Self {
            now: Progress::start(&hyper),
            hyper,
            params: params.clone(),
            gradient: zeros.clone(),
            direction: zeros.clone(),
            next_gradient: zeros.clone(),
            next_direction: zeros.clone(),
            point: zeros.clone(),
            difference: zeros,
        })
    }

    /// Forgets direction and damping: the next step starts along −E′ with λ₁. For when the objective
    /// has changed.
    pub fn restart(&mut self) {
        self.now = Progress::start(&self.hyper);
    }

    /// Makes the direction of the new gradient; `false` where that is zero.
    fn turn(&mut self, now: &mut Progress) -> Result<bool, Error> {
        let (g, p) = (&self.next_gradient, &mut self.next_direction);
        let rr = dot(g, g);
        if !rr.is_finite() {
            return Err(Error::NonFinite("the squared norm of the gradient"));
        }
        if rr < ZERO {
            return Ok(false);
        }
        if !now.k.is_multiple_of(self.params.len() as u64) {
            let beta = (rr - dot(g, &self.gradient)) / now.mu;
            each_parallel(p, g, [&mut self.direction], move |_, g, [last]| {
                (F::of(beta * last.f64() - g.f64()), [last])
            });
            (now.mu, now.pp) = (-dot(p, g), dot(p, p));
            if now.mu > 0.0 && now.pp.is_finite() {
                return Ok(true);
            }
        }
        each_parallel(p, g, [], |_, g, []| (-g, []));
        (now.mu, now.pp) = (rr, rr);
        Ok(true)
    }

    /// pᵀE″p by a difference of gradients, along the new direction.
    fn curvature<O: Objective<F> + ?Sized>(
        &mut self,
        objective: &mut O,
        x: &[F],
        pp: f64,
    ) -> Result<f64, opt_core::Error> {
        let (p, sigma) = (&mut self.next_direction, self.hyper.sigma / pp.sqrt());
        advance(&mut self.point, x, p, sigma);
        objective.grad(&self.point, &mut self.difference)?;
        let g = &self.next_gradient;
        each_parallel(&mut self.difference, g, [], |ahead, g, []| (ahead - g, []));
        self.params.check_gradient(&self.difference)?;
        let delta = dot(p, &self.difference) / sigma;
        if !delta.is_finite() {
            return Err(Error::NonFinite("the curvature along p").into());
        }
        Ok(delta)
    }
}

/// `point` = x + αp, rounded once.
fn advance<F: Scalar>(point: &mut [F], x: &[F], p: &mut [F], alpha: f64) {
    each_parallel(point, x, [p], move |_, x, [p]| {
        (F::of(x.f64() + alpha * p.f64()), [p])
    });
}

/// A hash of all bits: a change of any one element alters it for certain.
fn fingerprint<F: Scalar>(x: &[F]) -> u64 {
    x.iter().fold(0, |hash: u64, v| {
        (hash.rotate_left(29) ^ v.f64().to_bits()).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

impl<F: Scalar, O: Objective<F> + ?Sized> Method<F, O> for ScgMethod<F> {
    fn step(&mut self, objective: &mut O, x: &mut [F]) -> Result<Report<F>, opt_core::Error> {
        self.params.check_len("x", x.len())?;
        let failed = self.now.failed != 0;
        let again = failed && self.now.at == fingerprint(x);
        let (mut now, mut report);
        if again {
            now = self.now;
            report = Report::new(F::of(now.loss))?;
        } else {
            report = Report::new(objective.grad(x, &mut self.next_gradient)?)?;
            self.params.check_gradient(&self.next_gradient)?;
            now = self.now;
            if failed {
                now = Progress::start(&self.hyper);
                report.fallback = Some(Fallback::Moved);
            }
            now.loss = report.loss.f64();
            if !self.turn(&mut now)? {
                report.fallback = Some(Fallback::ZeroGradient);
                return Ok(report);
            }
            now.delta = self.curvature(objective, x, now.pp)?;
        }
        let alpha = now.scale();
        let p = if again {
            &mut self.direction
        } else {
            &mut self.next_direction
        };
        advance(&mut self.point, x, p, alpha);
        let loss = if all_finite(&self.point) {
            objective.value(&self.point)?.f64()
        } else {
            f64::NAN
        };
        // Nothing can fail from here on.
        if !again {
            std::mem::swap(&mut self.gradient, &mut self.next_gradient);
            std::mem::swap(&mut self.direction, &mut self.next_direction);
        }
        let noise = 10.0 * F::epsilon().f64() * now.loss.abs().max(1.0);
        let (success, fallback) = now.judge(alpha, loss, noise, &self.hyper);
        report.fallback = fallback.or(report.fallback);
        if success {
            x.copy_from_slice(&self.point);
        } else {
            now.at = fingerprint(x);
        }
        self.now = now;
        Ok(report)
    }

    fn set(&mut self, name: &str, value: f64) -> Result<(), opt_core::Error> {
        self.hyper = self.hyper.with(name, value)?;
        Ok(())
    }
}

impl<F: Scalar> State<F> for ScgMethod<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        self.params.visit("gradient", &mut self.gradient, visitor);
        self.params.visit("direction", &mut self.direction, visitor);
        let now = &mut self.now;
        visitor.count("k", &mut now.k);
        visitor.count("failed", &mut now.failed);
        visitor.count("at", &mut now.at);
        visitor.number("loss", &mut now.loss);
        visitor.number("lambda", &mut now.lambda);
        visitor.number("lambda_bar", &mut now.lambda_bar);
        visitor.number("delta", &mut now.delta);
        visitor.number("mu", &mut now.mu);
        visitor.number("pp", &mut now.pp);
    }
}
