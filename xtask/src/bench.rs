//! `bench`, `trace` and the page: the backend, then opt-bench built for speed and run with the same arguments.

use crate::backend::Backend;
use std::{ffi::OsString, path::Path, process::Command};

/// Runs `opt-bench COMMAND ARGS…`. The current directory stays the caller's, for a relative
/// `--out`. Returns only if opt-bench could not be started.
pub(crate) fn run(command: &str, args: &[OsString]) -> Result<(), String> {
    let backend = Backend::choose()?;
    // `cargo run` builds, finds the binary in whatever target directory is configured, and, like
    // us, gives its place to it.
    let mut cargo = super::cargo();
    cargo.args(["run", "--release", "--package=opt-bench", "--bin=opt-bench"]);
    cargo.args(backend.flags());
    cargo
        .arg("--manifest-path")
        .arg(Path::new(super::ROOT).join("Cargo.toml"));
    if command != "bench" {
        cargo.arg("--quiet");
    }
    cargo.args(["--", command]).args(args);
    Err(format!("cannot run cargo: {}", replace(&mut cargo)))
}

/// Becomes `command`, so that Ctrl-C and the exit code are its own: opt-bench writes what is
/// finished when interrupted, and we must not die and give the terminal back before it has.
#[cfg(unix)]
fn replace(command: &mut Command) -> std::io::Error {
    std::os::unix::process::CommandExt::exec(command)
}

#[cfg(not(unix))]
fn replace(command: &mut Command) -> std::io::Error {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}
