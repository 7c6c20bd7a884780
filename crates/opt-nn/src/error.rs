use crate::{Loss, Target};

/// Everything that a network refuses. A call that returns an error leaves the loaded minibatch
/// as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A specification without a layer.
    #[error("the network has no layers: list at least the output layer")]
    NoLayers,

    /// A layer, or the input, without a single unit.
    #[error("{what} has width 0: it must have at least one unit")]
    ZeroWidth {
        /// `inputs` or `layerN`.
        what: String,
    },

    /// A dropout rate that is not a probability below 1.
    #[error("dropout of {what} = {rate}: the rate of dropped units must be in [0, 1)")]
    Dropout {
        /// `inputs` or `layerN`.
        what: String,
        /// The rate given.
        rate: f64,
    },

    /// Dropout on the output.
    #[error("dropout of the last layer = {0}: the output cannot be dropped, set it to 0")]
    OutputDropout(f64),

    /// A convolution, or pooling, at the output.
    #[error("the last layer must be dense and without pooling: add a dense layer for the output")]
    OutputLayer,

    /// An image whose pixels are not the inputs.
    #[error(
        "image of {} x {} x {} for {inputs} inputs: height x width x channels must be their number",
        image[0], image[1], image[2]
    )]
    Image {
        /// Height, width, channels.
        image: [usize; 3],
        /// Width of the input.
        inputs: usize,
    },

    /// A kernel or pooling window of no size, or that does not move.
    #[error(
        "{what} of layer{layer} has size {size} and stride {stride}: both must be at least 1, and \
         the size of a pool at most 255"
    )]
    Window {
        /// Index of the layer.
        layer: usize,
        /// `kernel` or `pool`.
        what: &'static str,
        /// Its height and width.
        size: usize,
        /// Its stride.
        stride: usize,
    },

    /// A kernel or pooling window larger than its maps, or padding as wide as the kernel.
    #[error(
        "{what} of layer{layer} has size {size} on maps of {length} pixels with padding {padding}: \
         it must fit into the padded map, and be larger than the padding"
    )]
    Kernel {
        /// Index of the layer.
        layer: usize,
        /// `kernel` or `pool`.
        what: &'static str,
        /// Its height and width.
        size: usize,
        /// Height or width of the maps.
        length: usize,
        /// Zeros on each side.
        padding: usize,
    },

    /// Sparse inputs that are not stored by rows.
    #[error("sparse inputs are stored by columns: convert them to rows (CSR) first")]
    SparseColumns,

    /// Sparse inputs where the network needs all of them.
    #[error("sparse inputs can't be {what}")]
    Sparse {
        /// What they were to be.
        what: &'static str,
    },

    /// An L2 coefficient below 0 or not finite.
    #[error("l2 = {0}: must be finite and at least 0")]
    L2(f64),

    /// A parameter vector of the wrong length, or a network too large for memory.
    #[error(transparent)]
    Params(#[from] opt_core::Error),

    /// A matrix product of shapes that do not match.
    #[error(transparent)]
    Product(#[from] opt_linalg::Error),

    /// The loss or gradient was asked for before there was a minibatch.
    #[error("no minibatch is loaded: call `load` first")]
    NotLoaded,

    /// A whitening with a NaN or an infinity.
    #[error("U or c of layer {layer} is not finite: raise the ε of its eigenvalues, or skip it")]
    NonFiniteWhitening {
        /// The layer, counted from the input.
        layer: usize,
    },

    /// A factor of the Fisher matrix beyond the last.
    #[error("no factor {index} of the Fisher matrix: there are {outputs}, one for each output")]
    Factor {
        /// The index given.
        index: usize,
        /// Width of the last layer.
        outputs: usize,
    },

    /// A minibatch or a statistics set without a sample.
    #[error("the batch is empty: it must have at least one row")]
    EmptyBatch,

    /// A minibatch whose activations don't fit into memory.
    #[error("a batch of {rows} rows needs more memory than there is: split it")]
    BatchTooLarge {
        /// Its rows.
        rows: usize,
    },

    /// Inputs, targets or a statistics set of the wrong width.
    #[error("{what} have {found} columns, must have {expected}")]
    Width {
        /// `inputs`, `targets` or `statistics`.
        what: &'static str,
        /// The network's width.
        expected: usize,
        /// Columns of the matrix that was passed.
        found: usize,
    },

    /// Batch normalization refused the batch, or the running statistics.
    #[error("batch normalization of layer{layer}: {source}")]
    Norm {
        /// Index of the layer.
        layer: usize,
        /// Why.
        source: opt_norm::Error,
    },

    /// Second derivatives of a layer for which they are not implemented, or not defined.
    #[error("no curvature of layer{layer}: it has {what}")]
    Curvature {
        /// Index of the layer.
        layer: usize,
        /// `batch normalization` or `whitening`.
        what: &'static str,
    },

    /// Not one target for each input.
    #[error("{targets} targets for {inputs} inputs: there must be one for each row")]
    Rows {
        /// Rows of the inputs.
        inputs: usize,
        /// Rows of the targets.
        targets: usize,
    },

    /// A row was chosen that is not there.
    #[error("row {row} was chosen of {rows}: the last is {}", rows - 1)]
    Row {
        /// The first such row.
        row: usize,
        /// Rows of the inputs.
        rows: usize,
    },

    /// A class label without an output.
    #[error("row {row} has class {class}, but the network has {outputs} outputs")]
    Class {
        /// The first such row, of the inputs that were passed.
        row: usize,
        /// Its label.
        class: u8,
        /// Width of the last layer.
        outputs: usize,
    },

    /// A kind of target that the loss is not defined for.
    #[error("{loss:?} takes class labels (`Target::Classes`), not {target}")]
    TargetKind {
        /// The network's loss.
        loss: Loss,
        /// The target's variant.
        target: &'static str,
    },
}

impl<F> Target<'_, F> {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Target::Classes(_) => "`Target::Classes`",
            Target::Values(_) => "`Target::Values`",
            Target::Inputs => "`Target::Inputs`",
        }
    }
}
