use std::marker::PhantomData;
use std::ops::Range;

use opt_core::{
    Bound, Error as CoreError, FieldVisitor, HessianDiag, Hyper, Method, ParamMap, PerSample,
    Report, Scalar, State, Visit, all_finite, dot, each_parallel,
};

use crate::Error;
use crate::averages::{Averages, Rates, blend, slow_down, sum};
use crate::curvature::{Bbprop, FiniteDifferences, Known};

/// How many learning rates there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// One for each parameter: vSGD-l.
    Local,
    /// One for each segment: vSGD-b.
    Block,
    /// One for all: vSGD-g.
    Global,
}

/// vSGD: stochastic gradient descent that sets its learning rates from the noise and the curvature
/// it sees (Schaul, Zhang & LeCun, No more pesky learning rates, 2013; Schaul & LeCun, Adaptive
/// learning rates and parallelization for stochastic, sparse, non-smooth gradients, 2013).
///
/// ```text
/// τ ← τ + 1 if (g − ḡ)² > s²(v̄ − ḡ²)/n  or  (h − h̄)² > s²(v̄ₕ − h̄²)
/// ḡ ← ḡ + (g − ḡ)/τ      v̄ ← v̄ + (v − v̄)/τ      h̄ ← h̄ + (h − h̄)/τ      v̄ₕ ← v̄ₕ + (h² − v̄ₕ)/τ
/// P = ḡ²/(v̄/n + (n − 1)ḡ²/n)
/// η = P·h̄/max(v̄ₕ, ε²)
/// τ ← (1 − P)τ + 1
/// θ ← θ − ηg
/// ```
///
/// g is the gradient of a minibatch of n samples, v the mean of its samples' squared gradients and
/// h its curvature: by [`Bbprop`], where v̄ₕ is h̄² and so η = P/h̄, or by [`FiniteDifferences`].
/// [`VsgdMethod`] is of either kind. P is the part of the gradient that is not noise. Without noise
/// a step is Newton's with the diagonal; at a minimum η falls as 1/t, as it must. With n = 1 the
/// equations are those of the paper.
///
/// The first n₀ minibatches are only averaged, equally: nothing moves. Then v̄ and h̄ are multiplied
/// by C, v̄ₕ by C², so that η is C² times too small, and grows as the averages forget; and τ is
/// n₀ + 1, with which the next minibatch weighs as much as each of those. A parameter that had no
/// gradient until then, such as those of an input that is rarely on, takes its segment's averages:
/// 0, multiplied by anything, would be no slow start.
///
/// In the other forms of [`Form`], ḡ², v̄, (g − ḡ)², (h − h̄)², h̄² and v̄ₕ are sums over the block
/// wherever they are compared, and h̄ is the largest of the block in η, of finite differences the
/// largest v̄ₕ/h̄: there a single parameter whose ḡ is near 0 can hold up its whole block.
///
/// Where nothing is known, nothing moves: η falls to 0 with h̄ below ε, for a parameter whose loss
/// is flat or linear, and P is 0 where v̄ is, for a unit that never sees an input.
///
/// Needs [`PerSample`], and [`HessianDiag`] or a second gradient. A minibatch of one sample is the
/// paper's own case; the noise is then seen only from one minibatch to the next. Keeps 4 buffers,
/// with finite differences 5.
///
/// Differs from the papers: outliers are judged by the noise of the minibatch's mean, so by n, as
/// the first author's code does, without which τ hardly ever grows on larger minibatches, and
/// learning diverges; τ counts minibatches; parameters without a gradient in the first n₀ have a
/// slow start too, without which wide networks diverge; the order is that above, where another of
/// the author's codes changes τ first; ε is a floor, and not added; the forms' rule of outliers is
/// ours.
#[derive(Clone, Debug, PartialEq)]
pub struct Vsgd {
    /// c of C = 1 + c√d, for d parameters. It protects from steps that all parameters take at once,
    /// each as if it were alone; but it takes about C·n₀ minibatches to wear off. The paper's C is
    /// d/10, as if all of them pulled the same way: for a network of 10⁵ parameters that is many
    /// epochs. A constant C does not serve both small and large networks: 100 does on MNIST for
    /// up to 10⁵ parameters, and diverges for 2·10⁶.
    pub slow_start: f64,
    /// n₀, in minibatches. Raise it for minibatches of one or two samples, where ten may not show
    /// every input.
    pub warmup: f64,
    /// s, in standard deviations. 0 turns the rule of outliers off.
    pub outlier: f64,
    /// ε, the curvature below which a parameter counts as flat, in units of h.
    pub eps: f64,
    /// Learning rates for parameters, segments or all.
    pub form: Form,
}

impl Default for Vsgd {
    fn default() -> Self {
        Self {
            slow_start: 1.0,
            warmup: 10.0,
            outlier: 2.0,
            eps: 1e-4,
            form: Form::Local,
        }
    }
}

impl Hyper for Vsgd {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit("slow_start", &mut self.slow_start, Bound::NonNegative);
        visit("warmup", &mut self.warmup, Bound::Count);
        visit("outlier", &mut self.outlier, Bound::NonNegative);
        visit("eps", &mut self.eps, Bound::Positive);
    }
}

/// [`Vsgd`] over an objective, with curvature by [`Bbprop`] or by [`FiniteDifferences`].
#[derive(Clone, Debug)]
pub struct VsgdMethod<F, C> {
    hyper: Vsgd,
    params: ParamMap,
    /// None for [`Form::Local`].
    blocks: Vec<Range<usize>>,
    g_mean: Vec<F>,
    v_mean: Vec<F>,
    h_mean: Vec<F>,
    /// Empty if the curvature counts as exact.
    vh_mean: Vec<F>,
    /// For each parameter or for each block.
    tau: Vec<F>,
    /// Minibatches that were averaged before the first step.
    collected: u64,
    t: u64,
    gradient: Vec<F>,
    square: Vec<F>,
    curvature: Vec<F>,
    /// θ + ḡ, or distances from averages.
    work: Vec<F>,
    kind: PhantomData<C>,
}

impl<F: Scalar> VsgdMethod<F, Bbprop> {
    /// # Errors
    /// [`CoreError::Hyper`].
    pub fn new(hyper: Vsgd, params: &ParamMap) -> Result<Self, CoreError> {
        Self::build(hyper, params, false)
    }
}

impl<F: Scalar> VsgdMethod<F, FiniteDifferences> {
    /// # Errors
    /// [`CoreError::Hyper`].
    pub fn new(hyper: Vsgd, params: &ParamMap) -> Result<Self, CoreError> {
        Self::build(hyper, params, true)
    }
}

impl<F: Scalar, C> VsgdMethod<F, C> {
    fn build(hyper: Vsgd, params: &ParamMap, noisy: bool) -> Result<Self, CoreError> {
        hyper.check()?;
        let segments = params.segments().iter().map(|s| s.range.clone());
        let all = 0..params.len();
        let blocks: Vec<_> = match hyper.form {
            Form::Local => Vec::new(),
            Form::Block => segments.filter(|range| !range.is_empty()).collect(),
            Form::Global => std::iter::once(all).collect(),
        };
        let zeros = |needed: bool| vec![F::zero(); if needed { params.len() } else { 0 }];
        let local = blocks.is_empty();
        Ok(Self {
            params: params.clone(),
            tau: vec![F::zero(); if local { params.len() } else { blocks.len() }],
            g_mean: zeros(true),
            v_mean: zeros(true),
            h_mean: zeros(true),
            vh_mean: zeros(noisy),
            collected: 0,
            t: 0,
            gradient: zeros(true),
            square: zeros(true),
            curvature: zeros(true),
            work: zeros(noisy || !local),
            kind: PhantomData,
            hyper,
            blocks,
        })
    }

    /// The learning rates η of a minibatch of `samples`, by the averages as they are: one for each
    /// parameter, for each segment that is not empty, or for all.
    pub fn rates(&self, samples: usize) -> Vec<f64> {
        let rates = Rates::new(samples, self.hyper.outlier, self.hyper.eps);
        if !self.blocks.is_empty() {
            let blocks = self.blocks.iter().cloned();
            return blocks
                .map(|block| self.block_rate(block, rates).1)
                .collect();
        }
        let rate = |i: usize| {
            let (g, h) = (self.g_mean[i].f64(), self.h_mean[i].f64());
            let vh = self.vh_mean.get(i).map_or(h * h, |vh| vh.f64());
            rates.rate(rates.signal(g * g, self.v_mean[i].f64()), h, vh)
        };
        (0..self.params.len()).map(rate).collect()
    }

    fn observe<O>(&mut self, objective: &mut O, x: &[F]) -> Result<Report<F>, CoreError>
    where
        O: PerSample<F> + ?Sized,
    {
        self.params.check_len("x", x.len())?;
        let loss = objective.grad_moments(x, &mut self.gradient, &mut self.square)?;
        let report = Report::new(loss)?;
        self.params.check_gradient(&self.gradient)?;
        if !all_finite(&self.square) {
            return Err(Error::NonFinite("a sample's squared gradient").into());
        }
        Ok(report)
    }

    /// The weight of this minibatch in the averages, if they are still collected.
    fn collecting(&self) -> Option<F> {
        let collects = self.t == 0 && self.collected < self.hyper.warmup as u64;
        collects.then(|| F::of((self.collected as f64 + 1.0).recip()))
    }

    /// All that follows the measurements, and cannot fail.
    fn advance(&mut self, x: &mut [F], samples: usize) {
        if let Some(w) = self.collecting() {
            self.blend(0..x.len(), w);
            self.collected += 1;
            return;
        }
        if self.t == 0 {
            let c = 1.0 + self.hyper.slow_start * (x.len() as f64).sqrt();
            let params = &self.params;
            slow_down(params, &mut self.v_mean, c);
            slow_down(params, &mut self.h_mean, c);
            slow_down(params, &mut self.vh_mean, c * c);
            self.tau.fill(F::of(self.collected as f64 + 1.0));
        }
        self.t = self.t.saturating_add(1);
        if self.blocks.is_empty() {
            self.step_locally(x, samples);
        } else {
            let rates = Rates::new(samples, self.hyper.outlier, self.hyper.eps);
            for index in 0..self.blocks.len() {
                self.step_block(index, x, rates);
            }
        }
    }

    fn step_locally(&mut self, x: &mut [F], samples: usize) {
        let rates = Rates::new(samples, self.hyper.outlier, self.hyper.eps);
        let g = &self.gradient;
        let (gm, vm, hm) = (&mut self.g_mean, &mut self.v_mean, &mut self.h_mean);
        let (tau, v, h) = (&mut self.tau, &mut self.square, &mut self.curvature);
        if self.vh_mean.is_empty() {
            let slots = [&mut gm[..], vm, hm, tau, v, h];
            each_parallel(x, g, slots, move |x, g, [gm, vm, hm, tau, v, h]| {
                let old = averages(gm, vm, hm, F::zero());
                let new = averages(g, v, h.abs(), F::zero());
                let (mean, tau, eta) = rates.step::<false>(old, new, tau);
                (x - eta * g, [mean.g, mean.v, mean.h, tau, v, h])
            });
        } else {
            let slots = [&mut gm[..], vm, hm, &mut self.vh_mean, tau, v, h];
            each_parallel(x, g, slots, move |x, g, [gm, vm, hm, vhm, tau, v, h]| {
                let old = averages(gm, vm, hm, vhm);
                let new = averages(g, v, h, h * h);
                let (mean, tau, eta) = rates.step::<true>(old, new, tau);
                (x - eta * g, [mean.g, mean.v, mean.h, mean.vh, tau, v, h])
            });
        }
    }

    fn step_block(&mut self, index: usize, x: &mut [F], rates: Rates<f64>) {
        let range = self.blocks[index].clone();
        let mut tau = self.tau[index].f64();
        if self.is_outlier(range.clone(), rates) {
            tau += 1.0;
        }
        self.blend(range.clone(), F::of(tau.recip()));
        let (p, eta) = self.block_rate(range.clone(), rates);
        self.tau[index] = F::of((1.0 - p) * tau + 1.0);
        let (x, g, eta) = (&mut x[range.clone()], &self.gradient[range], F::of(eta));
        each_parallel(x, g, [], move |x, g, []| (x - eta * g, []));
    }

    fn is_outlier(&mut self, range: Range<usize>, rates: Rates<f64>) -> bool {
        let work = &mut self.work[range.clone()];
        let mut distance = |new: &[F], mean: &mut [F]| {
            each_parallel(work, new, [mean], |_, new, [mean]| (new - mean, [mean]));
            dot(work, work)
        };
        let g = &mut self.g_mean[range.clone()];
        let far = distance(&self.gradient[range.clone()], g);
        let square = sum(&self.v_mean[range.clone()]);
        if rates.gradient_is_outlier(far, dot(g, g), square) {
            return true;
        }
        if self.vh_mean.is_empty() {
            return false;
        }
        let h = &mut self.h_mean[range.clone()];
        let far = distance(&self.curvature[range.clone()], h);
        rates.curvature_is_outlier(far, dot(h, h), sum(&self.vh_mean[range]))
    }

    /// P and η of a block.
    fn block_rate(&self, range: Range<usize>, rates: Rates<f64>) -> (f64, f64) {
        let g = &self.g_mean[range.clone()];
        let p = rates.signal(dot(g, g), sum(&self.v_mean[range.clone()]));
        let h = &self.h_mean[range.clone()];
        let most = |most: f64, h: f64| most.max(h);
        let h = match self.vh_mean.get(range) {
            Some(vh) if !vh.is_empty() => {
                let known = h.iter().zip(vh).filter(|(h, _)| **h > F::zero());
                known.map(|(h, vh)| vh.f64() / h.f64()).fold(0.0, most)
            }
            _ => h.iter().map(|h| h.f64()).fold(0.0, most),
        };
        (p, rates.rate(p, h, h * h))
    }

    /// Takes this minibatch into the averages with weight `w`.
    fn blend(&mut self, range: Range<usize>, w: F) {
        let (g, v, h) = (&self.gradient, &self.square, &self.curvature);
        let (g, v, h) = (&g[range.clone()], &v[range.clone()], &h[range.clone()]);
        let (gm, vm) = (
            &mut self.g_mean[range.clone()],
            &mut self.v_mean[range.clone()],
        );
        each_parallel(gm, g, [], move |m, g, []| (blend(m, g, w), []));
        each_parallel(vm, v, [], move |m, v, []| (blend(m, v, w), []));
        let hm = &mut self.h_mean[range.clone()];
        each_parallel(hm, h, [], move |m, h, []| (blend(m, h.abs(), w), []));
        if let Some(vhm) = self.vh_mean.get_mut(range) {
            each_parallel(vhm, h, [], move |m, h, []| (blend(m, h * h, w), []));
        }
    }
}

fn averages<F>(g: F, v: F, h: F, vh: F) -> Averages<F> {
    Averages { g, v, h, vh }
}

impl<F, O> Method<F, O> for VsgdMethod<F, Bbprop>
where
    F: Scalar,
    O: PerSample<F> + HessianDiag<F> + ?Sized,
{
    fn step(&mut self, objective: &mut O, x: &mut [F]) -> Result<Report<F>, CoreError> {
        let report = self.observe(objective, x)?;
        Bbprop::measure(objective, x, &mut self.curvature)?;
        self.advance(x, objective.samples());
        Ok(report)
    }

    fn set(&mut self, name: &str, value: f64) -> Result<(), CoreError> {
        self.hyper = self.hyper.with(name, value)?;
        Ok(())
    }
}

impl<F, O> Method<F, O> for VsgdMethod<F, FiniteDifferences>
where
    F: Scalar,
    O: PerSample<F> + ?Sized,
{
    fn step(&mut self, objective: &mut O, x: &mut [F]) -> Result<Report<F>, CoreError> {
        let report = self.observe(objective, x)?;
        let known = Known {
            weight: self.collecting().unwrap_or(F::zero()),
            gradient: &self.gradient,
            g_mean: &mut self.g_mean,
            h_mean: &mut self.h_mean,
        };
        FiniteDifferences::measure(objective, x, known, &mut self.work, &mut self.curvature)?;
        self.advance(x, objective.samples());
        Ok(report)
    }

    fn set(&mut self, name: &str, value: f64) -> Result<(), CoreError> {
        self.hyper = self.hyper.with(name, value)?;
        Ok(())
    }
}

impl<F: Scalar, C> State<F> for VsgdMethod<F, C> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.count("t", &mut self.t);
        visitor.count("collected", &mut self.collected);
        self.params.visit("g", &mut self.g_mean, visitor);
        self.params.visit("v", &mut self.v_mean, visitor);
        self.params.visit("h", &mut self.h_mean, visitor);
        self.params.visit("vh", &mut self.vh_mean, visitor);
        if self.blocks.is_empty() {
            self.params.visit("tau", &mut self.tau, visitor);
        } else {
            visitor.buffer("tau", &[self.blocks.len()], &mut self.tau);
        }
    }
}
