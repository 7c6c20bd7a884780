//! Training methods that use curvature: Newton's method, dense and diagonal, vSGD, ESGD, Møller's
//! scaled conjugate gradients, Martens' Hessian-free and L-BFGS.
//!
//! A gradient says which way is down, but not how far: the curvature does. A method here asks the
//! objective for as much of it as it needs, through a trait of [`opt_core`], and a missing one is
//! a compile error:
//!
//! | method | needs | evaluations per step |
//! |---|---|---|
//! | [`Newton`] | [`HessianProduct`](opt_core::HessianProduct) | a gradient and n products, for n parameters |
//! | [`NewtonDiagonal`] | [`HessianDiag`](opt_core::HessianDiag) | a gradient and a diagonal |
//! | [`Esgd`] | [`HessianProduct`](opt_core::HessianProduct) | a gradient; every 20th step a product, in the first ten |
//! | [`Vsgd`] with [`Bbprop`] | [`PerSample`](opt_core::PerSample), [`HessianDiag`](opt_core::HessianDiag) | a gradient with moments and a diagonal |
//! | [`Vsgd`] with [`FiniteDifferences`] | [`PerSample`](opt_core::PerSample) | a gradient with moments and a gradient |
//! | [`Scg`] | [`Objective`](opt_core::Objective) | two gradients and a value; after a failed step a value |
//! | [`HessianFree`] | [`GaussNewton`](opt_core::GaussNewton), [`PerSample`](opt_core::PerSample) | a gradient with moments, up to 251 products, some values |
//! | [`Lbfgs`] | [`Objective`](opt_core::Objective) | a gradient, sometimes a few more |
//!
//! ```
//! use opt_core::{Method, Objective};
//! use opt_nn::{Activation, Init, Mlp, Spec, Target};
//! use opt_secondorder::HessianFree;
//!
//! let (train, test) = opt_data::digits()?.split(360, 0)?;
//! let mut mlp = Mlp::<f32>::new(Spec::classifier(&[64, 20, 10], Activation::Tanh))?;
//! let mut x = mlp.init(Init::LeCun, 0);
//! let mut hf = HessianFree::default().method(mlp.params())?;
//! mlp.load(train.inputs.view(), Target::Classes(&train.labels), 0)?;
//! for _ in 0..15 {
//!     hf.step(&mut mlp, &mut x)?;
//! }
//! let result = mlp.evaluate(&x, test.inputs.view(), Target::Classes(&test.labels))?;
//! assert!(result.error < Some(0.06));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The price of a step is in evaluations, and not in memory traffic as for a first-order method: SCG,
//! L-BFGS, Newton and Hessian-free want large minibatches, or all data, and the first two the same at
//! every step. Diagonal Newton, ESGD and vSGD are for minibatches of any size.
//!
//! [`Cg`], [`Armijo`], [`Wolfe`] and [`LevenbergMarquardt`] are parts that stand alone. Results do not
//! depend on the number of threads.

mod armijo;
mod averages;
mod cg;
mod curvature;
mod damping;
mod descent;
mod error;
mod esgd;
mod exact_diagonal;
mod hessian_free;
mod interval;
mod lbfgs;
mod means;
mod memory;
mod newton;
mod newton_diagonal;
mod progress;
mod scg;
mod trial;
mod vectors;
mod vsgd;
mod vsgd_direction;
mod walk;
mod wolfe;
mod zoo;

pub use armijo::Armijo;
pub use cg::{Cg, CgEnd, CgIterate, CgRun, CgStop};
pub use curvature::{Bbprop, Curvature, FiniteDifferences};
pub use damping::LevenbergMarquardt;
pub use descent::{Descent, Whole};
pub use error::Error;
pub use esgd::{Esgd, EsgdDirection, EsgdMethod, Probe};
pub use exact_diagonal::ExactDiagonal;
pub use hessian_free::{HessianFree, HessianFreeMethod, HessianFreeStep};
pub use lbfgs::{Lbfgs, LbfgsMethod};
pub use newton::{MAX_NEWTON, Newton, NewtonMethod};
pub use newton_diagonal::{NewtonDiagonal, NewtonDiagonalDirection, NewtonDiagonalMethod};
pub use scg::{Scg, ScgMethod};
pub use trial::Trial;
pub use vsgd::{Form, Vsgd};
pub use vsgd_direction::{VsgdDirection, VsgdMethod};
pub use wolfe::{Outcome, Wolfe};
pub use zoo::zoo;

/// The example of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
