//! Methods that go by the geometry of the model's output instead of that of its parameters: the
//! natural gradient, K-FAC, and PRONG.
//!
//! A gradient depends on the units of every parameter and on how a layer's inputs scatter; the
//! natural gradient F⁻¹g, with the Fisher matrix F, does not. F has a row for each parameter, and so
//! for anything but a small network it is a matter of which part of it to keep:
//!
//! | | keeps of F | beyond a gradient, for a layer of n inputs and m outputs |
//! |---|---|---|
//! | [`NaturalGradient`] | all of it, or a block for each layer; at most [`MAX_BLOCK`] rows | a pass for each output, batch·p² for each, p³/3 |
//! | [`Kfac`] | of each layer a Kronecker product, of its inputs' and its deltas' moments | a pass, 3·batch·(n² + m²), 2(n³ + m³)/T |
//! | [`Prong`], [`ProngPlus`] | the inputs' half of that | 2·batch·n², n³/T; less where most variances are far below ε |
//!
//! Each settings struct makes a whole method (`method`), as its paper or the deck has it, and the
//! direction alone (`direction`), which [`Train`] joins with any [`Update`]: K-FAC's with AdamW, or
//! PRONG's with one rate for weights and another for biases. [`ProngCoordinates`] is the deck's
//! form of PRONG, for any elementwise rule *inside* of the whitened coordinates, which is another
//! method than the same rule on PRONG's direction unless it is momentum.
//!
//! They need more of a model than its gradient: [`Layered`], for PRONG; [`SampledFisher`], for
//! K-FAC; [`Fisher`], for the natural gradient; [`Reparametrized`], for PRONG's own coordinates.
//! Dense layers and convolutions are taken, and others refused when a method is made. Embeddings, and γ and β of
//! a normalization, follow their plain gradient where a direction can leave them out: PRONG and
//! K-FAC's direction do, the other two have no block for them and say so.
//!
//! # A model of one's own
//! Two layers by hand, under PRONG: what it takes is where the weights are, and what the layers'
//! last inputs and deltas were.
//!
//! ```
//! use ndarray::{Array2, Axis};
//! use opt_natural::{Error, Layer, LayerPlace, Layered, Objective, ParamMap, Prong};
//!
//! /// ½‖W₂·tanh(W₁·h + b₁) + b₂ − y‖², the mean over samples h.
//! struct Net {
//!     params: ParamMap,
//!     places: [LayerPlace; 2],
//!     inputs: [Array2<f64>; 2],
//!     deltas: [Array2<f64>; 2],
//!     y: Array2<f64>,
//! }
//!
//! impl Objective<f64> for Net {
//!     fn params(&self) -> &ParamMap { &self.params }
//!     fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
//!         self.deltas(x, &mut vec![0.0; x.len()])
//!     }
//!     fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
//!         let loss = self.deltas(x, g)?;
//!         let layers = self.deltas.iter().zip(&self.inputs);
//!         let all = layers.flat_map(|(d, h)| d.t().dot(h).into_iter().chain(d.sum_axis(Axis(0))));
//!         g.iter_mut().zip(all).for_each(|(to, g)| *to = g);
//!         Ok(loss)
//!     }
//! }
//!
//! impl Layered<f64> for Net {
//!     fn places(&self) -> &[LayerPlace] { &self.places }
//!     fn deltas(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
//!         let (p, n) = (&self.params, self.y.nrows() as f64);
//!         let (w1, w2) = (p.view2("w1", x)?, p.view2("w2", x)?);
//!         let a = self.inputs[0].dot(&w1.t()) + p.view1("b1", x)?;
//!         self.inputs[1] = a.mapv(f64::tanh);
//!         let error = self.inputs[1].dot(&w2.t()) + p.view1("b2", x)? - &self.y;
//!         self.deltas[1] = &error / n;
//!         self.deltas[0] = self.deltas[1].dot(&w2) * self.inputs[1].mapv(|h| 1.0 - h * h);
//!         g.fill(0.0); // no penalty, and nothing outside of the layers
//!         Ok(0.5 * error.iter().map(|e| e * e).sum::<f64>() / n)
//!     }
//!     fn layer(&self, index: usize) -> Option<Layer<'_, f64>> {
//!         Some(Layer::new(self.inputs.get(index)?.view(), self.deltas[index].view()))
//!     }
//! }
//!
//! let h = Array2::from_shape_fn((64, 2), |(i, j)| ((i * (3 + 4 * j)) as f64).sin());
//! let mut net = Net {
//!     params: ParamMap::new([("w1", vec![8, 2]), ("b1", vec![8]), ("w2", vec![1, 8]), ("b2", vec![1])])?,
//!     places: [LayerPlace::dense(0, Some(1)), LayerPlace::dense(2, Some(3))],
//!     y: h.map_axis(Axis(1), |h| h[0] * h[1]).insert_axis(Axis(1)),
//!     inputs: [h, Array2::zeros((0, 8))],
//!     deltas: [Array2::zeros((0, 8)), Array2::zeros((0, 1))],
//! };
//! let mut x: Vec<f64> = (0..net.params.len()).map(|i| (i as f64 * 1.7).sin()).collect();
//! // Without a statistics set the first steps collect: here one minibatch is enough.
//! let prong = Prong { lr: 0.02, eps: 0.01, samples: 64, ..Prong::default() };
//! let mut method = prong.method(&net.params, &net.places)?;
//! for _ in 0..300 {
//!     method.step(&mut net, &mut x)?;
//! }
//! assert!(net.value(&x)? < 0.01);
//! # Ok::<(), Error>(())
//! ```
//!
//! # A direction with an update of one's choice
//! K-FAC's direction, moved by AdamW:
//!
//! ```
//! use opt_firstorder::AdamW;
//! use opt_natural::{FirstOrder, Kfac, Layered, Objective, Train};
//! use opt_nn::{Activation, Init, Mlp, Spec, Target};
//!
//! let digits = opt_data::digits()?;
//! let mut mlp = Mlp::new(Spec::classifier(&[64, 20, 10], Activation::Tanh))?;
//! let mut x = mlp.init(Init::LeCun, 1);
//! let direction = Kfac::default().direction(mlp.params(), mlp.places())?;
//! let update = FirstOrder::new(AdamW { lr: 0.02, ..AdamW::default() }, mlp.params())?;
//! let mut train = Train::along(direction, update);
//! mlp.load(digits.inputs.view(), Target::Classes(&digits.labels), 0)?;
//! for _ in 0..20 {
//!     let report = train.step(&mut mlp, &mut x)?;
//!     assert_eq!(report.fallback, None);
//! }
//! assert!(mlp.value(&x)? < 0.5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Several processes
//! Of an objective whose minibatch several processes have together ([`Layered::team`]), such as
//! `opt_mpi::AllReduced`, K-FAC and PRONG make their statistics and the gradient of the rows that are here, and
//! sum them over the processes; each process decomposes the statistics of every R-th layer, for all. The
//! natural gradient, which needs each sample's gradient, asks for the rows of all.
//!
//! # What goes wrong, and how it is told
//! A step that returns an error has changed nothing: neither x, nor the method, nor the model.
//! Where a part of it could not be had and the rest was made all the same, the report's
//! [`fallback`](Report::fallback) says so: a factor that was kept, a damping that was raised, a step
//! that vanishes beside a weight because its inputs are far from 1.
//!
//! # Features
//! `lapack`, the default: matrices are decomposed by the system's OpenBLAS. `faer`: in pure Rust, for
//! machines without one (`default-features = false`). One of them must be on.

#[cfg(not(any(feature = "lapack", feature = "faer")))]
compile_error!("turn on a feature of opt-natural: `lapack`, which is its default, or `faer`");

mod apply;
mod block;
mod blocks;
mod coordinates;
mod dense;
mod factor;
mod fisher;
mod kfac;
mod kfac_direction;
mod kronecker;
mod natural_gradient;
mod preconditioner;
mod prong;
mod quadratic;
mod team;
mod union;
mod zoo;

pub use coordinates::{ProngCoordinates, Whiten};
pub use fisher::{FisherError, MAX_BLOCK, empirical_fisher, fisher, sampled_fisher};
pub use kfac::{Kfac, KfacMethod, StepSize};
pub use kfac_direction::KfacDirection;
pub use natural_gradient::{
    Blocks, Curvature, Descent, NaturalDirection, NaturalGradient, NaturalMethod,
};
pub use opt_core::{
    Direction, Error, Fallback, FirstOrder, Fisher, Groups, Layer, LayerKind, LayerPlace, Layered,
    Method, Objective, ObserveInputs, ParamMap, Processes, Reparametrized, Report, Rule,
    SampledFisher, Snapshot, State, Team, Train, Tune, Update,
};
pub use opt_linalg::{
    Cholesky, DampedInverse, Decompose, Eigen, Eigh, Form, Moments, Whitening, WhiteningOptions,
};
pub use preconditioner::ProngDirection;
pub use prong::{Extent, HeavyBall, Prong, ProngMethod, ProngPlus};
pub use zoo::zoo;

/// The example of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
