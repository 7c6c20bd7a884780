use opt_core::Scalar;

use crate::norm::Norms;
use crate::spec::Spec;

/// What one forward pass computes.
#[derive(Clone)]
pub(crate) struct Pass<F> {
    /// Output of each layer after dropout, of shape (batch, units).
    pub(crate) outputs: Vec<Vec<F>>,
    /// Of each layer ∂loss/∂output, then ∂loss/∂a, where a is the pre-activation. Of the same
    /// shapes; without a backward pass only the last is in use.
    pub(crate) deltas: Vec<Vec<F>>,
    /// What goes into each whitened layer, of shape (batch, fan_in); empty for the others.
    pub(crate) whitened: Vec<Vec<F>>,
    /// W = V·U of each whitened layer, if there is a penalty on it; else empty.
    pub(crate) canonical: Vec<Vec<F>>,
    /// Of the same shape, for what is needed no longer than a layer's turn.
    pub(crate) work: Vec<F>,
    pub(crate) norms: Norms<F>,
    /// The L2 penalty.
    pub(crate) penalty: f64,
}

impl<F: Scalar> Pass<F> {
    pub(crate) fn new(spec: &Spec) -> Self {
        Self {
            outputs: vec![Vec::new(); spec.layers.len()],
            deltas: vec![Vec::new(); spec.layers.len()],
            whitened: vec![Vec::new(); spec.layers.len()],
            canonical: vec![Vec::new(); spec.layers.len()],
            work: Vec::new(),
            norms: Norms::new(spec),
            penalty: 0.0,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        let of_layers = [&self.outputs, &self.deltas, &self.whitened, &self.canonical];
        let all = of_layers.into_iter().flatten().chain([&self.work]);
        all.map(|buffer| size_of_val(&**buffer)).sum()
    }
}
