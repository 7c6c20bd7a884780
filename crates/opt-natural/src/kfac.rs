use ndarray::Array2;
use opt_core::{
    Bound, Error, Fallback, FieldVisitor, Fisher, Hyper, Layer, Method, ParamMap, Report, Scalar,
    State, Visit, all_finite, dot,
};

use crate::Decompose;
use crate::FisherError;
use crate::dense::{Dense, is_finite};
use crate::kronecker::{Along, Factors, Quadratic, layers};

/// Steps between two adaptations of the damping: T₁ of the paper.
const ADAPT: u64 = 5;

/// Tenfold raises of the damping before a factor without an inverse is an error.
const ATTEMPTS: usize = 6;

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
/// as seed. f is the loss of the minibatch. The inverses are taken anew in the first three steps,
/// and then in every step whose number is a multiple of T.
///
/// Needs [`Fisher`], that every parameter belongs to one dense layer, and that each bias directly
/// follows its weight. A step takes two passes forward and backward, which spare the product that
/// makes the gradient; for each layer of n inputs and m outputs 3·batch·(n² + m²) operations and
/// three or four products of (batch, n) by (n, m); and 2(n³ + m³)/T. A penalty inside the
/// objective costs 2mn(m + n) more.
///
/// If a factor has no inverse, λ is raised tenfold, up to six times, before the step is refused.
/// If the loss after a step whose ρ is due is not finite, the step is not made: δθ is 0 and λ
/// rises. The step's report says so.
///
/// Differs from the paper: vᵀFv in M is the mean of (gₙᵀv)² over the samples n, with one drawn
/// label each, which is unbiased but not exact; γ = √λ is not searched for; an L2 penalty is the
/// objective's, and its curvature is not added to λ; statistics take the whole minibatch; λ has
/// limits.
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
    pub period: f64,
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
            period: 10.0,
            step_size: StepSize::Model,
        }
    }
}

impl Hyper for Kfac {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit("lr", &mut self.lr, Bound::Positive);
        visit("momentum", &mut self.momentum, Bound::Unit);
        visit("damping", &mut self.damping, Bound::NonNegative);
        visit("damping_decay", &mut self.damping_decay, Bound::Shrink);
        visit("decay", &mut self.decay, Bound::Unit);
        visit("period", &mut self.period, Bound::Count);
    }
}

/// [`Kfac`] over an objective.
#[derive(Clone, Debug)]
pub struct KfacMethod<F> {
    hyper: Kfac,
    params: ParamMap,
    layers: Vec<Dense>,
    moments: Vec<Factors<F>>,
    inverses: Vec<Factors<F>>,
    velocity: Vec<F>,
    /// λ is the hyper-parameter times this.
    scale: f64,
    t: u64,
    next: Next<F>,
}

/// What a step makes, before it counts: if it fails, nothing has changed.
#[derive(Clone, Debug)]
struct Next<F> {
    moments: Vec<Factors<F>>,
    inverses: Vec<Factors<F>>,
    /// Of the loss, where those that the layers show are of drawn labels.
    deltas: Vec<Array2<F>>,
    /// The gradient but for the part that deltas and inputs make.
    rest: Vec<F>,
    /// Δ, then δ.
    step: Vec<F>,
    x: Vec<F>,
}

impl<F: Decompose> KfacMethod<F> {
    /// # Errors
    /// [`Error::Hyper`].
    pub fn new(hyper: Kfac, params: &ParamMap) -> Result<Self, Error> {
        hyper.check()?;
        let layers = layers(params);
        let factors: Vec<_> = layers.iter().map(Factors::zeros).collect();
        let zeros = vec![F::zero(); params.len()];
        let next = Next {
            moments: factors.clone(),
            inverses: factors.clone(),
            deltas: Vec::new(),
            rest: zeros.clone(),
            step: zeros.clone(),
            x: zeros.clone(),
        };
        Ok(Self {
            hyper,
            params: params.clone(),
            layers,
            moments: factors.clone(),
            inverses: factors,
            velocity: zeros,
            scale: 1.0,
            t: 0,
            next,
        })
    }

    /// λ, as it was adapted so far.
    pub fn damping(&self) -> f64 {
        self.hyper.damping * self.scale
    }

    /// The layers as the objective shows them, after a check that they are those of the parameter
    /// map, and finite.
    fn shown<'a, O>(&self, objective: &'a O) -> Result<Vec<Layer<'a, F>>, Error>
    where
        O: Fisher<F> + ?Sized,
    {
        let mut shown = Vec::new();
        for expected in &self.layers {
            let (dense, layer) = Dense::shown(objective, expected.index)?;
            if dense != *expected {
                return Err(FisherError::Order(dense.index).into());
            }
            if !(is_finite(layer.input) && is_finite(layer.delta)) {
                let mut all = layer.input.iter().chain(&layer.delta).enumerate();
                let (index, value) = (all.find(|(_, v)| !v.is_finite()))
                    .map_or((0, f64::NAN), |(index, v)| (index, v.f64()));
                return Err(Error::NonFiniteGradient {
                    segment: dense.name,
                    index,
                    value,
                });
            }
            shown.push(layer);
        }
        Ok(shown)
    }

    /// Keeps the deltas of the loss, and what else its gradient has.
    fn differentiate<O>(&mut self, objective: &mut O, x: &[F]) -> Result<Report<F>, Error>
    where
        O: Fisher<F> + ?Sized,
    {
        let report = Report::new(objective.deltas(x, &mut self.next.rest)?)?;
        self.params.check_gradient(&self.next.rest)?;
        if Dense::all(objective)?.len() != self.layers.len() {
            return Err(FisherError::Order(self.layers.len()).into());
        }
        let deltas = self.shown(objective)?.into_iter();
        self.next.deltas = deltas.map(|layer| layer.delta.to_owned()).collect();
        Ok(report)
    }

    /// Blends the statistics of what the layers show into the next moments, and inverts them if
    /// that is due. Gives the factor on λ, which is raised until every factor has an inverse.
    fn refresh(&mut self, t: u64, due: bool, shown: &[Layer<'_, F>]) -> Result<f64, Error> {
        let keep = (1.0 - 1.0 / t as f64).min(self.hyper.decay);
        let Next {
            moments, inverses, ..
        } = &mut self.next;
        for (next, (old, layer)) in moments.iter_mut().zip(self.moments.iter().zip(shown)) {
            next.blend(old, layer, keep)?;
            if !next.is_finite() {
                return Err(FisherError::NonFinite("a Kronecker factor").into());
            }
        }
        let (mut scale, mut attempts) = (self.scale, 0..ATTEMPTS);
        if !due {
            return Ok(scale);
        }
        loop {
            let gamma = (self.hyper.damping * scale).sqrt();
            match Factors::invert_all(inverses, moments, gamma) {
                Ok(()) => return Ok(scale),
                Err(_) if gamma > 0.0 && attempts.next().is_some() => scale *= 10.0,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes δ; gives M(δ) if it was needed.
    fn propose(
        &mut self,
        shown: &[Layer<'_, F>],
        (invert, adapt): (bool, bool),
        lambda: f64,
    ) -> Result<Option<f64>, Error> {
        let Next {
            inverses,
            deltas,
            rest,
            step,
            ..
        } = &mut self.next;
        let (layers, last) = (&self.layers, &self.velocity);
        let inverses = if invert { &*inverses } else { &self.inverses };
        for (((dense, inverse), layer), delta) in
            layers.iter().zip(inverses).zip(shown).zip(&*deltas)
        {
            inverse.precondition(dense, (layer.input, delta.view()), rest, step)?;
        }
        let fixed = self.hyper.step_size == StepSize::Fixed;
        let (mut alpha, mut mu, mut predicted) = (self.hyper.lr, self.hyper.momentum, None);
        if adapt || !fixed {
            let d = Along::new(layers, shown, deltas, rest, step)?;
            let v = Along::new(layers, shown, deltas, rest, last)?;
            let model = Quadratic {
                slope: [d.slope, v.slope],
                curvature: [
                    d.curvature(&d) + lambda * dot(step, step),
                    d.curvature(&v) + lambda * dot(step, last),
                    v.curvature(&v) + lambda * dot(last, last),
                ],
            };
            if !fixed {
                let (a, m) = model.minimum();
                (alpha, mu) = (self.hyper.lr * a, self.hyper.lr * m);
            }
            predicted = Some(model.at(alpha, mu));
        }
        let (alpha, mu) = (F::of(alpha), F::of(mu));
        step.iter_mut()
            .zip(last)
            .for_each(|(d, &v)| *d = alpha * *d + mu * v);
        Ok(predicted)
    }

    /// The factor on λ after ρ; none if the loss after the step is not finite.
    fn adapted<O>(&self, objective: &mut O, loss: F, predicted: f64) -> Result<Option<f64>, Error>
    where
        O: Fisher<F> + ?Sized,
    {
        let omega = self.hyper.damping_decay.powf(ADAPT as f64);
        let change = objective.value(&self.next.x)?.f64() - loss.f64();
        Ok(change.is_finite().then(|| match change / predicted {
            ratio if ratio < 0.25 || predicted >= 0.0 => 1.0 / omega,
            ratio if ratio > 0.75 => omega,
            _ => 1.0,
        }))
    }
}

impl<F: Decompose, O: Fisher<F> + ?Sized> Method<F, O> for KfacMethod<F> {
    fn step(&mut self, objective: &mut O, x: &mut [F]) -> Result<Report<F>, Error> {
        self.params.check_len("x", x.len())?;
        let t = self.t.saturating_add(1);
        let invert = t <= 3 || t.is_multiple_of(self.hyper.period as u64);
        let adapt = self.hyper.damping_decay < 1.0 && t.is_multiple_of(ADAPT);

        let mut report = self.differentiate(objective, x)?;
        objective.sample(x, t)?;
        let shown = self.shown(objective)?;
        let mut scale = self.refresh(t, invert, &shown)?;
        if scale > self.scale {
            report.fallback = Some(Fallback::DampingRaised);
        }
        let predicted = self.propose(&shown, (invert, adapt), self.hyper.damping * scale)?;
        let Next { step, x: next, .. } = &mut self.next;
        for ((next, &x), &step) in next.iter_mut().zip(&*x).zip(&*step) {
            *next = x + step;
        }
        if !all_finite(next) {
            return Err(FisherError::NonFinite("the step").into());
        }
        if let Some(predicted) = predicted.filter(|_| adapt) {
            let factor = self.adapted(objective, report.loss, predicted)?;
            if factor.is_none() {
                self.next.step.fill(F::zero());
                self.next.x.copy_from_slice(x);
                report.fallback = Some(Fallback::NotMade);
            }
            scale *= factor.unwrap_or(1.0 / self.hyper.damping_decay.powf(ADAPT as f64));
        }

        std::mem::swap(&mut self.moments, &mut self.next.moments);
        std::mem::swap(&mut self.velocity, &mut self.next.step);
        if invert {
            std::mem::swap(&mut self.inverses, &mut self.next.inverses);
        }
        x.copy_from_slice(&self.next.x);
        self.scale = scale.clamp(LIMITS.0, LIMITS.1);
        self.t = t;
        Ok(report)
    }

    fn set(&mut self, name: &str, value: f64) -> Result<(), Error> {
        self.hyper = self.hyper.with(name, value)?;
        Ok(())
    }
}

impl<F: Scalar> State<F> for KfacMethod<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.count("t", &mut self.t);
        visitor.number("scale", &mut self.scale);
        let factors = [("", &mut self.moments), ("inverse ", &mut self.inverses)];
        for (what, factors) in factors {
            for (dense, Factors { a, g }) in self.layers.iter().zip(factors) {
                for (letter, matrix) in [("A", a), ("G", g)] {
                    let shape = [matrix.nrows(), matrix.ncols()];
                    if let Some(data) = matrix.as_slice_mut() {
                        let name = format!("{what}{letter}/{}", dense.name);
                        visitor.buffer(&name, &shape, data);
                    }
                }
            }
        }
        self.params.visit("velocity", &mut self.velocity, visitor);
    }
}
