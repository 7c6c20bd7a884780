//! `torture`: opt-torture, built for speed and run with the same arguments.

use std::{ffi::OsString, path::Path};

/// Returns when it is done.
pub(crate) fn run(args: &[OsString]) -> Result<(), String> {
    let mut cargo = super::cargo();
    cargo.args([
        "run",
        "--release",
        "--quiet",
        "--package=opt-torture",
        "--manifest-path",
    ]);
    cargo
        .arg(Path::new(super::ROOT).join("Cargo.toml"))
        .arg("--")
        .args(args);
    match cargo.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("torture: {status}")),
        Err(error) => Err(format!("cannot run cargo: {error}")),
    }
}
