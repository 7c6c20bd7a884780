use opt_core::{Hyper, Scalar, State, Visit};

use crate::batch::{affine, first_non_finite};
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
    /// [`Error::Length`] if the batch had another number of features, or there was none.
    pub fn update(&mut self, norm: &BatchNorm, cache: &Cache<F>) -> Result<(), Error> {
        norm.check()?;
        let features = cache.layout.channels;
        Error::length("running statistics", features, self.mean.len())?;
        Error::length("running statistics", features, self.variance.len())?;
        let count = cache.layout.count() as f64;
        let scale = match norm.variance {
            Variance::Biased => 1.0,
            Variance::Unbiased => count / (count - 1.0),
        };
        let mix = |old: F, new: f64| F::of((1.0 - norm.momentum) * old.f64() + norm.momentum * new);
        for (mean, &new) in self.mean.iter_mut().zip(&cache.mean) {
            *mean = mix(*mean, new);
        }
        for (variance, &new) in self.variance.iter_mut().zip(&cache.variance) {
            *variance = mix(*variance, scale * new);
        }
        Ok(())
    }

    /// Inference: y ← γ(x − μ)/√(σ² + ε) + β, in place.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Empty`], [`Error::NonFinite`] if the statistics are not finite.
    pub fn forward(
        &self,
        norm: &BatchNorm,
        layout: Layout,
        x: &mut [F],
        gamma: &[F],
        beta: &[F],
    ) -> Result<(), Error> {
        layout.check(x, gamma, beta)?;
        let (scale, shift) = self.affine(norm, gamma, beta)?;
        affine(layout, x, &scale, &shift);
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
        let (scale, shift) = self.affine(norm, gamma, beta)?;
        let fan_in = weight.len() / features;
        if fan_in > 0 {
            for (row, &scale) in weight.chunks_exact_mut(fan_in).zip(&scale) {
                row.iter_mut().for_each(|w| *w *= scale);
            }
        }
        for ((bias, &scale), &shift) in bias.iter_mut().zip(&scale).zip(&shift) {
            *bias = scale * *bias + shift;
        }
        Ok(())
    }

    /// γ/√(σ² + ε) and β − γμ/√(σ² + ε).
    fn affine(&self, norm: &BatchNorm, gamma: &[F], beta: &[F]) -> Result<(Vec<F>, Vec<F>), Error> {
        norm.check()?;
        let features = self.mean.len();
        Error::length("running statistics", features, self.variance.len())?;
        Error::length("gamma", features, gamma.len())?;
        Error::length("beta", features, beta.len())?;
        let wide = |values: &[F]| values.iter().map(|v| v.f64()).collect::<Vec<_>>();
        let (mean, variance) = (wide(&self.mean), wide(&self.variance));
        first_non_finite(&mean, &variance)?;
        let mut scale = Vec::with_capacity(features);
        let mut shift = Vec::with_capacity(features);
        for i in 0..features {
            let s = gamma[i].f64() / (variance[i].max(0.0) + norm.eps).sqrt();
            scale.push(F::of(s));
            shift.push(F::of(beta[i].f64() - s * mean[i]));
        }
        Ok((scale, shift))
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
