//! Batch normalization within the network.

use opt_core::Scalar;
use opt_norm::{Cache, Layout};

use crate::batch::{Batch, grow};
use crate::net::Net;
use crate::{Error, Spec};

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

    /// a ← γ·x̂, by the statistics of the batch in training, and else by the running ones. Layers
    /// without normalization stay as they are.
    pub(crate) fn forward(
        &mut self,
        net: &Net<F>,
        index: usize,
        x: &[F],
        batch: &Batch<F>,
        a: &mut [F],
    ) -> Result<(), Error> {
        let layer = &net.spec.layers[index];
        let (Some(norm), Some(gamma)) = (&layer.norm, net.places[index].gamma) else {
            return Ok(());
        };
        let (layout, gamma) = (
            Layout::features(batch.rows, layer.units),
            net.part(gamma, x),
        );
        grow(&mut self.zeros, 1, layer.units)?;
        let zeros = &self.zeros[..layer.units];
        let done = match &net.running[index] {
            Some(running) if !batch.training => running.forward(norm, layout, a, gamma, zeros),
            _ => norm.forward(layout, a, gamma, zeros, &mut self.caches[index]),
        };
        done.map_err(|source| Error::Norm {
            layer: index,
            source,
        })
    }

    /// From the slope by γ·x̂ + β to that by a = h·Wᵀ, in place.
    pub(crate) fn backward(
        &mut self,
        net: &Net<F>,
        index: usize,
        x: &[F],
        delta: &mut [F],
    ) -> Result<(), Error> {
        let Some(gamma) = net.places[index].gamma else {
            return Ok(());
        };
        let units = net.spec.layers[index].units;
        let [by_gamma, by_beta] = &mut self.slopes[index];
        by_gamma.resize(units, F::zero());
        by_beta.resize(units, F::zero());
        let done = self.caches[index].backward(delta, net.part(gamma, x), by_gamma, by_beta);
        done.map_err(|source| Error::Norm {
            layer: index,
            source,
        })
    }

    /// Writes the gradient of γ and β of a layer that is normalized.
    pub(crate) fn slopes(&self, net: &Net<F>, index: usize, g: &mut [F]) {
        let (places, segments) = (net.places[index], net.params.segments());
        let Some(gamma) = places.gamma else {
            return;
        };
        for (segment, slopes) in [gamma, places.bias].into_iter().zip(&self.slopes[index]) {
            let range = segments[segment].range.clone();
            if slopes.len() == range.len() {
                g[range].copy_from_slice(slopes);
            }
        }
    }

    /// Takes the statistics of the minibatch into the running ones. A layer whose statistics are not
    /// finite, or that has seen no minibatch, keeps its own.
    pub(crate) fn follow(&self, net: &mut Net<F>) {
        for (index, layer) in net.spec.layers.iter().enumerate() {
            if let (Some(norm), Some(running)) = (&layer.norm, &mut net.running[index]) {
                // An update that fails has changed nothing.
                let _ = running.update(norm, &self.caches[index]);
            }
        }
    }
}
