use std::io::Read;
use std::path::Path;

use crate::source::{Source, lines};
use crate::sparse::Rows;
use crate::table::number;
use crate::{Error, Rated, SparseDataset};

/// Where the indices of a file start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstIndex {
    /// At 0, as in the files of IMDB.
    Zero,
    /// At 1, as LIBSVM and SVMlight have it.
    One,
}

/// How to read an svmlight (LIBSVM) file, plain or gzipped: lines of
/// `rating index:value index:value …`, where indices ascend, and `#` starts a comment.
///
/// Neither of the two is guessed: the file does not tell, and a guess by what it holds would differ
/// between a training set and its test set.
///
/// Ratings and values are finite numbers. `qid:`, of files to learn a ranking from, is refused. The
/// text is beside the numbers while they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Svmlight {
    /// Columns of the result, and the bound of the indices.
    pub columns: usize,
    /// Which index is the first column's.
    pub first: FirstIndex,
}

impl Svmlight {
    /// Reads a file; its path is what errors and the data set are called by. `rule` makes classes
    /// of ratings: see [`Rated`].
    ///
    /// # Errors
    ///
    /// [`Error::Field`] with line and field (the rating is field 1) of a rating that is no number or
    /// that `rule` refuses, a pair that is none, an index out of range or not after the one before
    /// it, a value that is not finite in `f32`; [`Error::Setting`] for more columns than `u32`
    /// counts; [`Error::Empty`] if no sample is left; [`Error::OneClass`] if all are of one class;
    /// [`Error::Io`], [`Error::Gzip`] and, for UTF-16, [`Error::Format`] if there is no such text.
    pub fn read(
        &self,
        path: impl AsRef<Path>,
        rule: impl Fn(f64) -> Rated,
    ) -> Result<SparseDataset, Error> {
        self.parse(Source::open(path.as_ref())?, rule)
    }

    /// [`read`](Self::read) from any reader; `name` is what errors and the data set are called by.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_from(
        &self,
        reader: impl Read,
        name: &str,
        rule: impl Fn(f64) -> Rated,
    ) -> Result<SparseDataset, Error> {
        self.parse(Source::new(reader, name.to_owned())?, rule)
    }

    pub(crate) fn parse(
        &self,
        mut source: Source<'_>,
        rule: impl Fn(f64) -> Rated,
    ) -> Result<SparseDataset, Error> {
        let text = source.text()?;
        let (mut rows, mut labels) = (Rows::default(), Vec::new());
        for (line, text) in lines(&text) {
            let end = text.iter().position(|byte| *byte == b'#');
            let mut fields = text[..end.unwrap_or(text.len())]
                .split(u8::is_ascii_whitespace)
                .filter(|field| !field.is_empty());
            let Some(first) = fields.next() else {
                continue;
            };
            let rated = rating(first, &rule).map_err(|e| source.field(line, 1, e, first))?;
            let mut last = None;
            for (column, field) in (2..).zip(fields) {
                let wrong = |expected: String| source.field(line, column, expected, field);
                let (index, value) = self.pair(field, last).map_err(wrong)?;
                rows.push(index, value);
                last = Some(index);
            }
            match rated {
                Some(label) => {
                    rows.end_row();
                    labels.push(label);
                }
                None => rows.drop_row(),
            }
        }
        SparseDataset::new(rows.matrix(self.columns)?, labels, &source.file)
    }

    /// Column, from 0, and value of a pair that comes after column `last`; or what was expected.
    fn pair(&self, field: &[u8], last: Option<u32>) -> Result<(u32, f32), String> {
        if field.starts_with(b"qid:") {
            return Err("index:value (a file without query ids, qid:)".to_owned());
        }
        let Some(colon) = field.iter().position(|byte| *byte == b':') else {
            return Err("index:value".to_owned());
        };
        let base = match self.first {
            FirstIndex::Zero => 0,
            FirstIndex::One => 1,
        };
        let digits = str::from_utf8(&field[..colon]).unwrap_or_default();
        let index = digits.parse::<u64>().ok().and_then(|index| {
            let column = index.checked_sub(base)?;
            let below = |column: &u32| (*column as usize) < self.columns;
            u32::try_from(column).ok().filter(below)
        });
        let index = index.ok_or_else(|| match self.columns {
            0 => "no index, as there are no columns".to_owned(),
            _ => {
                let greatest = (self.columns as u64 - 1).saturating_add(base);
                format!("an index in {base}..={greatest}")
            }
        })?;
        if let Some(last) = last.filter(|last| *last >= index) {
            let last = u64::from(last) + base;
            return Err(format!("an index after {last}, the one before it"));
        }
        Ok((index, number(&field[colon + 1..])?))
    }
}

/// The class of a rating, nothing if its sample is dropped; or what was expected.
pub(crate) fn rating(
    field: &[u8],
    rule: &impl Fn(f64) -> Rated,
) -> Result<Option<u8>, &'static str> {
    let text = str::from_utf8(field).unwrap_or_default();
    let rating = text.parse().ok().filter(|rating: &f64| rating.is_finite());
    match rule(rating.ok_or("a rating, a finite number")?) {
        Rated::Class(class) => Ok(Some(class)),
        Rated::Dropped => Ok(None),
        Rated::Refused(expected) => Err(expected),
    }
}
