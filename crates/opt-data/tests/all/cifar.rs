//! The readers of images in folders, against files made by hand.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, like tests, may panic"
)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use opt_data::{
    Dataset, Error, ImageShape, cifar10, fashion_mnist, read_cifar10, read_cifar10_from,
};
use proptest::prelude::*;

const RECORD: usize = 3_073;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn byte(label: u8, channel: usize, y: usize, x: usize) -> u8 {
    (usize::from(label) * 101 + channel * 83 + y * 7 + x) as u8
}

/// A record as the format has it: planes of red, green and blue.
fn record(label: u8) -> Vec<u8> {
    let mut bytes = vec![label];
    for channel in 0..3 {
        for y in 0..32 {
            bytes.extend((0..32).map(|x| byte(label, channel, y, x)));
        }
    }
    bytes
}

fn read(bytes: &[u8]) -> Result<Dataset, Error> {
    read_cifar10_from(bytes, "made.bin")
}

#[test]
fn columns_are_channels_last() {
    let bytes = [record(3), record(9), record(0)].concat();
    let data = read(&bytes).unwrap();
    assert_eq!(data.labels, [3, 9, 0]);
    assert_eq!((data.classes, data.name.as_str()), (10, "made.bin"));
    assert_eq!(data.inputs.dim(), (3, ImageShape::CIFAR.features()));
    for (sample, label) in [3, 9, 0].into_iter().enumerate() {
        for channel in 0..3 {
            for y in 0..32 {
                for x in 0..32 {
                    let expected = f32::from(byte(label, channel, y, x)) / 255.0;
                    assert_eq!(data.inputs[[sample, (y * 32 + x) * 3 + channel]], expected);
                }
            }
        }
    }
    assert_eq!(read(&gzip(&bytes)).unwrap(), data);
}

#[test]
fn every_bad_record_is_named() {
    let good = [record(1), record(2), record(3)].concat();
    let mut labelled = good.clone();
    labelled[2 * RECORD] = 10;
    for (bytes, place) in [
        (
            &good[..RECORD + 5],
            "record 1: expected 3073 bytes, found 5, then the end of the file",
        ),
        (
            &good[..1],
            "record 0: expected 3073 bytes, found 1, then the end of the file",
        ),
        (
            &labelled,
            "record 2: expected a label of at most 9, found 10",
        ),
    ] {
        let error = read(bytes).unwrap_err();
        assert!(matches!(error, Error::Record { .. }), "{error:?}");
        assert_eq!(error.to_string(), format!("made.bin, {place}"));
    }
    assert!(matches!(read(b""), Err(Error::Empty { .. })));
    assert!(matches!(read(&good[..RECORD]), Err(Error::OneClass { .. })));
    let packed = gzip(&good);
    assert!(matches!(
        read(&packed[..packed.len() / 2]),
        Err(Error::Gzip { .. })
    ));
    assert!(matches!(
        read_cifar10("no-such-file"),
        Err(Error::Io { .. })
    ));
}

fn folder(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// 10,000 records, black but for the first pixel's green.
fn batch(first: u8) -> Vec<u8> {
    let mut bytes = vec![0; 10_000 * RECORD];
    for (index, record) in bytes.chunks_exact_mut(RECORD).enumerate() {
        record[0] = (index % 10) as u8;
        record[1 + 1_024] = first;
    }
    bytes
}

#[test]
fn cifar_is_whole_or_refused() {
    let dir = folder("cifar");
    let inner = dir.join("cifar-10-batches-bin");
    fs::create_dir(&inner).unwrap();
    for number in 1..=5 {
        fs::write(
            inner.join(format!("data_batch_{number}.bin")),
            batch(number),
        )
        .unwrap();
    }
    fs::write(inner.join("test_batch.bin.gz"), gzip(&batch(9))).unwrap();
    let (train, test) = cifar10(&dir).unwrap();
    assert_eq!(
        (train.inputs.dim(), test.inputs.dim()),
        ((50_000, 3_072), (10_000, 3_072))
    );
    for (sample, first) in [(0, 1), (9_999, 1), (10_000, 2), (49_999, 5)] {
        assert_eq!(train.inputs[[sample, 1]], f32::from(first as u8) / 255.0);
        assert_eq!(usize::from(train.labels[sample]), sample % 10);
    }
    assert_eq!(
        (train.name.as_str(), test.name.as_str()),
        ("cifar10-train", "cifar10-test")
    );
    drop((train, test));

    let fourth = inner.join("data_batch_4.bin");
    let mut bytes = batch(4);
    bytes.push(0);
    for (bytes, expected) in [
        (
            &bytes[..],
            ": expected 10000 records, 30730000 bytes, found more",
        ),
        (
            &bytes[..9_999 * RECORD],
            ", record 9999: expected 3073 bytes, found 0, then the end of the file",
        ),
    ] {
        fs::write(&fourth, bytes).unwrap();
        let message = cifar10(&inner).unwrap_err().to_string();
        assert_eq!(message, format!("{}{expected}", fourth.display()));
    }
    fs::remove_file(&fourth).unwrap();
    let error = cifar10(&inner).unwrap_err();
    assert!(
        matches!(&error, Error::Missing { file, .. } if file == "data_batch_4.bin"),
        "{error}"
    );
    fs::remove_dir_all(dir).unwrap();
}

/// An idx file of unsigned bytes.
fn idx(sizes: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend(data);
    bytes
}

#[test]
fn fashion_mnist_has_the_layout_of_mnist() {
    let dir = folder("fashion");
    let inner = dir.join("fashion-mnist");
    fs::create_dir(&inner).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(inner.join(name), bytes).unwrap();
    write(
        "train-images-idx3-ubyte",
        &idx(&[2, 1, 2], &[0, 255, 51, 0]),
    );
    write("train-labels-idx1-ubyte.gz", &gzip(&idx(&[2], &[9, 0])));
    write(
        "t10k-images-idx3-ubyte.gz",
        &gzip(&idx(&[2, 2, 1], &[1, 2, 3, 4])),
    );
    write("t10k-labels-idx1-ubyte", &idx(&[2], &[0, 1]));
    for dir in [&dir, &inner] {
        let data = fashion_mnist(dir).unwrap();
        assert_eq!(data.train.inputs, ndarray::array![[0.0, 1.0], [0.2, 0.0]]);
        assert_eq!(
            (data.train.labels, data.test.labels),
            (vec![9, 0], vec![0, 1])
        );
        assert_eq!(data.test.name, "fashion-mnist-test");
    }
    write("t10k-images-idx3-ubyte.gz", &idx(&[2, 1], &[1, 2]));
    assert!(matches!(
        fashion_mnist(&dir),
        Err(Error::Shape {
            what: "test pixels",
            ..
        })
    ));
    fs::remove_file(inner.join("t10k-labels-idx1-ubyte")).unwrap();
    let error = fashion_mnist(&dir).unwrap_err();
    assert!(matches!(&error, Error::Missing { file, .. } if file == "t10k-labels-idx1-ubyte"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), records in 0_usize..3) {
        let mut bytes = bytes;
        bytes.resize(bytes.len().min(records) + records * RECORD, 1);
        let _ = read(&bytes);
    }
}
