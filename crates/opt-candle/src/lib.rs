//! Optimizers of deep networks for [candle](candle_core).
//!
//! candle has SGD and AdamW, which go through a tensor operation for every term of their formula. With one dependency
//! and two or three lines a candle program has here every method of this workspace, on the same variables:
//!
//! | you have | you get |
//! |---|---|
//! | a `VarMap` and a loss | [`Optimizer`]: any elementwise [rule](firstorder), in groups, with frozen parts, state in few bits, schedules; as [`candle_nn::Optimizer`] too |
//! | a closure from a batch to a loss | [`Model`]: what picks its own points: L-BFGS, SCG, look-ahead NAG, iRprop+ |
//! | layers wrapped by a [`Tape`] | [`LayeredModel`]: K-FAC, PRONG, PRONG+, the natural gradient |
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use candle_nn::{Module, VarBuilder, VarMap, loss::cross_entropy};
//! use opt_candle::{Optimizer, Vars, firstorder::AdamW};
//!
//! let map = VarMap::new();
//! let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
//! let net = candle_nn::linear(64, 10, vb)?;
//! # for var in map.all_vars() { var.set(&var.zeros_like()?)?; } // the same start in every run
//! // Instead of candle_nn::AdamW::new(map.all_vars(), ParamsAdamW { lr: 0.01, .. }):
//! let mut adamw = Optimizer::new(Vars::from_varmap(&map)?, AdamW { lr: 0.01, ..AdamW::default() })?;
//! let digits = opt_data::digits()?;
//! let x = Tensor::from_slice(digits.inputs.as_slice().unwrap(), (1797, 64), &Device::Cpu)?;
//! let y: Vec<u32> = digits.labels.iter().map(|&class| class.into()).collect();
//! let y = Tensor::from_vec(y, 1797, &Device::Cpu)?;
//! for _ in 0..100 {
//!     let loss = cross_entropy(&net.forward(&x)?, &y)?;
//!     adamw.backward_step(&loss)?;
//! }
//! assert!(cross_entropy(&net.forward(&x)?, &y)?.to_scalar::<f32>()? < 0.4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Groups of rules, a part that is frozen, a schedule:
//!
//! ```
//! # use candle_core::{DType, Device, Tensor};
//! # use candle_nn::{Module, VarBuilder, VarMap};
//! use opt_candle::firstorder::{AdamW, Groups, Sgd};
//! use opt_candle::{Optimizer, Tune, Vars};
//!
//! # let map = VarMap::new();
//! # let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
//! # let (first, last) = (candle_nn::linear(4, 3, vb.pp("first"))?, candle_nn::linear(3, 2, vb.pp("last"))?);
//! let vars = Vars::from_varmap(&map)?;
//! let update = Groups::<f32>::builder()
//!     .rule("weights", |s| s.name == "last.weight", AdamW::default())
//!     .rule("biases", |s| s.name == "last.bias", Sgd { lr: 0.1, weight_decay: 0.0 })
//!     .frozen("fixed", |s| s.name.starts_with("first"))
//!     .build(vars.params())?;
//! let mut optimizer = Optimizer::along(vars, update)?;
//! optimizer.update_mut().scale("lr", 0.5)?; // of both, which keep their ratio
//! # let x = Tensor::ones((5, 4), DType::F32, &Device::Cpu)?;
//! # let loss = last.forward(&first.forward(&x)?)?.sqr()?.mean_all()?;
//! optimizer.backward_step(&loss)?;
//! # Ok::<(), opt_candle::Error>(())
//! ```
//!
//! # What it costs
//! An optimizer's step moves the variables in their own memory, and reads each gradient twice. A gradient that is
//! not contiguous is copied, and so are variables of 16 bits, which follow a copy in `f32`. A [`Model`] copies the parameters
//! to and from the variables once for each evaluation, as its methods want one vector.
//!
//! # What it does not do
//! Variables on a CUDA or Metal device are refused ([`Error::Device`]). Curvature by the R-operator (Hessian-free,
//! Newton, ESGD) is not to be had of candle's graph, which differentiates once: these methods don't compile here.
//!
//! # Features
//! `secondorder`: L-BFGS, SCG and line searches. `faer`: K-FAC, PRONG and the natural gradient in pure Rust; `lapack`: with
//! the system's OpenBLAS. The first two are the default.

mod element;
mod error;
mod flat;
mod layered;
mod likelihood;
mod model;
mod optimizer;
mod rows;
mod tape;
mod vars;
mod window;

pub use element::Element;
pub use error::Error;
pub use layered::LayeredModel;
pub use likelihood::Likelihood;
pub use model::Model;
pub use opt_core::{Method, Objective, ParamMap, Report, Tune, Update};
pub use opt_firstorder as firstorder;
#[cfg(any(feature = "faer", feature = "lapack"))]
pub use opt_natural as natural;
#[cfg(feature = "secondorder")]
pub use opt_secondorder as secondorder;
pub use optimizer::{Make, Optimizer};
pub use tape::{Tape, Taped};
pub use vars::Vars;

/// The example of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
