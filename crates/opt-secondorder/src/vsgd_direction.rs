use std::marker::PhantomData;
use std::mem::swap;
use std::ops::Range;

use opt_core::{
    Change, Direction, Error as CoreError, Fallback, Field, HessianDiag, ParamMap, PerSample,
    Report, Scalar, Staged, State, Tune, Tuned, Visit, all_finite, each_parallel, list_hyper, norm,
};

use crate::averages::{Rates, sum};
use crate::curvature::{Bbprop, Curvature, FiniteDifferences, Known};
use crate::error::Error;
use crate::means::{Means, Measured};
use crate::vsgd::{Form, Vsgd};

/// ηg as vSGD has it: made by [`Vsgd::direction`], with curvature by [`Bbprop`] or by [`FiniteDifferences`].
///
/// While minibatches are only collected, and where the gradient of a whole segment has no square in
/// this type, [`Report::fallback`] says so.
#[derive(Clone, Debug)]
pub struct VsgdDirection<F: Scalar, C> {
    hyper: Tuned<Vsgd>,
    params: ParamMap,
    /// None for [`Form::Local`].
    blocks: Vec<Range<usize>>,
    now: Means<F>,
    /// What `now` becomes, if nothing fails.
    next: Means<F>,
    /// Minibatches that were averaged before the first step.
    collected: u64,
    t: u64,
    measured: Measured<F>,
    /// The penalty's diagonal, then θ + ḡ.
    work: Vec<F>,
    staged: Option<Stage>,
    kind: PhantomData<C>,
}

impl<F: Scalar, C: Curvature> VsgdDirection<F, C> {
    pub(crate) fn build(hyper: Tuned<Vsgd>, params: &ParamMap) -> Self {
        let segments = params.segments().iter().map(|s| s.range.clone());
        let all = 0..params.len();
        let blocks: Vec<_> = match hyper.form {
            Form::Local => Vec::new(),
            Form::Block => segments.filter(|range| !range.is_empty()).collect(),
            Form::Global => std::iter::once(all).collect(),
        };
        let zeros = || vec![F::zero(); params.len()];
        let rates = match hyper.form {
            Form::Local => params.len(),
            _ => blocks.len(),
        };
        let now = Means {
            g: zeros(),
            v: zeros(),
            h: zeros(),
            vh: if C::NOISY { zeros() } else { Vec::new() },
            tau: vec![F::zero(); rates],
        };
        Self {
            next: now.clone(),
            now,
            params: params.clone(),
            collected: 0,
            t: 0,
            measured: Measured {
                g: zeros(),
                v: zeros(),
                h: zeros(),
            },
            work: zeros(),
            staged: None,
            kind: PhantomData,
            hyper,
            blocks,
        }
    }
}

/// What the minibatch that was proposed counts as.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Collected,
    Stepped,
}

impl<F: Scalar, C> VsgdDirection<F, C> {
    /// The learning rates η of a minibatch of `samples`, by the averages as they are: one for each
    /// parameter, for each segment that is not empty, or for all.
    pub fn rates(&self, samples: usize) -> Vec<f64> {
        let rates = Rates::new(samples, self.hyper.outlier, self.hyper.eps);
        if self.blocks.is_empty() {
            let all = 0..self.params.len();
            return all.map(|i| self.now.local_rate(i, rates)).collect();
        }
        let blocks = self.blocks.iter().cloned();
        let rate = |block| self.now.block_rate(block, rates).1;
        blocks.map(rate).collect()
    }

    fn observe<O>(&mut self, objective: &mut O, x: &[F]) -> Result<Report<F>, CoreError>
    where
        O: PerSample<F> + ?Sized,
    {
        self.staged = None;
        self.params.check_len("x", x.len())?;
        let Measured { g, v, .. } = &mut self.measured;
        let mut report = Report::new(objective.grad_moments(x, g, v)?)?;
        self.params.check_gradient(g)?;
        let vanishes = self.params.segments().iter().any(|segment| {
            let (g, v) = (&g[segment.range.clone()], &v[segment.range.clone()]);
            sum(v) == 0.0 && norm(g) > 0.0
        });
        report.fallback = vanishes.then_some(Fallback::Vanishing);
        // A sample's gradient is that of the penalty p too: E(d + p)² with E(d) = g − p. Rounding
        // must not make it negative.
        objective.penalty(&mut self.work);
        let slots = [&mut g[..], &mut self.work];
        each_parallel(v, x, slots, move |v, x, [g, l2]| {
            let p = l2 * x;
            let v = v + p * (g + g - p);
            (if v < F::zero() { F::zero() } else { v }, [g, l2])
        });
        if !all_finite(v) {
            return Err(Error::NonFinite("a sample's squared gradient").into());
        }
        Ok(report)
    }

    /// The weight of this minibatch in the averages, if they are still collected.
    fn collecting(&self) -> Option<F> {
        let collects = self.t == 0 && self.collected < self.hyper.warmup;
        collects.then(|| F::of((self.collected as f64 + 1.0).recip()))
    }

    /// All that follows the measurements.
    fn follow<O>(&mut self, objective: &O, d: &mut [F], mut report: Report<F>) -> Report<F>
    where
        O: PerSample<F> + ?Sized,
    {
        self.next.copy_from(&self.now);
        if let Some(w) = self.collecting() {
            self.next.blend(0..d.len(), &self.measured, w);
            self.staged = Some(Stage::Collected);
            (report.moves, report.fallback) = (false, Some(Fallback::Collecting));
            return report;
        }
        if self.t == 0 {
            let c = 1.0 + self.hyper.slow_start * (d.len() as f64).sqrt();
            self.next.slow_down(&self.params, c, self.collected);
        }
        let (outlier, eps, n) = (self.hyper.outlier, self.hyper.eps, objective.samples());
        if self.blocks.is_empty() {
            let rates = Rates::new(n, outlier, eps);
            self.next.step_locally(&mut self.measured, rates, d);
        } else {
            let rates = Rates::new(n, outlier, eps);
            for block in self.blocks.iter().cloned().enumerate() {
                self.next.step_block(block, &self.measured, rates, d);
            }
        }
        self.staged = Some(Stage::Stepped);
        report
    }
}

impl<F: Scalar, C> Staged for VsgdDirection<F, C> {
    fn commit(&mut self) {
        let Some(stage) = self.staged.take() else {
            return;
        };
        swap(&mut self.now, &mut self.next);
        match stage {
            Stage::Collected => self.collected = self.collected.saturating_add(1),
            Stage::Stepped => self.t = self.t.saturating_add(1),
        }
    }
}

impl<F: Scalar, C> Tune for VsgdDirection<F, C> {
    fn list(&self) -> Vec<Field> {
        list_hyper(&*self.hyper)
    }

    /// All but `form`, which decides on the state, and so is fixed when the method is made.
    fn change(&mut self, name: &str, change: &Change) -> Result<(), CoreError> {
        let mut hyper = self.hyper.clone();
        hyper.change::<F>(name, change)?;
        if hyper.form != self.hyper.form {
            let text = "form is fixed when the method is made: make another";
            return Err(CoreError::HyperConflict(text.to_owned()));
        }
        self.hyper = hyper;
        Ok(())
    }
}

impl<F, O> Direction<F, O> for VsgdDirection<F, Bbprop>
where
    F: Scalar,
    O: PerSample<F> + HessianDiag<F> + ?Sized,
{
    fn propose(&mut self, objective: &mut O, x: &[F], d: &mut [F]) -> Result<Report<F>, CoreError> {
        let report = self.observe(objective, x)?;
        Bbprop::measure(objective, x, &mut self.measured.h)?;
        Ok(self.follow(objective, d, report))
    }
}

impl<F, O> Direction<F, O> for VsgdDirection<F, FiniteDifferences>
where
    F: Scalar,
    O: PerSample<F> + ?Sized,
{
    fn propose(&mut self, objective: &mut O, x: &[F], d: &mut [F]) -> Result<Report<F>, CoreError> {
        let report = self.observe(objective, x)?;
        let known = Known {
            weight: self.collecting().unwrap_or(F::zero()),
            gradient: &self.measured.g,
            g_mean: &mut self.now.g,
            h_mean: &mut self.now.h,
        };
        // θ is only read, and d is not yet in use: slots are mutable.
        d.copy_from_slice(x);
        let h = &mut self.measured.h;
        FiniteDifferences::measure(objective, d, known, &mut self.work, h)?;
        Ok(self.follow(objective, d, report))
    }
}

impl<F: Scalar, C> State<F> for VsgdDirection<F, C> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.count("t", &mut self.t);
        visitor.count("collected", &mut self.collected);
        let Means { g, v, h, vh, tau } = &mut self.now;
        self.params.visit("g", g, visitor);
        self.params.visit("v", v, visitor);
        self.params.visit("h", h, visitor);
        if !vh.is_empty() {
            self.params.visit("vh", vh, visitor);
        }
        if self.blocks.is_empty() {
            self.params.visit("tau", tau, visitor);
        } else {
            visitor.buffer("tau", &[self.blocks.len()], tau);
        }
    }
}
