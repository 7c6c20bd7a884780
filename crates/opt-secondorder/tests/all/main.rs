//! The tests of this crate as one program: generic code is compiled, and all is linked, once.

#![allow(clippy::unwrap_used)] // in helpers, too

mod cg;
mod common;
mod digits;
mod esgd;
mod function;
mod hessian_free;
mod hessian_free_faults;
mod lbfgs;
mod lbfgs_bad_input;
mod least_squares;
mod line_search;
mod minima;
mod newton;
mod range;
mod scaled;
mod scg;
mod scg_bad_input;
mod suite;
mod told;
mod units;
mod vsgd;
mod vsgd_reference;
