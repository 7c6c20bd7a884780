//! `test`: everything that must hold before a change lands.

use std::{collections::BTreeSet, fs, io, path::Path, process::Command};

/// The crates without BLAS are tested by themselves, as their users build them: beside the others
/// ndarray would call one that they do not link.
const WORKSPACE: [&str; 6] = [
    "fmt --all --check",
    "clippy --workspace --all-targets -- -D warnings",
    "test",
    "test -p opt-nn --features openblas",
    "test -p opt-natural -p opt-bench",
    "doc --workspace --no-deps",
];

/// What opt-firstorder promises its users: few packages, and none whose name has these words.
const TREE: &str = "tree -p opt-firstorder -e normal --prefix none";
const MAX_PACKAGES: usize = 25;
const ABSENT: [&str; 3] = ["blas", "lapack", "plot"];

/// Stops at the first failure.
pub(crate) fn run() -> Result<(), String> {
    super::setup::ensure()?;
    for command in WORKSPACE {
        succeed(command)?;
    }
    // In the workspace a crate has the features that the others turn on; its users have these.
    // Clippy rather than check: it takes as long, and refuses warnings.
    for package in libraries().map_err(|error| format!("cannot list crates/: {error}"))? {
        for features in ["", " --no-default-features", " --all-features"] {
            succeed(&format!("clippy -p {package}{features} -- -D warnings"))?;
        }
    }
    let tree = announce(TREE).output().map_err(|e| failed(TREE, &e))?;
    if !tree.status.success() {
        return Err(failed(TREE, &String::from_utf8_lossy(&tree.stderr)));
    }
    check_tree(&String::from_utf8_lossy(&tree.stdout)).map_err(|broken| failed(TREE, &broken))
}

fn succeed(args: &str) -> Result<(), String> {
    match announce(args).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(args, &status)),
        Err(error) => Err(failed(args, &error)),
    }
}

fn failed(args: &str, why: &dyn std::fmt::Display) -> String {
    format!("failed: cargo {args}: {why}")
}

fn announce(args: &str) -> Command {
    eprintln!("xtask: cargo {args}");
    let mut cargo = super::cargo();
    cargo.args(args.split(' ')).current_dir(super::ROOT);
    // Only rustdoc reads it: for `doc`, and for the doctests.
    cargo.env("RUSTDOCFLAGS", "-D warnings");
    cargo
}

/// The packages under `crates/`, each named like its folder, in a fixed order.
fn libraries() -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(Path::new(super::ROOT).join("crates"))? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").is_file() {
            names.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// Each line is `name vVERSION [(SOURCE)] [(*)]`; a package may stand in several.
fn check_tree(tree: &str) -> Result<(), String> {
    let packages: BTreeSet<Vec<&str>> = tree
        .lines()
        .map(|line| line.split(' ').take(2).collect())
        .collect();
    if packages.is_empty() || packages.len() > MAX_PACKAGES {
        let count = packages.len();
        return Err(format!("{count} packages, must be 1 to {MAX_PACKAGES}"));
    }
    let names = packages.iter().filter_map(|package| package.first());
    match names
        .into_iter()
        .find(|name| ABSENT.iter().any(|word| name.contains(word)))
    {
        Some(name) => Err(format!("must not need {name}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_counts_once_per_version() {
        let versions = |n| {
            (0..n)
                .map(|i| format!("rayon v1.{i}.0\n"))
                .collect::<String>()
        };
        let full = versions(MAX_PACKAGES);
        assert_eq!(check_tree(&full), Ok(()));
        assert_eq!(check_tree(&full.replace('\n', " (*)\n").repeat(2)), Ok(()));
        assert!(check_tree(&versions(MAX_PACKAGES + 1)).is_err());
        assert!(check_tree("").is_err(), "no output is not a small tree");
    }

    #[test]
    fn blas_lapack_and_plotting_are_refused_by_name() {
        for absent in ["cblas-sys", "openblas-src", "lapack-sys", "plotters"] {
            let broken = check_tree(&format!("opt-firstorder v0.1.0\n{absent} v0.3.0\n"));
            assert!(broken.is_err_and(|message| message.contains(absent)));
        }
    }
}
