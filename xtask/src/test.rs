//! `test`: everything that must hold before a change lands.

use crate::{backend::Backend, mpi, page};
use std::{collections::BTreeSet, fs, io, path::Path, process::Command, time::Instant};

/// On every machine. A crate is tested by itself, with the features that its users give it.
const ALWAYS: [&str; 5] = [
    "fmt --all --check",
    "test",
    // Together, as faer takes two minutes for each set of features that it is built with.
    "test -p opt-linalg -p opt-data -p opt-natural --no-default-features \
     --features opt-linalg/faer,opt-data/faer,opt-natural/faer",
    "test -p opt-firstorder --features safetensors --test torch",
    "test -p opt-candle -p opt-burn",
];

/// What users write, run: each ends with an error if it does not do what it says.
const EXAMPLES: [&str; 6] = [
    "from_pytorch",
    "own_model",
    "ndarray_tensors",
    "groups",
    "schedule",
    "clip_accumulate_average",
];

/// Where there is an OpenBLAS.
const LINKED: [&str; 5] = [
    "clippy --workspace --all-targets -- -D warnings",
    "test -p opt-nn --features openblas",
    "test -p opt-linalg --features lapack,openblas",
    "test -p opt-natural -p opt-bench",
    "doc --workspace --no-deps",
];

/// Where there is none: the rest, without building what would look for it.
const PURE: [&str; 5] = [
    "clippy --workspace --exclude opt-natural --exclude opt-bench --exclude opt-torture --all-targets -- -D warnings",
    "clippy -p opt-natural -p opt-bench -p opt-torture --no-default-features --features faer --all-targets \
     -- -D warnings",
    "test -p opt-bench --no-default-features --features faer",
    "doc --workspace --exclude opt-natural --exclude opt-bench --exclude opt-torture --no-deps",
    "doc -p opt-natural -p opt-bench -p opt-torture --no-default-features --features faer --no-deps",
];

/// What these promise their users: so many packages at most, and none whose name has these words.
const TREES: [(&str, usize); 2] = [("opt-firstorder", 25), ("opt-nn", 75)];
const ABSENT: [&str; 3] = ["blas", "lapack", "plot"];

/// Stops at the first failure.
pub(crate) fn run() -> Result<(), String> {
    let backend = Backend::choose()?;
    let rest = match backend {
        Backend::Lapack => LINKED,
        Backend::Faer => PURE,
    };
    let without = mpi::missing();
    if let Some(missing) = without {
        eprintln!("xtask: leaves out {MPI}, since {missing} is missing: `cargo xtask setup mpi`");
    }
    if let Some(missing) = page::missing() {
        eprintln!(
            "xtask: leaves out the report in a browser, since {missing} is missing: `cargo xtask \
             setup page`"
        );
    }
    for command in ALWAYS.iter().chain(&rest) {
        succeed(&workspace(command, without.is_some()))?;
    }
    if without.is_none() {
        succeed(&format!("test -p {MPI}"))?;
    }
    // Debug information apart, the profile of the tests is optimized.
    let flags = backend.flags().join(" ");
    succeed(&format!("run -q -p opt-torture {flags} -- --small"))?;
    for example in EXAMPLES {
        succeed(&format!("run -q -p opt-firstorder --example {example}"))?;
    }
    // In the workspace a crate has the features that the others turn on; its users have these.
    // Clippy rather than check: it takes as long, and refuses warnings.
    for package in libraries().map_err(|error| format!("cannot list crates/: {error}"))? {
        if package == MPI && without.is_some() {
            continue;
        }
        for features in features(&package, backend) {
            succeed(&format!("clippy -p {package}{features} -- -D warnings"))?;
        }
    }
    licences()?;
    compatible()?;
    for (package, most) in TREES {
        let args = format!("tree -p {package} -e normal --prefix none");
        let tree = announce(&args).output().map_err(|e| failed(&args, &e))?;
        if !tree.status.success() {
            return Err(failed(&args, &String::from_utf8_lossy(&tree.stderr)));
        }
        check_tree(&String::from_utf8_lossy(&tree.stdout), most)
            .map_err(|broken| failed(&args, &broken))?;
    }
    Ok(())
}

/// By cargo-deny, where it is installed.
fn licences() -> Result<(), String> {
    if !installed("deny") {
        return Ok(());
    }
    succeed("deny check licenses sources")
}

/// With the last release, by cargo-semver-checks, where both are there.
fn compatible() -> Result<(), String> {
    if !installed("semver-checks") {
        return Ok(());
    }
    let tags = ["describe", "--tags", "--abbrev=0"];
    let tag = Command::new("git")
        .args(tags)
        .current_dir(super::ROOT)
        .output();
    match tag {
        Ok(tag) if tag.status.success() => {
            let tag = String::from_utf8_lossy(&tag.stdout).trim().to_owned();
            succeed(&format!("semver-checks --baseline-rev {tag}"))
        }
        _ => {
            eprintln!("xtask: leaves out semver-checks, since there is no release to compare with");
            Ok(())
        }
    }
}

/// Whether cargo has this subcommand; says so where not.
fn installed(subcommand: &str) -> bool {
    let mut asked = super::cargo();
    let found = asked.args([subcommand, "--version"]).output();
    let found = found.is_ok_and(|done| done.status.success());
    if !found {
        eprintln!("xtask: leaves out {subcommand}: `cargo install cargo-{subcommand}` adds it");
    }
    found
}

/// The crate that is left out where there is no MPI.
pub(crate) const MPI: &str = "opt-mpi";

/// The command; if it is about the whole workspace, then without opt-mpi if `without` says so.
fn workspace(command: &str, without: bool) -> String {
    match without {
        true => command.replace("--workspace", &format!("--workspace --exclude {MPI}")),
        false => command.to_owned(),
    }
}

/// What a user may build a library with.
fn features(package: &str, backend: Backend) -> Vec<&'static str> {
    let linked = backend == Backend::Lapack;
    match package {
        // It needs one backend or the other.
        "opt-natural" if linked => vec!["", " --no-default-features --features faer", ALL],
        "opt-natural" => vec![" --no-default-features --features faer"],
        // Theirs have OpenBLAS.
        "opt-data" | "opt-linalg" | "opt-nn" if !linked => vec!["", " --no-default-features"],
        _ => vec!["", " --no-default-features", ALL],
    }
}

const ALL: &str = " --all-features";

fn succeed(args: &str) -> Result<(), String> {
    let begin = Instant::now();
    match announce(args).status() {
        Ok(status) if status.success() => {
            eprintln!("xtask: {:.0} s", begin.elapsed().as_secs_f64());
            Ok(())
        }
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
    cargo.args(args.split_whitespace()).current_dir(super::ROOT);
    // Only rustdoc reads it: for `doc`, and for the doctests.
    cargo.env("RUSTDOCFLAGS", "-D warnings");
    cargo
}

/// The packages under `crates/`, each named like its folder, in a fixed order.
pub(crate) fn libraries() -> io::Result<BTreeSet<String>> {
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
fn check_tree(tree: &str, most: usize) -> Result<(), String> {
    let packages: BTreeSet<Vec<&str>> = tree
        .lines()
        .map(|line| line.split(' ').take(2).collect())
        .collect();
    if packages.is_empty() || packages.len() > most {
        let count = packages.len();
        return Err(format!("{count} packages, must be 1 to {most}"));
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
        let full = versions(25);
        assert_eq!(check_tree(&full, 25), Ok(()));
        let twice = full.replace('\n', " (*)\n").repeat(2);
        assert_eq!(check_tree(&twice, 25), Ok(()));
        assert!(check_tree(&full, 24).is_err());
        assert!(check_tree("", 25).is_err(), "no output is not a small tree");
    }

    #[test]
    fn only_commands_of_the_whole_workspace_leave_a_crate_out() {
        let doc = "doc --workspace --no-deps";
        assert_eq!(workspace(doc, false), doc);
        assert_eq!(
            workspace(doc, true),
            "doc --workspace --exclude opt-mpi --no-deps"
        );
        assert_eq!(workspace("test -p opt-nn", true), "test -p opt-nn");
    }

    #[test]
    fn blas_lapack_and_plotting_are_refused_by_name() {
        for absent in ["cblas-sys", "openblas-src", "lapack-sys", "plotters"] {
            let broken = check_tree(&format!("opt-firstorder v0.1.0\n{absent} v0.3.0\n"), 25);
            assert!(broken.is_err_and(|message| message.contains(absent)));
        }
    }
}
