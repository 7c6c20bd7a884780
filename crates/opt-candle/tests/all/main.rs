//! Against candle's own optimizers, explicit formulas and finite differences.

#![allow(clippy::unwrap_used)] // helpers of tests

mod common;
mod half;
mod layered;
mod model;
mod optimizer;
mod refusals;
mod vars;
