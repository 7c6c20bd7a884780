use opt_core::{Bound, FieldVisitor, Hyper, Scalar};

use crate::Error;

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
        visit("eps", &mut self.eps, Bound::Positive);
        visit("momentum", &mut self.momentum, Bound::Unit);
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
    /// 1/√(σ² + ε) of each feature.
    inverse: Vec<F>,
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
    /// feature, [`Error::Hyper`]; `x` is untouched then, and the cache holds nothing of use.
    pub fn forward<F: Scalar>(
        &self,
        layout: Layout,
        x: &mut [F],
        gamma: &[F],
        beta: &[F],
        cache: &mut Cache<F>,
    ) -> Result<(), Error> {
        self.check()?;
        layout.check(x, gamma, beta)?;
        let count = layout.count();
        if count < 2 {
            return Err(Error::BatchOfOne { count });
        }
        // Two passes: the difference of two large squares would cost digits.
        let [first, second] = &mut cache.sums;
        sum(layout, x, first, |x, _| x);
        cache.mean.clear();
        cache
            .mean
            .extend(first.iter().map(|sum| sum / count as f64));
        let mean = &cache.mean;
        sum(layout, x, second, |x, channel| (x - mean[channel]).powi(2));
        cache.variance.clear();
        cache
            .variance
            .extend(second.iter().map(|sum| sum / count as f64));
        first_non_finite(&cache.mean, &cache.variance)?;

        let inverse = cache
            .variance
            .iter()
            .map(|v| F::of(1.0 / (v + self.eps).sqrt()));
        cache.inverse.clear();
        cache.inverse.extend(inverse);
        cache.layout = layout;
        cache.normalized.clear();
        cache.normalized.extend_from_slice(x);
        let inverse = &cache.inverse;
        each(layout, &mut cache.normalized, |x, channel| {
            F::of(x.f64() - mean[channel]) * inverse[channel]
        });
        x.copy_from_slice(&cache.normalized);
        affine(layout, x, gamma, beta);
        Ok(())
    }
}

impl<F: Scalar> Cache<F> {
    /// The full gradient: turns ∂loss/∂y into ∂loss/∂x in place, and writes those by γ and β.
    ///
    /// ```text
    /// ∂β = Σ δ,  ∂γ = Σ δx̂
    /// ∂x = γ/√(σ² + ε)·(δ − mean δ − x̂·mean(δx̂))
    /// ```
    ///
    /// # Errors
    /// [`Error::Length`] if a slice does not fit the batch of the last forward pass; nothing is
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
        let [plain, along] = &mut self.sums;
        sum(layout, delta, plain, |delta, _| delta);
        sum_products(layout, delta, &self.normalized, along);
        for (slope, &sum) in beta_slope.iter_mut().zip(plain.iter()) {
            *slope = F::of(sum);
        }
        for (slope, &sum) in gamma_slope.iter_mut().zip(along.iter()) {
            *slope = F::of(sum);
        }
        for values in [&mut *plain, &mut *along] {
            values.iter_mut().for_each(|sum| *sum /= count);
        }
        let (plain, along, inverse) = (&*plain, &*along, &self.inverse);
        let mut normalized = self.normalized.iter();
        each(layout, delta, |delta, channel| {
            let hat = normalized.next().map_or(0.0, |v| v.f64());
            let centred = delta.f64() - plain[channel] - hat * along[channel];
            F::of(centred) * gamma[channel] * inverse[channel]
        });
        Ok(())
    }
}

/// Σ f(x, channel) over batch and positions, for every channel.
fn sum<F: Scalar>(layout: Layout, x: &[F], sums: &mut Vec<f64>, f: impl Fn(f64, usize) -> f64) {
    sums.clear();
    sums.resize(layout.channels, 0.0);
    if layout.positions == 1 {
        for row in x.chunks_exact(layout.channels) {
            for (channel, (sum, x)) in sums.iter_mut().zip(row).enumerate() {
                *sum += f(x.f64(), channel);
            }
        }
        return;
    }
    for (block, x) in x.chunks_exact(layout.positions).enumerate() {
        let channel = block % layout.channels;
        sums[channel] += x.iter().map(|x| f(x.f64(), channel)).sum::<f64>();
    }
}

/// Σ ab over batch and positions, for every channel.
fn sum_products<F: Scalar>(layout: Layout, a: &[F], b: &[F], sums: &mut Vec<f64>) {
    sums.clear();
    sums.resize(layout.channels, 0.0);
    let blocks = a
        .chunks_exact(layout.positions)
        .zip(b.chunks_exact(layout.positions));
    for (block, (a, b)) in blocks.enumerate() {
        let products = a.iter().zip(b).map(|(a, b)| a.f64() * b.f64());
        sums[block % layout.channels] += products.sum::<f64>();
    }
}

/// x ← f(x, channel), in order.
fn each<F: Scalar>(layout: Layout, x: &mut [F], mut f: impl FnMut(F, usize) -> F) {
    for sample in x.chunks_exact_mut(layout.channels * layout.positions) {
        for (channel, x) in sample.chunks_exact_mut(layout.positions).enumerate() {
            x.iter_mut().for_each(|x| *x = f(*x, channel));
        }
    }
}

/// x ← scale·x + shift, by channel.
pub(crate) fn affine<F: Scalar>(layout: Layout, x: &mut [F], scale: &[F], shift: &[F]) {
    each(layout, x, |x, channel| scale[channel] * x + shift[channel]);
}

pub(crate) fn first_non_finite(mean: &[f64], variance: &[f64]) -> Result<(), Error> {
    let mut features = mean.iter().zip(variance).enumerate();
    match features.find(|(_, (m, v))| !(m.is_finite() && v.is_finite())) {
        None => Ok(()),
        Some((feature, (&mean, &variance))) => Err(Error::NonFinite {
            feature,
            mean,
            variance,
        }),
    }
}
