//! The file that keeps a ZCA whitening: magic, key, mean, matrix (`f32`, little-endian), and the SHA-256
//! of all that.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use ndarray::{Array1, Array2, ArrayView2};
use sha2::{Digest, Sha256};

use crate::Error;

/// The number is of the format, and of the way of fitting: another one fits anew.
const MAGIC: &[u8; 16] = b"opt-data zca v1\n";

const DIGEST: usize = 32;

type Key = [u8; DIGEST];

/// Mean, `(features)`, and matrix, `(features, features)`.
type Kept = (Array1<f32>, Array2<f32>);

/// Of all that the result depends on.
pub(crate) fn key(inputs: &ArrayView2<'_, f32>, epsilon: f64) -> Key {
    let mut hash = Sha256::new();
    hash.update(MAGIC);
    hash.update(epsilon.to_le_bytes());
    for size in inputs.shape() {
        hash.update((*size as u64).to_le_bytes());
    }
    let mut bytes = Vec::new();
    for row in inputs.rows() {
        bytes.clear();
        bytes.extend(row.iter().flat_map(|value| value.to_le_bytes()));
        hash.update(&bytes);
    }
    hash.finalize().into()
}

/// What is kept under this key; nothing if there is no file, or one that is to be written anew.
pub(crate) fn read(path: &Path, key: &Key, features: usize) -> Result<Option<Kept>, Error> {
    let io = |source: io::Error| Error::Io {
        file: path.display().to_string(),
        source,
    };
    let mut file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(io)?,
    };
    let mut bytes = Vec::new();
    (&mut file)
        .take(MAGIC.len() as u64)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes != MAGIC {
        return Err(Error::Format {
            file: path.display().to_string(),
            expected: "no file, or a cache of a ZCA whitening".to_owned(),
            found: "another file; move it away, or name another cache".to_owned(),
        });
    }
    let values = features.saturating_mul(features.saturating_add(1));
    let length = values
        .saturating_mul(4)
        .saturating_add(MAGIC.len() + 2 * DIGEST);
    let limit = (length as u64).saturating_add(1);
    file.take(limit - MAGIC.len() as u64)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() != length {
        return Ok(None);
    }
    let (content, digest) = bytes.split_at(length - DIGEST);
    let (head, numbers) = content.split_at(MAGIC.len() + DIGEST);
    if head[MAGIC.len()..] != key[..] || Sha256::digest(content)[..] != *digest {
        return Ok(None);
    }
    let (numbers, _) = numbers.as_chunks();
    let mut numbers: Vec<f32> = numbers.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let matrix = numbers.split_off(features);
    let matrix = Array2::from_shape_vec((features, features), matrix).ok();
    Ok(matrix.map(|matrix| (numbers.into(), matrix)))
}

pub(crate) fn write(
    path: &Path,
    key: &Key,
    (mean, matrix): (&Array1<f32>, &Array2<f32>),
) -> Result<(), Error> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(key);
    let numbers = mean.iter().chain(matrix);
    bytes.extend(numbers.flat_map(|value| value.to_le_bytes()));
    let digest = Sha256::digest(&bytes);
    bytes.extend(digest);
    opt_core::write_whole(path, &bytes).map_err(Error::Write)
}
