//! The linear algebra under the optimization crates.

#[cfg(feature = "lapack")]
mod decompose;
mod error;
mod gemm;
mod moments;
mod symmetric;
#[cfg(feature = "lapack")]
mod whitening;

// Named nowhere, but it links the library.
#[cfg(feature = "openblas")]
extern crate openblas_src as _;

#[cfg(feature = "lapack")]
pub use decompose::{Cholesky, Decompose, Eigen, Eigh};
pub use error::Error;
pub use gemm::gemm;
pub use moments::Moments;
pub use symmetric::{gram, mirror};
#[cfg(feature = "lapack")]
pub use whitening::{Form, Whitening, WhiteningOptions};
