//! `torture`: opt-torture, built for speed and run with the same arguments; and Miri, where it is installed.

use crate::backend::Backend;
use std::{ffi::OsString, path::Path};

/// Of opt-core's tests those of the code that has unsafe blocks: all of them take hours under Miri.
const MIRI: [&str; 5] = ["miri", "test", "-p", "opt-core", "--lib"];

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
    cargo.arg(Path::new(super::ROOT).join("Cargo.toml"));
    cargo.args(Backend::choose()?.flags());
    cargo.arg("--").args(args);
    match cargo.status() {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(format!("torture: {status}")),
        Err(error) => return Err(format!("cannot run cargo: {error}")),
    }
    // A part that was asked for by name is all that runs; a number belongs to --minutes.
    let part = |arg: &OsString| {
        let arg = arg.to_string_lossy();
        !arg.starts_with("--") && arg.parse::<f64>().is_err()
    };
    if args.iter().any(part) {
        return Ok(());
    }
    let nightly = || {
        let mut cargo = std::process::Command::new("cargo");
        cargo.arg("+nightly").current_dir(super::ROOT);
        // Of the toolchain that runs us.
        cargo
            .env_remove("RUSTC")
            .env_remove("RUSTDOC")
            .env_remove("CARGO");
        cargo
    };
    let found = nightly().args(["miri", "--version"]).output();
    if !found.is_ok_and(|done| done.status.success()) {
        eprintln!("xtask: leaves out Miri: `rustup +nightly component add miri` adds it");
        return Ok(());
    }
    match nightly().args(MIRI).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("miri: {status}")),
        Err(error) => Err(format!("miri: {error}")),
    }
}
