//! Batch normalization (Ioffe & Szegedy 2015), as pairs of plain functions over slices.
//!
//! Every library has batch normalization, and no two agree: on the variance of the running
//! statistics, on what `momentum` means, on ε. Here each of these is an option with a name, the
//! full gradient is there, and the state is a value that the caller owns. The price: no layer
//! object and no automatic mode; the caller says whether it trains or infers.
//!
//! ```
//! use opt_norm::{BatchNorm, Cache, Layout, Running};
//!
//! let norm = BatchNorm::default();
//! let layout = Layout::features(4, 2); // a batch of 4, 2 features
//! let (gamma, beta) = ([1.0, 2.0], [0.0, 0.5]);
//! let mut x = [1.0, 8.0, 2.0, 6.0, 3.0, 4.0, 4.0, 2.0_f64];
//! let (mut cache, mut running) = (Cache::default(), Running::new(2));
//! norm.forward(layout, &mut x, &gamma, &beta, &mut cache)?;
//! running.update(&norm, &cache)?;
//! assert!((x[0] + 1.5 / 1.25_f64.sqrt()).abs() < 1e-4); // (1 − 2.5)/√1.25
//!
//! let mut slope = [0.5; 8]; // ∂loss/∂y becomes ∂loss/∂x
//! let (mut gamma_slope, mut beta_slope) = ([0.0; 2], [0.0; 2]);
//! cache.backward(&mut slope, &gamma, &mut gamma_slope, &mut beta_slope)?;
//! assert_eq!(beta_slope, [2.0, 2.0]);
//! # Ok::<(), opt_norm::Error>(())
//! ```
//!
//! Results do not depend on the number of rayon's threads.
//!
//! [`LayerNorm`], which the deck does not have, is the same code with samples and features exchanged.

mod batch;
mod error;
mod layer;
mod passes;
mod running;

pub use batch::{BatchNorm, Cache, Layout, Variance};
pub use error::Error;
pub use layer::{LayerCache, LayerNorm};
pub use running::Running;

/// The example of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
