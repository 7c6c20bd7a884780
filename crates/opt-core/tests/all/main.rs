//! What the suite of `opt-testkit` cannot see through a registered method: the parts of this crate
//! one by one, and how they refuse bad input.

#![allow(clippy::unwrap_used)] // helpers of tests

mod arrays;
mod chain;
#[cfg(feature = "safetensors")]
mod file;
mod first_order;
mod groups;
mod kernel;
mod objective;
mod param_map;
mod refusals;
mod snapshot;
mod train;
mod tune;
