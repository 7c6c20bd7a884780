//! The svmlight reader: what it accepts, and where it says that a file is wrong.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, like tests, may panic"
)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use ndarray::array;
use opt_data::{Error, FirstIndex, Rated, SparseDataset, Svmlight, imdb};
use proptest::prelude::*;

const ZERO: Svmlight = Svmlight {
    columns: 4,
    first: FirstIndex::Zero,
};
const ONE: Svmlight = Svmlight {
    first: FirstIndex::One,
    ..ZERO
};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn read(layout: Svmlight, text: impl AsRef<[u8]>) -> Result<SparseDataset, Error> {
    layout.read_from(text.as_ref(), "made.svm", Rated::stars)
}

#[test]
fn the_same_samples_in_many_spellings() {
    let expected = read(ZERO, "9 0:1 3:2.5\n1 1:3\n4\n").unwrap();
    let dense = array![
        [1.0, 0.0, 0.0, 2.5],
        [0.0, 3.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0]
    ];
    assert_eq!(expected.inputs.to_dense(), dense);
    assert_eq!(expected.labels, [1, 0, 0]);
    assert_eq!((expected.classes, expected.name.as_str()), (2, "made.svm"));
    for text in [
        "9 0:1 3:2.5\n1 1:3\n4",
        "\u{feff}9.0  0:1e0\t3:+2.5 \r\n\r\n1 1:3 # a comment: 7:1\n#\n # 1\n 4#\n",
    ] {
        assert_eq!(read(ZERO, text).unwrap(), expected, "{text:?}");
        assert_eq!(read(ZERO, gzip(text.as_bytes())).unwrap(), expected);
    }
    assert_eq!(read(ONE, "+9 1:1 4:2.5\n1 2:3\n4\n").unwrap(), expected);
}

#[test]
fn every_bad_field_is_named() {
    for (layout, text, line, column, says) in [
        (
            ZERO,
            "good 0:1",
            1,
            1,
            "expected a rating, a finite number, found \"good\"",
        ),
        (
            ZERO,
            "NaN 0:1",
            1,
            1,
            "a rating, a finite number, found \"NaN\"",
        ),
        (ZERO, "9\n1e999", 2, 1, "a rating, a finite number"),
        (
            ZERO,
            "9 0:1\n\n5 0:1",
            3,
            1,
            "expected a rating in 1..=4 or 7..=10, found \"5\"",
        ),
        (ZERO, "11 0:1", 1, 1, "expected a rating in 1..=4 or 7..=10"),
        (ZERO, "0:1 1:2", 1, 1, "a rating"),
        (ZERO, "9 0:1 3", 1, 3, "expected index:value, found \"3\""),
        (
            ZERO,
            "9 qid:3 0:1",
            1,
            2,
            "without query ids, qid:), found \"qid:3\"",
        ),
        (
            ZERO,
            "9 x:1",
            1,
            2,
            "expected an index in 0..=3, found \"x:1\"",
        ),
        (ZERO, "9 :1", 1, 2, "an index in 0..=3"),
        (ZERO, "9 -1:1", 1, 2, "an index in 0..=3"),
        (ZERO, "9 1.0:1", 1, 2, "an index in 0..=3"),
        (
            ZERO,
            "9 3:1\n1 0:1 4:1",
            2,
            3,
            "expected an index in 0..=3, found \"4:1\"",
        ),
        (ZERO, "9 4294967296:1", 1, 2, "an index in 0..=3"),
        (ZERO, "9 18446744073709551616:1", 1, 2, "an index in 0..=3"),
        (
            ONE,
            "9 4:1\n1 5:1",
            2,
            2,
            "expected an index in 1..=4, found \"5:1\"",
        ),
        (
            ONE,
            "9 0:1",
            1,
            2,
            "expected an index in 1..=4, found \"0:1\"",
        ),
        (
            ZERO,
            "9 2:1 1:1",
            1,
            3,
            "expected an index after 2, the one before it, found \"1:1\"",
        ),
        (
            ONE,
            "9 2:1 2:1",
            1,
            3,
            "expected an index after 2, the one before it",
        ),
        (ZERO, "9 0:", 1, 2, "expected a finite number, found \"0:\""),
        (ZERO, "9 0:1:2", 1, 2, "a finite number"),
        (ZERO, "9 0:nan", 1, 2, "a finite number, found \"0:nan\""),
        (ZERO, "9 0:inf", 1, 2, "a finite number"),
        (ZERO, "9 0:1e39", 1, 2, "a finite number"),
        (
            Svmlight { columns: 0, ..ZERO },
            "9 0:1",
            1,
            2,
            "no index, as there are no columns",
        ),
    ] {
        let error = read(layout, text).unwrap_err();
        assert!(matches!(error, Error::Field { .. }), "{text:?}: {error:?}");
        let message = error.to_string();
        let place = format!("made.svm, line {line}, column {column}: expected ");
        assert!(message.starts_with(&place), "{text:?}: {message}");
        assert!(message.contains(says), "{text:?}: {message}");
    }
}

#[test]
fn what_is_no_set_of_samples_is_refused() {
    let refused = |text: &[u8]| read(ZERO, text).unwrap_err();
    assert!(matches!(refused(b""), Error::Empty { what } if what == "made.svm"));
    assert!(matches!(refused(b"# 9\n\n"), Error::Empty { .. }));
    assert!(matches!(refused(b"9 0:1\n8 1:1\n"), Error::OneClass { class, .. } if class == "1"));
    assert!(matches!(refused(b"\xff\xfe9\0"), Error::Format { .. }));
    let packed = gzip(b"9 0:1\n1 0:2\n");
    assert!(matches!(
        refused(&packed[..packed.len() - 4]),
        Error::Gzip { .. }
    ));
    let wide = Svmlight {
        columns: usize::MAX,
        ..ZERO
    };
    let error = read(wide, "9 4294967295:1\n1\n").unwrap_err();
    assert!(
        matches!(
            error,
            Error::Setting {
                what: "columns",
                ..
            }
        ),
        "{error}"
    );
    assert!(matches!(
        ZERO.read("no-such-file", Rated::stars),
        Err(Error::Io { .. })
    ));
}

#[test]
fn rules_make_classes_of_ratings() {
    let text = "-2 0:1\n0 1:1\n3 2:1\n";
    let by = |rule: fn(f64) -> Rated| ZERO.read_from(text.as_bytes(), "made", rule);
    let signs = by(Rated::sign).unwrap();
    assert_eq!(signs.labels, [0, 1]);
    assert_eq!(
        signs.inputs.to_dense(),
        array![[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]
    );
    let message = by(Rated::class).unwrap_err().to_string();
    assert!(
        message.contains("line 1, column 1: expected a class"),
        "{message}"
    );
    let thirds = by(|rating| Rated::Class((rating > -1.0) as u8 + (rating > 1.0) as u8)).unwrap();
    assert_eq!((thirds.labels, thirds.classes), (vec![0, 1, 2], 3));
    // Of a dropped line too every field must be one.
    let error = ZERO.read_from("0 0:x\n".as_bytes(), "made", Rated::sign);
    assert!(matches!(
        error,
        Err(Error::Field {
            line: 1,
            column: 2,
            ..
        })
    ));
    for (rule, rating, expected) in [
        (Rated::class as fn(f64) -> Rated, 255.0, Some(255)),
        (Rated::class, 256.0, None),
        (Rated::class, 0.5, None),
        (Rated::class, -1.0, None),
        (Rated::stars, 4.0, Some(0)),
        (Rated::stars, 4.5, None),
        (Rated::stars, 7.0, Some(1)),
        (Rated::stars, f64::NAN, None),
        (Rated::sign, f64::MIN_POSITIVE, Some(1)),
        (Rated::sign, f64::NAN, None),
    ] {
        match (rule(rating), expected) {
            (Rated::Class(found), Some(class)) => assert_eq!(found, class),
            (Rated::Refused(_), None) => {}
            other => panic!("{rating}: {other:?}"),
        }
    }
    assert_eq!(Rated::sign(-0.0), Rated::Dropped);
}

fn folder(name: &str, files: &[(&str, &[u8])]) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&dir);
    for (file, bytes) in files {
        let path = dir.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    dir
}

#[test]
fn imdb_lies_in_any_of_three_folders() {
    let packed = gzip(b"1 2:1\n10 0:1\n");
    for prefix in ["", "imdb/", "aclImdb/"] {
        let dir = folder(
            "imdb",
            &[
                (&format!("{prefix}imdb.vocab"), b"the\nand\na"),
                (
                    &format!("{prefix}train/labeledBow.feat"),
                    b"9 0:3 2:1\n2 1:2\n7\n",
                ),
                (&format!("{prefix}test/labeledBow.feat.gz"), &packed),
            ],
        );
        let (train, test) = imdb(&dir).unwrap();
        assert_eq!(
            (train.inputs.shape(), test.inputs.shape()),
            ((3, 3), (2, 3))
        );
        assert_eq!(
            (train.name.as_str(), test.name.as_str()),
            ("imdb-train", "imdb-test")
        );
        assert_eq!((train.labels, test.labels), (vec![1, 0, 1], vec![0, 1]));
        fs::write(dir.join(prefix).join("imdb.vocab"), "the\nand\n").unwrap();
        let message = imdb(&dir).unwrap_err().to_string();
        assert!(
            message.contains("train/labeledBow.feat, line 1, column 3"),
            "{message}"
        );
        fs::write(dir.join(prefix).join("imdb.vocab"), "\n").unwrap();
        assert!(matches!(imdb(&dir), Err(Error::Empty { .. })));
        fs::remove_file(dir.join(prefix).join("imdb.vocab")).unwrap();
        let error = imdb(&dir).unwrap_err();
        assert!(
            matches!(&error, Error::Missing { file, .. } if file == "imdb.vocab"),
            "{error}"
        );
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(ZERO, &bytes);
    }

    #[test]
    fn nor_do_texts_that_are_nearly_right(text in "([0-9] ([0-9]{1,2}:[0-9.e-]{1,3} ?){0,4}[#\r]?\n){0,5}") {
        for layout in [ZERO, ONE, Svmlight { columns: usize::MAX, ..ONE }] {
            if let Ok(data) = layout.read_from(text.as_bytes(), "made", Rated::class) {
                prop_assert_eq!(data.inputs.rows(), data.labels.len());
                prop_assert!(data.inputs.data().iter().all(|value| value.is_finite()));
                prop_assert!(data.inputs.indices().iter().all(|i| (*i as usize) < layout.columns));
                prop_assert!(data.labels.iter().all(|label| usize::from(*label) < data.classes));
            }
        }
    }
}
