//! The bundled digits, MNIST, and what is done with a data set as a whole.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, like tests, may panic"
)]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use ndarray::{Array2, array};
use opt_data::{Dataset, Elements, Error, Idx, Regression, digits, mnist};
use proptest::prelude::*;

fn counts(data: &Dataset) -> Vec<usize> {
    (0..data.classes)
        .map(|class| {
            data.labels
                .iter()
                .filter(|label| usize::from(**label) == class)
                .count()
        })
        .collect()
}

#[test]
fn digits_are_those_of_scikit_learn() {
    let data = digits().unwrap();
    assert_eq!(data.inputs.dim(), (1_797, 64));
    assert_eq!((data.classes, data.name.as_str()), (10, "digits"));
    assert_eq!(
        counts(&data),
        [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    );
    assert_eq!(data.labels[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    // The first image as scikit-learn's documentation prints it, first two rows.
    let rows = [0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0];
    for (pixel, expected) in data.inputs.row(0).iter().zip(rows) {
        assert_eq!(pixel * 16.0, expected as f32);
    }
    assert_eq!(
        data.inputs.iter().copied().fold(f32::INFINITY, f32::min),
        0.0
    );
    assert_eq!(data.inputs.iter().copied().fold(0.0, f32::max), 1.0);
}

/// In the repository; the package is without it.
fn mnist_dir() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/data/mnist");
    if !dir.exists() {
        eprintln!("skipped: MNIST is in the repository, not in the package");
    }
    dir.exists().then_some(dir)
}

#[test]
fn mnist_is_the_published_one() {
    let Some(dir) = mnist_dir() else { return };
    let data = mnist(dir).unwrap();
    assert_eq!(data.train.inputs.dim(), (60_000, 784));
    assert_eq!(data.test.inputs.dim(), (10_000, 784));
    assert_eq!((data.train.classes, data.test.classes), (10, 10));
    assert_eq!(
        counts(&data.test),
        [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    );
    assert_eq!(data.train.labels.len(), 60_000);
    // Mean and deviation of the training pixels, the usual constants of normalization.
    let pixels = data.train.inputs.len() as f64;
    let mean = data.train.inputs.iter().map(|x| f64::from(*x)).sum::<f64>() / pixels;
    let square = data
        .train
        .inputs
        .iter()
        .map(|x| f64::from(*x).powi(2))
        .sum::<f64>()
        / pixels;
    assert!((mean - 0.1307).abs() < 5e-5, "{mean}");
    assert!(((square - mean * mean).sqrt() - 0.3081).abs() < 5e-5);
    assert!(data.train.inputs.iter().all(|x| (0.0..=1.0).contains(x)));
}

/// A folder with the test set's labels unpacked and changed by `damage`, all else as published.
fn damaged(from: &Path, name: &str, damage: impl Fn(&mut Vec<u8>)) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&dir).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        if file == "t10k-labels-idx1-ubyte.gz" {
            let mut bytes = Vec::new();
            let packed = fs::File::open(&path).unwrap();
            flate2::read::GzDecoder::new(packed)
                .read_to_end(&mut bytes)
                .unwrap();
            damage(&mut bytes);
            fs::write(dir.join(file.trim_end_matches(".gz")), bytes).unwrap();
        } else {
            fs::copy(&path, dir.join(file)).unwrap();
        }
    }
    dir
}

#[test]
fn mnist_may_be_unpacked_and_must_be_intact() {
    let Some(published) = mnist_dir() else { return };
    let dir = damaged(&published, "mnist", |_| {});
    let labels = dir.join("t10k-labels-idx1-ubyte");
    let test_labels = mnist(&dir).unwrap().test.labels;
    assert_eq!(test_labels[..4], [7, 2, 1, 0]);

    let mut bytes = fs::read(&labels).unwrap();
    bytes[5_000] ^= 1;
    fs::write(&labels, &bytes).unwrap();
    let error = mnist(&dir).unwrap_err();
    let Error::Checksum {
        file,
        expected,
        found,
    } = &error
    else {
        panic!("{error}");
    };
    assert!(file.ends_with("t10k-labels-idx1-ubyte"));
    assert!(expected.starts_with("ff7bcfd4"));
    assert!(found.len() == 64 && found != expected);
    assert!(error.to_string().contains(expected) && error.to_string().contains(found));

    bytes[5_000] ^= 1;
    bytes.push(0);
    fs::write(&labels, &bytes).unwrap();
    let error = mnist(&dir).unwrap_err();
    assert!(matches!(error, Error::Format { .. }));
    assert!(
        error
            .to_string()
            .contains("t10k-labels-idx1-ubyte: expected 10008 bytes"),
        "{error}"
    );

    fs::remove_file(&labels).unwrap();
    let error = mnist(&dir).unwrap_err();
    assert!(matches!(error, Error::Missing { .. }));
    assert!(
        error.to_string().contains("t10k-labels-idx1-ubyte.gz"),
        "{error}"
    );
}

#[test]
fn a_folder_without_mnist() {
    assert!(matches!(
        mnist("no/such/folder"),
        Err(Error::Missing { .. })
    ));
}

/// Sample i is `[i, -i]` of class i mod 3.
fn numbered(samples: usize) -> Dataset {
    Dataset {
        inputs: Array2::from_shape_fn(
            (samples, 2),
            |(i, j)| if j == 0 { i as f32 } else { -(i as f32) },
        )
        .into_shared(),
        labels: (0..samples).map(|i| (i % 3) as u8).collect(),
        classes: 3,
        name: "numbered".to_owned(),
    }
}

fn ids(data: &Dataset) -> Vec<usize> {
    data.inputs.column(0).iter().map(|x| *x as usize).collect()
}

#[test]
fn select_keeps_inputs_and_labels_together() {
    let data = numbered(10);
    let some = data.select(&[7, 2, 2]).unwrap();
    assert_eq!(some.inputs, array![[7.0, -7.0], [2.0, -2.0], [2.0, -2.0]]);
    assert_eq!(some.labels, [1, 2, 2]);
    assert!(matches!(
        data.select(&[0, 10]),
        Err(Error::Row { row: 10, rows: 10 })
    ));
    assert_eq!(data.select(&[]).unwrap().inputs.dim(), (0, 2));
}

#[test]
fn splits_are_seeded_and_checked() {
    let data = numbered(100);
    let (train, validation) = data.split(20, 1).unwrap();
    assert_eq!(
        data.split(20, 1).unwrap(),
        (train.clone(), validation.clone())
    );
    assert_ne!(ids(&data.split(20, 2).unwrap().1), ids(&validation));
    assert_ne!(ids(&validation), (0..20).collect::<Vec<_>>());
    assert_eq!((train.classes, train.name.as_str()), (3, "numbered"));

    assert_eq!(data.split(0, 1).unwrap().0, data);
    for validation in [100, 101, usize::MAX] {
        assert!(matches!(
            data.split(validation, 1),
            Err(Error::Split { samples: 100, .. })
        ));
    }
    let inconsistent = Dataset {
        labels: vec![0; 99],
        ..data
    };
    assert!(matches!(inconsistent.split(1, 1), Err(Error::Shape { .. })));
    assert!(matches!(
        inconsistent.select(&[0]),
        Err(Error::Shape { .. })
    ));
}

#[test]
fn regression_splits_as_a_data_set_does() {
    let inputs = Idx {
        shape: vec![5, 1],
        data: Elements::I16((0..5).collect()),
    };
    let targets = Idx {
        shape: vec![5, 1, 2],
        data: Elements::F64((0..10).map(f64::from).collect()),
    };
    let data = Regression::from_idx(&inputs, &targets, "made").unwrap();
    assert_eq!((data.targets.dim(), data.name.as_str()), ((5, 2), "made"));
    let (train, validation) = data.split(2, 3).unwrap();
    let (same, _) = numbered(5).split(2, 3).unwrap();
    assert_eq!(train.inputs.column(0), same.inputs.column(0));
    assert_eq!(
        (validation.inputs.nrows(), validation.targets.nrows()),
        (2, 2)
    );
    for part in [&train, &validation] {
        assert_eq!(
            part.targets.column(1),
            part.inputs.column(0).mapv(|x| 2.0 * x + 1.0)
        );
    }
    assert_eq!(
        data.select(&[4, 4]).unwrap().targets,
        array![[8.0, 9.0], [8.0, 9.0]]
    );

    assert!(matches!(
        data.select(&[5]),
        Err(Error::Row { row: 5, rows: 5 })
    ));
    assert!(matches!(data.split(5, 0), Err(Error::Split { .. })));
    let four = Idx {
        shape: vec![4, 1],
        data: Elements::U8(vec![0; 4]),
    };
    let error = Regression::from_idx(&inputs, &four, "made");
    assert!(matches!(
        error,
        Err(Error::Shape {
            expected: 5,
            found: 4,
            ..
        })
    ));
}

proptest! {
    #[test]
    fn a_split_is_a_partition(samples in 1_usize..200, part in 0.0..1.0, seed in any::<u64>()) {
        let count = (samples as f64 * part) as usize;
        let (train, validation) = numbered(samples).split(count, seed).unwrap();
        prop_assert_eq!(validation.labels.len(), count);
        let mut all = [ids(&train), ids(&validation)].concat();
        for data in [train, validation] {
            prop_assert!(ids(&data).is_sorted());
            let labels: Vec<u8> = ids(&data).iter().map(|i| (i % 3) as u8).collect();
            prop_assert_eq!(data.labels, labels);
        }
        all.sort_unstable();
        prop_assert_eq!(all, (0..samples).collect::<Vec<_>>());
    }
}
