//! `bench --peers`: what other libraries need, as far as it can be had, and the run beside ours.
//!
//! What can't be had is a line and a gap in the table, not an error; that our own package does not
//! build is one.

use crate::{backend::Backend, bench};
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

/// A workspace of its own: nothing else of this one builds what it depends on.
const PACKAGE: &str = "benches/peers";

/// The run, and then the page anew, if there are results that it can stand beside.
pub(crate) fn run(args: &[OsString]) -> Result<(), String> {
    let backend = Backend::choose()?;
    let root = fs::canonicalize(super::ROOT).unwrap_or_else(|_| super::ROOT.into());
    let args: Vec<_> = args.iter().filter(|arg| *arg != "--peers").collect();
    let mut cargo = super::cargo();
    cargo.args(["run", "--release", "--manifest-path"]);
    cargo.arg(root.join(PACKAGE).join("Cargo.toml"));
    cargo.arg("--target-dir").arg(root.join("target/peers"));
    cargo.args(backend.flags()).arg("--");
    match environment(&root) {
        Ok(python) => cargo.arg("--python").arg(python),
        Err(why) => {
            eprintln!("xtask: no Python peers: {why}");
            cargo.arg("--no-python").arg(why)
        }
    };
    let done = cargo.args(&args).status();
    match done.map_err(|error| format!("cannot run cargo: {error}"))? {
        status if status.success() => page(&root, &args),
        // It has said why.
        status => process::exit(status.code().unwrap_or(1)),
    }
}

fn page(root: &Path, args: &[&OsString]) -> Result<(), String> {
    let out = args.iter().position(|arg| *arg == "--out");
    let out = out.and_then(|k| args.get(k + 1)).map(PathBuf::from);
    let out = out.unwrap_or_else(|| root.join("target/bench"));
    match out.join("results.json").exists() {
        true => bench::run("page", &["--out".into(), out.into()]),
        false => Ok(()),
    }
}

/// The interpreter of a virtual environment with what `requirements.txt` asks for, or with what of
/// it can be installed; the error is why there is none. Made once, and anew when the file changes.
fn environment(root: &Path) -> Result<PathBuf, String> {
    let folder = root.join("target/peers-venv");
    let file = root.join(PACKAGE).join("requirements.txt");
    let wanted = fs::read_to_string(&file)
        .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let python = folder.join(match cfg!(windows) {
        true => "Scripts/python.exe",
        false => "bin/python",
    });
    // Written last, so that half an environment is not taken for a whole one.
    let stamp = folder.join("requirements.installed");
    if python.exists() && fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    eprintln!("xtask: installing {PACKAGE}/requirements.txt into target/peers-venv (some 6 GB)");
    create(&folder)?;
    let all = [OsString::from("--requirement"), file.clone().into()];
    if pip(&python, &all).is_ok() {
        let _ = fs::write(stamp, wanted);
        return Ok(python);
    }
    // One by one, so that what can't be had takes nobody with it. The script then says what is not
    // there, and the next run tries again.
    for line in requirements(&wanted) {
        let one = [line.into(), "--constraint".into(), file.clone().into()];
        if let Err(why) = pip(&python, &one) {
            eprintln!("xtask: {why}");
        }
    }
    Ok(python)
}

/// An empty environment, by the first interpreter that can make one.
fn create(folder: &Path) -> Result<(), String> {
    let mut why = String::new();
    for python in ["python3", "python"] {
        let mut command = Command::new(python);
        command.args(["-m", "venv", "--clear"]).arg(folder);
        match quiet(&mut command) {
            Ok(()) => return Ok(()),
            Err(error) if why.is_empty() => why = format!("{python} -m venv: {error}"),
            Err(_) => {}
        }
    }
    Err(why)
}

/// Packages by their names, from wherever pip is set up to find them. Kept in the environment and
/// nowhere else: a cache of them would take as much again.
fn pip(python: &Path, what: &[OsString]) -> Result<(), String> {
    let mut command = Command::new(python);
    command.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-cache-dir",
        "--no-input",
    ]);
    command.args(["--disable-pip-version-check"]).args(what);
    let first = what.first().cloned().unwrap_or_default();
    quiet(&mut command).map_err(|why| format!("pip install {}: {why}", first.to_string_lossy()))
}

/// The error is the first line that calls itself one, else the last that it printed.
fn quiet(command: &mut Command) -> Result<(), String> {
    let done = (command.stdin(Stdio::null()).output()).map_err(|error| error.to_string())?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    let said = said + &String::from_utf8_lossy(&done.stdout);
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = (lines.clone().find(|line| line.starts_with("ERROR"))).or(lines.next_back());
    Err(line.map_or_else(|| done.status.to_string(), str::to_owned))
}

fn requirements(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_requirement_is_exact() {
        let file = Path::new(crate::ROOT)
            .join(PACKAGE)
            .join("requirements.txt");
        let text = fs::read_to_string(file).unwrap_or_default();
        let names: Vec<_> = requirements(&text)
            .filter_map(|line| line.split_once("=="))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["jax", "jaxlib", "numpy", "optax", "scipy", "torch"]);
        assert_eq!(requirements(&text).count(), names.len());
    }

    #[test]
    fn what_fails_is_told_in_one_line() {
        let mut missing = Command::new("no-such-program-of-opt");
        assert!(quiet(&mut missing).is_err());
        let mut cargo = crate::cargo();
        let told = quiet(cargo.arg("no-such-command-of-opt"));
        assert!(told.is_err_and(|why| !why.is_empty() && !why.contains('\n')));
    }
}
