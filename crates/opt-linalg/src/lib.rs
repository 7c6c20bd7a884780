//! The linear algebra under the training methods: products, symmetric decompositions, statistics.
//!
//! Whitening needs few operations on dense matrices, but those make up its cost. Here they are over
//! ndarray's views, of `f32` and `f64`, with typed errors instead of LAPACK's codes, and with
//! results that do not depend on the number of threads:
//!
//! - [`gemm`] and the symmetric product [`gram`], split over rayon's threads by shapes alone;
//! - [`Moments`]: mean and covariance of batches;
#![cfg_attr(
    any(feature = "lapack", feature = "faer"),
    doc = "- [`Eigh`] and [`Cholesky`], [`Whitening`] from the eigenvectors, and [`DampedInverse`], of low rank where that will do."
)]
#![cfg_attr(
    not(any(feature = "lapack", feature = "faer")),
    doc = "- `Eigh` and `Cholesky`, and `Whitening` from the eigenvectors, with a backend."
)]
//!
//! Products are in pure Rust, by the `gemm` crates, and need no system library. Decompositions need
//! a backend: LAPACK, from the system's OpenBLAS, or faer, in pure Rust; both give the same types
//! and errors, and the same numbers up to rounding. The price of the second is the time to compile
//! it, about a minute.
//!
//! ```
//! use ndarray::{Array2, array};
//! use opt_linalg::{gram, mirror};
//!
//! let x = array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]];
//! let mut c = Array2::zeros((2, 2));
//! gram(1.0, x.view(), 0.0, c.view_mut())?; // XᵀX, of which the lower triangle counts
//! mirror(c.view_mut());
//! assert_eq!(c, array![[35.0, 44.0], [44.0, 56.0]]);
//! # Ok::<(), opt_linalg::Error>(())
//! ```
//!
//! # Features
//! - `lapack`: decompositions by OpenBLAS. Some builds of it do not know a processor that is newer
//!   than they are and fall back to code of 2004, several times slower: [`openblas_kernels`] tells,
//!   and [`better_kernels`] what the environment should say.
//! - `faer`: decompositions in pure Rust. With `lapack` too, that is taken.
//! - `openblas`: products by OpenBLAS too, instead of pure Rust; see [`gemm`] on its threads.

#[cfg(any(feature = "lapack", feature = "faer"))]
mod decompose;
mod error;
mod gemm;
#[cfg(any(feature = "lapack", feature = "faer"))]
mod inverse;
mod kernel;
mod moments;
mod openblas;
mod symmetric;
#[cfg(any(feature = "lapack", feature = "faer"))]
mod whitening;

// Named nowhere, but it links the library.
#[cfg(any(feature = "openblas", feature = "lapack"))]
extern crate openblas_src as _;

#[cfg(any(feature = "lapack", feature = "faer"))]
pub use decompose::{Cholesky, Decompose, Eigen, Eigh};
pub use error::Error;
pub use gemm::gemm;
#[cfg(any(feature = "lapack", feature = "faer"))]
pub use inverse::{Accuracy, DampedInverse, InverseWork};
pub use moments::Moments;
pub use openblas::{OPENBLAS_CORETYPE, better_kernels, openblas_kernels};
pub use symmetric::{gram, mirror};
#[cfg(any(feature = "lapack", feature = "faer"))]
pub use whitening::{Form, Whitening, WhiteningOptions};

/// The example of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
