//! Natural gradient, K-FAC, PRONG.

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
