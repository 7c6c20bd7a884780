//! Natural gradient, K-FAC, PRONG.
//!
//! # Features
//! `lapack`, the default: matrices are decomposed by the system's OpenBLAS. `faer`: in pure Rust, for
//! machines without one (`default-features = false`). One of them must be on.

#[cfg(not(any(feature = "lapack", feature = "faer")))]
compile_error!("turn on a feature of opt-natural: `lapack`, which is its default, or `faer`");

mod coordinates;
mod dense;
mod factor;
mod fisher;
mod kfac;
mod kronecker;
mod natural_gradient;
mod preconditioner;
mod prong;
mod zoo;

pub use coordinates::{ProngCoordinates, Whiten};
pub use fisher::{FisherError, MAX_BLOCK, empirical_fisher, fisher, sampled_fisher};
pub use kfac::{Kfac, KfacMethod, StepSize};
pub use natural_gradient::{Blocks, Curvature, NaturalGradient, NaturalGradientMethod};
pub use opt_linalg::{
    Cholesky, Decompose, Eigen, Eigh, Error, Form, Moments, Whitening, WhiteningOptions,
};
pub use preconditioner::Preconditioned;
pub use prong::{Prong, ProngPlus};
pub use zoo::zoo;
