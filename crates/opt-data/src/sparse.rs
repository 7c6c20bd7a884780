use std::collections::HashMap;
use std::sync::Arc;

use ndarray::ArrayViewMut2;

use crate::batches::check_rows;
use crate::dataset::{count_classes, split_rows};
use crate::error::check_length;
use crate::{Error, gather_labels};

/// A matrix of which only what is not 0 is kept, row by row: `f32` values, `u32` columns.
pub type Csr = sprs::CsMatI<f32, u32, usize>;

/// Labelled samples in memory of which most features are 0, such as counts of words.
///
/// ```
/// use opt_data::{FirstIndex, Rated, Svmlight};
///
/// let text = "9 0:1 2:3\n2 1:2 2:1\n";
/// let layout = Svmlight { columns: 3, first: FirstIndex::Zero };
/// let data = layout.read_from(text.as_bytes(), "two reviews", Rated::stars)?;
/// assert_eq!((&data.labels[..], data.classes), (&[1, 0][..], 2));
/// // Totals 1, 2 and 4: the two greatest, in their order.
/// let words = data.frequent(2)?;
/// assert_eq!(words, [2, 1]);
/// let data = data.columns(&words)?;
/// assert_eq!(data.inputs.to_dense(), ndarray::array![[3.0, 0.0], [1.0, 2.0]]);
/// # Ok::<(), opt_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SparseDataset {
    /// `(samples, features)`, by rows. Shared: a clone is no copy.
    pub inputs: Arc<Csr>,
    /// The class of every sample, below `classes`.
    pub labels: Vec<u8>,
    /// How many classes there are.
    pub classes: usize,
    /// For tables, plots and errors.
    pub name: String,
}

impl SparseDataset {
    /// Of rows and the class of each; `classes` is the greatest plus one.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if the matrix is one of compressed columns, [`Error::Shape`] if there is
    /// not one label for every row, [`Error::NonFinite`] for a value that is not finite,
    /// [`Error::Empty`] without samples, [`Error::OneClass`] if all labels are the same.
    pub fn new(inputs: Csr, labels: Vec<u8>, name: &str) -> Result<Self, Error> {
        let data = Self {
            classes: count_classes(&labels, name)?,
            inputs: Arc::new(inputs),
            labels,
            name: name.to_owned(),
        };
        data.check()?;
        for (sample, row) in data.inputs.outer_iterator().enumerate() {
            if let Some((feature, value)) = row.iter().find(|(_, value)| !value.is_finite()) {
                return Err(Error::NonFinite {
                    sample,
                    feature,
                    value: f64::from(*value),
                });
            }
        }
        Ok(data)
    }

    /// A copy of the given rows, in the given order; a row may come more than once.
    ///
    /// # Errors
    ///
    /// [`Error::Row`] for an index out of range; [`Error::Shape`] if there is not one label for
    /// every row, and [`Error::Setting`] if the matrix is one of compressed columns.
    pub fn select(&self, rows: &[usize]) -> Result<Self, Error> {
        self.check()?;
        check_rows(self.labels.len(), rows)?;
        let mut labels = vec![0; rows.len()];
        gather_labels(&self.labels, rows, &mut labels)?;
        let mut picked = Rows::default();
        for row in rows.iter().filter_map(|row| self.inputs.outer_view(*row)) {
            picked.indices.extend_from_slice(row.indices());
            picked.values.extend_from_slice(row.data());
            picked.end_row();
        }
        Ok(self.with(picked.matrix(self.inputs.cols())?, labels))
    }

    /// Splits at random into `(training, validation)`, by the same rows as
    /// [`Dataset::split`](crate::Dataset::split); both keep the order of the samples.
    ///
    /// # Errors
    ///
    /// [`Error::Split`] unless `validation` is less than the number of samples; as
    /// [`select`](Self::select).
    pub fn split(&self, validation: usize, seed: u64) -> Result<(Self, Self), Error> {
        self.check()?;
        let (kept, held_out) = split_rows(self.labels.len(), validation, seed)?;
        Ok((self.select(&kept)?, self.select(&held_out)?))
    }

    /// The `count` columns with the greatest totals, greatest first, of equal ones the first.
    /// Columns that are nowhere are not among them, so that there may be fewer.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if the matrix is one of compressed columns.
    pub fn frequent(&self, count: usize) -> Result<Vec<u32>, Error> {
        self.check()?;
        // By what is there: the number of columns is only a claim.
        let mut totals = HashMap::<u32, f64>::new();
        for (column, value) in self.inputs.indices().iter().zip(self.inputs.data()) {
            *totals.entry(*column).or_default() += f64::from(*value);
        }
        let mut totals: Vec<_> = totals.into_iter().collect();
        totals.sort_unstable_by(|(i, a), (j, b)| b.total_cmp(a).then(i.cmp(j)));
        totals.truncate(count);
        Ok(totals.into_iter().map(|(column, _)| column).collect())
    }

    /// All samples with the given columns alone, in the given order.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a column that does not exist or comes twice, and if the matrix is one
    /// of compressed columns; [`Error::Shape`] if there is not one label for every row.
    pub fn columns(&self, columns: &[u32]) -> Result<Self, Error> {
        self.check()?;
        let mut places = HashMap::new();
        for (place, &column) in (0..).zip(columns) {
            let there = usize::try_from(column).is_ok_and(|column| column < self.inputs.cols());
            if !there || places.insert(column, place).is_some() {
                return Err(Error::Setting {
                    what: "columns to pick",
                    expected: format!("each once, below {}", self.inputs.cols()),
                    found: column.to_string(),
                });
            }
        }
        let (mut picked, mut row_of) = (Rows::default(), Vec::new());
        for row in self.inputs.outer_iterator() {
            let found = row.indices().iter().zip(row.data());
            row_of.extend(found.filter_map(|(i, value)| Some((*places.get(i)?, *value))));
            row_of.sort_unstable_by_key(|(place, _): &(u32, f32)| *place);
            for (place, value) in row_of.drain(..) {
                picked.push(place, value);
            }
            picked.end_row();
        }
        Ok(self.with(picked.matrix(columns.len())?, self.labels.clone()))
    }

    /// Writes the given rows to `out`, `(rows.len(), features)`, zeros included.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if `out` has another shape, [`Error::Row`] for an index out of range,
    /// [`Error::Setting`] if the matrix is one of compressed columns; nothing is written then.
    pub fn gather(&self, rows: &[usize], mut out: ArrayViewMut2<'_, f32>) -> Result<(), Error> {
        self.check()?;
        check_length("columns to gather into", self.inputs.cols(), out.ncols())?;
        check_length("rows to gather into", rows.len(), out.nrows())?;
        check_rows(self.labels.len(), rows)?;
        out.fill(0.0);
        for (mut out, row) in out.rows_mut().into_iter().zip(rows) {
            for (column, value) in self.inputs.outer_view(*row).iter().flat_map(|v| v.iter()) {
                out[column] = *value;
            }
        }
        Ok(())
    }

    fn with(&self, inputs: Csr, labels: Vec<u8>) -> Self {
        Self {
            inputs: Arc::new(inputs),
            labels,
            classes: self.classes,
            name: self.name.clone(),
        }
    }

    fn check(&self) -> Result<(), Error> {
        if !self.inputs.is_csr() {
            return Err(Error::Setting {
                what: "sparse inputs",
                expected: "a matrix of compressed rows".to_owned(),
                found: "one of compressed columns".to_owned(),
            });
        }
        check_length("labels", self.inputs.rows(), self.labels.len())
    }
}

/// A sparse matrix that grows row by row.
pub(crate) struct Rows {
    starts: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
}

impl Default for Rows {
    fn default() -> Self {
        Self {
            starts: vec![0],
            indices: Vec::new(),
            values: Vec::new(),
        }
    }
}

impl Rows {
    /// Adds to the row that is not ended; columns of a row ascend.
    pub(crate) fn push(&mut self, column: u32, value: f32) {
        self.indices.push(column);
        self.values.push(value);
    }

    pub(crate) fn end_row(&mut self) {
        self.starts.push(self.indices.len());
    }

    /// Forgets what was added to the row that is not ended.
    pub(crate) fn drop_row(&mut self) {
        let start = self.starts.last().copied().unwrap_or_default();
        self.indices.truncate(start);
        self.values.truncate(start);
    }

    pub(crate) fn matrix(self, columns: usize) -> Result<Csr, Error> {
        let shape = (self.starts.len() - 1, columns);
        Csr::try_new(shape, self.starts, self.indices, self.values).map_err(|(_, _, _, why)| {
            Error::Setting {
                what: "columns",
                expected: "as many as u32 can count, each of a row once".to_owned(),
                found: format!("{columns} ({why})"),
            }
        })
    }
}
