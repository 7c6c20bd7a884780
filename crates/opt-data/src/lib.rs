//! Data sets and seeded minibatches for training experiments.
//!
//! Comparing training methods needs the same data, in the same order, again and again. This crate
//! reads idx and csv files (plain or gzipped) into memory as `f32`, with classes or numbers to be
//! learnt, carries the 8×8 digits inside itself, reads MNIST from a folder after checking its
//! SHA-256, and shuffles minibatches from a seed. The cost of that choice: a data set must fit in memory (MNIST takes 220 MB as `f32`), and
//! there is no augmentation and no download.
//!
//! - **Order has no hidden state.** The order of an epoch depends on the seed and the epoch's number
//!   only, so a run resumes at any `(epoch, batch)` exactly: see [`Batches`].
//! - **Files are not trusted.** A damaged, truncated, over-long or foreign file is an [`Error`] that
//!   names the file and what was expected, and where in a table. What is read is finite, and has at
//!   least two classes. Memory grows with the bytes that are really there, never with what a header
//!   claims.
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

mod batches;
mod csv;
mod dataset;
mod digits;
mod error;
mod idx;
mod imdb;
mod mnist;
mod rated;
mod regression;
mod reviews;
mod source;
mod sparse;
mod standardize;
mod svmlight;
mod table;

pub use batches::{Batches, gather, gather_labels};
pub use dataset::Dataset;
pub use digits::digits;
pub use error::Error;
pub use idx::{Elements, Idx, read_idx, read_idx_from};
pub use imdb::imdb;
pub use mnist::{Mnist, mnist};
pub use rated::Rated;
pub use regression::Regression;
pub use reviews::{read_rated_text, read_rated_text_from, reviews};
pub use sparse::{Csr, SparseDataset};
pub use standardize::Standardize;
pub use svmlight::{FirstIndex, Svmlight};
pub use table::{Column, Header, Table};
