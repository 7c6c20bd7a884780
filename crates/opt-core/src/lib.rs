//! What the methods that train deep networks share.
//!
//! A training method, a model and its data usually come as one framework. Here they meet in three
//! small traits, so that a research codebase with its own model and its own gradients depends on
//! the method that it needs and on this crate, and builds in seconds:
//!
//! - an [`Objective`] is the model with its loss: value and gradient over one flat parameter
//!   vector, whose [`ParamMap`] names its tensors; what else a method may need is a trait of its
//!   own ([`HessianDiag`], [`HessianProduct`], [`GaussNewton`], [`Layered`], [`Fisher`],
//!   [`Reparametrized`]);
//! - a [`Rule`] is an elementwise method in the paper's symbols; [`FirstOrder`] runs it at the
//!   speed of memory, with or without an objective;
//! - a [`Method`] is one iteration of any training method, and a [`State`] all of it that must
//!   survive a restart.
//!
//! The price of one flat vector: a caller whose tensors are separate allocations steps them with
//! [`FirstOrder::apply_parts`], and methods that need an objective want them in one place.
//!
//! # Features
//! `safetensors`: [`Snapshot`] can be saved to and loaded from files.

mod check;
mod direction;
mod error;
mod flush;
mod kernel;
mod method;
mod objective;
mod params;
mod registry;
mod scalar;
mod state;
mod train;
mod tune;
mod update;

pub use check::{GradientCheck, check_gradient};
pub use direction::{Direction, Gradient, Staged};
pub use error::Error;
pub use kernel::{all_finite, dot, each, first_non_finite, greatest, norm};
pub use method::{Fallback, Method, Report};
pub use objective::{
    Call, Counted, Fisher, GaussNewton, HessianDiag, HessianProduct, Layer, LayerKind, LayerPlace,
    Layered, Objective, ObserveInputs, PerSample, Processes, Reparametrized, SampledFisher, Team,
};
#[doc(hidden)] // for `forward_objective!`
pub use objective::{MatrixView, VectorView};
pub use params::{ParamMap, Segment};
pub use registry::{AnyMethod, Entry, Grouped, Set, find as find_entry};
pub use scalar::Scalar;
pub use state::{
    Accumulate, Average, Averaging, Bits, Incomplete, Named, Parameters, Prefixed, Restored, Run,
    Snapshot, State, Visit, write_whole,
};
#[cfg(feature = "safetensors")]
pub use state::{Changed, Checkpoints, Resumed};
pub use train::Train;
pub use tune::{
    Bound, Change, Choice, Field, FieldVisitor, Hyper, Kind, Pieces, Plateau, PlateauSchedule,
    Schedule, Tune, Tuned, Value, clip_global_norm, clip_global_norm_parts, clip_value,
    list as list_hyper,
};
pub use update::{
    AnyRule, ArrayPart, Bf16, Elementwise, FirstOrder, Groups, GroupsBuilder, Packing, Part,
    Rounding, Rule, Slot, Step, Storage, Takes, Trusted, Typed, Update, each_parallel,
};

/// The example of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
