use candle_core::{DType, DeviceLocation};

/// Everything that can be refused. A call that returns an error has changed nothing, but for
/// [`opt_core::Error::Diverged`], which comes after the move.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What the methods refuse: hyper-parameters, gradients that are not finite, snapshots.
    #[error(transparent)]
    Method(#[from] opt_core::Error),

    /// What candle refuses.
    #[error("candle: {0}")]
    Candle(#[from] candle_core::Error),

    /// A tensor that is not in the host's memory.
    #[error(
        "`{name}` is on {found:?}: only variables and gradients on the CPU are taken, so copy them \
         there (`Tensor::to_device`)"
    )]
    Device {
        /// The variable.
        name: String,
        /// Where it is, or its gradient.
        found: DeviceLocation,
    },

    /// A variable of a type that is not trained, or not beside this type of state.
    #[error("`{name}` is of {found:?}: state in {state} goes with {takes}")]
    VarDType {
        /// The variable.
        name: String,
        /// Its type.
        found: DType,
        /// The type of the method.
        state: &'static str,
        /// What goes with that.
        takes: &'static str,
    },

    /// A variable that is a view with strides, which no constructor of candle makes.
    #[error("`{0}` is not contiguous: make a variable of `Tensor::contiguous`")]
    Strided(String),

    /// A gradient of another shape than its variable.
    #[error("the gradient of `{name}` has shape {found:?}, must have {expected:?}")]
    GradientShape {
        /// The variable.
        name: String,
        /// Its shape.
        expected: Vec<usize>,
        /// The gradient's.
        found: Vec<usize>,
    },

    /// A gradient of another type than its variable.
    #[error("the gradient of `{name}` is of {found:?}, must be of {expected:?}")]
    GradientDType {
        /// The variable.
        name: String,
        /// Its type.
        expected: DType,
        /// The gradient's.
        found: DType,
    },

    /// No variable has a gradient.
    #[error("no variable has a gradient: does the loss depend on these variables?")]
    NoGradient,

    /// An update that was made for other parameters.
    #[error("the update is for other parameters: make it with `Vars::params` of these variables")]
    OtherParams,

    /// An evaluation before there was a batch.
    #[error("no batch is loaded: call `load` first")]
    NotLoaded,

    /// A loss that is not one number.
    #[error("the loss has shape {0:?}: must be one number, such as a mean over the batch")]
    LossShape(Vec<usize>),

    /// A layer that can't be taken.
    #[error("layer {index}: {why}")]
    Layer {
        /// Its number, in the order in which the tape has wrapped them.
        index: usize,
        /// Why not.
        why: String,
    },

    /// An output that does not fit the likelihood.
    #[error("the output has shape {found:?}: must be (samples, …, {outputs})")]
    Output {
        /// What [`Likelihood`](crate::Likelihood) says of the last axis.
        outputs: usize,
        /// The output's shape.
        found: Vec<usize>,
    },

    /// The exact Fisher matrix of a model with several rows of output for each sample.
    #[error(
        "samples have several rows of output: their exact Fisher matrix is not made of one factor for \
         each output, so draw labels"
    )]
    Positions,

    /// A column of the output's Fisher factor beyond the last.
    #[error("no factor {index} of the Fisher matrix: there are {outputs}, one for each output")]
    Factor {
        /// The index given.
        index: usize,
        /// Width of the output.
        outputs: usize,
    },
}

/// So that `?` works in a function that returns candle's `Result`.
impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Candle(error) => error,
            other => Self::wrap(other),
        }
    }
}

/// So that it can be returned from an [`Objective`](opt_core::Objective).
impl From<Error> for opt_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Method(error) => error,
            other => Self::objective(other),
        }
    }
}
