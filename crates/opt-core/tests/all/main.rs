//! What the suite of `opt-testkit` cannot see through a registered method: the parts of this crate
//! one by one, and how they refuse bad input.

#![allow(clippy::unwrap_used)] // helpers of tests

mod accumulate;
mod arrays;
mod average;
mod bf16;
mod chain;
#[cfg(feature = "safetensors")]
mod checkpoints;
mod clip;
#[cfg(feature = "safetensors")]
mod file;
mod first_order;
mod groups;
mod kernel;
mod objective;
mod param_map;
mod plateau;
mod reference;
mod refusals;
#[cfg(feature = "safetensors")]
mod run;
mod schedule;
mod schedule_range;
mod snapshot;
mod storage;
mod train;
mod trust;
mod tune;
mod write;
