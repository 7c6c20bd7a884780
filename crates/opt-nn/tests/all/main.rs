//! The tests of this crate as one program: generic code is compiled, and all is linked, once.

#![allow(clippy::unwrap_used)] // in helpers, too

mod bound;
mod common;
mod convolution;
mod convolution_curvature;
mod curvature;
mod dropout;
mod errors;
mod fisher;
mod gradients;
mod init;
mod network;
mod norm;
mod sparse;
mod statistics;
mod whitening;
