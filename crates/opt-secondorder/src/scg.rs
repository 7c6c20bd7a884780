use opt_core::{
    Bound, Error as CoreError, Fallback, FieldVisitor, Hyper, Method, Objective, ParamMap, Report,
    Scalar, State, Tuned, Visit, all_finite, dot, each_parallel, norm,
};

use crate::error::Error;
use crate::progress::Progress;
use crate::vectors::{add, check_range, length, negate, square_is_zero};

/// Scaled conjugate gradients (Møller, A scaled conjugate gradient algorithm for fast supervised
/// learning, Neural Networks 6, 1993).
///
/// Conjugate directions p with the step of a quadratic model, μ/δ, instead of a line search. Where
/// the model is wrong, λ is added to its curvature, as Levenberg and Marquardt do.
///
/// ```text
/// start        r = p = −E′(x), λ = λ₁·|δ|/|p|² with the first δ, λ̄ = 0, k = 1
/// curvature    after a success: σₖ = σX/|p|, δ = pᵀ(E′(x + σₖp) − E′(x))/σₖ
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
/// N is the number of parameters, and k counts failures too. X is the largest |x| since the start, or
/// |E|/|E′|, the way to where the tangent is 0, if that is 0, or 1.
///
/// Needs [`Objective`], evaluated elsewhere than at x: a step is one iteration, and costs two
/// gradients and a value, or a value alone after a failure. It reads like a line search that is
/// spread over steps, so the objective must stay the same: load the full data, and call
/// [`ScgMethod::restart`] after a change. Beside x there are six vectors of its length.
///
/// Differs from the paper:
/// - Its σ is a length, and its λ₁ a curvature: numbers for one choice of units. Here both are
///   relative to what the problem has, so that scaling E or x by powers of two scales the path, and
///   does not change a bit of it.
/// - Near the minimum E(x) − E(x + αp) is all rounding. Where the predicted decrease μ²/(2δ) is at
///   most 10ε|E|, ε being that of `F`, and E(x + αp) at most that above the least E so far, Δ counts
///   as 1, and the report says so. In `f32` that ends all comparison of losses at a relative 1e-6:
///   take `f64` to go further.
/// - A direction with μ ≤ 0 does not descend: p ← r.
/// - λ stays within 1e-20 and 1e100 times the first curvature. A failure at the upper end, or an αp
///   that rounding of x swallows, restarts the method; along −E′ it is final, and the report says
///   that no step lowers the loss.
/// - Where E(x + αp) is not finite, the step has failed, and a quarter of it comes next (Δ = −2).
#[derive(Clone, Debug, PartialEq)]
pub struct Scg {
    /// σ: the curvature is measured over a step of this times X. Rounding of E′ is divided by it, and
    /// a step that rounding of x swallows finds no curvature: in `f32` it should be greater.
    pub sigma: f64,
    /// λ₁, the damping at the start, as a share of the first curvature.
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
        visit.real("sigma", &mut self.sigma, Bound::Positive);
        visit.real("lambda", &mut self.lambda, Bound::Positive);
    }
}

impl Scg {
    /// The method for these parameters.
    ///
    /// # Errors
    /// [`Error::Hyper`](opt_core::Error::Hyper).
    pub fn method<F: Scalar>(self, params: &ParamMap) -> Result<ScgMethod<F>, CoreError> {
        let hyper = Tuned::new::<F>(self)?;
        let zeros = vec![F::zero(); params.len()];
        Ok(ScgMethod {
            now: Progress::start(),
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
}

/// [`Scg`] over an objective.
///
/// After a failed step the next one relies on x being where it was. Should it not be, which a
/// fingerprint of x shows, the method restarts there. After a success x may have been moved, by a
/// projection for example: the gradient is taken anew in any case.
///
/// ```
/// use opt_core::{Error, Method, Objective, ParamMap};
/// use opt_secondorder::Scg;
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
/// let mut scg = Scg::default().method(bowl.params())?;
/// let mut x = [3.0, -1.0];
/// for _ in 0..4 {
///     scg.step(&mut bowl, &mut x)?;
/// }
/// assert!(bowl.value(&x)? < 1e-12);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ScgMethod<F> {
    hyper: Tuned<Scg>,
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

opt_core::tune_by!(ScgMethod, hyper);

impl<F: Scalar> ScgMethod<F> {
    /// Forgets direction and damping: the next step starts along −E′ with λ₁. For when the objective
    /// has changed.
    pub fn restart(&mut self) {
        self.now = Progress::start();
    }

    /// Makes the direction of the new gradient; or says why there is none.
    fn turn(&mut self, now: &mut Progress) -> Result<Option<Fallback>, Error> {
        let (g, p) = (&self.next_gradient, &mut self.next_direction);
        let rr = dot(g, g);
        let standstill = square_is_zero(norm(g), rr)?;
        if standstill.is_some() {
            return Ok(standstill);
        }
        if !now.k.is_multiple_of(self.params.len() as u64) {
            let beta = (rr - dot(g, &self.gradient)) / now.mu;
            each_parallel(p, g, [&mut self.direction], move |_, g, [last]| {
                (F::of(beta * last.f64() - g.f64()), [last])
            });
            (now.mu, now.pp) = (-dot(p, g), dot(p, p));
            if now.mu > 0.0 && now.pp.is_finite() {
                return Ok(None);
            }
        }
        negate(p, g);
        (now.mu, now.pp) = (rr, rr);
        Ok(None)
    }

    /// pᵀE″p by a difference of gradients, along the new direction.
    fn curvature<O: Objective<F> + ?Sized>(
        &mut self,
        objective: &mut O,
        x: &[F],
        now: &Progress,
    ) -> Result<f64, CoreError> {
        let p = &self.next_direction;
        let sigma = self.hyper.sigma * (now.reach / now.pp.sqrt());
        self.point.copy_from_slice(x);
        add(&mut self.point, sigma, p);
        check_range(&self.params, &self.point)?;
        Report::new(objective.grad(&self.point, &mut self.difference)?)?;
        let g = &self.next_gradient;
        each_parallel(&mut self.difference, g, [], |ahead, g, []| (ahead - g, []));
        self.params.check_gradient(&self.difference)?;
        let delta = dot(p, &self.difference) / sigma;
        if !delta.is_finite() {
            return Err(Error::NonFinite("the curvature along p").into());
        }
        Ok(delta)
    }

    /// Gradient, direction and curvature at a new x; what came of it, and what is to be told.
    fn begin<O: Objective<F> + ?Sized>(
        &mut self,
        objective: &mut O,
        x: &[F],
        now: &mut Progress,
    ) -> Result<(Report<F>, bool), CoreError> {
        let mut report = Report::new(objective.grad(x, &mut self.next_gradient)?)?;
        self.params.check_gradient(&self.next_gradient)?;
        if now.failed != 0 {
            *now = Progress::start();
            report.fallback = Some(Fallback::Moved);
        }
        now.arrive(report.loss.f64(), F::epsilon().f64());
        if let Some(standstill) = self.turn(now)? {
            report.fallback = Some(standstill);
            return Ok((report, false));
        }
        let slope = norm(&self.next_gradient);
        let tangent = now.loss.abs() / slope;
        now.reach = length([now.reach.max(norm(x)), tangent]);
        now.delta = self.curvature(objective, x, now)?;
        if now.k == 0 {
            now.unit = length([now.delta.abs() / now.pp, slope / now.reach]);
            now.lambda = now.clamped(self.hyper.lambda * now.unit);
        }
        Ok((report, true))
    }
}

/// A hash of all bits: a change of any one element alters it for certain.
fn fingerprint<F: Scalar>(x: &[F]) -> u64 {
    x.iter().fold(0, |hash: u64, v| {
        (hash.rotate_left(29) ^ v.f64().to_bits()).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

impl<F: Scalar, O: Objective<F> + ?Sized> Method<F, O> for ScgMethod<F> {
    fn step(&mut self, objective: &mut O, x: &mut [F]) -> Result<Report<F>, CoreError> {
        self.params.check_len("x", x.len())?;
        let mut now = self.now;
        let again = now.failed != 0 && now.at == fingerprint(x);
        let (mut report, starts) = if again {
            (Report::new(F::of(now.loss))?, true)
        } else {
            self.begin(objective, x, &mut now)?
        };
        report.moves = false;
        if !starts {
            return Ok(report);
        }
        let alpha = now.scale();
        let p = if again {
            &self.direction
        } else {
            &self.next_direction
        };
        self.point.copy_from_slice(x);
        add(&mut self.point, alpha, p);
        let outcome = if self.point == x {
            now.vanish()
        } else {
            let loss = if all_finite(&self.point) {
                objective.value(&self.point)?.f64()
            } else {
                f64::NAN
            };
            now.judge(alpha, loss, F::epsilon().f64())
        };
        // Nothing can fail from here on.
        if !again {
            std::mem::swap(&mut self.gradient, &mut self.next_gradient);
            std::mem::swap(&mut self.direction, &mut self.next_direction);
        }
        (report.moves, report.fallback) = (outcome.0, outcome.1.or(report.fallback));
        if report.moves {
            x.copy_from_slice(&self.point);
            objective.accept();
        } else {
            now.at = fingerprint(x);
        }
        self.now = now;
        Ok(report)
    }
}

impl<F: Scalar> State<F> for ScgMethod<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        self.params.visit("gradient", &mut self.gradient, visitor);
        self.params.visit("direction", &mut self.direction, visitor);
        self.now.visit(visitor);
    }
}
