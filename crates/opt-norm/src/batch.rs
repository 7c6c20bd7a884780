use opt_core::{Bound, FieldVisitor, Hyper, Scalar};

use crate::Error;
use crate::passes::{map, reduce};

/// Batch normalization: y = γx̂ + β with x̂ = (x − μ)/√(σ² + ε), where μ and σ² are those of the
/// feature over the batch (Ioffe & Szegedy 2015).
///
/// In training σ² is biased (divided by the number of values). The slides' σ lacks the root and ε,
/// and their sums have one term too many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm {
    /// ε, in units of x². PyTorch 1e-5, Keras 1e-3.
    pub eps: f64,
    /// Weight of the new batch in the running statistics, as in PyTorch (0.1). Keras's momentum is
    /// the weight of the old ones (0.99, here 0.01).
    pub momentum: f64,
    /// Which variance the running statistics take.
    pub variance: Variance,
}

/// A variance divided by the number of values, or by one less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variance {
    /// As Keras.
    Biased,
    /// As PyTorch, and as the paper for inference.
    #[default]
    Unbiased,
}

impl Default for BatchNorm {
    fn default() -> Self {
        Self {
            eps: 1e-5,
            momentum: 0.1,
            variance: Variance::Unbiased,
        }
    }
}

impl Hyper for BatchNorm {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("eps", &mut self.eps, Bound::Positive);
        visit.real("momentum", &mut self.momentum, Bound::Unit);
    }
}

/// How a slice is laid out: (batch, channels, positions), row-major. Every channel is a feature,
/// normalized over batch and positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Samples.
    pub batch: usize,
    /// Features.
    pub channels: usize,
    /// Positions of each sample that share the feature; 1 for dense layers.
    pub positions: usize,
}

impl Layout {
    /// (batch, features), of a dense layer.
    pub fn features(batch: usize, features: usize) -> Self {
        Self {
            batch,
            channels: features,
            positions: 1,
        }
    }

    /// Values of each feature.
    pub fn count(self) -> usize {
        self.batch.saturating_mul(self.positions)
    }

    fn len(self) -> usize {
        self.count().saturating_mul(self.channels)
    }

    pub(crate) fn check<F>(self, x: &[F], gamma: &[F], beta: &[F]) -> Result<(), Error> {
        if self.channels == 0 || self.positions == 0 {
            return Err(Error::Empty);
        }
        Error::length("batch", self.len(), x.len())?;
        Error::length("gamma", self.channels, gamma.len())?;
        Error::length("beta", self.channels, beta.len())
    }
}

/// What the backward pass needs of the forward pass, in buffers that are reused.
#[derive(Clone, Debug, Default)]
pub struct Cache<F> {
    pub(crate) layout: Layout,
    /// x̂, of the shape of x.
    normalized: Vec<F>,
    /// 1/√(σ² + ε) of each feature; where σ = 0 and ε is tiny, more than an `f32` holds.
    inverse: Vec<f64>,
    /// μ of each feature.
    pub(crate) mean: Vec<f64>,
    /// σ² of each feature, biased.
    pub(crate) variance: Vec<f64>,
    /// Sums over the batch, of the forward and of the backward pass.
    sums: [Vec<f64>; 2],
}

impl BatchNorm {
    /// Training: normalizes `x` in place, by its own statistics, and keeps in `cache` what
    /// [`Cache::backward`] and [`Running::update`](crate::Running::update) need.
    ///
    /// A feature of variance 0 becomes β. Allocates nothing after the first call at a size.
    ///
    /// # Errors
    /// [`Error::BatchOfOne`], [`Error::Empty`], [`Error::Length`], [`Error::NonFinite`] with the
    /// feature, [`Error::Hyper`]; neither `x` nor what the cache holds of the last batch has changed
    /// then.
    pub fn forward<F: Scalar>(
        &self,
        layout: Layout,
        x: &mut [F],
        gamma: &[F],
        beta: &[F],
        cache: &mut Cache<F>,
    ) -> Result<(), Error> {
        self.check::<F>()?;
        layout.check(x, gamma, beta)?;
        let count = layout.count();
        if count < 2 {
            return Err(Error::BatchOfOne { count });
        }
        // Two passes: the difference of two large squares would cost digits.
        let [mean, variance] = &mut cache.sums;
        for sums in [&mut *mean, &mut *variance] {
            sums.resize(layout.channels, 0.0);
        }
        reduce(layout, [&*x], &|_| [], [&mut *mean], &|[x], []| [x]);
        mean.iter_mut().for_each(|sum| *sum /= count as f64);
        let centre = |c: usize| [mean[c]];
        reduce(layout, [&*x], &centre, [&mut *variance], &|[x], [mean]| {
            [(x - mean) * (x - mean)]
        });
        variance.iter_mut().for_each(|sum| *sum /= count as f64);
        all_finite(mean.iter().copied().zip(variance.iter().copied()))?;

        cache.layout = layout;
        cache.mean.clone_from(mean);
        cache.variance.clone_from(variance);
        cache.inverse.clear();
        let inverse = variance.iter().map(|v| 1.0 / (v + self.eps).sqrt());
        cache.inverse.extend(inverse);
        cache.normalized.resize(x.len(), F::zero());
        let (mean, inverse) = (&cache.mean, &cache.inverse);
        map(
            layout,
            [x, &mut cache.normalized],
            &|c| [mean[c], inverse[c], gamma[c].f64(), beta[c].f64()],
            &|[x, _], [mean, inverse, gamma, beta]| {
                let hat = (x - mean) * inverse;
                [gamma * hat + beta, hat]
            },
        );
        Ok(())
    }
}

impl<F: Scalar> Cache<F> {
    /// x̂ of the last batch.
    pub(crate) fn normalized(&self) -> &[F] {
        &self.normalized
    }

    /// The full gradient: turns ∂loss/∂y into ∂loss/∂x in place, and writes those by γ and β.
    ///
    /// ```text
    /// ∂β = Σ δ,  ∂γ = Σ δx̂
    /// ∂x = γ/√(σ² + ε)·(δ − mean δ − x̂·mean(δx̂))
    /// ```
    ///
    /// # Errors
    /// [`Error::Length`] if a slice does not fit the batch of the last forward pass,
    /// [`Error::Empty`] if there was none, [`Error::NonFiniteSlope`] with the feature; nothing is
    /// written then.
    pub fn backward(
        &mut self,
        delta: &mut [F],
        gamma: &[F],
        gamma_slope: &mut [F],
        beta_slope: &mut [F],
    ) -> Result<(), Error> {
        let (layout, count) = (self.layout, self.layout.count() as f64);
        layout.check(delta, gamma, gamma_slope)?;
        Error::length("beta's slope", layout.channels, beta_slope.len())?;
        sum_slopes(layout, delta, &self.normalized, &mut self.sums)?;
        let [plain, along] = &self.sums;
        write_slopes(along, gamma_slope);
        write_slopes(plain, beta_slope);
        let inverse = &self.inverse;
        map(
            layout,
            [delta, &mut self.normalized],
            &|c| {
                [
                    gamma[c].f64() * inverse[c],
                    plain[c] / count,
                    along[c] / count,
                ]
            },
            &|[delta, hat], [scale, plain, along]| [scale * (delta - plain - hat * along), hat],
        );
        Ok(())
    }
}

/// Σδ and Σδx̂ of every channel: the slopes by β and by γ, refused if their type can't hold them.
pub(crate) fn sum_slopes<F: Scalar>(
    layout: Layout,
    delta: &[F],
    normalized: &[F],
    [plain, along]: &mut [Vec<f64>; 2],
) -> Result<(), Error> {
    plain.resize(layout.channels, 0.0);
    along.resize(layout.channels, 0.0);
    let (values, sums) = ([delta, normalized], [&mut plain[..], &mut along[..]]);
    reduce(layout, values, &|_| [], sums, &|[delta, hat], []| {
        [delta, delta * hat]
    });
    for (feature, (&beta, &gamma)) in plain.iter().zip(&*along).enumerate() {
        if !(F::of(beta).is_finite() && F::of(gamma).is_finite()) {
            return Err(Error::NonFiniteSlope {
                feature,
                gamma,
                beta,
            });
        }
    }
    Ok(())
}

pub(crate) fn write_slopes<F: Scalar>(sums: &[f64], slopes: &mut [F]) {
    for (slope, &sum) in slopes.iter_mut().zip(sums) {
        *slope = F::of(sum);
    }
}

/// Refuses a mean or variance that is not finite, by its feature.
pub(crate) fn all_finite(statistics: impl Iterator<Item = (f64, f64)>) -> Result<(), Error> {
    for (feature, (mean, variance)) in statistics.enumerate() {
        if !(mean.is_finite() && variance.is_finite()) {
            return Err(Error::NonFinite {
                feature,
                mean,
                variance,
            });
        }
    }
    Ok(())
}
