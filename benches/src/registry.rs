//! The methods of all crates, by what they step.

use opt_core::Entry;

use crate::train::Network;
use crate::visual::Surface;

/// Those that train a network: all.
pub(crate) fn networks() -> Vec<Entry<f32, Network>> {
    let mut all = opt_firstorder::zoo();
    all.extend(opt_natural::zoo());
    all
}

/// Those that need no more than a gradient.
pub(crate) fn surfaces() -> Vec<Entry<f64, Surface>> {
    opt_firstorder::zoo()
}
