use opt_core::{
    Bound, Error, Fallback, FieldVisitor, GaussNewton, Hyper, Method, ParamMap, PerSample, Report,
    Scalar, State, Tuned, Visit, all_finite, dot, each_parallel, norm,
};

use crate::cg::{Cg, CgEnd, CgStop};
use crate::damping::LevenbergMarquardt;
use crate::vectors::add;
use crate::walk::{Walk, broken, stuck};

/// Conjugate gradients also end at this |r|/|b|. Martens' rule compares values ten iterations
/// apart, and on a handful of parameters would spend those ten on rounding errors.
const RESIDUAL: f64 = 1e-10;

/// Hessian-free optimization (Martens 2010, "Deep learning via Hessian-free optimization").
///
/// ```text
/// M = (mean gₙ∘gₙ + l2 + λ)^¾, elementwise
/// x ← CG on (G + λI)x = −g from ζ·(the last iterate of the step before), preconditioned with M
/// x ← the iterate that is found by walking back over those with the numbers ⌈1.3ʲ⌉, while f falls
/// q(x) = gᵀx + ½xᵀGx
/// ρ = (f(θ + x) − f(θ))/q(x);    λ ← 3/2·λ if ρ < ¼, 2/3·λ if ρ > ¾
/// c = the first of 1, 0.8, 0.8², …, 0.8⁵⁹ with f(θ + cx) ≤ f(θ) + 0.01·c·gᵀx
/// θ ← θ + cx
/// ```
///
/// g is the gradient, gₙ that of a sample's loss without the penalty, whose curvature is l2, and G
/// the Gauss–Newton matrix, which is never formed. CG ends by the rule of [`CgStop::progress`].
///
/// That M has l2 itself, as Martens' code, and not the square of what it adds to a gradient, matters
/// where the penalty does: to the minimum of softmax regression on the digits, 30 steps take 520
/// products instead of 885 with l2 = 0.1, 860 instead of 1,210 with 0.01, and 733 instead of 759 with
/// 1e-4. With a hidden layer, whose steps are far from it, the difference is within 14 %.
///
/// Needs [`GaussNewton`] and [`PerSample`]. A step takes one gradient with its moments; a product
/// for each iteration of CG, and from the second step on one for its start; a value for the last
/// iterate, one for each that the walk back tries, and one for each 0.8. The loss never rises.
///
/// The objective decides on which samples its products are taken. The paper takes them on fewer
/// than gradient and values; an objective does that by having a second, smaller minibatch for
/// [`GaussNewton::gauss_newton_product`], which stays the same over one step. It pays as most of
/// the cost is products; the batch for gradient and values should be large, as with few samples
/// the step fits their noise.
///
/// Memory is that of eight vectors of the parameters' length, and of one for each kept iterate: 20
/// for 250 iterations.
///
/// If CG meets a product that is not finite, or a direction without positive curvature, its
/// iterates so far serve; if there are none, −M⁻¹g does. A loss that is not finite counts as one
/// that is too high. If no c lowers the loss, θ stays; the next step has more damping. If the
/// gradient is zero, nothing changes. The step's report says each of these.
///
/// Differs from the paper: M has the mean over samples where it has the sum, as f is a mean; ζ is
/// 0.95 rather than 1; CG also ends at |r| ≤ 10⁻¹⁰|g|; an x that does not descend may still not
/// raise the loss; λ stays within 10¹⁰ times λ₀ either way. λ is a curvature, and as in the paper M
/// adds it to squared gradients, which have other units: with `preconditioner` 0 nothing here but λ₀
/// depends on the units of the loss and of θ.
///
/// *Relatives:* [`Newton`](crate::Newton), [`Scg`](crate::Scg), [`Lbfgs`](crate::Lbfgs).
///
/// To the minimum of Rosenbrock's function.
///
/// ```
/// use opt_core::{Method, Objective};
/// use opt_secondorder::HessianFree;
///
/// let mut plane = opt_testkit::plane("rosenbrock").expect("it is one of them");
/// let settings = HessianFree::default();
/// let mut method = settings.method(Objective::<f64>::params(&plane))?;
/// let mut x = plane.start;
/// for _ in 0..40 {
///     method.step(&mut plane, &mut x)?;
/// }
/// assert!((x[0] - 1.0).abs() < 1e-5 && (x[1] - 1.0).abs() < 1e-5);
/// # Ok::<(), opt_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct HessianFree {
    /// λ₀, at the start, in units of G: of the loss over θ².
    pub damping: f64,
    /// ζ, on the last solution, where the next CG starts.
    pub warm_start: f64,
    /// The most iterations of CG in a step.
    pub cg_iterations: u64,
    /// ε of [`CgStop::progress`].
    pub cg_tolerance: f64,
    /// The exponent of M. 0 for no preconditioner.
    pub preconditioner: f64,
    /// Whether the q of ρ has ½λ|x|² too, as some codes do. Then ρ is larger, and λ falls earlier.
    pub damped_ratio: bool,
}

impl Default for HessianFree {
    fn default() -> Self {
        Self {
            damping: 1.0,
            warm_start: 0.95,
            cg_iterations: 250,
            cg_tolerance: 5e-4,
            preconditioner: 0.75,
            damped_ratio: false,
        }
    }
}

impl Hyper for HessianFree {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("damping", &mut self.damping, Bound::Positive);
        visit.real("warm_start", &mut self.warm_start, Bound::Unit);
        visit.count("cg_iterations", &mut self.cg_iterations, 1);
        visit.real("cg_tolerance", &mut self.cg_tolerance, Bound::NonNegative);
        visit.real("preconditioner", &mut self.preconditioner, Bound::Unit);
        visit.choice("damped_ratio", &mut self.damped_ratio);
    }
}

impl HessianFree {
    fn stop(&self) -> CgStop {
        CgStop {
            iterations: usize::try_from(self.cg_iterations).unwrap_or(usize::MAX),
            progress: self.cg_tolerance,
            residual: RESIDUAL,
            keep: true,
        }
    }
}

/// [`HessianFree`] over an objective.
#[derive(Clone, Debug)]
pub struct HessianFreeMethod<F> {
    /// How the last step went. Not part of the state: none after a restart, nor after a step with
    /// zero gradient.
    pub last: Option<HessianFreeStep>,
    hyper: Tuned<HessianFree>,
    params: ParamMap,
    /// The last iterate of the last CG.
    direction: Vec<F>,
    damping: LevenbergMarquardt,
    cg: Cg<F>,
    next: Next<F>,
}

/// What a step of [`HessianFreeMethod`] did.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct HessianFreeStep {
    /// Iterations of CG.
    pub iterations: usize,
    /// Why CG ended.
    pub end: CgEnd,
    /// ρ; NaN where q does not fall, or where there is no q as CG had no iterates.
    pub ratio: f64,
    /// c; 0 where no step lowers the loss.
    pub rate: f64,
}

/// What a step works on before it counts: if it fails, nothing has changed.
#[derive(Clone, Debug)]
struct Next<F> {
    /// −g.
    downhill: Vec<F>,
    /// M.
    diagonal: Vec<F>,
    /// CG's x.
    direction: Vec<F>,
    /// θ + cx.
    trial: Vec<F>,
}

impl HessianFree {
    /// The method for these parameters.
    ///
    /// # Errors
    /// [`Error::Hyper`].
    pub fn method<F: Scalar>(self, params: &ParamMap) -> Result<HessianFreeMethod<F>, Error> {
        let hyper = Tuned::new::<F>(self)?;
        let zeros = vec![F::zero(); params.len()];
        Ok(HessianFreeMethod {
            last: None,
            hyper,
            params: params.clone(),
            direction: zeros.clone(),
            damping: LevenbergMarquardt::default(),
            cg: Cg::default(),
            next: Next {
                downhill: zeros.clone(),
                diagonal: zeros.clone(),
                direction: zeros.clone(),
                trial: zeros,
            },
        })
    }
}

opt_core::tune_by!(HessianFreeMethod, hyper);

impl<F: Scalar> HessianFreeMethod<F> {
    /// λ, as it was adapted so far.
    pub fn damping(&self) -> f64 {
        self.hyper.damping * self.damping.factor
    }

    /// Writes −g, M, and where CG starts.
    fn prepare<O>(&mut self, objective: &mut O, x: &[F]) -> Result<Report<F>, Error>
    where
        O: PerSample<F> + ?Sized,
    {
        let lambda = F::of(self.damping());
        let (zeta, exponent) = (self.hyper.warm_start, self.hyper.preconditioner);
        let (zeta, exponent) = (F::of(zeta), F::of(exponent));
        let Next {
            downhill,
            diagonal,
            direction,
            ..
        } = &mut self.next;
        let report = Report::new(objective.grad_moments(x, downhill, diagonal)?)?;
        self.params.check_gradient(downhill)?;
        if !all_finite(diagonal) {
            return Err(crate::Error::NonFinite("the samples' mean squared gradient").into());
        }
        objective.penalty(direction);
        let slots = [&mut downhill[..], diagonal];
        let last = &self.direction;
        each_parallel(direction, last, slots, move |l2, last, [g, square]| {
            let m = (square + l2 + lambda).powf(exponent);
            (zeta * last, [-g, m])
        });
        Ok(report)
    }
}

impl<F: Scalar, O: GaussNewton<F> + PerSample<F> + ?Sized> Method<F, O> for HessianFreeMethod<F> {
    fn step(&mut self, objective: &mut O, x: &mut [F]) -> Result<Report<F>, Error> {
        self.params.check_len("x", x.len())?;
        let mut report = self.prepare(objective, x)?;
        if norm(&self.next.downhill) == 0.0 {
            report.fallback = Some(Fallback::ZeroGradient);
            (self.last, report.moves) = (None, false);
            return Ok(report);
        }
        let (hyper, lambda, loss) = (&self.hyper, self.damping(), report.loss.f64());
        let Next {
            downhill,
            diagonal,
            direction,
            trial,
        } = &mut self.next;
        let stop = hyper.stop();
        let product = |v: &[F], out: &mut [F]| damped_product(objective, x, lambda, v, out);
        let run = (self.cg).solve(product, downhill, Some(diagonal), direction, &stop)?;
        if stuck(&run) {
            report.fallback = Some(Fallback::NoCurvature);
            let divide = |_, b, [m]: [F; 1]| (b / m, [m]);
            each_parallel(direction, downhill, [diagonal], divide);
        } else if broken(&run) {
            report.fallback = Some(Fallback::CurvatureBroke);
        }

        let mut walk = Walk {
            objective,
            x,
            trial,
            broke: false,
        };
        let chosen = walk.back(&run, direction)?;
        let ratio = chosen.ratio(loss, if hyper.damped_ratio { 0.0 } else { lambda });
        let slope = -dot(downhill, chosen.x);
        let rate = walk.shorten(&chosen, loss, slope)?;

        if walk.broke {
            report.fallback.get_or_insert(Fallback::Trial);
        }
        report.moves = rate > 0.0;
        if report.moves {
            add(x, rate, chosen.x);
            self.damping.adapt(ratio);
        } else {
            report.fallback = Some(Fallback::DampingRises);
            self.damping.adapt(f64::NAN);
        }
        self.last = Some(HessianFreeStep {
            iterations: run.iterations,
            end: run.end,
            ratio,
            rate,
        });
        std::mem::swap(&mut self.direction, direction);
        if stuck(&run) {
            self.direction.fill(F::zero());
        }
        if report.moves {
            objective.accept();
        }
        Ok(report)
    }
}

impl<F: Scalar> State<F> for HessianFreeMethod<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.number("damping factor", &mut self.damping.factor);
        self.params.visit("direction", &mut self.direction, visitor);
    }
}

/// out ← (G + λI)v
fn damped_product<F: Scalar, O: GaussNewton<F> + ?Sized>(
    objective: &mut O,
    x: &[F],
    lambda: f64,
    v: &[F],
    out: &mut [F],
) -> Result<(), Error> {
    let lambda = F::of(lambda);
    objective.gauss_newton_product(x, v, out)?;
    each_parallel(out, v, [], move |gv, v, []| (gv + lambda * v, []));
    Ok(())
}
