//! What a table is to teach: which column, and of which kind.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, like tests, may panic"
)]

use ndarray::array;
use opt_data::{Column, Error, Header, Table, digits};

fn table(text: impl AsRef<[u8]>, header: Header) -> Table {
    Table::read(text.as_ref(), "made.csv", header).unwrap()
}

#[test]
fn the_class_is_chosen_by_place_or_name() {
    let (inputs, labels) = (array![[0.5, -1.0], [2.0, 3.0], [4.0, 5.0]], vec![7, 0, 7]);
    let named = |name| Column::Name(name);
    let (present, absent) = (Header::Present, Header::Absent);
    for (text, header, target) in [
        ("7,.5,-1\n0,2,3\n7,4,5\n", absent, Column::First),
        ("7,.5,-1\n0,2,3\n7,4,5\n", absent, Column::Index(0)),
        (".5,7,-1\n2,0,3\n4,7,5\n", absent, Column::Index(1)),
        (".5,-1,7\n2,3,0\n4,5,7\n", absent, Column::Last),
        (".5,-1,7\n2,3,0\n4,5,7\n", absent, Column::Index(2)),
        (
            "label,a,b\n7,.5,-1\n0,2,3\n7,4,5\n",
            present,
            named("label"),
        ),
        (
            "\u{feff}label,a,b\r\n7,.5,-1\r\n0,2,3\r\n7,4,5",
            present,
            named("label"),
        ),
        (
            "a, \"the label\" ,b\n.5,7,-1\n2,0,3\n4,7,5\n",
            present,
            named("the label"),
        ),
        (
            "a,\"x,\"\"y\"\"\",b\n.5,7,-1\n2,0,3\n4,7,5\n",
            present,
            named("x,\"y\""),
        ),
        (
            "a,b,größe\n.5,-1,7\n2,3,0\n4,5,7\n",
            present,
            named("größe"),
        ),
        // Chosen by place, a header may hold anything.
        ("150,4,x,y\n7,.5,-1\n0,2,3\n7,4,5\n", present, Column::First),
    ] {
        let data = table(text, header).classes(target).unwrap();
        assert_eq!(data.inputs, inputs, "{text:?}");
        assert_eq!(data.labels, labels, "{text:?}");
        assert_eq!((data.classes, data.name.as_str()), (8, "made.csv"));
    }
}

/// The digits in the layout of MNIST's csv files, class first.
#[test]
fn digits_with_the_class_in_front() {
    let expected = digits().unwrap();
    let line = |(row, label): (ndarray::ArrayView1<'_, f32>, &u8)| {
        let pixels: String = row
            .iter()
            .map(|pixel| format!(",{}", pixel * 16.0))
            .collect();
        format!("{label}{pixels}\n")
    };
    let text: String = expected
        .inputs
        .rows()
        .into_iter()
        .zip(&expected.labels)
        .map(line)
        .collect();
    let table = table(text, Header::Absent);
    let data = table.classes(Column::First).unwrap();
    assert_eq!(data.inputs / 16.0, expected.inputs);
    assert_eq!(data.labels, expected.labels);
    // A border pixel, which is 0 in all images, is no class.
    let error = table.classes(Column::Index(33)).unwrap_err();
    assert!(
        matches!(&error, Error::OneClass { class, .. } if class == "0"),
        "{error}"
    );
}

#[test]
fn columns_that_are_not_there() {
    let (present, absent) = (Header::Present, Header::Absent);
    let text = "a,b,b\n1,2,0\n3,4,1\n";
    for (text, header, target, says) in [
        (
            "1,0\n2,1\n",
            absent,
            Column::Index(2),
            "index 2, counted from 0, found 2 columns",
        ),
        (
            "1,0\n2,1\n",
            absent,
            Column::Index(usize::MAX),
            "found 2 columns",
        ),
        (
            "0\n1\n",
            absent,
            Column::First,
            "at least one feature beside the targets, found 1 columns",
        ),
        ("0\n1\n", absent, Column::Last, "at least one feature"),
        (
            text,
            absent,
            Column::Name("a"),
            "named \"a\", found a table without a header",
        ),
        (
            text,
            present,
            Column::Name("b"),
            "one column named \"b\", found several",
        ),
        (
            text,
            present,
            Column::Name("A"),
            "named \"A\", found \"a\", \"b\", \"b\"",
        ),
        (text, present, Column::Name(""), "named \"\", found"),
        (
            "a,b\n1,2,0\n3,4,1\n",
            present,
            Column::Name("a"),
            "as many names in the header as columns, 3, found 2",
        ),
    ] {
        let error = table(text, header).classes(target).unwrap_err();
        assert!(matches!(error, Error::Column { .. }), "{error}");
        let message = error.to_string();
        assert!(
            message.starts_with("made.csv: expected ") && message.contains(says),
            "{message}"
        );
    }
}

#[test]
fn one_class_only_is_refused() {
    for (class, target) in [("0", Column::Last), ("200", Column::First)] {
        let text = format!("{class},{class}\n").repeat(3);
        for error in [
            table(&text, Header::Absent).classes(target).unwrap_err(),
            table(&text, Header::Absent)
                .text_classes(target)
                .unwrap_err(),
        ] {
            assert!(matches!(&error, Error::OneClass { class: c, .. } if c == class));
            let says = format!("made.csv: expected at least two classes, found only {class}");
            assert!(error.to_string().starts_with(&says), "{error}");
        }
    }
}

#[test]
fn text_classes_are_numbered_by_their_order() {
    let text = "kind,x\nzebra,1\n\"ape, great\",2\nzebra,3\nÄsche,4\n5\" pipe,5\n";
    let (data, names) = table(text, Header::Present)
        .text_classes(Column::Name("kind"))
        .unwrap();
    assert_eq!(names, ["5\" pipe", "ape, great", "zebra", "Äsche"]);
    assert_eq!((data.labels, data.classes), (vec![2, 1, 2, 3, 0], 4));
    assert_eq!(data.inputs, array![[1.0], [2.0], [3.0], [4.0], [5.0]]);

    // 256 are the most; they are sorted as text.
    let text: String = (0..256).rev().map(|i| format!("{i},{i}\n")).collect();
    let (data, names) = table(&text, Header::Absent)
        .text_classes(Column::Last)
        .unwrap();
    assert_eq!(
        (data.classes, names.len(), names[2].as_str()),
        (256, 256, "10")
    );
    for (x, label) in data.inputs.iter().zip(&data.labels) {
        assert_eq!(names[usize::from(*label)], x.to_string());
    }
    assert!(names.is_sorted());
}

#[test]
fn wrong_targets_are_placed() {
    let many: String = (0..257).map(|i| format!("{i},{i}\n")).collect();
    for (text, line, column, says) in [
        (
            many.as_bytes(),
            257,
            2,
            "one of at most 256 classes, found \"256\"",
        ),
        (
            b"1,a\n\n2,\n",
            3,
            2,
            "a class, a name in UTF-8 on one line, found \"\"",
        ),
        (b"1,a\n2, \n", 2, 2, "found \"\""),
        (b"1,a\n2,\xff\n", 2, 2, "found \"\\xff\""),
        (
            b"1,a\n2,\"b\n3,c\"\n",
            2,
            2,
            "on one line, found \"b\\n3,c\"",
        ),
        (b"1,a\n2,\"b\n3,c\n", 2, 2, "a closing quote"),
        (
            b"1,a\n2\n",
            2,
            2,
            "2 columns, as in the first row of data, found 1",
        ),
        (b"1,a\nb,b\n", 2, 1, "a finite number, found \"b\""),
    ] {
        let error = table(text, Header::Absent)
            .text_classes(Column::Last)
            .unwrap_err();
        assert!(matches!(error, Error::Field { .. }), "{error}");
        let (message, place) = (
            error.to_string(),
            format!("made.csv, line {line}, column {column}: "),
        );
        assert!(
            message.starts_with(&place) && message.contains(says),
            "{message}"
        );
    }
    for value in ["", "x", "NaN", "inf", "-1e39"] {
        let text = format!("1,2,3\n4,{value},6\n");
        let error = table(text, Header::Absent)
            .values(&[Column::Index(1)])
            .unwrap_err();
        let says =
            format!("made.csv, line 2, column 2: expected a finite number, found \"{value}\"");
        assert_eq!(error.to_string(), says);
    }
}

#[test]
fn numbers_to_be_learnt() {
    let table = table("y,a,z,b\n1,2,3,4\n-5,6,7,8e-3\n", Header::Present);
    let data = table.values(&[Column::Name("z"), Column::First]).unwrap();
    assert_eq!(data.inputs, array![[2.0, 4.0], [6.0, 8e-3]]);
    assert_eq!(data.targets, array![[3.0, 1.0], [7.0, -5.0]]);
    assert_eq!(data.name, "made.csv");
    // A target that is the same everywhere is no fault, as a class would be.
    let one = Table::read("1,2\n".as_bytes(), "one", Header::Absent).unwrap();
    assert_eq!(one.values(&[Column::Last]).unwrap().targets, array![[2.0]]);

    let all = [
        Column::First,
        Column::Index(1),
        Column::Index(2),
        Column::Last,
    ];
    for (targets, says) in [
        (&[][..], "at least one target, found none"),
        (
            &[Column::First, Column::Name("y")],
            "each target once, found column 1 twice",
        ),
        (
            &all,
            "at least one feature beside the targets, found 4 columns",
        ),
    ] {
        let error = table.values(targets).unwrap_err();
        assert!(matches!(error, Error::Column { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn a_table_shows_what_it_is_and_not_all_its_text() {
    let shown = format!("{:?}", table("1,2\n".repeat(1000), Header::Absent));
    assert!(shown.contains("made.csv") && shown.len() < 100, "{shown}");
}
