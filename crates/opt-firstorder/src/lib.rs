//! The first-order methods that train deep networks: each one an elementwise rule in the symbols
//! of its paper, with the paper's defaults.
//!
//! A research codebase that wants Adam, or Rprop in the variant that the paper means, should not
//! have to take a framework for it. This crate needs neither a model nor BLAS: a rule, a slice of
//! parameters and a slice of gradients. All rules run as one fused pass at the speed of memory,
//! split over threads, and are tested against PyTorch or a transcription of their paper to a
//! relative 1e-12 in double precision. The price: one flat vector, or a list of slices or arrays, in a
//! fixed order.
//!
//! ```
//! use opt_firstorder::{Adam, FirstOrder, ParamMap};
//!
//! let params = ParamMap::new([("weight", vec![2, 3]), ("bias", vec![2])])?;
//! let mut adam = FirstOrder::new(Adam { lr: 0.1, ..Adam::default() }, &params)?;
//! let mut x = vec![1.0_f32; params.len()];
//! for _ in 0..100 {
//!     let gradient: Vec<f32> = x.iter().map(|x| 2.0 * x).collect(); // of Σx²
//!     adam.apply(&mut x, &gradient)?;
//! }
//! assert!(x.iter().all(|x| x.abs() < 0.05));
//! # Ok::<(), opt_firstorder::Error>(())
//! ```
//!
//! # Conventions
//! g is the gradient of the minibatch at θ, all operations are elementwise, and state starts at 0
//! unless stated. `weight_decay` λ is coupled L2, g ← g + λθ before all else, except in [`AdamW`].
//! A quotient whose denominator is 0 (possible only with `eps` = 0) counts as 0: the parameter
//! stays where it is. [`zoo`] lists every method by name.

mod adadelta;
mod adagrad;
mod adam;
mod adamax;
mod adamw;
mod amsgrad;
mod delta_bar_delta;
mod gains;
mod irprop_plus;
mod manhattan;
mod momentum;
mod nag;
mod nesterov;
mod rmsprop;
mod rmsprop_centered;
mod rprop;
mod sgd;
mod zoo;

pub use adadelta::AdaDelta;
pub use adagrad::AdaGrad;
pub use adam::Adam;
pub use adamax::AdaMax;
pub use adamw::AdamW;
pub use amsgrad::AmsGrad;
pub use delta_bar_delta::DeltaBarDelta;
pub use gains::Gains;
pub use irprop_plus::{Backtracking, IRpropPlus};
pub use manhattan::Manhattan;
pub use momentum::Momentum;
pub use nag::{LookAhead, Nag};
pub use nesterov::Nesterov;
pub use rmsprop::RmsProp;
pub use rmsprop_centered::RmsPropCentered;
pub use rprop::{IRpropMinus, RpropMinus, RpropPlus};
pub use sgd::Sgd;
pub use zoo::zoo;

/// What methods share: all of it is there, and the names that one needs beside a rule here too.
pub use opt_core;
pub use opt_core::{
    Accumulate, ArrayPart, Average, Averaging, Error, FirstOrder, Groups, Incomplete, Method,
    Objective, ParamMap, Parameters, Part, Report, Rule, Run, Schedule, Snapshot, State, Train,
    Tune, Update, Value, Visit, clip_global_norm, clip_value,
};

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

use opt_core::Scalar;

/// n/d, and 0 where d is 0.
#[inline(always)]
fn ratio<F: Scalar>(n: F, d: F) -> F {
    if d == F::zero() { F::zero() } else { n / d }
}

/// −1, 0 or 1; `signum` of a float is never 0.
#[inline(always)]
fn sign<F: Scalar>(v: F) -> F {
    if v > F::zero() {
        F::one()
    } else if v < F::zero() {
        -F::one()
    } else {
        F::zero()
    }
}

/// By the sign of `agreement`. It takes values that are computed whatever the sign: a vectorized
/// loop selects, where it could not branch.
#[inline(always)]
fn choose<F: Scalar>(agreement: F, positive: F, negative: F, zero: F) -> F {
    if agreement > F::zero() {
        positive
    } else if agreement < F::zero() {
        negative
    } else {
        zero
    }
}
