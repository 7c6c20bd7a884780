//! The moving averages of vSGD over all parameters, and what a minibatch makes of them.

use std::ops::Range;

use opt_core::{ParamMap, Scalar, dot, each_parallel};

use crate::averages::{Averages, Rates, blend, slow_down, sum};

/// Averages and τ.
#[derive(Clone, Debug)]
pub(crate) struct Means<F> {
    pub(crate) g: Vec<F>,
    pub(crate) v: Vec<F>,
    pub(crate) h: Vec<F>,
    /// Empty if the curvature counts as exact.
    pub(crate) vh: Vec<F>,
    /// For each parameter or for each block.
    pub(crate) tau: Vec<F>,
}

/// What was measured on a minibatch: g, v and h.
#[derive(Clone, Debug)]
pub(crate) struct Measured<F> {
    pub(crate) g: Vec<F>,
    pub(crate) v: Vec<F>,
    pub(crate) h: Vec<F>,
}

impl<F: Scalar> Means<F> {
    pub(crate) fn copy_from(&mut self, other: &Self) {
        let Self { g, v, h, vh, tau } = self;
        for (to, from) in [
            (g, &other.g),
            (v, &other.v),
            (h, &other.h),
            (vh, &other.vh),
            (tau, &other.tau),
        ] {
            to.copy_from_slice(from);
        }
    }

    /// C times smaller rates, and as many minibatches behind as were collected.
    pub(crate) fn slow_down(&mut self, params: &ParamMap, c: f64, collected: u64) {
        slow_down(params, &mut self.v, c);
        slow_down(params, &mut self.h, c);
        slow_down(params, &mut self.vh, c * c);
        self.tau.fill(F::of(collected as f64 + 1.0));
    }

    /// Takes in the minibatch, each parameter by its own τ; writes ηg over `step`.
    pub(crate) fn step_locally(&mut self, new: &mut Measured<F>, rates: Rates<F>, step: &mut [F]) {
        let Self { g, v, h, vh, tau } = self;
        let (new_v, new_h) = (&mut new.v, &mut new.h);
        if vh.is_empty() {
            let slots = [&mut g[..], v, h, tau, new_v, new_h];
            each_parallel(step, &new.g, slots, move |_, g, [gm, vm, hm, tau, v, h]| {
                let old = averages(gm, vm, hm, F::zero());
                let new = averages(g, v, h.abs(), F::zero());
                let (mean, tau, eta) = rates.step::<false>(old, new, tau);
                (eta * g, [mean.g, mean.v, mean.h, tau, v, h])
            });
        } else {
            let slots = [&mut g[..], v, h, vh, tau, new_v, new_h];
            each_parallel(
                step,
                &new.g,
                slots,
                move |_, g, [gm, vm, hm, vhm, tau, v, h]| {
                    let old = averages(gm, vm, hm, vhm);
                    let new = averages(g, v, h, h * h);
                    let (mean, tau, eta) = rates.step::<true>(old, new, tau);
                    (eta * g, [mean.g, mean.v, mean.h, mean.vh, tau, v, h])
                },
            );
        }
    }

    /// The same for block `index`, with one τ and one η.
    pub(crate) fn step_block(
        &mut self,
        (index, range): (usize, Range<usize>),
        new: &Measured<F>,
        rates: Rates<f64>,
        step: &mut [F],
    ) {
        let mut tau = self.tau[index].f64();
        if self.is_outlier(range.clone(), new, rates, step) {
            tau += 1.0;
        }
        self.blend(range.clone(), new, F::of(tau.recip()));
        let (p, eta) = self.block_rate(range.clone(), rates);
        self.tau[index] = F::of((1.0 - p) * tau + 1.0);
        let (step, g, eta) = (&mut step[range.clone()], &new.g[range], F::of(eta));
        each_parallel(step, g, [], move |_, g, []| (eta * g, []));
    }

    /// `work` takes distances from averages.
    fn is_outlier(
        &mut self,
        range: Range<usize>,
        new: &Measured<F>,
        rates: Rates<f64>,
        work: &mut [F],
    ) -> bool {
        let work = &mut work[range.clone()];
        let mut distance = |new: &[F], mean: &mut [F]| {
            each_parallel(work, new, [mean], |_, new, [mean]| (new - mean, [mean]));
            dot(work, work)
        };
        let g = &mut self.g[range.clone()];
        let far = distance(&new.g[range.clone()], g);
        let square = sum(&self.v[range.clone()]);
        if rates.gradient_is_outlier(far, dot(g, g), square) {
            return true;
        }
        if self.vh.is_empty() {
            return false;
        }
        let h = &mut self.h[range.clone()];
        let far = distance(&new.h[range.clone()], h);
        rates.curvature_is_outlier(far, dot(h, h), sum(&self.vh[range]))
    }

    /// P and η of a block.
    pub(crate) fn block_rate(&self, range: Range<usize>, rates: Rates<f64>) -> (f64, f64) {
        let g = &self.g[range.clone()];
        let p = rates.signal(dot(g, g), sum(&self.v[range.clone()]));
        let h = &self.h[range.clone()];
        let most = |most: f64, h: f64| most.max(h);
        let h = match self.vh.get(range) {
            Some(vh) if !vh.is_empty() => {
                let known = h.iter().zip(vh).filter(|(h, _)| **h > F::zero());
                known.map(|(h, vh)| vh.f64() / h.f64()).fold(0.0, most)
            }
            _ => h.iter().map(|h| h.f64()).fold(0.0, most),
        };
        (p, rates.exact_rate(p, h))
    }

    /// η of one parameter.
    pub(crate) fn local_rate(&self, i: usize, rates: Rates<f64>) -> f64 {
        let (g, h) = (self.g[i].f64(), self.h[i].f64());
        let p = rates.signal(g * g, self.v[i].f64());
        match self.vh.get(i) {
            Some(vh) => rates.rate(p, h, vh.f64()),
            None => rates.exact_rate(p, h),
        }
    }

    /// Takes this minibatch into the averages with weight `w`.
    pub(crate) fn blend(&mut self, range: Range<usize>, new: &Measured<F>, w: F) {
        let h = &new.h[range.clone()];
        let gm = &mut self.g[range.clone()];
        each_parallel(gm, &new.g[range.clone()], [], move |m, g, []| {
            (blend(m, g, w), [])
        });
        let vm = &mut self.v[range.clone()];
        each_parallel(vm, &new.v[range.clone()], [], move |m, v, []| {
            (blend(m, v, w), [])
        });
        let hm = &mut self.h[range.clone()];
        each_parallel(hm, h, [], move |m, h, []| (blend(m, h.abs(), w), []));
        if let Some(vhm) = self.vh.get_mut(range) {
            each_parallel(vhm, h, [], move |m, h, []| (blend(m, h * h, w), []));
        }
    }
}

fn averages<F>(g: F, v: F, h: F, vh: F) -> Averages<F> {
    Averages { g, v, h, vh }
}
