//! Fisher matrices by outer products of per-sample gradients, which a dense layer has as δhᵀ, and a
//! convolution as the sum of that over its positions.

use std::ops::Range;

use ndarray::{Array2, ArrayView2};
use opt_core::{Error, Fisher, Layer, Layered, SampledFisher, Scalar, all_finite};

use crate::dense::{Dense, recycle};
use opt_linalg::{Cholesky, Decompose, gram, mirror};

/// Most parameters of one block of a Fisher matrix: of 800 MB in double precision, and of some ten
/// seconds for its Cholesky factor.
pub const MAX_BLOCK: usize = 4_096;

/// Elements of the per-sample gradients that are held at a time.
const CHUNK: usize = 1 << 21;

/// Why a model has no Fisher matrix by its dense layers, or none that can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FisherError {
    /// A block beyond [`MAX_BLOCK`].
    #[error(
        "the Fisher matrix of {block} has {parameters} rows, at most {MAX_BLOCK} are taken: \
         take blocks by layers, or K-FAC"
    )]
    TooLarge {
        /// The layer's weight, or the whole network.
        block: String,
        /// Its parameters.
        parameters: usize,
    },

    /// The model does not show this layer after it was evaluated.
    #[error("layer {index} is not shown; there are {layers}, counted from 0")]
    NoLayer {
        /// The layer that was asked for.
        index: usize,
        /// How many the model says that it has.
        layers: usize,
    },

    /// The shapes of a layer's input, delta and segments contradict each other.
    #[error("layer {0}: input, delta, weight and bias do not fit each other")]
    LayerShape(usize),

    /// A parameter whose gradients are not those of one layer.
    #[error("segment `{0}` is not the weight or bias of exactly one layer")]
    NotDense(String),

    /// The model has no statistics set to whiten from.
    #[error("there is no statistics set to whiten from: give the model one")]
    NoStatistics,

    /// Statistics of a layer that its type cannot hold.
    #[error("{what} of layer `{layer}` overflow: bring its inputs near 1, or scale the loss")]
    Overflow {
        /// Which.
        what: &'static str,
        /// The layer's weight.
        layer: String,
    },

    /// A result that is NaN or infinite, from a finite gradient.
    #[error("{0} is not finite: raise the damping, or lower the learning rate")]
    NonFinite(&'static str),
}

impl From<FisherError> for Error {
    fn from(error: FisherError) -> Self {
        Self::objective(error)
    }
}

/// The Fisher matrix at `x` over the loaded minibatch, exact: the mean over the samples and the
/// expectation over the model's own labels of ∇ ln p ∇ ln pᵀ.
///
/// Of shape (parameters, parameters), in the order of the parameter vector; or, for one layer, in
/// the order (weight row-major, bias). It is exactly symmetric. It costs one pass forward and
/// backward for each output, and batch·outputs·parameters² operations.
///
/// # Errors
/// [`FisherError`] inside [`Error::Objective`], or what the objective refuses.
pub fn fisher<F, O>(objective: &mut O, x: &[F], layer: Option<usize>) -> Result<Array2<F>, Error>
where
    F: Scalar,
    O: Fisher<F> + ?Sized,
{
    let mut sum = Sum::new(layer.map_or(Part::All, Part::Layer));
    sum.exact(objective, x)?;
    sum.into_matrix()
}

/// As [`fisher`], but over one label for each sample, drawn from the model: an unbiased estimate
/// at the cost of a single pass.
///
/// # Errors
/// As [`fisher`].
pub fn sampled_fisher<F, O>(
    objective: &mut O,
    x: &[F],
    seed: u64,
    layer: Option<usize>,
) -> Result<Array2<F>, Error>
where
    F: Scalar,
    O: SampledFisher<F> + ?Sized,
{
    let mut sum = Sum::new(layer.map_or(Part::All, Part::Layer));
    objective.sample(x, seed)?;
    sum.add(objective)?;
    sum.into_matrix()
}

/// As [`fisher`], but over the data's own labels. It is an estimate of the Fisher matrix only
/// where the data is distributed as the model says, and vanishes where the data is fitted.
///
/// # Errors
/// As [`fisher`].
pub fn empirical_fisher<F, O>(
    objective: &mut O,
    x: &[F],
    layer: Option<usize>,
) -> Result<Array2<F>, Error>
where
    F: Scalar,
    O: Layered<F> + ?Sized,
{
    let mut sum = Sum::new(layer.map_or(Part::All, Part::Layer));
    objective.grad(x, &mut vec![F::zero(); x.len()])?;
    sum.add(objective)?;
    sum.into_matrix()
}

/// What of the Fisher matrix is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// One block of everything.
    All,
    /// One block for each layer.
    Layers,
    /// The block of one layer.
    Layer(usize),
}

/// A sum of outer products of per-sample gradients.
#[derive(Clone, Debug)]
pub(crate) struct Sum<F: 'static> {
    part: Part,
    /// Empty until the objective has shown its layers.
    blocks: Vec<Block<F>>,
    /// Gradients of some samples, of shape (samples, width of a block).
    rows: Vec<F>,
    /// Empty between the calls.
    shown: Vec<Layer<'static, F>>,
}

impl<F: Scalar> Sum<F> {
    pub(crate) fn new(part: Part) -> Self {
        let (blocks, rows, shown) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            part,
            blocks,
            rows,
            shown,
        }
    }

    /// Begins anew, in the same memory if it is of the same part.
    pub(crate) fn begin(&mut self, part: Part) {
        if part != self.part {
            *self = Self::new(part);
        }
        for block in &mut self.blocks {
            block.matrix.fill(F::zero());
        }
    }

    /// Adds the expectation over the model's labels.
    pub(crate) fn exact<O>(&mut self, objective: &mut O, x: &[F]) -> Result<(), Error>
    where
        O: Fisher<F> + ?Sized,
    {
        for index in 0..objective.outputs() {
            objective.factor(x, index)?;
            self.add(objective)?;
        }
        Ok(())
    }

    /// Adds the mean over the batch for the deltas that the objective shows.
    pub(crate) fn add<O: Layered<F> + ?Sized>(&mut self, objective: &O) -> Result<(), Error> {
        if self.blocks.is_empty() {
            let (params, places) = (objective.params(), objective.places());
            self.blocks = match self.part {
                Part::All => {
                    let (all, len) = (Dense::covering(params, places)?, params.len());
                    let places = all.into_iter().map(Place::in_x).collect();
                    vec![Block::new("the whole network", len, places)?]
                }
                Part::Layers => {
                    let all = Dense::covering(params, places)?.into_iter();
                    all.map(Block::of_layer).collect::<Result<_, _>>()?
                }
                Part::Layer(index) => {
                    let all = Dense::all(params, places)?;
                    let layers = all.len();
                    let dense = all.into_iter().nth(index);
                    let none = FisherError::NoLayer { index, layers };
                    vec![Block::of_layer(dense.ok_or(none)?)?]
                }
            };
        }
        let (rows, mut shown) = (&mut self.rows, recycle(std::mem::take(&mut self.shown)));
        for block in &mut self.blocks {
            block.add(objective, rows, &mut shown)?;
        }
        self.shown = recycle(shown);
        Ok(())
    }

    fn into_matrix(self) -> Result<Array2<F>, Error> {
        let block = self.blocks.into_iter().next();
        let mut matrix = block.map(|block| block.matrix);
        if let Some(matrix) = &mut matrix {
            mirror(matrix.view_mut());
        }
        matrix.ok_or_else(|| {
            FisherError::NoLayer {
                index: 0,
                layers: 0,
            }
            .into()
        })
    }
}

impl<F: Decompose> Sum<F> {
    /// d ← (F + damping·I)⁻¹g; as F is 0 between the blocks, block by block.
    pub(crate) fn solve(&mut self, g: &[F], damping: f64, d: &mut [F]) -> Result<(), Error> {
        let b = &mut self.rows;
        for block in &mut self.blocks {
            let matrix = block.matrix.view();
            let factor = match &mut block.factor {
                Some(factor) => {
                    factor.update(matrix, damping)?;
                    factor
                }
                none => none.insert(Cholesky::new(matrix, damping)?),
            };
            b.resize(matrix.nrows(), F::zero());
            for (x, at) in block.places.iter().flat_map(Place::ranges) {
                b[at].copy_from_slice(&g[x]);
            }
            factor.solve(b)?;
            for (x, at) in block.places.iter().flat_map(Place::ranges) {
                d[x].copy_from_slice(&b[at]);
            }
        }
        if !all_finite(d) {
            return Err(FisherError::NonFinite("the natural gradient").into());
        }
        Ok(())
    }
}

/// A layer's place in the parameter vector and in a block.
#[derive(Clone, Debug)]
struct Place {
    dense: Dense,
    weight: Range<usize>,
    bias: Option<Range<usize>>,
}

impl Place {
    /// At the same indices in the block as in the vector.
    fn in_x(dense: Dense) -> Self {
        let (weight, bias) = (dense.weight.clone(), dense.bias.clone());
        Self {
            dense,
            weight,
            bias,
        }
    }

    /// In a block of its own.
    fn alone(dense: Dense) -> Self {
        let (weights, len) = (dense.weight.len(), dense.len());
        let bias = dense.bias.as_ref().map(|_| weights..len);
        Self {
            dense,
            weight: 0..weights,
            bias,
        }
    }

    /// In the vector, and in the block.
    fn ranges(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let bias = self.dense.bias.clone().zip(self.bias.clone());
        std::iter::once((self.dense.weight.clone(), self.weight.clone())).chain(bias)
    }
}

/// A block on the diagonal of a Fisher matrix.
#[derive(Clone, Debug)]
struct Block<F> {
    places: Vec<Place>,
    /// Only its lower triangle counts.
    matrix: Array2<F>,
    /// Of the damped matrix, once it was solved by.
    factor: Option<Cholesky<F>>,
}

impl<F: Scalar> Block<F> {
    fn new(name: &str, parameters: usize, places: Vec<Place>) -> Result<Self, Error> {
        if parameters > MAX_BLOCK {
            let block = name.to_owned();
            return Err(FisherError::TooLarge { block, parameters }.into());
        }
        let matrix = Array2::zeros((parameters, parameters));
        let factor = None;
        Ok(Self {
            places,
            matrix,
            factor,
        })
    }

    fn of_layer(dense: Dense) -> Result<Self, Error> {
        let (name, len) = (dense.name.clone(), dense.len());
        Self::new(&name, len, vec![Place::alone(dense)])
    }

    fn add<'o, O>(
        &mut self,
        objective: &'o O,
        buffer: &mut Vec<F>,
        shown: &mut Vec<Layer<'o, F>>,
    ) -> Result<(), Error>
    where
        O: Layered<F> + ?Sized,
    {
        let mut samples = None;
        shown.clear();
        for place in &self.places {
            let layer = place.dense.shown(objective)?;
            if *samples.get_or_insert(layer.samples) != layer.samples {
                return Err(FisherError::LayerShape(place.dense.index).into());
            }
            shown.push(layer);
        }
        let (samples, width) = (samples.unwrap_or(0), self.matrix.nrows().max(1));
        // A delta is that of the mean over the batch: that of the sample, divided by the batch.
        let scale = F::of(samples as f64);
        let chunk = (CHUNK / width).max(1);
        for start in (0..samples).step_by(chunk) {
            let end = samples.min(start + chunk);
            buffer.resize((end - start) * width, F::zero());
            for (n, row) in (start..end).zip(buffer.chunks_exact_mut(width)) {
                for (place, layer) in self.places.iter().zip(&*shown) {
                    place.gradient(layer, n, row);
                }
            }
            let rows = ArrayView2::from_shape((end - start, width), buffer);
            let rows = rows.map_err(Error::objective)?;
            gram(scale, rows, F::one(), self.matrix.view_mut())?;
        }
        Ok(())
    }
}

impl Place {
    /// Writes the layer's part of the gradient of sample `n`, Σδhᵀ and Σδ over its positions, into a
    /// row of a block.
    fn gradient<F: Scalar>(&self, layer: &Layer<'_, F>, n: usize, row: &mut [F]) {
        let positions = layer.input.nrows() / layer.samples.max(1);
        row[self.weight.clone()].fill(F::zero());
        if let Some(bias) = self.bias.clone() {
            row[bias].fill(F::zero());
        }
        for position in n * positions..(n + 1) * positions {
            let (input, delta) = (layer.input.row(position), layer.delta.row(position));
            let weight = row[self.weight.clone()].chunks_exact_mut(self.dense.fan_in.max(1));
            for (row, &delta) in weight.zip(delta) {
                (row.iter_mut().zip(input)).for_each(|(to, &h)| *to += delta * h);
            }
            if let Some(bias) = self.bias.clone() {
                (row[bias].iter_mut().zip(delta)).for_each(|(to, &delta)| *to += delta);
            }
        }
    }
}
