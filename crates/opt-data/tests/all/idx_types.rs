//! idx files of every type of the format, whole and damaged.

use opt_data::{Elements, Error, Idx, read_idx_from};

fn read(bytes: &[u8]) -> Result<Idx, Error> {
    read_idx_from(bytes, "made.idx")
}

/// Files by hand: the type, the bytes of a vector, what they mean. The bytes are those of Python's
/// `struct.pack(">2h", …)` and so on.
fn cases() -> [(u8, Vec<u8>, Elements, usize); 6] {
    let f = |x: f64, y: f64| Elements::F64(vec![x, y]);
    [
        (0x08, vec![1, 255], Elements::U8(vec![1, 255]), 1),
        (0x09, vec![1, 255], Elements::I8(vec![1, -1]), 1),
        (
            0x0b,
            vec![1, 2, 0xff, 0xfe],
            Elements::I16(vec![258, -2]),
            2,
        ),
        (
            0x0c,
            vec![0x80, 0, 0, 0, 0, 0, 1, 0],
            Elements::I32(vec![i32::MIN, 256]),
            4,
        ),
        (
            0x0d,
            vec![0x3f, 0xc0, 0, 0, 0xff, 0x80, 0, 0],
            Elements::F32(vec![1.5, f32::NEG_INFINITY]),
            4,
        ),
        (
            0x0e,
            vec![
                0xc0, 0x04, 0, 0, 0, 0, 0, 0, 0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a,
            ],
            f(-2.5, 0.1),
            8,
        ),
    ]
}

fn file(code: u8, sizes: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, code, sizes.len() as u8];
    bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend(data);
    bytes
}

#[test]
fn every_type_is_read() {
    for (code, data, expected, _) in cases() {
        for shape in [&[2_u32][..], &[1, 2], &[2, 1, 1]] {
            let idx = read(&file(code, shape, &data)).unwrap();
            assert_eq!(idx.data, expected, "0x{code:02x}");
            assert_eq!(idx.shape.len(), shape.len());
        }
        let empty = read(&file(code, &[0, 3], &[])).unwrap();
        assert!(empty.data.is_empty() && empty.shape == [0, 3]);
    }
}

#[test]
fn every_truncation_and_every_longer_file_is_an_error() {
    for (code, data, _, size) in cases() {
        let whole = file(code, &[2], &data);
        for length in 0..whole.len() {
            let error = read(&whole[..length]).unwrap_err();
            assert!(matches!(error, Error::Format { .. }), "{length}: {error}");
        }
        let says = format!("expected {} bytes of data after the header", 2 * size);
        for more in 1..=size {
            let long = [whole.as_slice(), &vec![0; more]].concat();
            let message = read(&long).unwrap_err().to_string();
            assert!(
                message.contains(&says) && message.contains("found more"),
                "{message}"
            );
        }
    }
}

#[test]
fn a_header_of_any_type_allocates_nothing() {
    for (code, data, _, size) in cases() {
        // Up to 2³⁵ bytes, more than 2⁶⁴, and just 2⁶⁴: claimed, not there.
        let wide = u32::try_from((1_u64 << 32) / size as u64 - u64::from(size == 1)).unwrap();
        for sizes in [
            &[u32::MAX][..],
            &[u32::MAX; 2],
            &[1 << 31, 2, wide],
            &[u32::MAX; 200],
        ] {
            let error = read(&file(code, sizes, &data)).unwrap_err();
            assert!(matches!(error, Error::Format { .. }), "{error}");
        }
    }
}

#[test]
fn matrices_are_checked() {
    let idx = |shape: &[usize], data: Elements| Idx {
        shape: shape.to_vec(),
        data,
    };
    let four = || Elements::I16(vec![1, -2, 3, 4]);
    let matrix = idx(&[2, 1, 2], four()).matrix().unwrap();
    assert_eq!(matrix, ndarray::array![[1.0, -2.0], [3.0, 4.0]]);
    assert_eq!(idx(&[4], four()).matrix().unwrap().dim(), (4, 1));
    for shape in [
        &[][..],
        &[3],
        &[2, 3],
        &[4, 0],
        &[usize::MAX, usize::MAX],
        &[2, usize::MAX, 2],
    ] {
        let error = idx(shape, four()).matrix().unwrap_err();
        assert!(matches!(error, Error::Shape { .. }), "{error}");
    }
    let none = idx(&[0, 2], Elements::F32(vec![])).matrix();
    assert!(matches!(none, Err(Error::Empty { .. })));
    let error = idx(&[2, 2], Elements::F64(vec![0.0, 1.0, 2.0, -1e300]))
        .matrix()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected values finite in f32, found -1e300 in sample 1, feature 1"
    );
}
