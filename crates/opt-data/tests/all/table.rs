//! The csv reader: what it accepts, and where it says that a file is wrong.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, like tests, may panic"
)]

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use ndarray::{array, s};
use opt_data::{Column, Dataset, Error, Header, Table};
use proptest::prelude::*;

fn read(text: impl AsRef<[u8]>) -> Result<Dataset, Error> {
    read_with(text, Header::Absent)
}

/// The class in the last column.
fn read_with(text: impl AsRef<[u8]>, header: Header) -> Result<Dataset, Error> {
    Table::read(text.as_ref(), "made.csv", header)?.classes(Column::Last)
}

/// Asserts that reading fails at this line and column.
#[track_caller]
fn fails_at(text: impl AsRef<[u8]>, header: Header, line: u64, column: usize, says: &str) {
    let error = read_with(text, header).unwrap_err();
    let message = error.to_string();
    let place = format!("made.csv, line {line}, column {column}: expected ");
    assert!(matches!(error, Error::Field { .. }), "{message}");
    assert!(message.starts_with(&place), "{message}");
    assert!(message.contains(says), "{message}");
}

#[test]
fn the_same_table_in_many_spellings() {
    let expected = read("1,-2.5,0\n3e-1,4,2\n").unwrap();
    assert_eq!(expected.inputs, array![[1.0, -2.5], [0.3, 4.0]]);
    assert_eq!(expected.labels, [0, 2]);
    assert_eq!((expected.classes, expected.name.as_str()), (3, "made.csv"));

    for text in [
        "1,-2.5,0\n3e-1,4,2",
        "1,-2.5,0\r\n3e-1,4,2\r\n",
        "1,-2.5,0\r3e-1,4,2\r",
        "\n1 , -2.50,\t0\n\n  \n+.3,4.,2\n\n",
        "\u{feff}1,-2.5,0\n3e-1,4,2\n",
        "\"1\",\"-2.5\",\"0\"\n\"0.3\",\" 4 \",\"2\"\n",
    ] {
        assert_eq!(read(text).unwrap(), expected, "{text:?}");
    }
    for text in [
        "x,y,class\n1,-2.5,0\n0.3,4,2",
        "\"a, b\"\n1,-2.5,0\n.3,4,2\n",
        "0,1,2\n1,-2.5,0\n.3,4,2\n",
    ] {
        let table = read_with(text, Header::Present).unwrap();
        assert_eq!(table, expected, "{text:?}");
    }
}

#[test]
fn gzip_and_paths() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("table.csv");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(b"1,2,0\n3,4,1\n").unwrap();
    let bytes = encoder.finish().unwrap();
    std::fs::write(&path, &bytes).unwrap();
    let table = Table::open(&path, Header::Absent).unwrap();
    let data = table.classes(Column::Last).unwrap();
    assert_eq!(data.inputs, array![[1.0, 2.0], [3.0, 4.0]]);
    assert_eq!(data.name, path.to_str().unwrap());

    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = Table::open(&path, Header::Absent).unwrap_err();
    assert!(matches!(error, Error::Gzip { .. }), "{error}");
    assert!(error.to_string().starts_with(path.to_str().unwrap()));

    let error = Table::open("no/such.csv", Header::Absent).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

#[test]
fn wrong_fields_are_placed() {
    fails_at(
        "1,2,0\n1,x,0\n",
        Header::Absent,
        2,
        2,
        "a finite number, found \"x\"",
    );
    fails_at(
        "\n\n1,2,0\r\n\r\n1,,0\r\n",
        Header::Absent,
        5,
        2,
        "a finite number, found \"\"",
    );
    fails_at(
        "x,y,class\n1,2,0\nz,2,0\n",
        Header::Present,
        3,
        1,
        "found \"z\"",
    );
    fails_at("x,y,class\n1,2,0\n", Header::Absent, 1, 1, "found \"x\"");
    for value in ["nan", "NaN", "inf", "-inf", "infinity", "1e39", "-1e400"] {
        fails_at(
            format!("1,2,0\n{value},2,0\n"),
            Header::Absent,
            2,
            1,
            "a finite number",
        );
    }
    for class in ["-1", "256", "1.0", "a", "", "99999999999999999999"] {
        fails_at(
            format!("1,2,0\n1,2,{class}\n"),
            Header::Absent,
            2,
            3,
            "an integer in 0..=255",
        );
    }
    fails_at(
        b"1,\xff\xfe,0\n",
        Header::Absent,
        1,
        2,
        "found \"\\xff\\xfe\"",
    );
    fails_at(
        format!("1,{},0\n", "9x".repeat(1_000)),
        Header::Absent,
        1,
        2,
        "9x…\"",
    );
}

#[test]
fn ragged_rows_are_placed() {
    fails_at(
        "1,2,0\n1,0\n",
        Header::Absent,
        2,
        3,
        "3 columns, as in the first row of data, found 2",
    );
    fails_at(
        "1,2,0\n1,2,3,0\n",
        Header::Absent,
        2,
        4,
        "3 columns, as in the first row of data, found 4",
    );
    fails_at("1,2,0\n1,2,0,\n", Header::Absent, 2, 4, "found 4");
}

#[test]
fn a_table_without_rows_is_an_error() {
    for (text, header) in [
        ("", Header::Absent),
        ("", Header::Present),
        ("\n \n", Header::Absent),
        ("x,y,class\n", Header::Present),
        ("1,2,0", Header::Present),
    ] {
        let error = read_with(text, header).unwrap_err();
        assert!(matches!(error, Error::Empty { .. }), "{text:?}: {error}");
        assert!(error.to_string().contains("made.csv"));
    }
}

#[test]
fn lines_are_those_of_the_file() {
    let (absent, present) = (Header::Absent, Header::Present);
    fails_at("1,2,0\n\n\n1,x,0\n", absent, 4, 2, "found \"x\"");
    fails_at("1,2,0\r\n\r\n\r\n1,x,0\r\n", absent, 4, 2, "found \"x\"");
    fails_at("1,2,0\r\n1,x,0", absent, 2, 2, "found \"x\"");
    fails_at("1,2,0\n \t\n\n  \n1,x,0", absent, 5, 2, "found \"x\"");
    fails_at("\u{feff}\r\n\n1,x,0\n", absent, 3, 2, "found \"x\"");
    fails_at("\n\r\nx,y,class\n\n1,x,0\n", present, 5, 2, "found \"x\"");
    // A quoted name may span lines; a quote that is never closed is placed where it opens.
    fails_at("\"x\n(m)\",y,class\n1,x,0\n", present, 3, 2, "found \"x\"");
    fails_at("1,2,0\n1,2,\"0\n3,4,1\n", absent, 2, 3, "a closing quote");
    // The Macintosh's lines of old are lines too.
    fails_at("1,2,0\r\r1,x,0\r", absent, 3, 2, "found \"x\"");
    fails_at(
        "\"x\r(m)\r\n\",y,class\r1,x,0\r",
        present,
        4,
        2,
        "found \"x\"",
    );
    // Enough rows to pass the reader's buffer several times.
    fails_at(
        "1,2,0\r\n\r\n".repeat(5_000) + "1,x,0",
        absent,
        10_001,
        2,
        "found \"x\"",
    );
}

#[test]
fn quotes_are_strict() {
    let absent = Header::Absent;
    let after = "a comma or the end of the line after the closing quote, found";
    for (text, column, says) in [
        // These two read as 12 and as one long field with a library that forgives.
        ("\"1\"2,0\n", 1, after),
        (
            "1,\"0\n2,1\n3,0\n",
            2,
            "a closing quote, found \"0\\n2,1\\n3,0\\n\"",
        ),
        ("1,\"0\"\"\n", 2, "a closing quote"),
        ("\"\"1\"\",0\n", 1, after),
        ("\"1\"\"2\",0\n", 1, "a finite number, found \"1\\\"2\""),
        ("1\"2\",0\n", 1, "a finite number, found \"1\\\"2\\\"\""),
        ("1,\"", 2, "a closing quote, found \"\""),
    ] {
        fails_at(text, absent, 1, column, says);
    }
    let data = read(" \"1\" ,\t\"0\" \r\n\"2\" , \"\n1\"").unwrap();
    assert_eq!(
        (data.inputs, data.labels),
        (array![[1.0], [2.0]].into_shared(), vec![0, 1])
    );
}

#[test]
fn utf_16_is_told() {
    let text = "1,0\n2,1\n".encode_utf16();
    for mark in [0xfeff_u16, 0xfffe] {
        let bytes: Vec<u8> = [mark]
            .into_iter()
            .chain(text.clone())
            .flat_map(u16::to_le_bytes)
            .collect();
        let error = read(bytes).unwrap_err();
        assert!(matches!(error, Error::Format { .. }));
        assert!(error.to_string().contains("UTF-16"), "{error}");
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        rows in (1_usize..5).prop_flat_map(|features| prop::collection::vec(
            (prop::collection::vec(prop::num::f32::NORMAL | prop::num::f32::ZERO | prop::num::f32::SUBNORMAL, features), any::<u8>()),
            1..10,
        )),
    ) {
        let text: String = rows.iter().map(|(inputs, label)| {
            let inputs: String = inputs.iter().map(|x| format!("{x},")).collect();
            format!("{inputs}{label}\n")
        }).collect();
        // A last row, so that there are two classes.
        let features = rows[0].0.len();
        let last = if rows[0].1 == 0 { 1 } else { 0 };
        let text = format!("{text}{}{last}", "1,".repeat(features));
        let mut table = read(&text).unwrap();
        prop_assert_eq!(table.labels.pop(), Some(last));
        table.inputs = table.inputs.slice(s![..rows.len(), ..]).to_shared();
        let inputs: Vec<f32> = rows.iter().flat_map(|(inputs, _)| inputs.clone()).collect();
        let labels: Vec<u8> = rows.iter().map(|(_, label)| *label).collect();
        prop_assert_eq!(table.inputs.dim(), (rows.len(), inputs.len() / rows.len()));
        prop_assert_eq!(table.inputs.into_owned().into_raw_vec_and_offset().0, inputs);
        prop_assert_eq!(table.classes, usize::from(*labels.iter().max().unwrap().max(&last)) + 1);
        prop_assert_eq!(table.labels, labels);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        // Random bytes hold no table of numbers, or a tiny one.
        if let Ok(table) = read(&bytes) {
            prop_assert!(table.inputs.iter().all(|x| x.is_finite()));
            prop_assert_eq!(table.inputs.nrows(), table.labels.len());
        }
    }

    #[test]
    fn nearly_tables_are_refused_or_consistent(text in "([0-9.,\"xe-]{0,6},[0-3]\r?\n){0,4}") {
        if let Ok(table) = read(&text) {
            let lines = text.lines().count();
            prop_assert_eq!(table.inputs.nrows(), lines);
            prop_assert_eq!(table.labels.len(), lines);
            for line in text.lines() {
                prop_assert_eq!(line.split(',').count(), table.inputs.ncols() + 1);
            }
            prop_assert!(table.inputs.iter().all(|x| x.is_finite()));
            prop_assert!(table.labels.iter().all(|label| usize::from(*label) < table.classes));
        }
    }
}
