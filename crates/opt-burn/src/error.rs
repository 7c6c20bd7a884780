use burn_core::store::RecordError;
use burn_core::tensor::{DType, DataError, ExecutionError};

/// What is refused beyond [`opt_core::Error`]. All but [`Read`](Self::Read), and
/// [`opt_core::Error::Diverged`] within [`Update`](Self::Update), leave parameters and state as they
/// were.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What the update refuses: a gradient, a setting, a loss.
    #[error(transparent)]
    Update(#[from] opt_core::Error),

    /// A rule without a learning rate was given one.
    #[error(
        "{rule} has no learning rate, so burn's must be 1, and is {lr}: set the rule's own fields"
    )]
    Rate {
        /// The rule and its settings.
        rule: String,
        /// Burn's rate.
        lr: f64,
    },

    /// A tensor is of a type that rules do not compute in.
    #[error("{what} is {found:?}, must be {expected}")]
    DType {
        /// The tensor.
        what: String,
        /// Its type.
        found: DType,
        /// What it must be.
        expected: String,
    },

    /// A gradient has another shape than its parameter.
    #[error("gradient of {what} has shape {found:?}, must have {expected:?}")]
    Shape {
        /// The parameter.
        what: String,
        /// Its shape.
        expected: Vec<usize>,
        /// The gradient's.
        found: Vec<usize>,
    },

    /// The device could not give a tensor's values. If they were a parameter's, they are lost with
    /// it, and NaN is in their place.
    #[error("reading {what}: {source}")]
    Read {
        /// The tensor.
        what: String,
        /// What the device said.
        source: ExecutionError,
    },

    /// A tensor's values are not as its type and shape say.
    #[error("{what}: {source}")]
    Data {
        /// The tensor.
        what: String,
        /// What burn said.
        source: DataError,
    },

    /// A module has other trainable parameters than an update was made for.
    #[error("the module {0}: make the update for this module")]
    Module(String),

    /// A record does not fit what it should restore, or is damaged.
    #[error("record: {0}")]
    Record(String),

    /// A record could not be read or written.
    #[error(transparent)]
    Store(#[from] RecordError),

    /// A loss is no single number.
    #[error("the loss has {0} elements, must have 1: take its mean or its sum")]
    Loss(usize),

    /// A loss does not depend on any parameter, or is on a device without autodiff.
    #[error("the loss has no gradient: make the module on `device.autodiff()`, and do not detach")]
    NoGradient,
}

impl From<Error> for opt_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Update(error) => error,
            error => Self::objective(error),
        }
    }
}

impl From<burn_pack::Error> for Error {
    fn from(error: burn_pack::Error) -> Self {
        Self::Store(error.into())
    }
}
