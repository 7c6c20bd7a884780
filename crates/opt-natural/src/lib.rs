//! Natural gradient, K-FAC, PRONG.

mod coordinates;
mod dense;
mod error;
mod factor;
mod fisher;
mod kfac;
mod kronecker;
mod lapack;
mod moments;
mod natural_gradient;
mod preconditioner;
mod prong;
mod symmetric;
mod whitening;
mod zoo;

pub use coordinates::{ProngCoordinates, Whiten};
pub use error::Error;
pub use fisher::{FisherError, MAX_BLOCK, empirical_fisher, fisher, sampled_fisher};
pub use kfac::{Kfac, KfacMethod, StepSize};
pub use lapack::{Cholesky, Eigen, Eigh, Lapack};
pub use moments::Moments;
pub use natural_gradient::{Blocks, Curvature, NaturalGradient, NaturalGradientMethod};
pub use preconditioner::Preconditioned;
pub use prong::{Prong, ProngPlus};
pub use whitening::{Form, Whitening, WhiteningOptions};
pub use zoo::zoo;
