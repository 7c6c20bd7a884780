use ndarray::{Array2, Axis};

use crate::batches::check_rows;
use crate::dataset::split_rows;
use crate::{Error, Idx};

/// Samples in memory with numbers to be learnt.
#[derive(Clone, Debug, PartialEq)]
pub struct Regression {
    /// `(samples, features)`, in standard layout.
    pub inputs: Array2<f32>,
    /// `(samples, outputs)`, in standard layout.
    pub targets: Array2<f32>,
    /// For tables, plots and errors.
    pub name: String,
}

impl Regression {
    /// Inputs and targets from idx files, as [`Idx::matrix`] has them: without scaling. The first
    /// dimension of both counts the samples.
    ///
    /// # Errors
    ///
    /// Those of [`Idx::matrix`]; [`Error::Shape`] also if there are not as many targets as inputs.
    pub fn from_idx(inputs: &Idx, targets: &Idx, name: &str) -> Result<Self, Error> {
        let data = Self {
            inputs: inputs.matrix()?,
            targets: targets.matrix()?,
            name: name.to_owned(),
        };
        data.check_targets()?;
        Ok(data)
    }

    /// A copy of the given rows, in the given order; a row may come more than once.
    ///
    /// # Errors
    ///
    /// [`Error::Row`] for an index out of range, [`Error::Shape`] if there are not as many targets
    /// as inputs.
    pub fn select(&self, rows: &[usize]) -> Result<Self, Error> {
        self.check_targets()?;
        check_rows(self.inputs.nrows(), rows)?;
        Ok(Self {
            inputs: self.inputs.select(Axis(0), rows),
            targets: self.targets.select(Axis(0), rows),
            name: self.name.clone(),
        })
    }

    /// Splits at random into `(training, validation)`, by the same rows as
    /// [`Dataset::split`](crate::Dataset::split); both keep the order of the samples.
    ///
    /// # Errors
    ///
    /// [`Error::Split`] unless `validation` is less than the number of samples, [`Error::Shape`] if
    /// there are not as many targets as inputs.
    pub fn split(&self, validation: usize, seed: u64) -> Result<(Self, Self), Error> {
        self.check_targets()?;
        let (kept, held_out) = split_rows(self.inputs.nrows(), validation, seed)?;
        Ok((self.select(&kept)?, self.select(&held_out)?))
    }

    fn check_targets(&self) -> Result<(), Error> {
        let (expected, found) = (self.inputs.nrows(), self.targets.nrows());
        if expected == found {
            return Ok(());
        }
        Err(Error::Shape {
            what: "rows of targets",
            expected,
            found,
        })
    }
}
