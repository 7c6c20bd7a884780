//! The idx reader against files made by hand, whole and damaged.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, like tests, may panic"
)]

use std::io::Write;
use std::path::PathBuf;

use flate2::{Compression, write::GzEncoder};
use opt_data::{Elements, Error, Idx, read_idx, read_idx_from};
use proptest::prelude::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn header(sizes: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, u8::try_from(sizes.len()).unwrap()];
    bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    bytes
}

/// Two images of 2×3.
fn images() -> Vec<u8> {
    [header(&[2, 2, 3]), (0..12).collect()].concat()
}

fn read(bytes: &[u8]) -> Result<Idx, Error> {
    read_idx_from(bytes, "made.idx")
}

fn message(bytes: &[u8]) -> String {
    let message = read(bytes).unwrap_err().to_string();
    assert!(message.starts_with("made.idx: expected "), "{message}");
    message
}

#[test]
fn plain_and_gzipped_bytes_read_the_same() {
    let expected = Idx {
        shape: vec![2, 2, 3],
        data: Elements::U8((0..12).collect()),
    };
    assert_eq!(read(&images()).unwrap(), expected);
    assert_eq!(read(&gzip(&images())).unwrap(), expected);
}

#[test]
fn ranks_one_to_four() {
    for sizes in [&[4_u32][..], &[2, 2], &[4, 1, 1], &[1, 2, 1, 2]] {
        let bytes = [header(sizes), vec![9, 8, 7, 6]].concat();
        let idx = read(&bytes).unwrap();
        assert_eq!(idx.shape.len(), sizes.len());
        assert_eq!(idx.shape[0], sizes[0] as usize);
        assert_eq!(idx.data, Elements::U8(vec![9, 8, 7, 6]));
    }
}

#[test]
fn gzip_is_told_by_its_bytes_and_not_by_the_name() {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    for (name, bytes) in [("plain.gz", images()), ("gzipped.idx", gzip(&images()))] {
        let path = dir.join(name);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(read_idx(&path).unwrap().shape, [2, 2, 3]);
    }
}

#[test]
fn every_truncation_is_an_error() {
    let whole = images();
    for length in 0..whole.len() {
        assert!(
            matches!(read(&whole[..length]), Err(Error::Format { .. })),
            "{length}"
        );
    }
    assert!(message(&[]).contains("found 0 bytes in all"));
    assert!(message(&whole[..10]).contains("found 6 of 12 bytes"));
    assert!(message(&whole[..20]).contains("expected 12 bytes of data"));
    assert!(message(&whole[..20]).contains("found 4, then the end"));
}

#[test]
fn every_truncation_of_gzip_is_an_error() {
    let whole = gzip(&images());
    // From 2 bytes on it looks like gzip.
    for length in 2..whole.len() {
        assert!(
            matches!(read(&whole[..length]), Err(Error::Gzip { .. })),
            "{length}"
        );
    }
    assert!(message(&whole[..whole.len() / 2]).contains("intact gzip stream"));
}

#[test]
fn trailing_bytes_are_an_error() {
    let mut long = images();
    long.push(0);
    assert!(message(&long).contains("expected 12 bytes of data after the header, found more"));
    assert!(matches!(read(&gzip(&long)), Err(Error::Format { .. })));

    let mut after_the_stream = gzip(&images());
    after_the_stream.extend(*b"more");
    assert!(matches!(read(&after_the_stream), Err(Error::Gzip { .. })));
}

#[test]
fn damaged_gzip_is_an_error() {
    let mut checksum = gzip(&images());
    let at = checksum.len() - 8;
    checksum[at] ^= 1;
    assert!(matches!(read(&checksum), Err(Error::Gzip { .. })));

    let garbage = [&[0x1f, 0x8b][..], &[0xa5; 100]].concat();
    assert!(matches!(read(&garbage), Err(Error::Gzip { .. })));

    // Sound gzip around something that is not idx.
    assert!(matches!(
        read(&gzip(b"a letter")),
        Err(Error::Format { .. })
    ));
}

#[test]
fn no_flipped_bit_in_gzip_changes_the_data() {
    let whole = gzip(&images());
    for bit in 0..8 * whole.len() {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        // The time stamp, the operating system and padding may change; the data may not.
        if let Ok(idx) = read(&bytes) {
            assert_eq!(idx, read(&images()).unwrap(), "bit {bit}");
        }
    }
}

#[test]
fn foreign_files_are_errors() {
    assert!(
        message(b"\x89PNG\r\n\x1a\n").contains("an idx file, which starts with two zero bytes")
    );
    assert!(message(&[0, 0, 8, 0, 1]).contains("at least one idx dimension"));

    for code in (0..=u8::MAX).filter(|code| !matches!(code, 0x08 | 0x09 | 0x0b..=0x0e)) {
        let mut unknown = images();
        unknown[2] = code;
        let error = read(&unknown).unwrap_err();
        assert!(matches!(error, Error::IdxType { code: c, .. } if c == code));
        assert!(error.to_string().contains(&format!("found 0x{code:02x}")));
    }
}

#[test]
fn a_header_alone_allocates_nothing() {
    // 4·10⁹ bytes, 2⁶⁴ − 2³³ + 1 bytes and more than a u64: claimed, not there.
    for sizes in [
        &[u32::MAX][..],
        &[u32::MAX; 2],
        &[u32::MAX; 3],
        &[u32::MAX; 255],
    ] {
        let bytes = [header(sizes), vec![1; 5]].concat();
        assert!(
            matches!(read(&bytes), Err(Error::Format { .. })),
            "{}",
            sizes.len()
        );
    }
    assert!(message(&header(&[u32::MAX; 3])).contains("a product that can be addressed"));
}

#[test]
fn files_that_cannot_be_opened_are_named() {
    let error = read_idx("no/such.idx").unwrap_err();
    assert!(matches!(error, Error::Io { .. }));
    assert!(error.to_string().starts_with("no/such.idx: cannot read: "));

    let folder = env!("CARGO_MANIFEST_DIR");
    let error = read_idx(folder).unwrap_err();
    assert!(matches!(error, Error::Io { .. }));
    assert!(error.to_string().starts_with(folder));
}

/// A reader that gives one byte at a time, then fails.
struct Failing<'a>(&'a [u8]);

impl std::io::Read for Failing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let Some((first, rest)) = self.0.split_first() else {
            return Err(std::io::Error::from_raw_os_error(5));
        };
        buffer[0] = *first;
        self.0 = rest;
        Ok(1)
    }
}

#[test]
fn a_failing_reader_is_an_io_error_with_gzip_too() {
    for bytes in [images(), gzip(&images())] {
        for length in 0..bytes.len() {
            let error = read_idx_from(Failing(&bytes[..length]), "disk").unwrap_err();
            assert!(matches!(error, Error::Io { .. }), "{length}: {error}");
        }
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        shape in prop::collection::vec(0_u32..6, 1..5),
        seed in any::<u8>(),
        gzipped in any::<bool>(),
    ) {
        let length = shape.iter().product::<u32>();
        let data: Vec<u8> = (0..length).map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed)).collect();
        let mut bytes = [header(&shape), data.clone()].concat();
        if gzipped {
            bytes = gzip(&bytes);
        }
        let idx = read(&bytes).unwrap();
        prop_assert_eq!(idx.shape, shape.iter().map(|size| *size as usize).collect::<Vec<_>>());
        prop_assert_eq!(idx.data, Elements::U8(data));
    }

    #[test]
    fn random_bytes_are_refused_unless_consistent(
        magic in prop_oneof![
            any::<[u8; 4]>(),
            (0_u8..4).prop_map(|rank| [0, 0, 8, rank]),
        ],
        sizes in prop::collection::vec(prop_oneof![9 => 0_u32..4, 1 => any::<u32>()], 0..4),
        data in prop::collection::vec(any::<u8>(), 0..30),
        gzipped in any::<bool>(),
    ) {
        let mut bytes = magic.to_vec();
        bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
        bytes.extend(&data);
        let result = if gzipped { read(&gzip(&bytes)) } else { read(&bytes) };

        // The format's definition, over the bytes as they are.
        let rank = usize::from(magic[3]);
        let body = bytes.get(4 + 4 * rank..);
        let product = bytes[4..].chunks_exact(4).take(rank).try_fold(1_u64, |product, size| {
            product.checked_mul(u64::from(u32::from_be_bytes(size.try_into().unwrap())))
        });
        let consistent = magic[..3] == [0, 0, 8]
            && rank > 0
            && body.is_some_and(|body| product == Some(body.len() as u64));
        prop_assert_eq!(result.is_ok(), consistent);
        if let Ok(idx) = result {
            prop_assert_eq!(Some(idx.data), body.map(|body| Elements::U8(body.to_vec())));
        }
    }
}
