//! Rules and updates on burn's modules, beside burn's own.

#![allow(clippy::unwrap_used)] // helpers of tests

mod agrees;
mod net;
mod objective;
mod parts;
mod refusals;
mod resume;
mod whole;
