use crate::tune::value::{Bound, Kind, Value};

/// Everything that can be refused. A call that returns an error has changed nothing: neither the
/// parameters nor the method's state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A hyper-parameter is out of its range, or of another kind.
    #[error("{name} = {value}: must be {kind}")]
    Hyper {
        /// The field's name, with its group if there are several.
        name: String,
        /// Its value.
        value: Value,
        /// What it must be.
        kind: Kind,
    },

    /// A hyper-parameter is in its range, but not in the type that the method computes with.
    #[error(
        "{name} = {value:?} becomes {becomes:?} in {dtype}: must be {bound}, also when rounded"
    )]
    HyperRounds {
        /// The field's name, with its group if there are several.
        name: String,
        /// Its value.
        value: f64,
        /// What the type makes of it.
        becomes: f64,
        /// The type.
        dtype: &'static str,
        /// What it must be.
        bound: Bound,
    },

    /// Two hyper-parameters contradict each other.
    #[error("{0}")]
    HyperConflict(String),

    /// No hyper-parameter has this name.
    #[error("no hyper-parameter `{name}`; there are: {known}")]
    UnknownHyper {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        known: String,
    },

    /// No method has this name.
    #[error("no method `{name}`; there are: {known}")]
    UnknownMethod {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        known: String,
    },

    /// A slice is not as long as the parameter map says.
    #[error("{what} has length {found}, must have {expected}")]
    Length {
        /// The slice: `x`, `gradient`, or a segment by its name.
        what: String,
        /// The length that the parameter map gives.
        expected: usize,
        /// The length that was passed.
        found: usize,
    },

    /// A parameter map without a single parameter.
    #[error("the parameter map has no parameters: name at least one segment of non-zero size")]
    NoParameters,

    /// Two segments of one parameter map have the same name.
    #[error("two segments are named `{0}`: names must differ")]
    DuplicateSegment(String),

    /// A segment's shape has more elements than fit into memory.
    #[error("segment `{0}`: its shape has more elements than can be addressed")]
    SegmentTooLarge(String),

    /// No segment has this name, or none with as many axes as was asked.
    #[error("no {wanted}; there are: {known}")]
    NoSegment {
        /// What was asked for.
        wanted: String,
        /// The segments that exist.
        known: String,
    },

    /// The loss is NaN or infinite.
    #[error("the loss is {0}: lower the learning rate, or look into the data")]
    NonFiniteLoss(f64),

    /// A gradient has a NaN or an infinity.
    #[error("gradient of segment `{segment}` is {value} at index {index}")]
    NonFiniteGradient {
        /// The segment's name.
        segment: String,
        /// Index within the segment, row-major.
        index: usize,
        /// The value found.
        value: f64,
    },

    /// A finite gradient that the method cannot take in this type: its square, say, would be
    /// infinite, or vanish.
    #[error(
        "gradient of segment `{segment}` is {value:e} at index {index}: in {dtype} this method takes \
         magnitudes from {least:e} to {most:e}; scale the loss, or clip"
    )]
    GradientRange {
        /// The segment's name.
        segment: String,
        /// Index within the segment, row-major.
        index: usize,
        /// The value found.
        value: f64,
        /// Least magnitude, of those above 0.
        least: f64,
        /// Greatest magnitude.
        most: f64,
        /// The type.
        dtype: &'static str,
    },

    /// The parameters or the state were not finite before this step, or left the type's range by
    /// it. The one error that comes after the move: go back to a snapshot.
    #[error(
        "{what} of segment `{segment}` is {value} at index {index} after this step: go back to a \
         snapshot, and lower the learning rate or take a wider type than {dtype}"
    )]
    Diverged {
        /// The segment's name.
        segment: String,
        /// `x`, or the state buffer's name.
        what: &'static str,
        /// Index within the segment, row-major.
        index: usize,
        /// The value found.
        value: f64,
        /// The type.
        dtype: &'static str,
    },

    /// Groups that do not have every segment exactly once.
    #[error("{0}: every segment must be in exactly one group")]
    Groups(String),

    /// State that can't be stored in fewer bits.
    #[error("{0}: store it as `full`, or name the segment among those that stay whole")]
    Storage(String),

    /// A method cannot take a layer of the model.
    #[error("layer {index}, `{name}`: {why}")]
    Layer {
        /// Its number, from the input.
        index: usize,
        /// The name of its weight.
        name: String,
        /// Why not.
        why: String,
    },

    /// An array has another shape than its segment.
    #[error("array for segment `{segment}` has shape {found:?}, must have {expected:?}")]
    ArrayShape {
        /// The segment's name.
        segment: String,
        /// Its shape.
        expected: Vec<usize>,
        /// The array's.
        found: Vec<usize>,
    },

    /// The norm of a gradient is NaN or infinite.
    #[error("the gradient's norm is {0}: look for the first segment that is not finite")]
    NonFiniteNorm(f64),

    /// A limit, step or number of samples that a function takes is out of its range, or rounds to
    /// what is in the type that it works in.
    #[error("{name} = {value}: must be finite and above 0, also in the parameters' type")]
    Argument {
        /// The argument's name.
        name: &'static str,
        /// Its value.
        value: f64,
    },

    /// A snapshot does not fit what it should restore, or its file is damaged.
    #[error("snapshot: {0}")]
    Snapshot(String),

    /// A schedule's numbers or pieces make no sense.
    #[error("schedule: {0}")]
    Schedule(String),

    /// A parameter is NaN or infinite.
    #[error("parameter of segment `{segment}` is {value} at index {index}")]
    NonFiniteParameter {
        /// The segment's name.
        segment: String,
        /// Index within the segment, row-major.
        index: usize,
        /// The value found.
        value: f64,
    },

    /// Something else than a regular file is at a path. It has not been touched.
    #[error("{path}: is {found}, must be a regular file or nothing: give another path")]
    NotAFile {
        /// The path, after all links.
        path: String,
        /// What is there.
        found: &'static str,
    },

    /// Reading or writing a file failed.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },

    /// The objective could not be evaluated; the model says why.
    #[error("objective: {0}")]
    Objective(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Wraps an error of the user's own model or data, for use inside an
    /// [`Objective`](crate::Objective).
    pub fn objective(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Objective(source.into())
    }

    /// Refuses a value that is not in its range, as a hyper-parameter of this name.
    ///
    /// # Errors
    /// [`Error::Hyper`].
    pub fn bounded(name: &str, value: f64, bound: Bound) -> Result<(), Self> {
        if bound.contains(value) {
            return Ok(());
        }
        Err(Self::Hyper {
            name: name.to_owned(),
            value: value.into(),
            kind: Kind::Real(bound),
        })
    }

    /// The same error, of a field in this group.
    pub(crate) fn within(self, group: &str) -> Self {
        let qualified = |name: String| match group {
            "" => name,
            _ => format!("{group}/{name}"),
        };
        match self {
            Self::Hyper { name, value, kind } => Self::Hyper {
                name: qualified(name),
                value,
                kind,
            },
            Self::HyperRounds {
                name,
                value,
                becomes,
                dtype,
                bound,
            } => Self::HyperRounds {
                name: qualified(name),
                value,
                becomes,
                dtype,
                bound,
            },
            other => other,
        }
    }

    pub(crate) fn length(what: &str, expected: usize, found: usize) -> Result<(), Self> {
        if expected == found {
            return Ok(());
        }
        Err(Self::Length {
            what: what.to_owned(),
            expected,
            found,
        })
    }
}
