use std::io;

use ndarray::ArrayView2;

/// What can go wrong. Every message says what was expected and what was found instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system, or the caller's reader, refused to read.
    #[error("{file}: cannot read: {source}")]
    Io {
        /// The file, as the caller named it.
        file: String,
        /// The cause.
        source: io::Error,
    },

    /// The file starts as gzip does, and cannot be unpacked to its end.
    #[error("{file}: expected an intact gzip stream, found damage ({source}); get the file anew")]
    Gzip {
        /// The file, as the caller named it.
        file: String,
        /// The decoder's complaint.
        source: io::Error,
    },

    /// The file is not what it should be as a whole.
    #[error("{file}: expected {expected}, found {found}")]
    Format {
        /// The file, as the caller named it.
        file: String,
        /// What should have been there.
        expected: String,
        /// What was there.
        found: String,
    },

    /// An idx file has a type that the format does not know.
    #[error(
        "{file}: expected an idx type of 0x08 and 0x09 (bytes), 0x0b (short), 0x0c (int), 0x0d \
         (float) and 0x0e (double), found 0x{code:02x}"
    )]
    IdxType {
        /// The file, as the caller named it.
        file: String,
        /// The third byte of the file.
        code: u8,
    },

    /// A field of a text file cannot be used. Lines and columns count from 1.
    #[error("{file}, line {line}, column {column}: expected {expected}, found {found}")]
    Field {
        /// The file, as the caller named it.
        file: String,
        /// Line of the file, a header and blank lines included.
        line: u64,
        /// Field of the line.
        column: usize,
        /// What should have been there.
        expected: String,
        /// What was there.
        found: String,
    },

    /// A record of a binary file cannot be used. Records count from 0, as samples do.
    #[error("{file}, record {record}: expected {expected}, found {found}")]
    Record {
        /// The file, as the caller named it.
        file: String,
        /// Which of the records.
        record: usize,
        /// What should have been there.
        expected: String,
        /// What was there.
        found: String,
    },

    /// A column of a csv file was asked for that is not there, or no other is left.
    #[error("{file}: expected {expected}, found {found}")]
    Column {
        /// The file, as the caller named it.
        file: String,
        /// What should have been there.
        expected: String,
        /// What was there.
        found: String,
    },

    /// All samples are of one class: there is nothing to learn, or the labels are not the labels.
    #[error("{what}: expected at least two classes, found only {class}; are these the labels?")]
    OneClass {
        /// The file or data set, as the caller named it.
        what: String,
        /// The class.
        class: String,
    },

    /// A label that is not a class. Samples count from 0.
    #[error(
        "{what}: expected labels that are integers in 0..=255, found {value} of sample {sample}"
    )]
    Label {
        /// The data set, as the caller named it.
        what: String,
        /// Row of the inputs.
        sample: usize,
        /// The label.
        value: f64,
    },

    /// A file of a data set is not in its folder.
    #[error("{dir}: expected {file} or {file}.gz, found neither")]
    Missing {
        /// The folder.
        dir: String,
        /// The file's name without `.gz`.
        file: String,
    },

    /// A file is not the one that was published.
    #[error("{file}: expected SHA-256 {expected} (uncompressed), found {found}; get the file anew")]
    Checksum {
        /// The file.
        file: String,
        /// Sum of the published file.
        expected: String,
        /// Sum of this file.
        found: String,
    },

    /// Two sizes that must agree do not.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// What was counted.
        what: &'static str,
        /// The count that was needed.
        expected: usize,
        /// The count that was given.
        found: usize,
    },

    /// A setting that cannot be used, or not on this data.
    #[error("{what}: expected {expected}, found {found}")]
    Setting {
        /// Its name.
        what: &'static str,
        /// What could be used.
        expected: String,
        /// What was given.
        found: String,
    },

    /// A row was asked for that does not exist.
    #[error("expected row indices below {rows}, found {row}")]
    Row {
        /// The index.
        row: usize,
        /// How many rows there are.
        rows: usize,
    },

    /// A value that has to be finite is NaN or infinite. Indices count from 0.
    #[error("expected values finite in f32, found {value:e} in sample {sample}, feature {feature}")]
    NonFinite {
        /// Row of the inputs.
        sample: usize,
        /// Column of the inputs.
        feature: usize,
        /// The value.
        value: f64,
    },

    /// A value that standardization would make infinite, or NaN. Indices count from 0.
    #[error(
        "expected (x - mean)/deviation finite in f32, found x = {value:e}, mean {mean:e}, deviation \
         {deviation:e} in sample {sample}, feature {feature}; leave the feature out"
    )]
    Scale {
        /// Row of the inputs.
        sample: usize,
        /// Column of the inputs.
        feature: usize,
        /// The value.
        value: f32,
        /// The feature's mean.
        mean: f64,
        /// The feature's deviation.
        deviation: f64,
    },

    /// There is nothing to work on.
    #[error("expected at least one sample, found none in {what}")]
    Empty {
        /// The data set, or what was to be done with it.
        what: String,
    },

    /// A validation set would leave nothing to train on.
    #[error("expected a validation set of less than all {samples} samples, found {validation}")]
    Split {
        /// Size of the validation set.
        validation: usize,
        /// Size of the whole set.
        samples: usize,
    },

    /// The batch size is 0 or exceeds the data set.
    #[error("expected a batch size from 1 to the {samples} samples of the data set, found {batch}")]
    Batch {
        /// The batch size.
        batch: usize,
        /// Size of the data set.
        samples: usize,
    },

    /// The order of an epoch does not fit in memory.
    #[error("expected a data set whose row indices fit in memory, found {samples} samples")]
    Memory {
        /// Size of the data set.
        samples: usize,
    },

    /// A covariance cannot be whitened.
    #[cfg(any(feature = "lapack", feature = "faer"))]
    #[error("cannot whiten the inputs: {0}")]
    Whitening(opt_linalg::Error),

    /// A file cannot be written.
    #[cfg(any(feature = "lapack", feature = "faer"))]
    #[error("cannot keep what was fitted: {0}")]
    Write(opt_core::Error),
}

/// Whether all inputs, `(samples, features)`, are finite.
pub(crate) fn check_finite(inputs: &ArrayView2<'_, f32>) -> Result<(), Error> {
    match inputs.indexed_iter().find(|(_, value)| !value.is_finite()) {
        Some(((sample, feature), &value)) => Err(Error::NonFinite {
            sample,
            feature,
            value: value.into(),
        }),
        None => Ok(()),
    }
}

/// Whether two sizes agree.
pub(crate) fn check_length(what: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    Err(Error::Shape {
        what,
        expected,
        found,
    })
}
