//! Natural gradient, K-FAC, PRONG.

mod blocks;
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
pub use kfac::{Kfac, KfacDirection, KfacMethod, StepSize};
pub use natural_gradient::{
    Blocks, Curvature, Descent, NaturalDirection, NaturalGradient, NaturalMethod,
};
pub use opt_linalg::{
    Cholesky, Decompose, Eigen, Eigh, Error, Form, Moments, Whitening, WhiteningOptions,
};
pub use preconditioner::ProngDirection;
pub use prong::{HeavyBall, Prong, ProngMethod, ProngPlus};
pub use zoo::zoo;
