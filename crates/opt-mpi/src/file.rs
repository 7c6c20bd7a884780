//! Snapshots that all ranks take and restore together, as one file.

use std::path::Path;

use opt_core::{Error, Snapshot};

use crate::ranks::{Element, Ranks};

impl Ranks {
    /// Writes the snapshot of rank 0 to a file, as [`Snapshot::save`]; all ranks wait for it. Take it on
    /// all ranks before: the state of a [`Sharded`](crate::Sharded) update is gathered then.
    ///
    /// # Errors
    /// As there, the same on all ranks.
    pub fn save<F: Element>(
        &self,
        snapshot: &Snapshot<F>,
        path: impl AsRef<Path>,
    ) -> Result<(), Error> {
        self.agree(match self.rank() {
            0 => snapshot.save(path),
            _ => Ok(()),
        })
    }

    /// Reads the file on every rank, as [`Snapshot::load`]: from a folder that all of them see.
    ///
    /// # Errors
    /// As there, the same on all ranks.
    pub fn load<F: Element>(&self, path: impl AsRef<Path>) -> Result<Snapshot<F>, Error> {
        self.agree(Snapshot::load(path))
    }
}
