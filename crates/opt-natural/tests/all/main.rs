//! The natural gradient, K-FAC and PRONG.
#![allow(clippy::unwrap_used)] // in helpers of the tests too

mod common;
mod compose;
mod convolution;
mod curvature;
mod faults;
mod faulty;
mod kfac;
mod linear;
mod low_rank;
mod model;
mod names;
mod natural_gradient;
mod prong;
mod ranges;
mod refusals;
mod solve;
mod starts;
