//! The optimizers of this workspace on [burn](https://burn.dev)'s modules.
//!
//! Burn's own optimizers are chains of tensor operations, a pass over memory each; the rules here are
//! one pass on all threads, tested against PyTorch, refuse a gradient that is not finite, and go on
//! where they were under the parameters' *paths* after a module is loaded. Three ways in:
//!
//! - [`RuleOptimizer`]: a rule as burn's [`Optimizer`](burn_optim::Optimizer), for
//!   [`ModuleOptimizer`](burn_optim::ModuleOptimizer) with its groups, schedulers, clipping,
//!   accumulation and records; [`rebind`] makes those records follow paths.
//! - [`ModuleUpdate`]: any [`Update`](opt_core::Update) over all parameters of a module at once: all
//!   move or none, by [`Groups`](opt_core::Groups) or one rule, with state by path.
//! - [`ModuleObjective`]: a module with its loss for L-BFGS, scaled conjugate gradients, and
//!   whatever else picks its own points.
//!
//! It works on any device of burn's; steps are made on the host, in `f32` or `f64`. On its flex backend
//! nothing is copied. The price: from and to a GPU every step copies gradient and parameters, so
//! there burn's own optimizers are faster.
//!
//! It follows burn's version: 0.22.

mod error;
mod host;
mod objective;
mod optimizer;
mod pack;
mod record;
mod state;
mod update;
mod walk;

pub use error::Error;
pub use objective::ModuleObjective;
pub use optimizer::RuleOptimizer;
pub use record::rebind;
pub use state::RuleState;
pub use update::{ModuleUpdate, Refused};
pub use walk::params;

pub use opt_core;

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
