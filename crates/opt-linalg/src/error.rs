use opt_core::Scalar;

/// Everything that the linear algebra of this crate refuses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Matrices whose product does not exist or has another shape.
    #[error("matrix product: {a:?} times {b:?} into {c:?}: shapes do not match")]
    Shape {
        /// (rows, columns) of the left factor.
        a: (usize, usize),
        /// Of the right one.
        b: (usize, usize),
        /// Of the result.
        c: (usize, usize),
    },

    /// A matrix that must be square is not.
    #[error("the matrix is of shape ({rows}, {columns}): it must be square")]
    NotSquare {
        /// Its rows.
        rows: usize,
        /// Its columns.
        columns: usize,
    },

    /// A matrix without elements.
    #[error("the matrix is empty: it must have at least one row")]
    EmptyMatrix,

    /// A matrix whose workspace does not fit into memory or is beyond LAPACK's 32-bit lengths.
    #[error("a matrix of order {order} needs more workspace than there is: split the layer")]
    TooLarge {
        /// Its rows and columns.
        order: usize,
    },

    /// An element is NaN or infinite.
    #[error("{what} has {value} at ({row}, {column}): all elements must be finite")]
    NonFinite {
        /// `matrix`, `batch` or `mean`.
        what: &'static str,
        /// Its row; 0 in a vector.
        row: usize,
        /// Its column.
        column: usize,
        /// The value found.
        value: f64,
    },

    /// Every element is finite, but a result is too large for the floating-point type.
    #[error("{what} overflows: scale the data down, or raise the damping")]
    Overflow {
        /// What could not be represented.
        what: &'static str,
    },

    /// The eigensolver gave up.
    #[error("the eigensolver did not converge: raise the damping, or keep the last factor")]
    NotConverged,

    /// A matrix has no Cholesky factor.
    #[error("the leading minor of order {minor} is not positive: raise the damping")]
    NotPositiveDefinite {
        /// Order of the first such minor, counted from 1.
        minor: usize,
    },

    /// LAPACK refused an argument, or found a factor singular that it made itself: a fault of this
    /// crate or of the library.
    #[error("{routine} failed (info = {info}): check the installed LAPACK, or report it")]
    Lapack {
        /// The routine, `?` for the type's letter.
        routine: &'static str,
        /// LAPACK's code.
        info: i32,
    },

    /// A matrix or vector of the wrong width.
    #[error("{what} is of width {found}, must be {expected}")]
    Width {
        /// `batch`, `mean`, `basis` or `right-hand sides`.
        what: &'static str,
        /// The width that fits.
        expected: usize,
        /// The width that was passed.
        found: usize,
    },

    /// Statistics without a single sample.
    #[error("there are no samples: a batch must have at least one row")]
    NoSamples,

    /// A hyper-parameter out of its range.
    #[error(transparent)]
    Core(#[from] opt_core::Error),
}

impl From<Error> for opt_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Core(error) => error,
            error => Self::objective(error),
        }
    }
}

impl Error {
    /// Of a row that has such an element.
    pub(crate) fn non_finite<'a, F: Scalar>(
        what: &'static str,
        row: usize,
        elements: impl Iterator<Item = &'a F>,
    ) -> Self {
        let mut values = elements.map(|v| v.f64()).enumerate();
        let found = values.find(|(_, v)| !v.is_finite());
        let (column, value) = found.unwrap_or((0, f64::NAN));
        Self::NonFinite {
            what,
            row,
            column,
            value,
        }
    }
}
