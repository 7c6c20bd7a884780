//! What is finished of an experiment, so that a new process can go on with it: one JSON file for each
//! thing, whole or not there.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::results::write_file;

/// A folder of them.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    dir: PathBuf,
}

impl Shelf {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// A shelf of its own within this one.
    pub(crate) fn within(&self, name: &str) -> Self {
        Self::new(self.dir.join(plain(name)))
    }

    /// The file of this name and ending.
    pub(crate) fn path(&self, name: &str, ending: &str) -> PathBuf {
        self.dir.join(format!("{}.{ending}", plain(name)))
    }

    /// # Errors
    /// In one line, with the file's name.
    pub(crate) fn put<T: Serialize>(&self, name: &str, value: &T) -> Result<(), String> {
        let path = self.path(name, "json");
        let json = serde_json::to_vec(value).map_err(|e| format!("{}: {e}", path.display()))?;
        write_file(&path, &json).map_err(|e| e.to_string())
    }

    /// `None` if it is not there.
    ///
    /// # Errors
    /// In one line, with the file's name, if it cannot be read or is something else.
    pub(crate) fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, String> {
        let path = self.path(name, "json");
        let shown = path.display();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(format!("cannot read {shown}: {e}")),
        };
        let what = "run without --resume to begin anew";
        (serde_json::from_slice(&bytes).map(Some)).map_err(|e| format!("{shown}: {e}; {what}"))
    }

    /// Takes all away.
    pub(crate) fn clear(&self) -> Result<(), String> {
        gone(std::fs::remove_dir_all(&self.dir), &self.dir)
    }
}

/// Takes the file away, if it is there.
pub(crate) fn remove(path: &Path) -> Result<(), String> {
    gone(std::fs::remove_file(path), path)
}

/// What was not there is gone, too.
fn gone(removed: std::io::Result<()>, path: &Path) -> Result<(), String> {
    match removed {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("cannot remove {}: {e}", path.display()))
        }
        _ => Ok(()),
    }
}

/// As a file's name, different ones for different names: other than letters, digits, `-` and `_` by
/// number.
fn plain(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => plain.push(c),
            c => plain += &format!("%{:x}%", u32::from(c)),
        }
    }
    plain
}
