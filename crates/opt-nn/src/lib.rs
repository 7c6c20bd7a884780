//! A minimal network, of dense and convolutional layers, that offers its loss and gradient as an
//! [`Objective`](opt_core::Objective).
//!
//! Comparing training methods takes a network whose gradient is exact, fast and the same for all
//! of them; a deep-learning framework brings its own optimizers, tensors and random state along.
//! Here a network is a [`Spec`] and a flat parameter vector that belongs to the caller; an
//! [`Mlp`] holds one minibatch and the workspace, and computes by hand-written forward and
//! backward passes around [`gemm`]. The price: a stack of layers is all there is, each
//! dense or a convolution ([`Layer`]), with normalization, an activation, pooling and dropout; the
//! input may be sparse ([`Inputs`]). There is no automatic differentiation.
//!
//! ```
//! use ndarray::array;
//! use opt_core::Objective;
//! use opt_nn::{Activation, Init, Mlp, Spec, Target};
//!
//! let mut net = Mlp::new(Spec::classifier(&[2, 8, 2], Activation::Tanh))?;
//! let mut x = net.init(Init::Glorot, 1);
//! let mut g = vec![0.0_f64; x.len()];
//! let (inputs, xor) = (array![[0., 0.], [0., 1.], [1., 0.], [1., 1.]], [0, 1, 1, 0]);
//! net.load(inputs.view(), Target::Classes(&xor), 0)?;
//! for _ in 0..500 {
//!     net.grad(&x, &mut g)?;
//!     x.iter_mut().zip(&g).for_each(|(x, g)| *x -= 0.5 * g);
//! }
//! assert_eq!(net.evaluate(&x, inputs.view(), Target::Classes(&xor))?.error, Some(0.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Second-order methods find here what a layer's gradient is made of
//! ([`Layered`](opt_core::Layered)), labels drawn from the model and the exact Fisher matrix
//! ([`Fisher`](opt_core::Fisher)), layers that whiten their input
//! ([`Reparametrized`](opt_core::Reparametrized)), products with the Hessian and with the
//! Gauss–Newton matrix ([`HessianProduct`](opt_core::HessianProduct),
//! [`GaussNewton`](opt_core::GaussNewton)), its diagonal ([`HessianDiag`](opt_core::HessianDiag))
//! and the squared gradients of the samples ([`PerSample`](opt_core::PerSample)).
//!
//! Activations are row-major matrices of shape (batch, features), weights are of shape (fan_out,
//! fan_in), and every layer is a = h·Wᵀ + b; of a convolution, the rows of h are the patches of every
//! position, and maps have their channels last. Results do not depend on the number of rayon's
//! threads.
//!
//! # Features
//! `openblas`: GEMM by the system's OpenBLAS instead of pure Rust; see [`gemm`] on its threads.

mod activation;
mod backward;
mod batch;
mod bound;
mod buffer;
mod conv;
mod curvature;
mod diagonal;
mod elementary;
mod error;
mod fisher;
mod infer;
mod init;
mod linear;
mod linearize;
mod loss;
mod mlp;
mod net;
mod norm;
mod pass;
mod penalty;
mod pool;
mod reparametrized;
mod rows;
mod shape;
mod sparse;
mod spec;
mod tangent;
mod threads;
mod whiten;

pub use activation::Activation;
pub use batch::Target;
pub use error::Error;
pub use infer::Evaluation;
pub use init::Init;
pub use loss::Loss;
pub use mlp::Mlp;
pub use opt_linalg::gemm;
pub use opt_norm::{BatchNorm, Variance};
pub use pool::{Pool, PoolKind};
pub use sparse::Inputs;
pub use spec::{Convolution, Layer, Spec};

/// The example of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
