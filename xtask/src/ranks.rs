//! `bench --ranks N`: training on N ranks of this machine, against one process.

use crate::{mpi, setup::output};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

/// Builds the example `scaling` of opt-mpi and runs it, first in one process and then under `mpirun`.
pub(crate) fn run(args: &[OsString]) -> Result<(), String> {
    let Args {
        ranks,
        updates,
        out,
    } = parse(args)?;
    mpi::ensure()?;
    let example = build()?;
    let cores = thread::available_parallelism().map_or(1, usize::from);

    let mut alone = Command::new(&example);
    alone.args(["alone", "--parts", &ranks.to_string()]);
    succeed(
        alone
            .args(["--updates", &updates.to_string(), "--out"])
            .arg(&out),
    )?;

    let mut together = Command::new("mpirun");
    let version = output("mpirun", &["--version"]).ok_or("there is no mpirun on the path")?;
    if version.contains("Open MPI") {
        // More ranks than cores, which root may start; no process may read another's memory in many
        // containers.
        together.args(["--oversubscribe", "--bind-to", "none"]);
        together.env("OMPI_ALLOW_RUN_AS_ROOT", "1");
        together.env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
        together.env("OMPI_MCA_btl_vader_single_copy_mechanism", "none");
        // A rank that waits leaves its core to the others.
        together.env("OMPI_MCA_mpi_yield_when_idle", "1");
    }
    let threads = (cores / ranks).max(1).to_string();
    together.env("RAYON_NUM_THREADS", threads);
    together.args(["-n", &ranks.to_string()]).arg(&example);
    succeed(
        together
            .args(["ranks", "--updates", &updates.to_string(), "--out"])
            .arg(&out),
    )
}

struct Args {
    ranks: usize,
    updates: u64,
    out: PathBuf,
}

fn parse(args: &[OsString]) -> Result<Args, String> {
    let mut parsed = Args {
        ranks: 0,
        updates: 20,
        out: Path::new(super::ROOT).join("target/bench"),
    };
    let mut args = args.iter();
    while let Some(name) = args.next() {
        let mut number = || {
            let value = args.next().and_then(|value| value.to_str()?.parse().ok());
            value.filter(|number| *number > 0).ok_or_else(|| {
                let name = name.to_string_lossy();
                format!("{name} needs a whole number above 0")
            })
        };
        match &*name.to_string_lossy() {
            "--ranks" => parsed.ranks = usize::try_from(number()?).unwrap_or(usize::MAX),
            "--updates" => parsed.updates = number()?,
            "--quick" => parsed.updates = 5,
            "--out" => parsed.out = args.next().ok_or("--out needs a folder")?.into(),
            other => return Err(format!("`bench --ranks N` has no option {other}")),
        }
    }
    match parsed.ranks {
        1..=128 => Ok(parsed),
        _ => Err("--ranks must be from 1 to 128, the samples of a minibatch".to_owned()),
    }
}

/// Builds the example, and gives its place, in whatever target directory is configured.
fn build() -> Result<PathBuf, String> {
    let mut cargo = super::cargo();
    cargo.args([
        "build",
        "--release",
        "--package=opt-mpi",
        "--example=scaling",
    ]);
    cargo.arg("--message-format=json-render-diagnostics");
    let done = (cargo
        .current_dir(super::ROOT)
        .stderr(Stdio::inherit())
        .output())
    .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !done.status.success() {
        return Err("the example `scaling` of opt-mpi does not build".to_owned());
    }
    let lines = String::from_utf8_lossy(&done.stdout);
    let last = lines.lines().rev().find_map(executable);
    last.ok_or_else(|| "cargo does not say where it has put the example".to_owned())
}

/// Of a line of cargo's messages, in JSON, the program that it is about.
fn executable(line: &str) -> Option<PathBuf> {
    let (_, rest) = line.split_once("\"executable\":\"")?;
    let (path, _) = rest.split_once('"')?;
    Some(path.replace("\\\\", "\\").into())
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program}: {status}")),
        Err(error) => Err(format!("cannot run {program}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_ranks_must_be_one() {
        let args = |all: &[&str]| all.iter().map(OsString::from).collect::<Vec<_>>();
        let parsed = parse(&args(&["--ranks", "4", "--quick"])).unwrap();
        assert_eq!((parsed.ranks, parsed.updates), (4, 5));
        for bad in [
            &["--ranks"][..],
            &["--ranks", "0"],
            &["--ranks", "x"],
            &["--ranks", "999"],
        ] {
            assert!(parse(&args(bad)).is_err(), "{bad:?}");
        }
        assert!(parse(&args(&["--ranks", "2", "--nonsense"])).is_err());
    }

    #[test]
    fn cargo_says_where_the_program_is() {
        let line = r#"{"reason":"compiler-artifact","executable":"/t/scaling","fresh":true}"#;
        assert_eq!(executable(line), Some("/t/scaling".into()));
        assert_eq!(executable(r#"{"executable":null}"#), None);
    }
}
