//! `package`: every library as it would be published, built and tested from its package alone.

use std::{fs, path::Path, path::PathBuf, process::Command};

/// Under the workspace's `target`, where no workspace is looked for.
const UNPACKED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/package");

/// Packs, which builds each from its package, then runs the tests that are in each, beside the other
/// packages.
pub(crate) fn run() -> Result<(), String> {
    super::setup::ensure()?;
    let names = published()?;
    let mut cargo = super::cargo();
    cargo.args(["package", "--allow-dirty", "--quiet"]);
    cargo.args(names.iter().flat_map(|name| ["-p", name]));
    succeed(cargo.current_dir(super::ROOT), "package")?;
    let packages = unpacked()?;
    for (name, folder) in &packages {
        eprintln!("xtask: the tests in the package of {name}");
        let mut cargo = super::cargo();
        cargo.args(["test", "--quiet", "--manifest-path"]);
        cargo.arg(folder.join("Cargo.toml"));
        // They are not in a registry yet.
        for (other, at) in packages.iter().filter(|(other, _)| other != name) {
            let patch = format!(
                "patch.crates-io.{other}.path={:?}",
                at.display().to_string()
            );
            cargo.args(["--config", &patch]);
        }
        cargo.env("CARGO_TARGET_DIR", format!("{UNPACKED}-tests"));
        succeed(&mut cargo, name)?;
    }
    Ok(())
}

/// What is in `crates/`; opt-mpi where MPI is there.
fn published() -> Result<Vec<String>, String> {
    let names = super::test::libraries().map_err(|e| format!("cannot list crates/: {e}"))?;
    let without = super::mpi::missing().is_some();
    Ok((names
        .into_iter()
        .filter(|name| !(without && name == super::test::MPI)))
    .collect())
}

/// Every package that was packed, unpacked.
fn unpacked() -> Result<Vec<(String, PathBuf)>, String> {
    let mut all = Vec::new();
    for name in published()? {
        let entries = fs::read_dir(UNPACKED).map_err(|e| format!("{UNPACKED}: {e}"))?;
        let version = |path: &Path| {
            let file = path.file_name()?.to_str()?.strip_prefix(&name)?;
            let digits = file.strip_prefix('-')?;
            digits
                .starts_with(|c: char| c.is_ascii_digit())
                .then_some(())
        };
        let folder = (entries.flatten().map(|entry| entry.path()))
            .find(|path| path.is_dir() && version(path).is_some());
        let folder = folder.ok_or_else(|| format!("no package of {name} in {UNPACKED}"))?;
        all.push((name, folder));
    }
    Ok(all)
}

fn succeed(cargo: &mut Command, what: &str) -> Result<(), String> {
    match cargo.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("failed: {what}: {status}")),
        Err(error) => Err(format!("failed: {what}: {error}")),
    }
}
