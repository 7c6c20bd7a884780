//! The arithmetic of vSGD, for one parameter or for the sums over a block of them.

use opt_core::{ParamMap, Scalar, dot};

/// The moving averages of one parameter, or what a minibatch adds to them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Averages<F> {
    /// ḡ, of the gradient.
    pub(crate) g: F,
    /// v̄, of the samples' squared gradients.
    pub(crate) v: F,
    /// h̄, of the curvature.
    pub(crate) h: F,
    /// v̄ₕ, of the squared curvature; 0 if the curvature counts as exact.
    pub(crate) vh: F,
}

/// (1 − w)·mean + w·new: where both are equal, the mean stays bitwise the same.
#[inline(always)]
pub(crate) fn blend<F: Scalar>(mean: F, new: F, w: F) -> F {
    mean + w * (new - mean)
}

/// What is the same for all parameters in one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates<F> {
    /// 1/n for minibatches of n samples.
    part: F,
    /// (n − 1)/n.
    rest: F,
    /// The threshold of outliers, squared.
    outlier: F,
    /// ε and ε², above 0 in this precision.
    eps: F,
    floor: F,
}

impl<F: Scalar> Rates<F> {
    pub(crate) fn new(samples: usize, outlier: f64, eps: f64) -> Self {
        let n = samples.max(1) as f64;
        Self {
            part: F::of(n.recip()),
            rest: F::of((n - 1.0) / n),
            outlier: F::of(outlier * outlier),
            eps: F::of(eps).max(F::min_positive_value()),
            floor: F::of(eps * eps).max(F::min_positive_value()),
        }
    }

    /// Whether a minibatch's gradient is further from ḡ than its noise explains, given (g − ḡ)²,
    /// ḡ² and v̄.
    #[inline(always)]
    pub(crate) fn gradient_is_outlier(self, distance: F, mean2: F, square: F) -> bool {
        let variance = (square - mean2).max(F::zero()) * self.part;
        (self.outlier > F::zero()) & (distance > self.outlier * variance)
    }

    /// The same for its curvature, given (h − h̄)², h̄² and v̄ₕ.
    #[inline(always)]
    pub(crate) fn curvature_is_outlier(self, distance: F, mean2: F, square: F) -> bool {
        let variance = (square - mean2).max(F::zero());
        (self.outlier > F::zero()) & (distance > self.outlier * variance)
    }

    /// P of ḡ² and v̄: the part of the gradient's square that is not noise.
    #[inline(always)]
    pub(crate) fn signal(self, g2: F, v: F) -> F {
        let total = v * self.part + g2 * self.rest;
        (g2 / total.max(F::min_positive_value())).min(F::one())
    }

    /// η of P, h̄ and v̄ₕ.
    #[inline(always)]
    pub(crate) fn rate(self, p: F, h: F, vh: F) -> F {
        p * h / vh.max(self.floor)
    }

    /// η where v̄ₕ is h̄², whose square may not be in range: P/h̄, or less with h̄ below ε.
    #[inline(always)]
    pub(crate) fn exact_rate(self, p: F, h: F) -> F {
        let share = (h / self.eps).min(F::one());
        p / h.max(self.eps) * share
    }

    /// One step of one parameter: its averages, τ and η. `NOISY` says whether v̄ₕ is kept.
    #[inline(always)]
    pub(crate) fn step<const NOISY: bool>(
        self,
        old: Averages<F>,
        new: Averages<F>,
        tau: F,
    ) -> (Averages<F>, F, F) {
        let (dg, dh) = (new.g - old.g, new.h - old.h);
        let outlier = self.gradient_is_outlier(dg * dg, old.g * old.g, old.v)
            | (NOISY & self.curvature_is_outlier(dh * dh, old.h * old.h, old.vh));
        let tau = if outlier { tau + F::one() } else { tau };
        let w = tau.recip();
        let h = blend(old.h, new.h, w);
        let mean = Averages {
            g: blend(old.g, new.g, w),
            v: blend(old.v, new.v, w),
            h,
            vh: blend(old.vh, new.vh, w),
        };
        let p = self.signal(mean.g * mean.g, mean.v);
        let eta = if NOISY {
            self.rate(p, h, mean.vh)
        } else {
            self.exact_rate(p, h)
        };
        (mean, (F::one() - p) * tau + F::one(), eta)
    }
}

/// a ← ca, within the range of the type. Elements that are 0 become c times the mean of those of
/// their segment that are not.
pub(crate) fn slow_down<F: Scalar>(params: &ParamMap, a: &mut [F], c: f64) {
    for segment in params.segments() {
        let Some(a) = a.get_mut(segment.range.clone()) else {
            return; // not kept
        };
        let known = a.iter().filter(|a| !a.is_zero()).count();
        let mean = F::of(sum(a) / known.max(1) as f64);
        for a in a {
            let from = if a.is_zero() { mean } else { *a };
            *a = (from * F::of(c)).min(F::max_value());
        }
    }
}

pub(crate) fn sum<F: Scalar>(a: &[F]) -> f64 {
    let ones = [F::one(); 1024];
    a.chunks(ones.len()).map(|chunk| dot(chunk, &ones)).sum()
}
