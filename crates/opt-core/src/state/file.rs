//! Snapshots as safetensors files.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::snapshot::{Snapshot, Stored, Value, twice};
use super::write::read_whole;
use super::write::write_whole;
use crate::error::Error;
use crate::scalar::Scalar;

const FORMAT: (&str, &str) = ("opt-snapshot", "1");
const COUNT: &str = "count:";
const NUMBER: &str = "number:";
const SETTING: &str = "setting:";

impl<F: Scalar> Snapshot<F> {
    /// Writes one safetensors file: every buffer by name with its shape and dtype; counters,
    /// numbers and the format's version in the metadata. [`write_whole`] says how.
    ///
    /// # Errors
    /// As [`write_whole`]; [`Error::Snapshot`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        write_whole(path, &self.to_bytes()?)
    }

    /// Reads a file that [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::NotAFile`]; [`Error::Snapshot`] if the file is damaged, of another
    /// format or version, or holds another dtype than `F`.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        Self::from_bytes(&read_whole(path)?)
            .map_err(|what| Error::Snapshot(format!("{}: {what}", path.display())))
    }

    fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let version = (FORMAT.0.to_owned(), FORMAT.1.to_owned());
        let mut metadata = HashMap::from([version]);
        let mut data = Vec::new();
        for (name, value) in &self.values {
            match value {
                Value::Buffer(shape, values) => {
                    let mut bytes = Vec::with_capacity(values.len() * F::SIZE);
                    values.iter().for_each(|v| v.put(&mut bytes));
                    data.push((name, shape, dtype::<F>(), bytes));
                }
                Value::Packed(shape, stored) => {
                    let (dtype, bytes) = pack(stored);
                    data.push((name, shape, dtype, bytes));
                }
                Value::Count(n) => {
                    metadata.insert(format!("{COUNT}{name}"), n.to_string());
                }
                Value::Number(v) => {
                    // Debug prints the shortest decimal that reads back as the same bits.
                    metadata.insert(format!("{NUMBER}{name}"), format!("{v:?}"));
                }
            }
        }
        let settings = self.settings.iter();
        metadata.extend(settings.map(|(name, text)| (format!("{SETTING}{name}"), text.clone())));
        let views = data.iter().map(|(name, shape, dtype, bytes)| {
            TensorView::new(*dtype, (*shape).clone(), bytes).map(|view| (name, view))
        });
        let views: Vec<_> = views.collect::<Result<_, _>>().map_err(damaged)?;
        safetensors::serialize(views, Some(metadata)).map_err(damaged)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let text = |e: safetensors::SafeTensorError| format!("not a safetensors file: {e}");
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(text)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let version = metadata.get(FORMAT.0).map(String::as_str);
        if version != Some(FORMAT.1) {
            let found = version.unwrap_or("none");
            return Err(format!(
                "{} version {found}, must be {}",
                FORMAT.0, FORMAT.1
            ));
        }
        let mut values = BTreeMap::new();
        let mut insert = |name: &str, value| match values.insert(name.to_owned(), value) {
            Some(_) => Err(twice(name)),
            None => Ok(()),
        };
        let mut settings = BTreeMap::new();
        for (key, value) in &metadata {
            let bad = || format!("metadata `{key}` is `{value}`, which is no number");
            if let Some(name) = key.strip_prefix(COUNT) {
                insert(name, Value::Count(value.parse().map_err(|_| bad())?))?;
            } else if let Some(name) = key.strip_prefix(NUMBER) {
                insert(name, Value::Number(value.parse().map_err(|_| bad())?))?;
            } else if let Some(name) = key.strip_prefix(SETTING) {
                settings.insert(name.to_owned(), value.clone());
            }
        }
        for (name, view) in SafeTensors::deserialize(bytes).map_err(text)?.iter() {
            if let Some(stored) = unpack(view.dtype(), view.data()) {
                insert(name, Value::Packed(view.shape().to_vec(), stored))?;
                continue;
            }
            if view.dtype() != dtype::<F>() {
                let found = view.dtype();
                return Err(format!("`{name}` is {found:?}, must be {}", F::DTYPE));
            }
            let data = view.data().chunks_exact(F::SIZE).filter_map(F::take);
            insert(name, Value::Buffer(view.shape().to_vec(), data.collect()))?;
        }
        Ok(Self { values, settings })
    }
}

fn pack(stored: &Stored) -> (Dtype, Vec<u8>) {
    match stored {
        Stored::Bf16(data) => {
            let bytes = data.iter().flat_map(|v| v.to_le_bytes());
            (Dtype::BF16, bytes.collect())
        }
        Stored::U8(data) => (Dtype::U8, data.clone()),
        Stored::I16(data) => {
            let bytes = data.iter().flat_map(|v| v.to_le_bytes());
            (Dtype::I16, bytes.collect())
        }
    }
}

/// `None` for a type that is not one of those.
fn unpack(dtype: Dtype, bytes: &[u8]) -> Option<Stored> {
    let (pairs, _) = bytes.as_chunks::<2>();
    Some(match dtype {
        Dtype::BF16 => Stored::Bf16(pairs.iter().map(|v| u16::from_le_bytes(*v)).collect()),
        Dtype::U8 => Stored::U8(bytes.to_vec()),
        Dtype::I16 => Stored::I16(pairs.iter().map(|v| i16::from_le_bytes(*v)).collect()),
        _ => return None,
    })
}

fn dtype<F: Scalar>() -> Dtype {
    if F::DTYPE == "F32" {
        Dtype::F32
    } else {
        Dtype::F64
    }
}

fn damaged(e: safetensors::SafeTensorError) -> Error {
    Error::Snapshot(e.to_string())
}
