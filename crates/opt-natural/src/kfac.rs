use opt_core::{
    Bound, Choice, Error, Fallback, FieldVisitor, Hyper, LayerPlace, Method, ParamMap, Report,
    SampledFisher, Scalar, State, Tuned, Visit, dot, each,
};
use opt_linalg::Decompose;
use rayon::prelude::*;

use crate::FisherError;
use crate::blocks::Blocks;
use crate::dense::Dense;
use crate::quadratic::{Along, Measured, Quadratic, products};
use crate::team::{Others, others};

/// Elements that one thread takes at a time.
const GRAIN: usize = 1 << 15;

/// Steps between two adaptations of the damping: T₁ of the paper.
const ADAPT: u64 = 5;

/// Where the labels of the quadratic model are drawn, if those of the step are in its inverses: far
/// from any step's own seed.
const FRESH: u64 = 1 << 63;

/// Least and greatest multiple of [`Kfac::damping`] that adaptation leaves. ρ is taken on the
/// minibatch that the step was fitted to, and so is nearly always near 1: without a limit λ would
/// fall until the steps follow the minibatch's noise. At a minimum ρ is rounding, and λ would rise.
const LIMITS: (f64, f64) = (1e-3, 1e6);

/// What decides on the length of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepSize {
    /// α = lr and μ = momentum.
    Fixed,
    /// α and μ minimize the quadratic model M; lr then multiplies the whole step.
    Model,
}

impl Choice for StepSize {
    const ALL: &'static [(&'static str, Self)] = &[("fixed", Self::Fixed), ("model", Self::Model)];
}

/// K-FAC, Kronecker-factored approximate curvature (Martens & Grosse 2015), block-diagonal.
///
/// ```text
/// A ← κA + (1 − κ)E[h̄h̄ᵀ], h̄ = (h, 1)      G ← κG + (1 − κ)E[δδᵀ]      κ = min(1 − 1/t, decay)
/// Δ = −(G + √λ/π·I)⁻¹ ∇W̄ (A + π√λ·I)⁻¹      π² = (tr A/dim A)/(tr G/dim G)
/// δθ ← αΔ + μδθ
/// θ ← θ + δθ
/// M(δθ) = gᵀδθ + ½δθᵀ(F + λI)δθ
/// ρ = (f(θ + δθ) − f(θ))/M(δθ)
/// λ ← ω⁵λ if ρ > ¾, λ/ω⁵ if ρ < ¼; every 5 steps, within 10⁻³λ₀ and 10⁶λ₀
/// ```
///
/// ∇W̄ is the gradient of weight and bias side by side, layer by layer; h and δ are the layer's
/// inputs and output deltas, δ for labels that are drawn from the model, with the step's number
/// as seed. Of a convolution (Grosse & Martens 2016, KFC), h is the patch of a position t of |T|, both
/// expectations are over samples and positions, and G is |T| times that of δδᵀ: with activations that do not
/// depend on the slopes, and slopes of different positions that are uncorrelated, F = A⊗G. f is the loss of the minibatch. The inverses are taken anew in the first three steps,
/// and then in every step whose number is a multiple of T.
///
/// [`method`](Self::method) needs [`SampledFisher`], and that every parameter belongs to one dense or
/// convolutional layer; [`direction`](Self::direction) is the preconditioned gradient alone, for any
/// [`Update`](opt_core::Update) and with parameters outside of layers. A step takes two passes
/// forward and backward, which spare the product that makes the gradient; for each layer of n inputs
/// and m outputs 3·batch·(n² + m²) operations and three products of (batch, n) by (n, m); and
/// 2(n³ + m³)/T. The inverses multiply the rows of the batch or those of the gradient, whichever are
/// cheaper; with a penalty inside the objective, those of the gradient, and one product more.
///
/// An inverse of order 128 or more is of low rank where its damping leaves little of the factor
/// ([`DampedInverse`](crate::DampedInverse)): either side's product then differs by at most 1 % of its
/// length from the exact one's, and costs less.
///
/// If a factor has no inverse, λ is raised tenfold, up to six times, before the step is refused.
/// If the loss after a step whose ρ is due is not finite, the step is not made: δθ is 0 and λ
/// rises. The step's report says so.
///
/// Differs from the paper: vᵀFv in M is the mean of (gₙᵀv)² over the samples n, with one drawn
/// label each, which is unbiased but not exact. Labels that are in the inverses would make it too
/// small (0.48 of the exact value for 7 samples), so that a step that takes inverses anew draws
/// others for it, at one more pass. γ = √λ is not searched for; an L2 penalty is the
/// objective's, and its curvature is not added to λ; statistics take the whole minibatch; λ has
/// limits.
///
/// *Papers:* Optimizing neural networks with Kronecker-factored approximate curvature; A Kronecker-factored
/// approximate Fisher matrix for convolution layers.
/// *Relatives:* [`Prong`](crate::Prong), [`NaturalGradient`](crate::NaturalGradient).
///
/// Forty steps on the digits.
///
/// ```
/// use opt_natural::{Kfac, Layered, Method, Objective};
/// use opt_nn::{Activation, Init, Mlp, Spec, Target};
///
/// let digits = opt_data::digits()?;
/// let spec = Spec::classifier(&[64, 30, 10], Activation::Tanh);
/// let mut mlp = Mlp::<f32>::new(spec)?;
/// let mut x = mlp.init(Init::LeCun, 0);
/// mlp.load(digits.inputs.view(), Target::Classes(&digits.labels), 0)?;
/// let mut method = Kfac::default().method(mlp.params(), mlp.places())?;
/// let before = mlp.value(&x)?;
/// for _ in 0..40 {
///     method.step(&mut mlp, &mut x)?;
/// }
/// assert!(mlp.value(&x)? < 0.5 * before);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Kfac {
    /// α, or the factor on the step that minimizes M.
    pub lr: f64,
    /// μ, for [`StepSize::Fixed`].
    pub momentum: f64,
    /// λ₀, at the start, in units of F: of the squared gradient of a sample. The first steps, whose
    /// factors are averages over few minibatches, can undo the initialization of a deep network:
    /// start higher there. The paper starts at 150, on larger minibatches.
    pub damping: f64,
    /// ω, by which λ falls or rises, per step. With 1, λ stays, and ρ is never computed.
    pub damping_decay: f64,
    /// Upper limit of κ, the weight of the old statistics.
    pub decay: f64,
    /// T, steps between two inversions.
    pub period: u64,
    /// Whether α and μ are fixed.
    pub step_size: StepSize,
}

impl Default for Kfac {
    fn default() -> Self {
        Self {
            lr: 1.0,
            momentum: 0.9,
            damping: 1.0,
            damping_decay: 0.95,
            decay: 0.95,
            period: 10,
            step_size: StepSize::Model,
        }
    }
}

impl Hyper for Kfac {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("momentum", &mut self.momentum, Bound::Unit);
        visit.real("damping", &mut self.damping, Bound::NonNegative);
        visit.real("damping_decay", &mut self.damping_decay, Bound::Shrink);
        visit.real("decay", &mut self.decay, Bound::Unit);
        visit.count("period", &mut self.period, 1);
        visit.choice("step_size", &mut self.step_size);
    }
}

impl Kfac {
    /// The whole method, with its own step size and its veto.
    ///
    /// # Errors
    /// As [`Hyper::check`]; [`Error::Layer`] for a layer of another kind, or that is not where its
    /// place says; [`FisherError::NotDense`] inside [`Error::Objective`] for a parameter outside of
    /// layers.
    pub fn method<F: Decompose>(
        &self,
        params: &ParamMap,
        places: &[LayerPlace],
    ) -> Result<KfacMethod<F>, Error> {
        let zeros = vec![F::zero(); params.len()];
        Ok(KfacMethod {
            hyper: Tuned::new::<F>(self.clone())?,
            blocks: Blocks::new(Dense::covering(params, places)?),
            params: params.clone(),
            velocity: zeros.clone(),
            scale: 1.0,
            rest: zeros.clone(),
            step: zeros.clone(),
            next: zeros,
            along: Default::default(),
        })
    }
}

/// [`Kfac`] over an objective.
#[derive(Clone, Debug)]
pub struct KfacMethod<F: Scalar> {
    hyper: Tuned<Kfac>,
    params: ParamMap,
    pub(crate) blocks: Blocks<F>,
    velocity: Vec<F>,
    /// λ is the hyper-parameter times this.
    scale: f64,
    /// The gradient but for the part that deltas and inputs make; unused if that is 0.
    rest: Vec<F>,
    /// Δ, then δθ.
    step: Vec<F>,
    /// θ after the step.
    next: Vec<F>,
    /// What the model knows of Δ and of the last step.
    along: [Along; 2],
}

opt_core::tune_by!(KfacMethod, hyper);

impl<F: Decompose> KfacMethod<F> {
    /// λ, as it was adapted so far.
    pub fn damping(&self) -> f64 {
        self.hyper.damping * self.scale
    }

    /// Turns Δ into δθ, and makes θ after the step; gives M(δθ) if it was needed.
    fn lengthen(
        &mut self,
        others: Others<'_, F>,
        x: &[F],
        model: bool,
        lambda: f64,
    ) -> Result<Option<f64>, Error> {
        let fixed = self.hyper.step_size == StepSize::Fixed;
        let (mut alpha, mut mu, mut predicted) = (self.hyper.lr, self.hyper.momentum, None);
        if model {
            let blocks = &mut self.blocks;
            blocks.along(&self.step, &self.velocity)?;
            let Measured { slope, curvature } = Measured::of(blocks, &mut self.along, others)?;
            let rest = |v: &[F]| match blocks.rest.is_none() {
                true => 0.0,
                false => dot(&self.rest, v),
            };
            let penalty = products(&self.step, &self.velocity);
            let model = Quadratic {
                slope: [rest(&self.step) + slope[0], rest(&self.velocity) + slope[1]],
                curvature: std::array::from_fn(|k| curvature[k] + lambda * penalty[k]),
            };
            if !fixed {
                let (a, m) = model.minimum();
                (alpha, mu) = (self.hyper.lr * a, self.hyper.lr * m);
            }
            predicted = Some(model.at(alpha, mu));
        }
        if !self.extend(x, F::of(alpha), F::of(mu)) {
            return Err(FisherError::NonFinite("the step").into());
        }
        Ok(predicted)
    }

    /// δθ ← αΔ + μδθ, and θ + δθ, in one pass; gives whether both are finite.
    fn extend(&mut self, x: &[F], alpha: F, mu: F) -> bool {
        let steps = self.step.par_chunks_mut(GRAIN);
        let all = steps.zip(self.velocity.par_chunks(GRAIN));
        let all = all.zip(self.next.par_chunks_mut(GRAIN).zip(x.par_chunks(GRAIN)));
        let finite = all.map(|((step, last), (next, x))| {
            next.copy_from_slice(x);
            each(step, last, [next], move |d, v, [x]| {
                let d = alpha * d + mu * v;
                (d, [x + d])
            })
        });
        finite.reduce(|| true, |a, b| a & b)
    }

    /// The factor on λ after ρ; none if the loss after the step is not finite, or could not be had.
    fn adapted<O>(&self, objective: &mut O, loss: F, predicted: f64) -> Option<f64>
    where
        O: SampledFisher<F> + ?Sized,
    {
        let omega = self.hyper.damping_decay.powf(ADAPT as f64);
        let after = objective.value(&self.next).ok()?;
        let change = after.f64() - loss.f64();
        change.is_finite().then(|| match change / predicted {
            ratio if ratio < 0.25 || predicted >= 0.0 => 1.0 / omega,
            ratio if ratio > 0.75 => omega,
            _ => 1.0,
        })
    }

    /// Writes Δ over the rest of the gradient, and stages the factors; gives the factor on λ.
    fn propose(&mut self, others: Others<'_, F>, invert: bool) -> Result<f64, Error> {
        let (blocks, hyper) = (&mut self.blocks, &*self.hyper);
        if !blocks.rest.is_none() {
            self.rest.copy_from_slice(&self.step);
        }
        let damping = (hyper.damping, self.scale);
        let scale = blocks.refresh(others, invert, hyper.decay, damping)?;
        blocks.precondition(others, -F::one(), &mut self.step)?;
        Ok(scale)
    }
}

/// Inside of the pool: else every product would wake it from outside.
pub(crate) fn inside<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    rayon::join(f, || ()).0
}

impl<F: Decompose, O: SampledFisher<F> + ?Sized> Method<F, O> for KfacMethod<F> {
    fn step(&mut self, objective: &mut O, x: &mut [F]) -> Result<Report<F>, Error> {
        self.params.check_len("x", x.len())?;
        let (t, invert) = self.blocks.turn(self.hyper.period);
        let adapt = self.hyper.damping_decay < 1.0 && t.is_multiple_of(ADAPT);
        let (blocks, step) = (&mut self.blocks, &mut self.step);
        let mut report = blocks.differentiate(objective, &self.params, x, step)?;
        blocks.sample(objective, x, t)?;
        let team = others(&*objective);
        let mut scale = inside(|| self.propose(team, invert))?;
        if scale > self.scale {
            report.fallback = Some(Fallback::DampingRaised);
        }
        let lambda = self.hyper.damping * scale;
        let model = adapt || self.hyper.step_size != StepSize::Fixed;
        if model && invert {
            // Those labels are in the inverses.
            self.blocks.sample(objective, x, t | FRESH)?;
        }
        let (team, at) = (others(&*objective), &*x);
        let predicted = inside(|| self.lengthen(team, at, model, lambda))?;
        if self.blocks.vanishes(x, &self.step) {
            report.fallback = Some(Fallback::Vanishes);
        }
        if let Some(predicted) = predicted.filter(|_| adapt) {
            let factor = self.adapted(objective, report.loss, predicted);
            if factor.is_none() {
                self.step.fill(F::zero());
                self.next.copy_from_slice(x);
                report.fallback = Some(Fallback::NotMade);
            }
            scale *= factor.unwrap_or(1.0 / self.hyper.damping_decay.powf(ADAPT as f64));
        }
        std::mem::swap(&mut self.velocity, &mut self.step);
        self.blocks.commit();
        let all = x.par_chunks_mut(GRAIN).zip(self.next.par_chunks(GRAIN));
        all.for_each(|(x, next)| x.copy_from_slice(next));
        self.scale = scale.clamp(LIMITS.0, LIMITS.1);
        objective.accept();
        Ok(report)
    }
}

impl<F: Decompose> State<F> for KfacMethod<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.number("scale", &mut self.scale);
        self.blocks.visit(visitor);
        self.params.visit("velocity", &mut self.velocity, visitor);
    }
}
