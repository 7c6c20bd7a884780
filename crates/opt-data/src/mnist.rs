use std::path::Path;

use sha2::{Digest, Sha256};

use crate::source::Source;
use crate::{Dataset, Error, Idx, read_idx_from};

/// MNIST in its two published parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Mnist {
    /// 60,000 images, to be split into training and validation sets.
    pub train: Dataset,
    /// 10,000 images.
    pub test: Dataset,
}

struct File {
    name: &'static str,
    bytes: usize,
    sha256: &'static str,
}

/// The published files, without compression.
const FILES: [File; 4] = [
    File {
        name: "train-images-idx3-ubyte",
        bytes: 47_040_016,
        sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    },
    File {
        name: "train-labels-idx1-ubyte",
        bytes: 60_008,
        sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    },
    File {
        name: "t10k-images-idx3-ubyte",
        bytes: 7_840_016,
        sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    },
    File {
        name: "t10k-labels-idx1-ubyte",
        bytes: 10_008,
        sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
];

/// Reads the MNIST handwritten digits from a folder: images of 784 pixels in 0..=1, ten classes.
///
/// Y. LeCun, C. Cortes and C. J. C. Burges, The MNIST database of handwritten digits; CC BY-SA 3.0.
/// The folder holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`
/// and `t10k-labels-idx1-ubyte`, each with or without `.gz`. Pixels are divided by 255. The SHA-256
/// of each file, uncompressed, must be that of the published one.
///
/// # Errors
///
/// [`Error::Missing`] for a file that is not there, [`Error::Checksum`] or, if it is too long,
/// [`Error::Format`] for one that is not the published one, [`Error::Io`] and [`Error::Gzip`] for
/// one that cannot be read or unpacked.
pub fn mnist(dir: impl AsRef<Path>) -> Result<Mnist, Error> {
    let [train_images, train_labels, test_images, test_labels] = &FILES;
    let load = |images, labels, name| {
        let labels = read_verified(dir.as_ref(), labels)?;
        Dataset::from_idx(&read_verified(dir.as_ref(), images)?, &labels, name)
    };
    Ok(Mnist {
        train: load(train_images, train_labels, "mnist-train")?,
        test: load(test_images, test_labels, "mnist-test")?,
    })
}

fn read_verified(dir: &Path, file: &File) -> Result<Idx, Error> {
    let mut source = Source::in_folder(dir, file.name)?;
    let bytes = source.read_up_to(file.bytes as u64 + 1)?;
    if bytes.len() > file.bytes {
        return Err(source.format(format!("{} bytes (uncompressed)", file.bytes), "more"));
    }
    let found: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if found != file.sha256 {
        return Err(Error::Checksum {
            file: source.file,
            expected: file.sha256.to_owned(),
            found,
        });
    }
    read_idx_from(bytes.as_slice(), &source.file)
}
