use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::Path;

use ndarray::Array2;

use crate::csv::{BadQuote, Fields, Records, quote};
use crate::source::Source;
use crate::{Dataset, Error, Regression};

/// Whether the first line of a csv file names the columns.
///
/// It is not guessed: a header such as `0,1,2` cannot be told from data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The first line is data.
    Absent,
    /// The first line that is not blank is names, and needs as many columns as the data only where
    /// a column is chosen by its name.
    Present,
}

/// The column of a csv file that is to be learnt; all others are features.
///
/// It is not guessed either: in most files the class is the last column, in those of MNIST the
/// first, and to read a pixel as the class gives no error but wrong labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column<'a> {
    /// The first.
    First,
    /// The last.
    Last,
    /// By place, counted from 0. (Messages count from 1, as editors do.)
    Index(usize),
    /// By name, of a table with [`Header::Present`].
    Name(&'a str),
}

/// A csv file in memory, plain or gzipped, whose numbers are still to be read.
///
/// In every line are the features and the targets of one sample. Fields are separated by commas,
/// and may stand in double quotes and between blanks; text is UTF-8, with a byte order mark or
/// without; lines end with LF, CRLF or CR, and blank ones are skipped. Features are finite numbers
/// and are **not** scaled. What a sample is to teach is a class by number ([`classes`]), a class
/// by name ([`text_classes`]), or numbers ([`values`]).
///
/// The text has no bound other than what the file really holds, and is beside the numbers while
/// they are read.
///
/// ```
/// use opt_data::{Column, Header, Table};
///
/// let text = "class,x,y\n0,0.5,-1\n1,2,1e3\n";
/// let data = Table::read(text.as_bytes(), "xy", Header::Present)?.classes(Column::Name("class"))?;
/// assert_eq!(data.inputs, ndarray::array![[0.5, -1.0], [2.0, 1e3]]);
/// assert_eq!((data.labels, data.classes), (vec![0, 1], 2));
/// # Ok::<(), opt_data::Error>(())
/// ```
///
/// [`classes`]: Self::classes
/// [`text_classes`]: Self::text_classes
/// [`values`]: Self::values
#[derive(Clone, PartialEq, Eq)]
pub struct Table {
    file: String,
    text: Vec<u8>,
    header: Header,
}

impl Table {
    /// Reads a file into memory; its path is what errors and the data set are called by.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::Gzip`] if it cannot be read or unpacked; [`Error::Format`] if it
    /// is UTF-16.
    pub fn open(path: impl AsRef<Path>, header: Header) -> Result<Self, Error> {
        Self::of(Source::open(path.as_ref())?, header)
    }

    /// [`open`](Self::open) from any reader; `name` is what errors and the data set are called by.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn read(reader: impl Read, name: &str, header: Header) -> Result<Self, Error> {
        Self::of(Source::new(reader, name.to_owned())?, header)
    }

    fn of(mut source: Source<'_>, header: Header) -> Result<Self, Error> {
        let text = source.text()?;
        Ok(Self {
            file: source.file,
            text,
            header,
        })
    }

    /// The samples with a class each, an integer in 0..=255. `classes` of the result is the
    /// greatest plus one.
    ///
    /// # Errors
    ///
    /// [`Error::Column`] if there is no such column, or no other; [`Error::Field`] with line and
    /// column of a field that is missing, too many, badly quoted, not a finite number, or not a
    /// class; [`Error::Empty`] if there is no line of data; [`Error::OneClass`] if all classes are
    /// the same, which tells a column that was not the class.
    pub fn classes(&self, target: Column<'_>) -> Result<Dataset, Error> {
        let mut labels = Vec::new();
        let inputs = self.parse(&[target], |field| {
            let class = text(field).parse();
            labels.push(class.map_err(|_| "a class, an integer in 0..=255")?);
            Ok(())
        })?;
        Dataset::new(inputs, labels, &self.file)
    }

    /// The samples with a class each that is a name, and the names in the order of their bytes:
    /// class i of the data set is name i. A name is not empty, and stands on one line.
    ///
    /// ```
    /// use opt_data::{Column, Header, Table};
    ///
    /// let text = "5.1,3.5,setosa\n6.4,3.2,versicolor\n4.9,3.0,setosa\n";
    /// let table = Table::read(text.as_bytes(), "irises", Header::Absent)?;
    /// let (data, names) = table.text_classes(Column::Last)?;
    /// assert_eq!((data.labels, data.classes), (vec![0, 1, 0], 2));
    /// assert_eq!(names, ["setosa", "versicolor"]);
    /// # Ok::<(), opt_data::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`classes`](Self::classes); [`Error::Field`] also for the 257th class.
    pub fn text_classes(&self, target: Column<'_>) -> Result<(Dataset, Vec<String>), Error> {
        // Numbered as they come, then by their order.
        let (mut names, mut labels) = (BTreeMap::new(), Vec::new());
        let inputs = self.parse(&[target], |field| {
            let name = text(field);
            if name.is_empty() || name.contains(['\n', '\r']) {
                return Err("a class, a name in UTF-8 on one line");
            }
            labels.push(match names.get(name) {
                Some(label) => *label,
                None => {
                    let label = u8::try_from(names.len());
                    let label = label.map_err(|_| "one of at most 256 classes")?;
                    names.insert(name.to_owned(), label);
                    label
                }
            });
            Ok(())
        })?;
        let mut sorted = [0; 256];
        for (place, label) in (0..=u8::MAX).zip(names.values()) {
            sorted[usize::from(*label)] = place;
        }
        for label in &mut labels {
            *label = sorted[usize::from(*label)];
        }
        let names: Vec<String> = names.into_keys().collect();
        if let [class] = names.as_slice() {
            return Err(self.one_class(class));
        }
        Ok((Dataset::new(inputs, labels, &self.file)?, names))
    }

    /// The samples with numbers to be learnt, in the columns `targets` and their order.
    ///
    /// ```
    /// use opt_data::{Column, Header, Table};
    ///
    /// let table = Table::read("1,2,0.5\n3,4,-7\n".as_bytes(), "line", Header::Absent)?;
    /// let data = table.values(&[Column::Last, Column::First])?;
    /// assert_eq!(data.inputs, ndarray::array![[2.0], [4.0]]);
    /// assert_eq!(data.targets, ndarray::array![[0.5, 1.0], [-7.0, 3.0]]);
    /// # Ok::<(), opt_data::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`classes`](Self::classes), where targets must be finite numbers; [`Error::Column`] also
    /// without a target, or if one comes twice.
    pub fn values(&self, targets: &[Column<'_>]) -> Result<Regression, Error> {
        let mut values = Vec::new();
        let inputs = self.parse(targets, |field| {
            values.push(number(field)?);
            Ok(())
        })?;
        Ok(Regression {
            targets: matrix(values, targets.len())?,
            inputs,
            name: self.file.clone(),
        })
    }

    /// Gives every target to `take`, sample by sample, and returns the features. What `take`
    /// expected instead of a field becomes an error with the field's place.
    fn parse(
        &self,
        targets: &[Column<'_>],
        mut take: impl FnMut(&[u8]) -> Result<(), &'static str>,
    ) -> Result<Array2<f32>, Error> {
        let mut records = Records::new(&self.text);
        let bad = |bad: BadQuote| self.field(bad.line, bad.column, bad.expected, bad.found);
        let (mut names, mut fields) = (Vec::new(), Vec::new());
        if self.header == Header::Present {
            records.next(&mut names).map_err(bad)?;
        }
        let (mut inputs, mut places, mut columns) = (Vec::new(), Vec::new(), 0);
        while let Some(line) = records.next(&mut fields).map_err(bad)? {
            let found = fields.len();
            if columns == 0 {
                (places, columns) = (self.places(targets, &names, found)?, found);
            }
            if found != columns {
                let expected = format!("{columns} columns, as in the first row of data");
                let column = found.min(columns) + 1;
                return Err(self.field(line, column, &expected, found.to_string()));
            }
            let wrong = |place: usize, expected| {
                self.field(line, place + 1, expected, quote(&fields[place]))
            };
            for (place, field) in fields.iter().enumerate() {
                if !places.contains(&place) {
                    inputs.push(number(field).map_err(|expected| wrong(place, expected))?);
                }
            }
            for &place in &places {
                take(&fields[place]).map_err(|expected| wrong(place, expected))?;
            }
        }
        if columns == 0 {
            return Err(Error::Empty {
                what: self.file.clone(),
            });
        }
        matrix(inputs, columns - places.len())
    }

    /// The places of the targets in a row of so many columns.
    fn places(
        &self,
        targets: &[Column<'_>],
        names: &Fields<'_>,
        columns: usize,
    ) -> Result<Vec<usize>, Error> {
        let mut places = Vec::new();
        for target in targets {
            let place = self.place(*target, names, columns)?;
            if places.contains(&place) {
                let found = format!("column {} twice", place + 1);
                return Err(self.column("each target once", found));
            }
            places.push(place);
        }
        if places.is_empty() {
            return Err(self.column("at least one target", "none".to_owned()));
        }
        if places.len() == columns {
            let expected = "at least one feature beside the targets";
            return Err(self.column(expected, format!("{columns} columns in all")));
        }
        Ok(places)
    }

    fn place(
        &self,
        target: Column<'_>,
        names: &Fields<'_>,
        columns: usize,
    ) -> Result<usize, Error> {
        let name = match target {
            Column::First => return Ok(0),
            Column::Last => return Ok(columns - 1),
            Column::Index(index) if index < columns => return Ok(index),
            Column::Index(index) => {
                let expected = format!("a column with index {index}, counted from 0");
                return Err(self.column(&expected, format!("{columns} columns")));
            }
            Column::Name(name) => name,
        };
        let wanted = format!("one column named {name:?}");
        if self.header == Header::Absent {
            return Err(self.column(&wanted, "a table without a header".to_owned()));
        }
        if names.len() != columns {
            let expected = format!("as many names in the header as columns, {columns}");
            return Err(self.column(&expected, names.len().to_string()));
        }
        let mut places = (0..columns).filter(|place| *names[*place] == *name.as_bytes());
        match (places.next(), places.next()) {
            (Some(place), None) => Ok(place),
            (Some(_), Some(_)) => Err(self.column(&wanted, "several".to_owned())),
            (None, _) => {
                let mut list: Vec<_> = names.iter().take(20).map(|name| quote(name)).collect();
                if names.len() > list.len() {
                    list.push("…".to_owned());
                }
                Err(self.column(&wanted, list.join(", ")))
            }
        }
    }

    fn field(&self, line: u64, column: usize, expected: &str, found: String) -> Error {
        Error::Field {
            file: self.file.clone(),
            line,
            column,
            expected: expected.to_owned(),
            found,
        }
    }

    fn column(&self, expected: &str, found: String) -> Error {
        Error::Column {
            file: self.file.clone(),
            expected: expected.to_owned(),
            found,
        }
    }

    fn one_class(&self, class: &str) -> Error {
        Error::OneClass {
            what: self.file.clone(),
            class: class.to_owned(),
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Table");
        out.field("file", &self.file).field("header", &self.header);
        out.field("bytes", &self.text.len()).finish_non_exhaustive()
    }
}

/// A field as text; nothing if it is not UTF-8, which no kind of field takes.
fn text(field: &[u8]) -> &str {
    str::from_utf8(field).unwrap_or_default()
}

pub(crate) fn number(field: &[u8]) -> Result<f32, &'static str> {
    let value = text(field).parse().ok().filter(|v: &f32| v.is_finite());
    value.ok_or("a finite number")
}

fn matrix(values: Vec<f32>, columns: usize) -> Result<Array2<f32>, Error> {
    let (rows, found) = (values.len() / columns.max(1), values.len());
    Array2::from_shape_vec((rows, columns), values).map_err(|_| Error::Shape {
        what: "numbers in the table",
        expected: rows.saturating_mul(columns),
        found,
    })
}
