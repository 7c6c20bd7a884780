use opt_core::Scalar;

use crate::linear::Work;
use crate::norm::Norms;
use crate::spec::Spec;

/// What one forward pass computes.
#[derive(Clone)]
pub(crate) struct Pass<F> {
    /// Whether a convolution keeps its patches, for methods that ask for the rows of its input.
    pub(crate) keep: bool,
    /// Of each layer, of shape (batch, positions, units): after dropout, where there is no pooling.
    pub(crate) outputs: Vec<Vec<F>>,
    /// Of each layer that pools, after dropout.
    pub(crate) pooled: Vec<Vec<F>>,
    /// The pixel that each of those is.
    pub(crate) chosen: Vec<Vec<u16>>,
    /// Of each convolution that keeps them, of shape (batch, positions, fan_in).
    pub(crate) patches: Vec<Vec<F>>,
    /// Of each layer ∂loss/∂output, then ∂loss/∂a, where a is the pre-activation. Of the same
    /// shapes as the outputs; without a backward pass only the last is in use.
    pub(crate) deltas: Vec<Vec<F>>,
    /// ∂loss/∂pooled, of one layer at a time.
    pub(crate) lifted: Vec<F>,
    /// What goes into each whitened layer, of shape (rows, fan_in); empty for the others.
    pub(crate) whitened: Vec<Vec<F>>,
    /// W = V·U of each whitened layer, if there is a penalty on it; else empty.
    pub(crate) canonical: Vec<Vec<F>>,
    /// Of the same shape as what goes into a whitened layer, for what is needed no longer than a
    /// layer's turn.
    pub(crate) work: Vec<F>,
    pub(crate) spread: Vec<F>,
    pub(crate) buffers: Work<F>,
    pub(crate) norms: Norms<F>,
    /// The L2 penalty.
    pub(crate) penalty: f64,
}

impl<F: Scalar> Pass<F> {
    pub(crate) fn new(spec: &Spec) -> Self {
        let empty = vec![Vec::new(); spec.layers.len()];
        Self {
            keep: false,
            outputs: empty.clone(),
            pooled: empty.clone(),
            chosen: vec![Vec::new(); spec.layers.len()],
            patches: empty.clone(),
            deltas: empty.clone(),
            lifted: Vec::new(),
            whitened: empty.clone(),
            canonical: empty,
            work: Vec::new(),
            spread: Vec::new(),
            buffers: Work::default(),
            norms: Norms::new(spec),
            penalty: 0.0,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        let of_layers = [
            &self.outputs,
            &self.pooled,
            &self.patches,
            &self.deltas,
            &self.whitened,
            &self.canonical,
        ];
        let all = of_layers.into_iter().flatten();
        let all = all.chain([&self.lifted, &self.work, &self.spread]);
        let chosen = self.chosen.iter().map(|buffer| size_of_val(&**buffer));
        let floats = all.map(|buffer| size_of_val(&**buffer)).sum::<usize>();
        floats + chosen.sum::<usize>() + self.buffers.bytes()
    }
}
