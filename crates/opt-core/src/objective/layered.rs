#[doc(hidden)] // for `forward_objective!`, whose callers need not depend on ndarray
pub use ndarray::{ArrayView1 as VectorView, ArrayView2 as MatrixView};

use ndarray::{ArrayView1, ArrayView2};

use super::{Objective, Team};
use crate::error::Error;
use crate::params::ParamMap;
use crate::scalar::Scalar;

/// What a layer does with its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LayerKind {
    /// a = W·h + b, for every sample: a row is a sample.
    Dense,
    /// a = W·h + b for every position of a sample, where h is the patch there: a row is a position,
    /// and each sample has as many. W is seen as a matrix of shape (fan_out, fan_in), with all but
    /// its first axis flattened, in the order in which a row of h has them. Where PRONG whitens the
    /// channels of a pixel, these are the last axis: (channels out, height, width, channels in).
    Convolution,
}

/// Where a layer's parameters are, by their numbers in [`ParamMap::segments`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerPlace {
    /// W, whose first axis is fan_out.
    pub weight: usize,
    /// b, of shape (fan_out), if it has one.
    pub bias: Option<usize>,
    /// What it does.
    pub kind: LayerKind,
}

impl LayerPlace {
    /// A dense layer.
    pub fn dense(weight: usize, bias: Option<usize>) -> Self {
        Self {
            weight,
            bias,
            kind: LayerKind::Dense,
        }
    }

    /// A convolution.
    pub fn convolution(weight: usize, bias: Option<usize>) -> Self {
        Self {
            weight,
            bias,
            kind: LayerKind::Convolution,
        }
    }

    /// (fan_out, fan_in) of layer number `index`, after a check that the segments are there and
    /// fit each other.
    ///
    /// # Errors
    /// [`Error::Layer`].
    pub fn shape(&self, index: usize, params: &ParamMap) -> Result<(usize, usize), Error> {
        let segments = params.segments();
        let refuse = |name: &str, why: String| Error::Layer {
            index,
            name: name.to_owned(),
            why,
        };
        let Some(weight) = segments.get(self.weight) else {
            let why = format!("there is no segment {} for its weight", self.weight);
            return Err(refuse("?", why));
        };
        let (fan_out, fan_in) = match weight.shape[..] {
            [fan_out, ref rest @ ..] if !rest.is_empty() => (fan_out, rest.iter().product()),
            _ => {
                return Err(refuse(
                    &weight.name,
                    "its weight must have two axes or more".into(),
                ));
            }
        };
        if self.kind == LayerKind::Dense && weight.shape.len() != 2 {
            let why = format!("a dense weight must have two axes, not {:?}", weight.shape);
            return Err(refuse(&weight.name, why));
        }
        if let Some(bias) = self.bias {
            let fits = segments
                .get(bias)
                .is_some_and(|bias| bias.shape == [fan_out]);
            if !fits || bias == self.weight {
                let why = format!("its bias, segment {bias}, must have shape [{fan_out}]");
                return Err(refuse(&weight.name, why));
            }
        }
        Ok((fan_out, fan_in))
    }
}

/// An objective made of layers a = W·h + b that shows what its last gradient was made of. Needed by
/// K-FAC and by PRONG as a preconditioner.
///
/// Not every parameter must belong to a layer: embeddings, or γ and β of a normalization, do not.
pub trait Layered<F: Scalar>: Objective<F> {
    /// The layers, from the input on: always the same.
    fn places(&self) -> &[LayerPlace];

    /// As [`Objective::grad`], but the gradients of the layers' W and b lack their part deltaᵀ·input
    /// (for b: the sum of delta), which the caller makes of [`layer`](Self::layer) as it needs it.
    /// What remains there is that of penalties.
    ///
    /// # Errors
    /// As [`Objective::grad`].
    fn deltas(&mut self, x: &[F], g: &mut [F]) -> Result<F, Error>;

    /// Layer `index`, counted from the input, as the last call of [`Objective::grad`] left it;
    /// `None` before the first call or beyond the last layer.
    fn layer(&self, index: usize) -> Option<Layer<'_, F>>;

    /// This process's part of the minibatch and the others, if several have one together; by default
    /// there is only this one. [`layer`](Self::layer) shows all parts: whoever does not ask is right, too.
    fn team(&self) -> Option<&dyn Team<F>> {
        None
    }

    /// Runs the next `samples` samples of the model's statistics set through the network, without
    /// dropout, and shows the inputs of every layer, piece by piece. Gives how many samples it has
    /// shown of each; 0, as by default, if there is no such set.
    ///
    /// What comes next follows accepted steps ([`Objective::accept`]): until then every call shows
    /// the same samples, so that a step that is refused has not changed the model.
    ///
    /// # Errors
    /// What the model or `visit` refuses.
    fn observe(
        &mut self,
        _x: &[F],
        _samples: usize,
        _visit: &mut ObserveInputs<'_, F>,
    ) -> Result<usize, Error> {
        Ok(0)
    }
}

/// A layered model that is a probability distribution of its output, p(y | x, θ), and can draw
/// from it. Needed by K-FAC.
pub trait SampledFisher<F: Scalar>: Layered<F> {
    /// Runs the loaded minibatch forward, and backward with the deltas of −ln p(y | x, θ) for labels
    /// y that are drawn from the model: from softmax for a softmax cross-entropy, from Bernoulli for
    /// a sigmoid one, from a Gaussian of variance 1 for half a squared error. Inputs and deltas are
    /// left for [`Layered::layer`] to show, the deltas those of the mean over the batch, as after
    /// [`Objective::grad`]. The same seed draws the same labels.
    ///
    /// # Errors
    /// As [`Objective::value`].
    fn sample(&mut self, x: &[F], seed: u64) -> Result<(), Error>;

    /// As [`sample`](Self::sample), where the last evaluation by [`Objective::grad`],
    /// [`Layered::deltas`] or this trait was at the same `x`, with the same minibatch: a model that has
    /// kept that pass need not run forward again. By default it does.
    ///
    /// # Errors
    /// As there.
    fn resample(&mut self, x: &[F], seed: u64) -> Result<(), Error> {
        self.sample(x, seed)
    }
}

/// A model whose Fisher matrix, the mean over samples and over the model's own labels of the
/// gradient's outer product, can be had without drawing. Needed by the natural gradient.
pub trait Fisher<F: Scalar>: SampledFisher<F> {
    /// Number of outputs z, and so of [`factor`](Self::factor)s.
    fn outputs(&self) -> usize;

    /// As [`sample`](SampledFisher::sample), but with deltas of column `index` of a factor L of the
    /// Fisher matrix of the output, L·Lᵀ = E_y[∇_z ln p ∇_z ln pᵀ], for each sample: summed over
    /// all columns, the outer products of the samples' gradients give the exact Fisher matrix.
    ///
    /// # Errors
    /// As [`Objective::value`].
    fn factor(&mut self, x: &[F], index: usize) -> Result<(), Error>;
}

/// What [`Layered::observe`] calls with some rows of the input h of a layer, of shape
/// (rows, fan_in), before whitening.
pub type ObserveInputs<'a, F> = dyn FnMut(usize, ArrayView2<'_, F>) -> Result<(), Error> + 'a;

/// A layered model whose layers can whiten their input: a = V·U(h − c) + d, where V and d are the
/// parameters in `x`, of the shapes of W and b, and U and c are the model's. Needed by PRONG in
/// its own coordinates.
pub trait Reparametrized<F: Scalar>: Layered<F> {
    /// Sets U, of shape (fan_in, fan_in), and c, of shape (fan_in), of layer `index`. The function
    /// that `x` stands for changes with it, unless `x` is changed too.
    ///
    /// # Errors
    /// [`Error::Length`] for another shape, or no such layer; then nothing has changed.
    fn set_whitening(
        &mut self,
        index: usize,
        u: ArrayView2<'_, F>,
        c: ArrayView1<'_, F>,
    ) -> Result<(), Error>;

    /// Makes all layers plain again, U = I and c = 0, as they were before the first
    /// [`set_whitening`](Self::set_whitening).
    fn clear_whitening(&mut self);
}

/// Inputs and output deltas of one layer over the last minibatch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Layer<'a, F> {
    /// h, of shape (rows, fan_in), after dropout. A row is a sample, or a position of one.
    pub input: ArrayView2<'a, F>,
    /// ∂loss/∂a, of shape (rows, fan_out), where the loss is the mean over the batch: so that
    /// the gradient of W, but for weight decay, is deltaᵀ·input.
    pub delta: ArrayView2<'a, F>,
    /// Samples in the batch; each has rows/samples rows, one after another.
    pub samples: usize,
}

impl<'a, F> Layer<'a, F> {
    /// A dense layer, whose rows are samples, for models that implement [`Layered`].
    pub fn new(input: ArrayView2<'a, F>, delta: ArrayView2<'a, F>) -> Self {
        let samples = input.nrows();
        Self {
            input,
            delta,
            samples,
        }
    }

    /// A convolution, whose rows are positions.
    pub fn positions(input: ArrayView2<'a, F>, delta: ArrayView2<'a, F>, samples: usize) -> Self {
        Self {
            input,
            delta,
            samples,
        }
    }
}
