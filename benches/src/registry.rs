//! The methods of all crates, by what they step.

use opt_core::{
    Counted, Entry, Fisher, GaussNewton, HessianDiag, HessianProduct, PerSample, Scalar,
};
use opt_natural::Decompose;
use opt_nn::Mlp;

/// What all methods train: a network that counts its evaluations.
pub(crate) type Network = Counted<Mlp<f32>>;

/// Those that train the networks of the experiments.
pub(crate) fn networks() -> Vec<Entry<f32, Network>> {
    layered()
}

/// All: those that need no layers, and those that do.
pub(crate) fn layered<F, O>() -> Vec<Entry<F, O>>
where
    F: Decompose,
    O: HessianDiag<F> + HessianProduct<F> + GaussNewton<F> + PerSample<F> + Fisher<F> + 'static,
{
    let mut all = surfaces();
    all.extend(opt_natural::zoo());
    all
}

/// Those that need no layers.
pub(crate) fn surfaces<F, O>() -> Vec<Entry<F, O>>
where
    F: Scalar,
    O: HessianDiag<F> + HessianProduct<F> + GaussNewton<F> + PerSample<F> + 'static,
{
    let mut all = opt_firstorder::zoo();
    all.extend(opt_secondorder::zoo());
    all
}
