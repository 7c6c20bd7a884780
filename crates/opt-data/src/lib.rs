//! Data sets and seeded minibatches for training experiments.
//!
//! Comparing training methods needs the same data, in the same order, again and again. This crate
//! reads files, plain or gzipped, into memory as `f32`, with classes or numbers to be learnt, and
//! shuffles minibatches from a seed:
//!
//! - **Tables**: idx and csv files ([`Dataset`], [`Regression`]), and the 8×8 [`digits`], which are
//!   inside. [`mnist`] checks the SHA-256 of its files.
//! - **Text** as counts of words ([`SparseDataset`]): svmlight files ([`Svmlight`]) and lines with a
//!   rating ([`read_rated_text`]); [`imdb`] and [`reviews`].
//! - **Images**: [`cifar10`], [`fashion_mnist`]; per image [`GlobalContrast`], per channel
//!   [`Standardize::fit_channels`], over all pixels
#![cfg_attr(any(feature = "lapack", feature = "faer"), doc = "  [`Zca`];")]
#![cfg_attr(
    not(any(feature = "lapack", feature = "faer")),
    doc = "  `Zca`, with a feature;"
)]
//!   [`Crops`], mirrored or not, as augmentation. Images are rows, channels last: [`ImageShape`].
//!
//! The cost of that choice: a data set must fit in memory (MNIST takes 220 MB as `f32`, CIFAR-10
//! 740 MB). There is no download.
//!
//! - **Order has no hidden state.** The order of an epoch depends on the seed and the epoch's number
//!   only, and a crop on the sample's too, so a run resumes at any `(epoch, batch)` exactly: see
//!   [`Batches`].
//! - **Files are not trusted.** A damaged, truncated, over-long or foreign file is an [`Error`] that
//!   names the file and what was expected, and where in a text or among records. What is read is
//!   finite, and has at least two classes. Memory grows with the bytes that are really there, never
//!   with what a header claims.
//! - **Rows are copied once.** [`Batches`] tells which rows make a minibatch, and the model takes
//!   them from the data set into its own buffer: `opt_nn::Mlp::load_rows`, or [`gather`] into a
//!   buffer of yours.
//!
//! ```
//! use ndarray::Array2;
//! use opt_data::{Batches, digits, gather, gather_labels};
//!
//! let (train, validation) = digits()?.split(297, 0)?;
//! assert_eq!(train.inputs.dim(), (1_500, 64));
//! assert_eq!(validation.labels.len(), 297);
//!
//! let mut inputs = Array2::zeros((100, 64));
//! let mut labels = [0; 100];
//! let mut batches = Batches::new(train.labels.len(), 100, 42)?;
//! for epoch in 0..2 {
//!     for rows in batches.epoch(epoch) {
//!         gather(train.inputs.view(), rows, inputs.view_mut())?;
//!         gather_labels(&train.labels, rows, &mut labels)?;
//!         // one update of the model on `inputs` and `labels`
//!     }
//! }
//! # Ok::<(), opt_data::Error>(())
//! ```
//!
//! # Features
//! - `lapack`: ZCA whitening, by the system's OpenBLAS.
//! - `faer`: the same in pure Rust. With `lapack` too, that is taken.

mod batches;
mod cifar;
mod contrast;
mod crops;
mod csv;
mod dataset;
mod digits;
mod error;
mod fashion;
mod idx;
mod imdb;
mod mnist;
mod rated;
mod regression;
mod reviews;
mod shape;
mod source;
mod sparse;
mod standardize;
mod svmlight;
mod table;
#[cfg(any(feature = "lapack", feature = "faer"))]
mod zca;
#[cfg(any(feature = "lapack", feature = "faer"))]
mod zca_cache;

pub use batches::{Batches, gather, gather_labels};
pub use cifar::{cifar10, read_cifar10, read_cifar10_from};
pub use contrast::GlobalContrast;
pub use crops::Crops;
pub use dataset::Dataset;
pub use digits::digits;
pub use error::Error;
pub use fashion::fashion_mnist;
pub use idx::{Elements, Idx, read_idx, read_idx_from};
pub use imdb::imdb;
pub use mnist::{Mnist, mnist};
pub use rated::Rated;
pub use regression::Regression;
pub use reviews::{read_rated_text, read_rated_text_from, reviews};
pub use shape::ImageShape;
pub use sparse::{Csr, SparseDataset};
pub use standardize::Standardize;
pub use svmlight::{FirstIndex, Svmlight};
pub use table::{Column, Header, Table};
#[cfg(any(feature = "lapack", feature = "faer"))]
pub use zca::Zca;

/// The example of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
