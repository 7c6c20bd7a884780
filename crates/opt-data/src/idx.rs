use std::io::Read;
use std::path::Path;

use ndarray::Array2;

use crate::Error;
use crate::source::Source;

/// The content of an idx file, the format in which MNIST is published.
///
/// The file is `0 0 type rank`, then `rank` sizes as big-endian `u32`, then the data, big-endian,
/// with the last index running fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Idx {
    /// Sizes, outermost first: `[samples, height, width]` for images, `[samples]` for labels.
    pub shape: Vec<usize>,
    /// As many elements as the product of `shape`.
    pub data: Elements,
}

/// The elements of an idx file, of any of the format's types.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// Unsigned bytes, type 0x08.
    U8(Vec<u8>),
    /// Signed bytes, type 0x09.
    I8(Vec<i8>),
    /// Short integers, type 0x0b.
    I16(Vec<i16>),
    /// Integers, type 0x0c.
    I32(Vec<i32>),
    /// Floats, type 0x0d; may be NaN or infinite.
    F32(Vec<f32>),
    /// Doubles, type 0x0e; may be NaN or infinite.
    F64(Vec<f64>),
}

impl Elements {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(all) => all.len(),
            Self::I8(all) => all.len(),
            Self::I16(all) => all.len(),
            Self::I32(all) => all.len(),
            Self::F32(all) => all.len(),
            Self::F64(all) => all.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, in `f64`, where every type fits.
    pub(crate) fn map<T>(&self, f: impl Fn(f64) -> T) -> Vec<T> {
        fn all<E: Copy + Into<f64>, T>(elements: &[E], f: impl Fn(f64) -> T) -> Vec<T> {
            elements
                .iter()
                .map(|element| f((*element).into()))
                .collect()
        }
        match self {
            Self::U8(elements) => all(elements, f),
            Self::I8(elements) => all(elements, f),
            Self::I16(elements) => all(elements, f),
            Self::I32(elements) => all(elements, f),
            Self::F32(elements) => all(elements, f),
            Self::F64(elements) => all(elements, f),
        }
    }
}

impl Idx {
    /// The elements as `f32`, a row for each index of the first dimension, the others flattened;
    /// not scaled. Integers and doubles are rounded to the nearest.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] if the rank is 0, if a row has no elements, or if `shape` does not match
    /// `data`; [`Error::Empty`] without rows; [`Error::NonFinite`] for an element that is not
    /// finite in `f32`.
    pub fn matrix(&self) -> Result<Array2<f32>, Error> {
        let shape = |what, expected, found| Error::Shape {
            what,
            expected,
            found,
        };
        let Some((&rows, rest)) = self.shape.split_first() else {
            return Err(shape("idx dimensions, at least", 1, 0));
        };
        let columns = rest.iter().fold(1, |n: usize, d| n.saturating_mul(*d));
        if columns == 0 {
            return Err(shape("features, at least", 1, 0));
        }
        let elements = rows.saturating_mul(columns);
        if self.data.len() != elements {
            return Err(shape("elements of the idx data", elements, self.data.len()));
        }
        if rows == 0 {
            let what = "the idx data".to_owned();
            return Err(Error::Empty { what });
        }
        let values = self.data.map(|x| x as f32);
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(Error::NonFinite {
                sample: index / columns,
                feature: index % columns,
                value: self.data.map(|x| x)[index],
            });
        }
        Array2::from_shape_vec((rows, columns), values)
            .map_err(|_| shape("elements of the idx data", elements, self.data.len()))
    }
}

/// Reads an idx file, plain or gzipped, of any rank from 1 and any of the format's types.
///
/// # Errors
///
/// [`Error::Io`] and [`Error::Gzip`] if the file cannot be read or unpacked, [`Error::IdxType`] if
/// its type is none of the format's, [`Error::Format`] if it is not idx, is too short, or goes on
/// after its data.
pub fn read_idx(path: impl AsRef<Path>) -> Result<Idx, Error> {
    parse(Source::open(path.as_ref())?)
}

/// [`read_idx`] from any reader; `name` is what errors call it.
///
/// ```
/// use opt_data::{Elements, read_idx_from};
///
/// let bytes: &[u8] = &[0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3, 7, 8, 9];
/// let idx = read_idx_from(bytes, "three bytes")?;
/// assert_eq!((idx.shape, idx.data), (vec![1, 3], Elements::U8(vec![7, 8, 9])));
/// # Ok::<(), opt_data::Error>(())
/// ```
///
/// # Errors
///
/// As [`read_idx`].
pub fn read_idx_from(reader: impl Read, name: &str) -> Result<Idx, Error> {
    parse(Source::new(reader, name.to_owned())?)
}

fn parse(mut source: Source<'_>) -> Result<Idx, Error> {
    let magic = source.read_up_to(4)?;
    let &[first, second, code, rank] = magic.as_slice() else {
        let found = format!("{} bytes in all", magic.len());
        return Err(source.format("an idx header of at least 8 bytes", found));
    };
    if [first, second] != [0, 0] {
        let found = format!("0x{first:02x} 0x{second:02x}");
        return Err(source.format("an idx file, which starts with two zero bytes", found));
    }
    let (size, decode): (u64, fn(Vec<u8>) -> Elements) = match code {
        0x08 => (1, Elements::U8),
        0x09 => (1, |b| Elements::I8(elements(&b, i8::from_be_bytes))),
        0x0b => (2, |b| Elements::I16(elements(&b, i16::from_be_bytes))),
        0x0c => (4, |b| Elements::I32(elements(&b, i32::from_be_bytes))),
        0x0d => (4, |b| Elements::F32(elements(&b, f32::from_be_bytes))),
        0x0e => (8, |b| Elements::F64(elements(&b, f64::from_be_bytes))),
        _ => {
            let file = source.file;
            return Err(Error::IdxType { file, code });
        }
    };
    let shape = sizes(&mut source, rank)?;
    let length = shape
        .iter()
        .try_fold(size, |product, size| product.checked_mul(u64::from(*size)));
    let (Some(length), Ok(shape)) = (
        length,
        shape.iter().map(|size| usize::try_from(*size)).collect(),
    ) else {
        return Err(source.format(
            "idx dimensions with a product that can be addressed",
            format!("{shape:?}"),
        ));
    };

    // One byte more than there should be: it shows an over-long file, and reaching the end makes
    // the gzip decoder verify its checksum.
    let data = source.read_up_to(length.saturating_add(1))?;
    let found = data.len() as u64;
    if found != length {
        let found = match found > length {
            true => "more".to_owned(),
            false => format!("{found}, then the end of the file"),
        };
        return Err(source.format(format!("{length} bytes of data after the header"), found));
    }
    let data = decode(data);
    Ok(Idx { shape, data })
}

/// The sizes of the dimensions, as the header has them.
fn sizes(source: &mut Source<'_>, rank: u8) -> Result<Vec<u32>, Error> {
    if rank == 0 {
        return Err(source.format("at least one idx dimension", "none"));
    }
    let bytes = source.read_up_to(4 * u64::from(rank))?;
    if bytes.len() < 4 * usize::from(rank) {
        return Err(source.format(
            format!("the sizes of {rank} idx dimensions in the header"),
            format!("{} of {} bytes", bytes.len(), 4 * usize::from(rank)),
        ));
    }
    Ok(elements(&bytes, u32::from_be_bytes))
}

fn elements<const SIZE: usize, T>(bytes: &[u8], decode: fn([u8; SIZE]) -> T) -> Vec<T> {
    let (elements, _) = bytes.as_chunks::<SIZE>();
    elements.iter().map(|element| decode(*element)).collect()
}
