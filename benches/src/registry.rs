//! The methods of all crates, by what they step.

use opt_core::{Entry, GaussNewton, HessianDiag, HessianProduct, PerSample};

use crate::train::Network;

/// Those that train a network: all.
pub(crate) fn networks() -> Vec<Entry<f32, Network>> {
    let mut all = opt_firstorder::zoo();
    all.extend(opt_secondorder::zoo());
    all.extend(opt_natural::zoo());
    all
}

/// Those that need no layers.
pub(crate) fn surfaces<O>() -> Vec<Entry<f64, O>>
where
    O: HessianDiag<f64> + HessianProduct<f64> + GaussNewton<f64> + PerSample<f64> + 'static,
{
    let mut all = opt_firstorder::zoo();
    all.extend(opt_secondorder::zoo());
    all
}
