use std::io::Read;
use std::path::Path;

use ndarray::Array2;

use crate::source::{Source, folder};
use crate::{Dataset, Error, ImageShape};

/// Pixels of an image, and so bytes of each of its three planes.
const PLANE: usize = ImageShape::CIFAR.height * ImageShape::CIFAR.width;
const CHANNELS: usize = ImageShape::CIFAR.channels;

/// A label and the planes.
const RECORD: usize = 1 + CHANNELS * PLANE;

/// Images in each of the published files.
const BATCH: usize = 10_000;

/// Reads CIFAR-10 from a folder, `(training, test)`: 50,000 and 10,000 images of 32×32 pixels with
/// three channels in 0..=1, ten classes.
///
/// A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009), in its binary
/// version. `dir` is its folder, or the one in which that is called `cifar-10-batches-bin` or
/// `cifar10`. It holds `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`, each with or
/// without `.gz`, of 10,000 records each; bytes are divided by 255. **Columns are channels last**,
/// [`ImageShape::CIFAR`]: red, green and blue of the first pixel, then those of the one to its
/// right. (The files have all red first.) The training images take 614 MB, and their bytes 154 MB
/// more while they are read.
///
/// # Errors
///
/// [`Error::Missing`] for a file that is not there, [`Error::Record`] for a label above 9 or a file
/// that ends too early, [`Error::Format`] for one that goes on, [`Error::Io`] and [`Error::Gzip`]
/// for one that cannot be read or unpacked.
pub fn cifar10(dir: impl AsRef<Path>) -> Result<(Dataset, Dataset), Error> {
    let dir = folder(dir.as_ref(), &["cifar10", "cifar-10-batches-bin"]);
    let mut bytes = Vec::new();
    for batch in 1..=5 {
        let source = Source::in_folder(&dir, &format!("data_batch_{batch}.bin"))?;
        bytes.append(&mut published(source)?);
    }
    let train = decode(&bytes, "cifar10-train")?;
    bytes = published(Source::in_folder(&dir, "test_batch.bin")?)?;
    Ok((train, decode(&bytes, "cifar10-test")?))
}

/// Reads one file in the binary format of CIFAR-10, plain or gzipped, of any number of images, as
/// [`cifar10`] does; its path is what errors and the data set are called by.
///
/// # Errors
///
/// As [`cifar10`], and [`Error::Empty`] for an empty file, [`Error::OneClass`] if all labels are the
/// same.
pub fn read_cifar10(path: impl AsRef<Path>) -> Result<Dataset, Error> {
    let mut source = Source::open(path.as_ref())?;
    let bytes = records(&mut source, None)?;
    decode(&bytes, &source.file)
}

/// [`read_cifar10`] from any reader; `name` is what errors and the data set are called by.
///
/// # Errors
///
/// As [`read_cifar10`].
pub fn read_cifar10_from(reader: impl Read, name: &str) -> Result<Dataset, Error> {
    let mut source = Source::new(reader, name.to_owned())?;
    let bytes = records(&mut source, None)?;
    decode(&bytes, name)
}

fn published(mut source: Source<'_>) -> Result<Vec<u8>, Error> {
    records(&mut source, Some(BATCH))
}

/// Whole records with labels below 10, as many as there are or exactly so many.
fn records(source: &mut Source<'_>, count: Option<usize>) -> Result<Vec<u8>, Error> {
    let wrong = |source: &Source<'_>, record, expected: String, found| Error::Record {
        file: source.file.clone(),
        record,
        expected,
        found,
    };
    // One byte more than there should be: see `idx`.
    let limit = count.map_or(u64::MAX, |count| (count * RECORD) as u64 + 1);
    let bytes = source.read_up_to(limit)?;
    if let Some(count) = count.filter(|count| bytes.len() > count * RECORD) {
        let bytes = count * RECORD;
        return Err(source.format(format!("{count} records, {bytes} bytes"), "more"));
    }
    let (whole, rest) = (bytes.len() / RECORD, bytes.len() % RECORD);
    if rest > 0 || count.is_some_and(|count| whole < count) {
        let found = format!("{rest}, then the end of the file");
        return Err(wrong(source, whole, format!("{RECORD} bytes"), found));
    }
    for (record, label) in bytes.iter().step_by(RECORD).enumerate() {
        if *label > 9 {
            let expected = "a label of at most 9".to_owned();
            return Err(wrong(source, record, expected, label.to_string()));
        }
    }
    Ok(bytes)
}

fn decode(bytes: &[u8], name: &str) -> Result<Dataset, Error> {
    let (records, _) = bytes.as_chunks::<RECORD>();
    let labels = records.iter().map(|record| record[0]).collect();
    let mut inputs = Array2::zeros((records.len(), CHANNELS * PLANE));
    for (mut out, record) in inputs.rows_mut().into_iter().zip(records) {
        for (channel, plane) in record[1..].chunks_exact(PLANE).enumerate() {
            let of_channel = out.iter_mut().skip(channel).step_by(CHANNELS);
            for (out, byte) in of_channel.zip(plane) {
                *out = f32::from(*byte) / 255.0;
            }
        }
    }
    Dataset::new(inputs, labels, name)
}
