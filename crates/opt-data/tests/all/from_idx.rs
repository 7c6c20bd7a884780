//! Data sets made of idx files.

use ndarray::array;
use opt_data::{Dataset, Elements, Error, Idx};

fn idx(shape: &[usize], data: &[u8]) -> Idx {
    Idx {
        shape: shape.to_vec(),
        data: Elements::U8(data.to_vec()),
    }
}

#[test]
fn idx_files_make_a_data_set() {
    let images = idx(&[2, 1, 2], &[0, 51, 102, 255]);
    let data = Dataset::from_idx(&images, &idx(&[2], &[3, 0]), "made").unwrap();
    assert_eq!(data.inputs, array![[0.0, 0.2], [0.4, 1.0]]);
    assert_eq!((data.labels, data.classes), (vec![3, 0], 4));
}

#[test]
fn idx_files_that_do_not_fit_are_errors() {
    let (images, labels) = (idx(&[2, 2], &[0; 4]), idx(&[2], &[0; 2]));
    for (images, labels) in [
        (&images, &idx(&[3], &[0; 3])),
        (&images, &idx(&[2, 1], &[0; 2])),
        (&images, &idx(&[2], &[0; 3])),
        (&images, &idx(&[], &[])),
        (&idx(&[], &[]), &labels),
        (&idx(&[2, 2], &[0; 5]), &labels),
        (&idx(&[2, usize::MAX], &[0; 4]), &labels),
        (&idx(&[2, usize::MAX, usize::MAX], &[0; 4]), &labels),
    ] {
        let error = Dataset::from_idx(images, labels, "made").unwrap_err();
        assert!(
            matches!(error, Error::Shape { .. }),
            "{images:?} {labels:?}: {error}"
        );
    }
    let empty = Dataset::from_idx(&idx(&[0, 2], &[]), &idx(&[0], &[]), "made");
    assert!(matches!(empty, Err(Error::Empty { .. })));
    let blank = Dataset::from_idx(&idx(&[2, 0], &[]), &labels, "made");
    assert!(matches!(blank, Err(Error::Shape { .. })));
    let one = Dataset::from_idx(&images, &idx(&[2], &[7; 2]), "made").unwrap_err();
    assert!(matches!(one, Error::OneClass { .. }));
    let message = one.to_string();
    assert!(
        message.starts_with("made: expected at least two classes, found only 7"),
        "{message}"
    );
}

#[test]
fn idx_files_of_every_type_make_a_data_set() {
    let made = |data| Idx {
        shape: vec![2, 1],
        data,
    };
    // Only unsigned bytes are pixels to be scaled.
    for (data, expected) in [
        (Elements::U8(vec![0, 255]), [0.0, 1.0]),
        (Elements::I8(vec![-128, 127]), [-128.0, 127.0]),
        (Elements::I16(vec![-32768, 32767]), [-32768.0, 32767.0]),
        (
            Elements::I32(vec![i32::MIN, 16_777_217]),
            [-2_147_483_648.0, 16_777_216.0],
        ),
        (Elements::F32(vec![-0.5, f32::MAX]), [-0.5, f32::MAX]),
        (Elements::F64(vec![0.1, -1e-60]), [0.1, 0.0]),
    ] {
        let data = Dataset::from_idx(&made(data), &idx(&[2], &[0, 1]), "made").unwrap();
        assert_eq!(
            data.inputs.into_owned().into_raw_vec_and_offset().0,
            expected
        );
    }
    for (data, place, value) in [
        (Elements::F32(vec![1.0, f32::NAN]), 1, "NaN"),
        (Elements::F32(vec![f32::NEG_INFINITY, 1.0]), 0, "-inf"),
        (Elements::F64(vec![0.0, 1e39]), 1, "1e39"),
    ] {
        let error = Dataset::from_idx(&made(data), &idx(&[2], &[0, 1]), "made").unwrap_err();
        assert!(matches!(error, Error::NonFinite { sample, feature: 0, .. } if sample == place));
        assert!(
            error
                .to_string()
                .contains(&format!("found {value} in sample {place}")),
            "{error}"
        );
    }
}

#[test]
fn idx_labels_of_every_type_are_classes_or_refused() {
    let images = idx(&[3, 1], &[0; 3]);
    let read = |data| {
        let labels = Idx {
            shape: vec![3],
            data,
        };
        Dataset::from_idx(&images, &labels, "made")
    };
    for data in [
        Elements::I8(vec![0, 127, 3]),
        Elements::I16(vec![0, 127, 3]),
        Elements::I32(vec![0, 127, 3]),
        Elements::F32(vec![0.0, 127.0, 3.0]),
        Elements::F64(vec![0.0, 127.0, 3.0]),
    ] {
        let data = read(data).unwrap();
        assert_eq!((data.labels, data.classes), (vec![0, 127, 3], 128));
    }
    for (data, says) in [
        (Elements::I8(vec![0, 1, -1]), "found -1 of sample 2"),
        (Elements::I16(vec![0, 256, 1]), "found 256 of sample 1"),
        (
            Elements::I32(vec![i32::MAX, 1, 0]),
            "found 2147483647 of sample 0",
        ),
        (Elements::F32(vec![0.0, 0.5, 1.0]), "found 0.5 of sample 1"),
        (
            Elements::F32(vec![0.0, 1.0, f32::NAN]),
            "found NaN of sample 2",
        ),
        (
            Elements::F64(vec![0.0, 1.0, f64::INFINITY]),
            "found inf of sample 2",
        ),
    ] {
        let error = read(data).unwrap_err();
        assert!(matches!(error, Error::Label { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}
