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

mod accumulate;
mod average;
mod check;
mod clip;
mod error;
#[cfg(feature = "safetensors")]
mod file;
mod first_order;
mod gemm;
mod hyper;
mod kernel;
mod method;
mod objective;
mod param_map;
mod plateau;
mod registry;
mod rule;
mod run;
mod scalar;
mod schedule;
mod shard;
mod snapshot;
mod write;

pub use accumulate::{Accumulate, Incomplete};
pub use average::{Average, Averaging};
pub use check::{GradientCheck, check_gradient};
pub use clip::{clip_global_norm, clip_global_norm_parts, clip_value};
pub use error::Error;
pub use first_order::FirstOrder;
pub use gemm::gemm;
pub use hyper::{Bound, Field, FieldVisitor, Hyper, list as list_hyper};
pub use kernel::{all_finite, dot, each, norm};
pub use method::{Fallback, Method, Parameters, Report, State, Visit};
pub use objective::{
    Counted, Fisher, GaussNewton, HessianDiag, HessianProduct, Layer, Layered, Objective,
    ObserveInputs, PerSample, Reparametrized,
};
pub use param_map::{ParamMap, Segment};
pub use plateau::{Plateau, PlateauSchedule};
pub use registry::{AnyMethod, Elementwise, Entry, find as find_entry};
pub use rule::{Rule, Slot};
pub use run::Run;
pub use scalar::Scalar;
pub use schedule::{Pieces, Schedule};
pub use shard::each_parallel;
pub use snapshot::{Named, Restored, Snapshot};
pub use write::write_whole;
