use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use ndarray::Array2;

use crate::source::Source;
use crate::{Dataset, Error};

/// Far above any real row (4 MiB are some 500,000 numbers), so that a foreign file without line
/// breaks does not end up in memory.
const MAX_LINE: u64 = 4 << 20;

/// Whether the first line of a csv file names the columns.
///
/// It is not guessed: a header such as `0,1,2` cannot be told from data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The first line is data.
    Absent,
    /// The first line is skipped, whatever it holds.
    Present,
}

/// Reads a csv file, plain or gzipped: in every line the features, then the class.
///
/// Fields are separated by commas and may stand in double quotes or between blanks; empty lines are
/// skipped. Features are finite numbers and are **not** scaled. The last column is the class, an
/// integer in 0..=255; `classes` of the result is the greatest class plus one, and `name` the path.
///
/// # Errors
///
/// [`Error::Field`] with the line and column of a field that is missing, too many, not a number, not
/// finite, or not a class; [`Error::Format`] for a line above 4 MiB; [`Error::Empty`] if there is no
/// line of data; [`Error::Io`] and [`Error::Gzip`] if the file cannot be read or unpacked.
pub fn read_csv(path: impl AsRef<Path>, header: Header) -> Result<Dataset, Error> {
    parse(Source::open(path.as_ref())?, header)
}

/// [`read_csv`] from any reader; `name` is what errors and the result call it.
///
/// ```
/// use opt_data::{Header, read_csv_from};
///
/// let data = read_csv_from("x,y,class\n0.5,-1,0\n2,1e3,1\n".as_bytes(), "xy", Header::Present)?;
/// assert_eq!(data.inputs, ndarray::array![[0.5, -1.0], [2.0, 1e3]]);
/// assert_eq!((data.labels, data.classes), (vec![0, 1], 2));
/// # Ok::<(), opt_data::Error>(())
/// ```
///
/// # Errors
///
/// As [`read_csv`].
pub fn read_csv_from(reader: impl Read, name: &str, header: Header) -> Result<Dataset, Error> {
    parse(Source::new(reader, name.to_owned())?, header)
}

// Written out rather than left to a csv library: no number holds a comma or a line break, and going
// by lines gives exact line numbers and a bound on the memory that one row takes.
fn parse(mut source: Source<'_>, header: Header) -> Result<Dataset, Error> {
    let reader = std::mem::replace(&mut source.reader, Box::new(std::io::empty()));
    let mut reader = BufReader::new(reader);
    let (mut inputs, mut labels, mut features) = (Vec::new(), Vec::new(), None);
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let mut limited = reader.by_ref().take(MAX_LINE + 1);
        match limited.read_until(b'\n', &mut bytes) {
            Ok(0) => break,
            Ok(_) if bytes.len() as u64 > MAX_LINE => {
                return Err(source.format(
                    format!("csv lines of at most {MAX_LINE} bytes"),
                    format!("more in line {line}"),
                ));
            }
            Ok(_) => {}
            Err(error) => return Err(source.error(error)),
        }
        if line == 1 && header == Header::Present {
            continue;
        }
        let row = match line {
            // The byte order mark that spreadsheets put before UTF-8.
            1 => bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes),
            _ => &bytes,
        };
        if !row.trim_ascii().is_empty() {
            let place = Place {
                file: &source.file,
                line,
            };
            labels.push(parse_row(&place, row, &mut features, &mut inputs)?);
        }
    }
    let Some(classes) = labels.iter().max().map(|max| usize::from(*max) + 1) else {
        return Err(Error::Empty { what: source.file });
    };
    let (length, shape) = (inputs.len(), (labels.len(), features.unwrap_or(0)));
    let inputs = Array2::from_shape_vec(shape, inputs).map_err(|_| Error::Shape {
        what: "numbers in the table",
        expected: shape.0.saturating_mul(shape.1),
        found: length,
    })?;
    Ok(Dataset {
        inputs,
        labels,
        classes,
        name: source.file,
    })
}

/// Appends the features of a row to `inputs` and returns its class. The first row sets `features`.
fn parse_row(
    place: &Place<'_>,
    row: &[u8],
    features: &mut Option<usize>,
    inputs: &mut Vec<f32>,
) -> Result<u8, Error> {
    let columns = row.split(|byte| *byte == b',').count();
    let features = *features.get_or_insert(columns - 1);
    if features == 0 {
        return Err(place.error(
            1,
            "at least one feature and the class",
            &format!("{columns} column"),
        ));
    }
    if columns != features + 1 {
        let expected = format!("{} columns, as in the first row of data", features + 1);
        return Err(place.error(
            columns.min(features + 1) + 1,
            &expected,
            &format!("{columns}"),
        ));
    }
    let mut class = 0;
    for (index, raw) in row.split(|byte| *byte == b',').enumerate() {
        let field = unquote(raw.trim_ascii());
        let text = std::str::from_utf8(field).unwrap_or("");
        if index < features {
            match text.parse::<f32>() {
                Ok(value) if value.is_finite() => inputs.push(value),
                _ => return Err(place.error(index + 1, "a finite number", &quote(field))),
            }
        } else {
            class = text.parse().map_err(|_| {
                place.error(index + 1, "a class, an integer in 0..=255", &quote(field))
            })?;
        }
    }
    Ok(class)
}

struct Place<'a> {
    file: &'a str,
    line: u64,
}

impl Place<'_> {
    fn error(&self, column: usize, expected: &str, found: &str) -> Error {
        Error::Field {
            file: self.file.to_owned(),
            line: self.line,
            column,
            expected: expected.to_owned(),
            found: found.to_owned(),
        }
    }
}

fn unquote(field: &[u8]) -> &[u8] {
    match field {
        [b'"', inner @ .., b'"'] => inner.trim_ascii(),
        _ => field,
    }
}

/// The start of a field, fit for a message even if it is binary.
fn quote(field: &[u8]) -> String {
    const SHOWN: usize = 40;
    let dots = if field.len() > SHOWN { "…" } else { "" };
    let start = &field[..field.len().min(SHOWN)];
    format!("\"{}{dots}\"", start.escape_ascii())
}
