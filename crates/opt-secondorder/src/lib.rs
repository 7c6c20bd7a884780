//! Training methods that use curvature: Newton's method, dense and diagonal, vSGD, ESGD, Møller's
//! scaled conjugate gradients, Martens' Hessian-free and L-BFGS.
//!
//! A gradient says which way is down, but not how far: the curvature does. A method here asks the
//! objective for as much of it as it needs, through a trait of [`opt_core`], and a missing one is
//! a compile error:
//!
//! | method | needs | evaluations per step |
//! |---|---|---|
//! | [`Lbfgs`] | [`Objective`](opt_core::Objective) | 1 gradient, sometimes a few more |

mod error;
mod interval;
mod lbfgs;
mod line_search;
mod zoo;

pub use error::Error;
pub use lbfgs::{Lbfgs, LbfgsMethod};
pub use line_search::{Armijo, Outcome, Trial, Wolfe};
pub use zoo::zoo;
