use opt_core::{Bound, FieldVisitor, Hyper, Scalar};

use crate::batch::{sum_slopes, write_slopes};
use crate::passes::map;
use crate::{BatchNorm, Cache, Error, Layout};

/// Layer normalization: y = γx̂ + β with x̂ = (x − μ)/√(σ² + ε), where μ and σ² are those of the
/// sample over its features (Ba, Kiros & Hinton 2016), σ² biased; γ and β are of the feature.
///
/// It is batch normalization with samples and features exchanged, by the same code, but for γ and
/// β. A sample does not see the others, so there are no running statistics, and inference is
/// training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNorm {
    /// ε, in units of x². PyTorch 1e-5, Keras 1e-3.
    pub eps: f64,
}

impl Default for LayerNorm {
    fn default() -> Self {
        Self { eps: 1e-5 }
    }
}

impl Hyper for LayerNorm {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("eps", &mut self.eps, Bound::Positive);
    }
}

/// What the backward pass needs of the forward pass, in buffers that are reused.
#[derive(Clone, Debug, Default)]
pub struct LayerCache<F> {
    /// Of the normalization, whose channels are the samples.
    inner: Cache<F>,
    /// γ and β of that, and where its slopes go: as many as samples.
    ones: Vec<F>,
    zeros: Vec<F>,
    slopes: [Vec<F>; 2],
    /// Sums over the samples.
    sums: [Vec<f64>; 2],
}

impl LayerNorm {
    /// Normalizes `x`, of shape (samples, features), in place; both follow from the lengths of `x`
    /// and γ. Keeps in `cache` what [`LayerCache::backward`] needs.
    ///
    /// ```
    /// use opt_norm::{LayerCache, LayerNorm};
    ///
    /// let (mut x, mut cache) = ([1.0, 3.0, 10.0, 30.0_f64], LayerCache::default());
    /// LayerNorm { eps: 1e-12 }.forward(&mut x, &[1.0, 2.0], &[0.5, 0.5], &mut cache)?;
    /// assert!((x[0] + 0.5).abs() < 1e-9 && (x[3] - 2.5).abs() < 1e-9);
    /// # Ok::<(), opt_norm::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Length`], [`Error::BatchOfOne`] for a single feature,
    /// [`Error::NonFinite`] with the sample in the place of the feature, [`Error::Hyper`]; neither
    /// `x` nor what the cache holds of the last batch has changed then.
    pub fn forward<F: Scalar>(
        &self,
        x: &mut [F],
        gamma: &[F],
        beta: &[F],
        cache: &mut LayerCache<F>,
    ) -> Result<(), Error> {
        let features = gamma.len();
        if features == 0 || x.is_empty() {
            return Err(Error::Empty);
        }
        let samples = x.len().div_ceil(features);
        let layout = Layout::features(samples, features);
        layout.check(x, gamma, beta)?;
        let norm = BatchNorm {
            eps: self.eps,
            ..BatchNorm::default()
        };
        let across = Layout {
            batch: 1,
            channels: samples,
            positions: features,
        };
        cache.ones.resize(samples, F::one());
        cache.zeros.resize(samples, F::zero());
        norm.forward(across, x, &cache.ones, &cache.zeros, &mut cache.inner)?;
        let of = |c: usize| [gamma[c].f64(), beta[c].f64()];
        map(layout, [x], &of, &|[x], [gamma, beta]| [gamma * x + beta]);
        Ok(())
    }
}

impl<F: Scalar> LayerCache<F> {
    /// The full gradient: turns ∂loss/∂y into ∂loss/∂x in place, and writes those by γ and β.
    ///
    /// ```text
    /// ∂β = Σ δ,  ∂γ = Σ δx̂                                    over the samples
    /// ∂x = 1/√(σ² + ε)·(γδ − mean γδ − x̂·mean(γδx̂))            means over the features
    /// ```
    ///
    /// # Errors
    /// [`Error::Length`] if a slice does not fit the batch of the last forward pass,
    /// [`Error::Empty`] if there was none, [`Error::NonFiniteSlope`] with the feature, or, if γδ is
    /// too large, with the sample; nothing is written then, but in the last case γδ over `delta`.
    pub fn backward(
        &mut self,
        delta: &mut [F],
        gamma: &[F],
        gamma_slope: &mut [F],
        beta_slope: &mut [F],
    ) -> Result<(), Error> {
        let Layout {
            channels: samples,
            positions: features,
            ..
        } = self.inner.layout;
        let layout = Layout::features(samples, features);
        layout.check(delta, gamma, gamma_slope)?;
        Error::length("beta's slope", features, beta_slope.len())?;
        sum_slopes(layout, delta, self.inner.normalized(), &mut self.sums)?;
        let of = |c: usize| [gamma[c].f64()];
        map(layout, [&mut *delta], &of, &|[delta], [gamma]| {
            [gamma * delta]
        });
        let [unused_gamma, unused_beta] = &mut self.slopes;
        unused_gamma.resize(samples, F::zero());
        unused_beta.resize(samples, F::zero());
        (self.inner).backward(delta, &self.ones, unused_gamma, unused_beta)?;
        let [plain, along] = &self.sums;
        write_slopes(along, gamma_slope);
        write_slopes(plain, beta_slope);
        Ok(())
    }
}
