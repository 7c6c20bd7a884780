//! Batch normalization within the network.

use opt_core::Scalar;
use opt_norm::{BatchNorm, Cache, Layout, Running};

use crate::buffer::grow;
use crate::error::Error;
use crate::spec::Spec;

/// What one pass keeps of its normalizations.
#[derive(Clone)]
pub(crate) struct Norms<F> {
    /// Of each layer; unused where there is no normalization.
    caches: Vec<Cache<F>>,
    /// Of each layer the slopes by γ and by β, from the backward pass.
    slopes: Vec<[Vec<F>; 2]>,
    /// As many zeros as the widest layer has units: β is added with the activation.
    zeros: Vec<F>,
}

impl<F: Scalar> Norms<F> {
    pub(crate) fn new(spec: &Spec) -> Self {
        let layers = spec.layers.len();
        Self {
            caches: (0..layers).map(|_| Cache::default()).collect(),
            slopes: vec![[Vec::new(), Vec::new()]; layers],
            zeros: Vec::new(),
        }
    }

    /// a ← γ·x̂ of layer `index`, by the statistics of its rows, or by the running ones.
    pub(crate) fn forward(
        &mut self,
        index: usize,
        norm: &BatchNorm,
        running: Option<&Running<F>>,
        gamma: &[F],
        a: &mut [F],
    ) -> Result<(), Error> {
        let units = gamma.len();
        grow(&mut self.zeros, 1, units)?;
        let (layout, zeros) = (
            Layout::features(a.len() / units, units),
            &self.zeros[..units],
        );
        let done = match running {
            Some(running) => running.forward(norm, layout, a, gamma, zeros),
            None => norm.forward(layout, a, gamma, zeros, &mut self.caches[index]),
        };
        done.map_err(|source| Error::Norm {
            layer: index,
            source,
        })
    }

    /// From the slope by γ·x̂ + β to that by a = h·Wᵀ, in place.
    pub(crate) fn backward(
        &mut self,
        index: usize,
        gamma: &[F],
        delta: &mut [F],
    ) -> Result<(), Error> {
        let [by_gamma, by_beta] = &mut self.slopes[index];
        by_gamma.resize(gamma.len(), F::zero());
        by_beta.resize(gamma.len(), F::zero());
        let done = self.caches[index].backward(delta, gamma, by_gamma, by_beta);
        done.map_err(|source| Error::Norm {
            layer: index,
            source,
        })
    }

    /// The gradients of γ and β of a layer that is normalized.
    pub(crate) fn slopes(&self, index: usize) -> &[Vec<F>; 2] {
        &self.slopes[index]
    }

    /// Takes the statistics of the minibatch into the running ones. A layer whose statistics are not
    /// finite, or that has seen no minibatch, keeps its own.
    pub(crate) fn follow(&self, spec: &Spec, running: &mut [Option<Running<F>>]) {
        let layers = spec.layers.iter().zip(running).zip(&self.caches);
        for ((layer, running), cache) in layers {
            if let (Some(norm), Some(running)) = (&layer.norm, running) {
                // An update that fails has changed nothing.
                let _ = running.update(norm, cache);
            }
        }
    }
}
