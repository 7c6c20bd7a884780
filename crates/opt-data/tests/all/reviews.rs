//! Text with ratings, made by hand and the sentences of film reviews.

use std::path::Path;

use ndarray::array;
use opt_data::{Error, Rated, SparseDataset, read_rated_text_from, reviews};
use proptest::prelude::*;

fn read(text: impl AsRef<[u8]>) -> Result<(SparseDataset, Vec<String>), Error> {
    read_rated_text_from(text.as_ref(), "made.tsv", Rated::sign)
}

#[test]
fn words_are_counted() {
    let text = "\u{feff}2.5\tDon't, DON'T! 3D ''quoted'' 'n' caf\u{e9}\r\n\n -1 \t3d quoted n' don't' caf b2b\n\
                0\tb2b b2b\n-0.5\t\n";
    let (data, words) = read(text).unwrap();
    // Thrice, then twice by the alphabet; b2b is twice only with the sample that is dropped.
    assert_eq!(words, ["don't", "3d", "caf", "n", "quoted"]);
    assert_eq!(
        data.inputs.to_dense(),
        array![
            [2.0, 1.0, 1.0, 1.0, 1.0],
            [1.0, 1.0, 1.0, 1.0, 1.0],
            [0.0, 0.0, 0.0, 0.0, 0.0]
        ]
    );
    assert_eq!(data.labels, [1, 0, 0]);
    assert_eq!((data.classes, data.name.as_str()), (2, "made.tsv"));
    // An apostrophe joins letters only, and once.
    let (_, words) = read("1\ta'1 a'1 b'c'd b'c'd\n-1\te''f e''f g'h2 g'h2").unwrap();
    assert_eq!(words, ["1", "2", "a", "b'c", "d", "e", "f", "g'h"]);
}

#[test]
fn every_bad_field_is_named() {
    for (text, line, column, says) in [
        (
            "good\ttext",
            1,
            1,
            "a rating, a finite number, found \"good\"",
        ),
        ("1\ta\n\n\tb", 3, 1, "a rating, a finite number, found \"\""),
        ("inf\ttext", 1, 1, "a rating, a finite number"),
        (
            "1 text",
            1,
            1,
            "a rating, a finite number, found \"1 text\"",
        ),
        (
            "1\ta\n2",
            2,
            2,
            "a tab and a text after the rating, found \"\"",
        ),
    ] {
        let error = read(text).unwrap_err();
        assert!(matches!(error, Error::Field { .. }), "{text:?}: {error:?}");
        let message = error.to_string();
        let place = format!("made.tsv, line {line}, column {column}: expected ");
        assert!(message.starts_with(&place), "{text:?}: {message}");
        assert!(message.contains(says), "{text:?}: {message}");
    }
    assert!(matches!(read(""), Err(Error::Empty { .. })));
    assert!(matches!(read("0\ta a\n"), Err(Error::Empty { .. })));
    assert!(matches!(read("1\ta a\n"), Err(Error::OneClass { .. })));
    assert!(matches!(read(b"\xfe\xff"), Err(Error::Format { .. })));
}

#[test]
fn film_reviews_are_those_that_were_published() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/data");
    if !dir.exists() {
        return eprintln!("skipped: the sentences are in the repository, not in the package");
    }
    let (train, test) = reviews(&dir, 2_000, 0).unwrap();
    assert_eq!((train.labels.len(), test.labels.len()), (8_568, 2_000));
    let positive = |data: &SparseDataset| data.labels.iter().filter(|l| **l == 1).count();
    assert_eq!(positive(&train) + positive(&test), 5_242);
    assert_eq!(
        (train.name.as_str(), test.name.as_str()),
        ("reviews-train", "reviews-test")
    );
    let (again, _) = reviews(dir.join("reviews"), 2_000, 0).unwrap();
    assert_eq!(again, train);
    let (other, _) = reviews(&dir, 2_000, 1).unwrap();
    assert_ne!(other, train);
    // As Python's `re` and `Counter` count them.
    assert_eq!((train.inputs.cols(), test.inputs.cols()), (10_128, 10_128));
    assert_eq!(train.inputs.nnz() + test.inputs.nnz(), 175_767);
    let total = |data: &SparseDataset| data.inputs.data().iter().sum::<f32>();
    assert_eq!(total(&train) + total(&test), 190_966.0);
    assert!(train.frequent(1).unwrap() == [0]);
    assert!(matches!(reviews(&dir, 10_568, 0), Err(Error::Split { .. })));
    let error = reviews(dir.join("mnist"), 1, 0).unwrap_err();
    assert!(matches!(&error, Error::Missing { file, .. } if file == "movie-snippets.tsv"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
    }

    #[test]
    fn nor_does_any_text(text in "(-?[0-2]\t[a-cA-C' ]{0,12}\n){0,6}") {
        if let Ok((data, words)) = read(&text) {
            prop_assert_eq!(data.inputs.cols(), words.len());
            prop_assert_eq!(data.inputs.rows(), data.labels.len());
            // Every word comes twice, and in the order of frequency.
            let dense = data.inputs.to_dense();
            let totals: Vec<f32> = dense.columns().into_iter().map(|c| c.sum()).collect();
            prop_assert!(totals.iter().all(|n| *n >= 2.0));
            prop_assert!(totals.is_sorted_by(|a, b| a >= b));
        }
    }
}
