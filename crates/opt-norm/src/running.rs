use opt_core::{Hyper, Scalar, State, Visit};

use crate::batch::all_finite;
use crate::passes::map;
use crate::{BatchNorm, Cache, Error, Layout, Variance};

/// Mean and variance of every feature over the batches so far, for inference. They start at 0
/// and 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Running<F> {
    /// μ, of shape (features).
    pub mean: Vec<F>,
    /// σ², of shape (features).
    pub variance: Vec<F>,
}

impl<F: Scalar> Running<F> {
    /// Of so many features.
    pub fn new(features: usize) -> Self {
        Self {
            mean: vec![F::zero(); features],
            variance: vec![F::one(); features],
        }
    }

    /// Takes in the batch of the last [`BatchNorm::forward`], which gets the weight
    /// [`momentum`](BatchNorm::momentum). Call it once a batch, however often that was evaluated.
    ///
    /// # Errors
    /// [`Error::Length`] if the batch had another number of features, or there was none;
    /// [`Error::NonFinite`] with the feature if its mean or variance is more than `F` holds,
    /// [`Error::Hyper`]. Nothing has changed then.
    pub fn update(&mut self, norm: &BatchNorm, cache: &Cache<F>) -> Result<(), Error> {
        norm.check::<F>()?;
        let features = cache.layout.channels;
        Error::length("running statistics", features, self.mean.len())?;
        Error::length("running statistics", features, self.variance.len())?;
        let count = cache.layout.count() as f64;
        let scale = match norm.variance {
            Variance::Biased => 1.0,
            Variance::Unbiased => count / (count - 1.0),
        };
        let mix = |old: F, new: f64| F::of((1.0 - norm.momentum) * old.f64() + norm.momentum * new);
        let mixed = |running: &Self, i: usize| {
            let mean = mix(running.mean[i], cache.mean[i]);
            (mean, mix(running.variance[i], scale * cache.variance[i]))
        };
        let new = (0..features).map(|i| mixed(self, i));
        all_finite(new.map(|(mean, variance)| (mean.f64(), variance.f64())))?;
        for i in 0..features {
            (self.mean[i], self.variance[i]) = mixed(self, i);
        }
        Ok(())
    }

    /// Inference: y ← γ(x − μ)/√(σ² + ε) + β, in place.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Empty`], [`Error::NonFinite`] if the statistics are not finite,
    /// [`Error::Hyper`]; nothing has changed then.
    pub fn forward(
        &self,
        norm: &BatchNorm,
        layout: Layout,
        x: &mut [F],
        gamma: &[F],
        beta: &[F],
    ) -> Result<(), Error> {
        layout.check(x, gamma, beta)?;
        let affine = self.affine(norm, gamma, beta)?;
        map(layout, [x], &affine, &|[x], [scale, shift]| {
            [scale * x + shift]
        });
        Ok(())
    }

    /// Folds the normalization of a = W·h + b into the dense layer itself, so that inference needs
    /// neither: W ← diag(γ/√(σ² + ε))·W and b ← β + γ(b − μ)/√(σ² + ε).
    ///
    /// `weight` is of shape (features, fan_in), row-major.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn fold(
        &self,
        norm: &BatchNorm,
        weight: &mut [F],
        bias: &mut [F],
        gamma: &[F],
        beta: &[F],
    ) -> Result<(), Error> {
        let features = self.mean.len();
        Error::length("bias", features, bias.len())?;
        if features == 0 || !weight.len().is_multiple_of(features) {
            return Error::length("weight", features, weight.len());
        }
        let affine = self.affine(norm, gamma, beta)?;
        let fan_in = weight.len() / features;
        for (feature, bias) in bias.iter_mut().enumerate() {
            let [scale, shift] = affine(feature);
            for w in &mut weight[feature * fan_in..(feature + 1) * fan_in] {
                *w = F::of(scale * w.f64());
            }
            *bias = F::of(scale * bias.f64() + shift);
        }
        Ok(())
    }

    /// γ/√(σ² + ε) and β − γμ/√(σ² + ε) of a feature, in double precision: in single, a mean far
    /// from 0 would cancel digits of x.
    fn affine(
        &self,
        norm: &BatchNorm,
        gamma: &[F],
        beta: &[F],
    ) -> Result<impl Fn(usize) -> [f64; 2] + Sync, Error> {
        norm.check::<F>()?;
        let features = self.mean.len();
        Error::length("running statistics", features, self.variance.len())?;
        Error::length("gamma", features, gamma.len())?;
        Error::length("beta", features, beta.len())?;
        let variance = self.variance.iter().map(|v| v.f64());
        all_finite(self.mean.iter().map(|m| m.f64()).zip(variance))?;
        let eps = norm.eps;
        Ok(move |i: usize| {
            let variance = self.variance[i].f64().max(0.0);
            let scale = gamma[i].f64() / (variance + eps).sqrt();
            [scale, beta[i].f64() - scale * self.mean[i].f64()]
        })
    }
}

impl<F: Scalar> State<F> for Running<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        let features = self.mean.len();
        visitor.buffer("running_mean", &[features], &mut self.mean);
        let features = self.variance.len();
        visitor.buffer("running_variance", &[features], &mut self.variance);
    }
}
