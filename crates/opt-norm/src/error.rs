/// What normalization refuses. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// One value has no variance to be normalized by.
    #[error("a batch of {count} values per feature cannot be normalized: it needs at least 2")]
    BatchOfOne {
        /// Values per feature.
        count: usize,
    },

    /// A batch without features or positions.
    #[error("the layout is empty: it needs at least one feature and one position")]
    Empty,

    /// A slice of the wrong length.
    #[error("{what} has length {found}, must have {expected}")]
    Length {
        /// The slice.
        what: &'static str,
        /// The length that fits the layout.
        expected: usize,
        /// The length that was passed.
        found: usize,
    },

    /// A mean or variance, of the batch or running, is NaN, infinite, or more than its type holds.
    #[error("feature {feature} has mean {mean} and variance {variance}: look into its values")]
    NonFinite {
        /// Index of the first such feature.
        feature: usize,
        /// Its mean.
        mean: f64,
        /// Its variance.
        variance: f64,
    },

    /// A slope by γ or β is NaN, infinite, or more than its type holds.
    #[error("feature {feature} has slope {gamma} by gamma and {beta} by beta: look into the loss")]
    NonFiniteSlope {
        /// Index of the first such feature.
        feature: usize,
        /// ∂loss/∂γ.
        gamma: f64,
        /// ∂loss/∂β.
        beta: f64,
    },

    /// A hyper-parameter out of its range.
    #[error(transparent)]
    Hyper(#[from] opt_core::Error),
}

impl Error {
    pub(crate) fn length(what: &'static str, expected: usize, found: usize) -> Result<(), Self> {
        if expected == found {
            return Ok(());
        }
        Err(Self::Length {
            what,
            expected,
            found,
        })
    }
}
