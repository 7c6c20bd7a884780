//! The tests of this crate as one program: generic code is compiled, and all is linked, once.

#![allow(clippy::unwrap_used)] // in helpers, too

mod common;
mod edge;
mod golden;
mod questions;
mod rates;
mod reference;
mod signs;
mod storage;
mod suite;
