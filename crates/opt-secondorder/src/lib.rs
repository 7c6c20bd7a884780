//! Training methods that use curvature: Newton's method, dense and diagonal, vSGD, ESGD, Møller's
//! scaled conjugate gradients, Martens' Hessian-free and L-BFGS.
//!
//! A gradient says which way is down, but not how far: the curvature does. A method here asks the
//! objective for as much of it as it needs, through a trait of [`opt_core`], and a missing one is
//! a compile error:
//!
//! | method | needs | evaluations per step |
//! |---|---|---|
//! | [`Scg`] | [`Objective`](opt_core::Objective) | 2 gradients and 1 value, or 1 value after a failed step |
//! | [`HessianFree`] | [`GaussNewton`](opt_core::GaussNewton), [`PerSample`](opt_core::PerSample) | 1 gradient, up to 251 products, some values |
//! | [`Lbfgs`] | [`Objective`](opt_core::Objective) | 1 gradient, sometimes a few more |

mod cg;
mod damping;
mod error;
mod hessian_free;
mod interval;
mod lbfgs;
mod line_search;
mod scg;
mod zoo;

pub use cg::{Cg, CgEnd, CgIterate, CgRun, CgStop};
pub use damping::LevenbergMarquardt;
pub use error::Error;
pub use hessian_free::{HessianFree, HessianFreeMethod, HessianFreeStep};
pub use lbfgs::{Lbfgs, LbfgsMethod};
pub use line_search::{Armijo, Outcome, Trial, Wolfe};
pub use scg::{Scg, ScgMethod};
pub use zoo::zoo;
