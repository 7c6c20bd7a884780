use std::io::Read;
use std::path::Path;

use crate::Error;
use crate::source::Source;

const UNSIGNED_BYTE: u8 = 0x08;

/// The content of an idx file of unsigned bytes, the format in which MNIST is published.
///
/// The file is `0 0 type rank`, then `rank` sizes as big-endian `u32`, then the data with the last
/// index running fastest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idx {
    /// Sizes, outermost first: `[samples, height, width]` for images, `[samples]` for labels.
    pub shape: Vec<usize>,
    /// As many bytes as the product of `shape`.
    pub data: Vec<u8>,
}

/// Reads an idx file of unsigned bytes, plain or gzipped, of any rank from 1.
///
/// # Errors
///
/// [`Error::Io`] and [`Error::Gzip`] if the file cannot be read or unpacked, [`Error::IdxType`] if
/// it does not hold unsigned bytes, [`Error::Format`] if it is not idx, is too short, or goes on
/// after its data.
pub fn read_idx(path: impl AsRef<Path>) -> Result<Idx, Error> {
    parse(Source::open(path.as_ref())?)
}

/// [`read_idx`] from any reader; `name` is what errors call it.
///
/// ```
/// let bytes: &[u8] = &[0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3, 7, 8, 9];
/// let idx = opt_data::read_idx_from(bytes, "three bytes")?;
/// assert_eq!((idx.shape, idx.data), (vec![1, 3], vec![7, 8, 9]));
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
    if code != UNSIGNED_BYTE {
        return Err(Error::IdxType {
            file: source.file,
            code,
        });
    }
    if rank == 0 {
        return Err(source.format("at least one idx dimension", "none"));
    }

    let sizes = source.read_up_to(4 * u64::from(rank))?;
    if sizes.len() < 4 * usize::from(rank) {
        return Err(source.format(
            format!("the sizes of {rank} idx dimensions in the header"),
            format!("{} of {} bytes", sizes.len(), 4 * usize::from(rank)),
        ));
    }
    let (sizes, _) = sizes.as_chunks::<4>();
    let sizes: Vec<u32> = sizes.iter().map(|size| u32::from_be_bytes(*size)).collect();
    let (Some(length), Ok(shape)) = (
        sizes
            .iter()
            .try_fold(1_u64, |product, size| product.checked_mul(u64::from(*size))),
        sizes.iter().map(|size| usize::try_from(*size)).collect(),
    ) else {
        return Err(source.format(
            "idx dimensions with a product that can be addressed",
            format!("{sizes:?}"),
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
    Ok(Idx { shape, data })
}
