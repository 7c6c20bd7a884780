use std::io::Read;
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder, Trim};
use ndarray::Array2;

use crate::source::Source;
use crate::{Dataset, Error};

/// Whether the first line of a csv file names the columns.
///
/// It is not guessed: a header such as `0,1,2` cannot be told from data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The first line is data.
    Absent,
    /// The first line that is not empty is skipped, whatever it holds.
    Present,
}

/// Reads a csv file, plain or gzipped: in every line the features, then the class.
///
/// Fields are separated by commas and may stand in double quotes or between blanks; blank lines are
/// skipped. Features are finite numbers and are **not** scaled. The last column is the class, an
/// integer in 0..=255; `classes` of the result is the greatest class plus one, and `name` the path.
///
/// The unpacked text is in memory beside the numbers while it is parsed. Its length has no bound
/// other than what the file really holds.
///
/// # Errors
///
/// [`Error::Field`] with the line and column of a field that is missing, too many, not a number,
/// not finite, or not a class (lines are counted by their line feeds); [`Error::Empty`] if there is no
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

fn parse(mut source: Source<'_>, header: Header) -> Result<Dataset, Error> {
    let bytes = source.read_up_to(u64::MAX)?;
    // The library strips a byte order mark too, but then `line_of` misses blank lines behind it.
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut reader = ReaderBuilder::new()
        .has_headers(header == Header::Present)
        .flexible(true) // a ragged row gets our error, with a column
        .trim(Trim::All)
        .from_reader(text);
    let (mut inputs, mut labels, mut columns) = (Vec::new(), Vec::new(), None);
    for record in reader.byte_records() {
        let record = record.map_err(|error| source.error(error.into()))?;
        if record.iter().eq([b""]) {
            continue; // a line of blanks
        }
        let fail = |column, expected: &str, found: String| Error::Field {
            file: source.file.clone(),
            line: line_of(&record, text),
            column,
            expected: expected.to_owned(),
            found,
        };
        let (found, columns) = (record.len(), *columns.get_or_insert(record.len()));
        if columns == 1 {
            let expected = "at least one feature and the class";
            return Err(fail(1, expected, "1 column".to_owned()));
        }
        if found != columns {
            let expected = format!("{columns} columns, as in the first row of data");
            return Err(fail(found.min(columns) + 1, &expected, found.to_string()));
        }
        for (column, field) in (1..).zip(&record) {
            let text = str::from_utf8(field).unwrap_or("");
            let wrong = |expected| fail(column, expected, quote(field));
            if column == columns {
                let class = text.parse::<u8>().ok();
                labels.push(class.ok_or_else(|| wrong("a class, an integer in 0..=255"))?);
            } else {
                let value = text.parse::<f32>().ok().filter(|value| value.is_finite());
                inputs.push(value.ok_or_else(|| wrong("a finite number"))?);
            }
        }
    }
    let (Some(columns), Some(greatest)) = (columns, labels.iter().max()) else {
        return Err(Error::Empty { what: source.file });
    };
    let (classes, length) = (usize::from(*greatest) + 1, inputs.len());
    let inputs = Array2::from_shape_vec((labels.len(), columns - 1), inputs);
    Ok(Dataset {
        inputs: inputs.map_err(|_| Error::Shape {
            what: "numbers in the table",
            expected: labels.len().saturating_mul(columns - 1),
            found: length,
        })?,
        labels,
        classes,
        name: source.file,
    })
}

/// The line where a record starts. The library's position is where the record before it ended:
/// short of blank lines, and of the line feed of a CRLF.
fn line_of(record: &ByteRecord, text: &[u8]) -> u64 {
    let (byte, line) = record
        .position()
        .map_or((0, 1), |at| (at.byte(), at.line()));
    let skipped = text.iter().skip(byte as usize);
    let breaks = skipped.take_while(|byte| matches!(byte, b'\r' | b'\n'));
    line + breaks.filter(|byte| **byte == b'\n').count() as u64
}

/// The start of a field, fit for a message even if it is binary.
fn quote(field: &[u8]) -> String {
    const SHOWN: usize = 40;
    let dots = if field.len() > SHOWN { "…" } else { "" };
    let start = &field[..field.len().min(SHOWN)];
    format!("\"{}{dots}\"", start.escape_ascii())
}
