//! Snapshots as safetensors files.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::{Error, Scalar, Snapshot};

const FORMAT: (&str, &str) = ("opt-snapshot", "1");
const COUNT: &str = "count:";
const NUMBER: &str = "number:";

impl<F: Scalar> Snapshot<F> {
    /// Writes one safetensors file: every buffer by name with its shape and dtype; counters,
    /// numbers and the format's version in the metadata. The file is written beside its place,
    /// synced and renamed: it is whole or not there.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Snapshot`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let bytes = self.to_bytes()?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}.tmp", std::process::id()));
        let beside = Path::new(&beside);
        let written = File::create(beside)
            .and_then(|mut file| {
                file.write_all(&bytes)?;
                file.sync_all()
            })
            .and_then(|()| std::fs::rename(beside, path));
        written.map_err(|source| {
            // Best effort: the first error is the one to report.
            let _ = std::fs::remove_file(beside);
            io(path, source)
        })
    }

    /// Reads a file that [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Snapshot`] if the file is damaged, of another format or version,
    /// or holds another dtype than `F`.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| io(path, source))?;
        Self::from_bytes(&bytes)
            .map_err(|what| Error::Snapshot(format!("{}: {what}", path.display())))
    }

    fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let version = (FORMAT.0.to_owned(), FORMAT.1.to_owned());
        let counts = self.counts.iter();
        let numbers = self.numbers.iter();
        let metadata: HashMap<String, String> = std::iter::once(version)
            .chain(counts.map(|(name, n)| (format!("{COUNT}{name}"), n.to_string())))
            // Debug prints the shortest decimal that reads back as the same bits.
            .chain(numbers.map(|(name, v)| (format!("{NUMBER}{name}"), format!("{v:?}"))))
            .collect();
        let mut data = Vec::with_capacity(self.buffers.len());
        for (name, (shape, values)) in &self.buffers {
            let mut bytes = Vec::with_capacity(values.len() * F::SIZE);
            values.iter().for_each(|v| v.put(&mut bytes));
            data.push((name, shape, bytes));
        }
        let dtype = dtype::<F>();
        let views = data.iter().map(|(name, shape, bytes)| {
            TensorView::new(dtype, (*shape).clone(), bytes).map(|view| (name, view))
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
        let mut snapshot = Self::take(&mut []);
        for (key, value) in &metadata {
            let bad = || format!("metadata `{key}` is `{value}`, which is no number");
            if let Some(name) = key.strip_prefix(COUNT) {
                let n = value.parse().map_err(|_| bad())?;
                snapshot.counts.insert(name.to_owned(), n);
            } else if let Some(name) = key.strip_prefix(NUMBER) {
                let v = value.parse().map_err(|_| bad())?;
                snapshot.numbers.insert(name.to_owned(), v);
            }
        }
        for (name, view) in SafeTensors::deserialize(bytes).map_err(text)?.iter() {
            if view.dtype() != dtype::<F>() {
                return Err(format!(
                    "`{name}` is {:?}, must be {}",
                    view.dtype(),
                    F::DTYPE
                ));
            }
            let values = view.data().chunks_exact(F::SIZE).filter_map(F::take);
            let value = (view.shape().to_vec(), values.collect());
            snapshot.buffers.insert(name.to_owned(), value);
        }
        Ok(snapshot)
    }
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

fn io(path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        path: path.display().to_string(),
        source,
    }
}
