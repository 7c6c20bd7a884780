//! The first-order methods that train deep networks: each one an elementwise rule in the symbols
//! of its paper, with the paper's defaults.
//!
//! A research codebase that wants Adam, or Rprop in the variant that the paper means, should not
//! have to take a framework for it. This crate needs neither a model nor BLAS: a rule, a slice of
//! parameters and a slice of gradients. All rules run as one fused pass at the speed of memory,
//! split over threads, and are tested against PyTorch or a transcription of their paper to a
//! relative 1e-12 in double precision. The price: one flat vector, or a list of slices or arrays in
//! a fixed order.
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
//! What one needs of `opt_core` beside the rules is here too; all of it as [`opt_core`]. Rules of
//! different types over groups of parameters, a schedule, and a tensor without a gradient:
//!
//! ```
//! use opt_firstorder::{AdamW, Groups, ParamMap, Part, Schedule, Sgd, Tune};
//!
//! let params = ParamMap::new([("embedding", vec![4]), ("w", vec![3, 2]), ("b", vec![3])])?;
//! let mut update = Groups::builder()
//!     .rule("weights", |s| s.name == "w", AdamW::default())
//!     .rule("biases", |s| s.name == "b", Sgd { lr: 0.1, ..Sgd::default() })
//!     .frozen("fixed", |s| s.name == "embedding")
//!     .build(&params)?;
//! let warm_up = Schedule::Linear { from: 0.0, to: 1.0, steps: 10 };
//! let (mut embedding, mut w, mut b) = (vec![1.0_f32; 4], vec![1.0; 6], vec![0.0; 3]);
//! for t in 0..20 {
//!     update.scale("lr", warm_up.at(t))?; // of both, which keep their ratio
//!     let w_has_gradient = t % 3 != 2;
//!     update.apply_parts(&mut [
//!         Part::still(&mut embedding),
//!         if w_has_gradient { Part::new(&mut w, &[1.0; 6]) } else { Part::still(&mut w) },
//!         Part::new(&mut b, &[-1.0; 3]),
//!     ])?;
//! }
//! assert!(embedding == [1.0; 4] && w[0] < 1.0 && b[0] > 0.0);
//! assert_eq!((update.steps(1), update.steps(2)), (14, 20));
//! # Ok::<(), opt_firstorder::Error>(())
//! ```
//!
//! # Conventions
//! g is the gradient of the minibatch at θ, all operations are elementwise, and state starts at 0
//! unless stated. `weight_decay` λ is coupled L2, g ← g + λθ before all else, except in [`AdamW`].
//! A quotient whose denominator is 0 (possible only with `eps` = 0) counts as 0: the parameter
//! stays where it is. [`zoo`] lists every method by name.
//!
//! # PyTorch
//! With the feature `safetensors`, the module `torch` reads and writes the state of PyTorch's optimizers:
//! a run that began there goes on here, and back.
//!
//! # Range of gradients
//! Every finite gradient is taken, or refused with [`Error::GradientRange`] before anything has
//! changed. A rule that squares it takes |g| ≤ ½√max, where max is the type's greatest number:
//! 9.2e18 in `f32`, 6.7e153 in `f64`. If its ε is so small that √(g²) still counts beside it where
//! g² vanishes (at the defaults it is not), it also refuses gradients, 0 apart, below
//! √(min/(1 − β₂)), where min is the least normal number: 3.4e-18 for Adam in `f32`. On x86-64 what is below min counts as 0 within a step: of a gradient below
//! some 1,000·min less or nothing may be left.

mod adadelta;
mod adadelta_corrected;
mod adadelta_immediate;
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
mod rmsprop_momentum;
mod rprop;
mod sgd;
#[cfg(feature = "safetensors")]
pub mod torch;
mod zoo;

pub use adadelta::AdaDelta;
pub use adadelta_corrected::AdaDeltaCorrected;
pub use adadelta_immediate::AdaDeltaImmediate;
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
pub use rmsprop_momentum::RmsPropMomentum;
pub use rprop::{IRpropMinus, RpropMinus, RpropPlus};
pub use sgd::Sgd;
pub use zoo::zoo;

/// What methods share: all of it is there, and the names that one needs beside a rule here too.
pub use opt_core;
pub use opt_core::{
    Accumulate, ArrayPart, Average, Averaging, Bf16, Elementwise, Error, FirstOrder, Groups,
    GroupsBuilder, Incomplete, Method, Objective, ParamMap, Parameters, Part, Report, Rounding,
    Rule, Run, Scalar, Schedule, Segment, Snapshot, State, Storage, Train, Trusted, Tune, Update,
    Value, Visit, clip_global_norm, clip_value,
};

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

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
