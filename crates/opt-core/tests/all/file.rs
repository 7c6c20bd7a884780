//! Snapshots as files: what comes back, and what is refused.

use std::fs;
use std::path::Path;

use opt_core::{Error, Scalar, Snapshot};
use proptest::prelude::*;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::snapshot::Table;
use crate::write::{folder, names};

fn table<F: Scalar>(values: &[F]) -> Table<F> {
    Table {
        buffers: vec![
            ("v", vec![values.len()], values.to_vec()),
            ("é \"\\\n", vec![1, 1], vec![F::one()]),
            ("none", vec![0, 3], vec![]),
            ("scale", vec![], vec![F::of(0.1)]),
        ],
        counts: vec![("max", u64::MAX), ("zero", 0)],
        numbers: vec![
            ("tenth", 0.1),
            ("infinite", f64::INFINITY),
            ("below", f64::NEG_INFINITY),
            ("minus-zero", -0.0),
            ("tiny", 5e-324),
            ("large", f64::MAX),
            ("third", 1.0 / 3.0),
        ],
    }
}

fn special<F: Scalar>() -> Vec<F> {
    let tiny = F::min_positive_value();
    let subnormal = tiny * F::epsilon();
    assert!(subnormal > F::zero() && subnormal / F::of(2.0) == F::zero());
    let positive = [F::zero(), tiny, subnormal, F::max_value(), F::infinity()];
    let third = F::one() / F::of(3.0);
    positive
        .iter()
        .flat_map(|&v| [v, -v])
        .chain([third])
        .collect()
}

fn round_trip<F: Scalar>(folder: &Path) {
    let path = folder.join(F::DTYPE);
    let mut saved = table(&special::<F>());
    let snapshot = Snapshot::take(&mut [("s", &mut saved)]).unwrap();
    snapshot.save(&path).unwrap();
    let loaded = Snapshot::<F>::load(&path).unwrap();
    assert_eq!(loaded, snapshot);
    // By Debug, which tells −0 from 0 and prints every bit, and NaN as NaN.
    let mut found = table(&vec![F::nan(); saved.buffers[0].2.len()]);
    found.counts.iter_mut().for_each(|(_, n)| *n = 7);
    found.numbers.iter_mut().for_each(|(_, v)| *v = 7.0);
    loaded.restore(&mut [("s", &mut found)]).unwrap();
    assert_eq!(format!("{found:?}"), format!("{saved:?}"));

    let mut nan = table(&[F::nan()]);
    nan.numbers[0].1 = f64::NAN;
    // Over the file that is there.
    let snapshot = Snapshot::take(&mut [("s", &mut nan)]).unwrap();
    snapshot.save(&path).unwrap();
    let mut found = table(&[F::one()]);
    Snapshot::load(&path)
        .unwrap()
        .restore(&mut [("s", &mut found)])
        .unwrap();
    assert_eq!(format!("{found:?}"), format!("{nan:?}"));
}

#[test]
fn every_bit_comes_back_and_no_other_file_stays() {
    let folder = folder("round-trip");
    round_trip::<f32>(&folder);
    round_trip::<f64>(&folder);
    let empty = Snapshot::<f32>::take(&mut []).unwrap();
    empty.save(folder.join("empty")).unwrap();
    assert_eq!(Snapshot::load(folder.join("empty")).unwrap(), empty);
    assert_eq!(
        names(&folder),
        ["F32", "F64", "empty"].map(|name| folder.join(name))
    );
}

#[test]
fn the_file_is_what_safetensors_reads() {
    let path = folder("format").join("a.safetensors");
    let mut state = table(&[1.5_f32, -2.0]);
    let snapshot = Snapshot::take(&mut [("s", &mut state)]).unwrap();
    snapshot.save(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.len(), 4);
    let tensor = file.tensor("s/v").unwrap();
    assert_eq!((tensor.dtype(), tensor.shape()), (Dtype::F32, &[2][..]));
    // IEEE 754, little-endian.
    assert_eq!(tensor.data(), [0, 0, 0xc0, 0x3f, 0, 0, 0, 0xc0]);
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().as_ref().unwrap();
    assert_eq!(metadata["opt-snapshot"], "1");
    assert_eq!(metadata["count:s/max"], "18446744073709551615");
    assert_eq!(metadata["number:s/tenth"], "0.1");
}

/// Writes the bytes and reads them as a snapshot: what is refused must name the file.
fn load(path: &Path, bytes: &[u8]) -> Result<Snapshot<f64>, String> {
    fs::write(path, bytes).unwrap();
    Snapshot::load(path).map_err(|error| {
        let text = error.to_string();
        let named = text.contains(path.to_str().unwrap());
        assert!(named && matches!(error, Error::Snapshot(_)), "{text}");
        text
    })
}

fn raw(header: &str, data: &[u8]) -> Vec<u8> {
    let len = (header.len() as u64).to_le_bytes();
    [&len, header.as_bytes(), data].concat()
}

#[test]
fn foreign_files_are_refused_by_what_is_wrong() {
    let path = folder("foreign").join("a");
    let ours = r#""__metadata__":{"opt-snapshot":"1""#;
    let with = |text: &str| raw(&format!("{{{ours}{text}}}"), &[0; 8]);
    let tensor = |dtype: &str, shape: &str, end: usize| {
        with(&format!(
            r#"}},"s/a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{end}]}}"#
        ))
    };
    let view = TensorView::new(Dtype::F64, vec![1], &[0; 8]).unwrap();
    let foreign = safetensors::serialize([("a", view)], None).unwrap();
    let huge = r#"[18446744073709551615,18446744073709551615]"#;
    let text = "not a safetensors file";
    let cases: [(Vec<u8>, &str); 15] = [
        (vec![], text),
        (b"{\"loss\": 1.0}, which is JSON".to_vec(), text),
        (foreign, "opt-snapshot version none, must be 1"),
        (
            raw(r#"{"__metadata__":{"opt-snapshot":"2"}}"#, &[]),
            "version 2, must be 1",
        ),
        (
            raw(r#"{"__metadata__":{}}"#, &[]),
            "version none, must be 1",
        ),
        (
            raw(&format!("{{{ours},\"count:s/t\":\"-1\"}}}}"), &[]),
            "`count:s/t` is `-1`",
        ),
        (
            raw(
                &format!("{{{ours},\"count:t\":\"18446744073709551616\"}}}}"),
                &[],
            ),
            "`count:t`",
        ),
        (
            raw(&format!("{{{ours},\"number:t\":\"0x1\"}}}}"), &[]),
            "`number:t` is `0x1`",
        ),
        (
            raw(
                &format!("{{{ours},\"count:s/a\":\"1\",\"number:s/a\":\"1\"}}}}"),
                &[],
            ),
            "`s/a` is there twice",
        ),
        (
            with(r#","count:s/a":"1"},"s/a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}"#),
            "`s/a` is there twice",
        ),
        (tensor("F32", "[2]", 8), "`s/a` is F32, must be F64"),
        (tensor("I64", "[1]", 8), "`s/a` is I64, must be F64"),
        (tensor("F64", "[2]", 8), text),
        (tensor("F64", huge, 8), text),
        (tensor("F64", "[1]", 7), text),
    ];
    for (bytes, expected) in cases {
        let error = load(&path, &bytes).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    assert!(load(&path, &tensor("F64", "[1]", 8)).is_ok());
}

#[test]
fn damaged_files_are_refused() {
    let path = folder("damaged").join("a");
    let snapshot = Snapshot::take(&mut [("s", &mut table(&special::<f64>()))]).unwrap();
    snapshot.save(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    for len in 0..bytes.len() {
        assert!(load(&path, &bytes[..len]).is_err(), "cut at {len}");
    }
    assert!(load(&path, &[&bytes[..], &[0]].concat()).is_err());
    proptest!(|(at: prop::sample::Index, value: u8)| {
        // A value may change unnoticed; nothing may panic.
        let mut bytes = bytes.clone();
        let at = at.index(bytes.len());
        bytes[at] = value;
        let _ = load(&path, &bytes);
    });
    proptest!(|(noise: Vec<u8>, len in 0..64_u64)| {
        prop_assert!(load(&path, &noise).is_err());
        prop_assert!(load(&path, &[&len.to_le_bytes(), &noise[..]].concat()).is_err());
    });
}

#[test]
fn a_failed_save_leaves_everything_as_it_was() {
    let folder = folder("failed");
    let snapshot = Snapshot::take(&mut [("s", &mut table(&[1.0_f32]))]).unwrap();
    let missing = folder.join("missing").join("a");
    let error = snapshot.save(&missing).unwrap_err();
    let Error::Io { path, source } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(path, missing.to_str().unwrap());
    assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
    assert!(error.to_string().starts_with(path));
    let error = Snapshot::<f32>::load(&missing).unwrap_err();
    assert!(matches!(&error, Error::Io { path: p, .. } if p == path));
    assert!(names(&folder).is_empty());

    // A folder is in the way.
    let taken = folder.join("taken");
    fs::create_dir_all(taken.join("full")).unwrap();
    assert!(matches!(snapshot.save(&taken), Err(Error::NotAFile { .. })));
    assert!(matches!(
        Snapshot::<f32>::load(&taken),
        Err(Error::NotAFile { .. })
    ));
    assert_eq!(names(&folder), [taken]);
}
