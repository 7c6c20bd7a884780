/// What a second-order method refuses beyond [`opt_core::Error`]. A step returns it inside
/// [`opt_core::Error::Objective`], and has then changed nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The matrix of Newton's equation has a direction without positive curvature.
    #[error(
        "the Hessian plus damping is not positive definite (pivot {pivot} is {value}): raise \
         `damping`, or start with a first-order method"
    )]
    Indefinite {
        /// Row of the pivot in the factorization.
        pivot: usize,
        /// The pivot.
        value: f64,
    },

    /// A dense matrix over the parameters would be too large.
    #[error("{params} parameters: a dense Hessian is for at most {limit}")]
    TooLarge {
        /// Number of parameters.
        params: usize,
        /// The most that is taken.
        limit: usize,
    },

    /// The objective's curvature is NaN or infinite.
    #[error("{0} is not finite: look into the model or the data")]
    NonFinite(&'static str),

    /// A step would take a parameter out of the range of its type.
    #[error(
        "the step leaves the range of the parameters' type in segment `{segment}` at index {index}: \
         lower the learning rate, scale the loss, or take f64"
    )]
    Range {
        /// The segment's name.
        segment: String,
        /// Index within the segment, row-major.
        index: usize,
    },
}

impl From<Error> for opt_core::Error {
    fn from(error: Error) -> Self {
        Self::objective(error)
    }
}
