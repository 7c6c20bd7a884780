//! `torture`: opt-torture, built for speed and run with the same arguments; then what a nightly compiler
//! adds, where it is installed: the fuzzer that is guided by coverage, a sanitizer, Miri.

use crate::backend::Backend;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Seconds for each reader of files.
const SECONDS: u64 = 60;

/// The crates with unsafe blocks that need no other process.
const UNSAFE: [&str; 3] = ["-popt-core", "-popt-linalg", "-popt-data"];

/// Of opt-core's tests those of the code that has unsafe blocks: all of them take hours under Miri.
const MIRI: [&str; 5] = ["miri", "test", "-p", "opt-core", "--lib"];

/// Returns when it is done.
pub(crate) fn run(args: &[OsString]) -> Result<(), String> {
    let backend = Backend::choose()?;
    let mut cargo = super::cargo();
    cargo.args(["run", "--release", "--quiet", "--package=opt-torture"]);
    cargo.args(backend.flags()).current_dir(super::ROOT);
    cargo.arg("--").args(args);
    succeed("torture", cargo)?;
    // A part that was asked for by name is all that runs; a number belongs to --minutes.
    let part = |arg: &OsString| {
        let arg = arg.to_string_lossy();
        !arg.starts_with("--") && arg.parse::<f64>().is_err()
    };
    if args.iter().any(part) {
        return Ok(());
    }
    if !there("--version") {
        eprintln!(
            "xtask: leaves out coverage, the sanitizer and Miri: `rustup toolchain install nightly`"
        );
        return Ok(());
    }
    match there("fuzz") {
        true => coverage(backend)?,
        false => eprintln!("xtask: leaves out the fuzzer by coverage: `cargo install cargo-fuzz`"),
    }
    sanitizer(backend)?;
    match there("miri") {
        true => {
            let mut cargo = nightly();
            cargo.args(MIRI);
            succeed("miri", cargo)
        }
        false => {
            eprintln!("xtask: leaves out Miri: `rustup +nightly component add miri`");
            Ok(())
        }
    }
}

/// Every folder of the corpus, for so many seconds; what is found stays in target/fuzz, to go on from.
fn coverage(backend: Backend) -> Result<(), String> {
    let torture = Path::new(super::ROOT).join("torture");
    let found = Path::new(super::ROOT).join("target/fuzz");
    let io = |error: std::io::Error| format!("fuzz: {error}");
    let mut readers = Vec::new();
    for entry in fs::read_dir(torture.join("corpus")).map_err(io)? {
        readers.push(entry.map_err(io)?.file_name());
    }
    readers.sort();
    eprintln!(
        "xtask: cargo +nightly fuzz, {SECONDS} s for each of {} readers",
        readers.len()
    );
    for reader in readers {
        let own = found.join("corpus").join(&reader);
        let failing = format!("-artifact_prefix={}/", found.display());
        fs::create_dir_all(&own).map_err(io)?;
        let mut cargo = nightly();
        cargo.args(["fuzz", "run"]).args(match backend {
            Backend::Lapack => &["--features", "fuzz"][..],
            Backend::Faer => &["--no-default-features", "--features", "fuzz,faer"],
        });
        cargo.arg("--fuzz-dir").arg(&torture);
        cargo.arg("--target-dir").arg(&found);
        cargo.arg("reader").arg(&own);
        cargo.arg(torture.join("corpus").join(&reader)).arg("--");
        cargo.arg(format!("-max_total_time={SECONDS}")).arg(failing);
        cargo.args(["-seed=1", "-print_final_stats=1"]);
        let done = cargo.env("OPT_READER", &reader).output().map_err(io)?;
        let said = String::from_utf8_lossy(&done.stderr);
        let reader = reader.to_string_lossy();
        if !done.status.success() {
            let lines: Vec<_> = said.lines().collect();
            let last = lines[lines.len().saturating_sub(30)..].join("\n");
            return Err(format!("fuzz, {reader}: {}\n{last}", done.status));
        }
        // The last of each: `stat::number_of_executed_units: 7`, and `#7 DONE   cov: 5 ft: …`.
        let after = |what: &str| {
            let (_, rest) = said.rsplit_once(what)?;
            rest.split_whitespace().next()
        };
        let (inputs, edges) = (after("executed_units:"), after(" cov:"));
        let (inputs, edges) = (inputs.unwrap_or("?"), edges.unwrap_or("?"));
        eprintln!("xtask: fuzz {reader}: {inputs} inputs, {edges} edges covered");
    }
    Ok(())
}

/// AddressSanitizer, with leaks.
fn sanitizer(backend: Backend) -> Result<(), String> {
    let mut cargo = nightly();
    cargo.env("RUSTFLAGS", "-Zsanitizer=address");
    // Build scripts and macros are without, by their target.
    cargo.args([
        "test",
        "--lib",
        "--tests",
        "--target",
        "x86_64-unknown-linux-gnu",
    ]);
    cargo.args(UNSAFE).arg("--target-dir=target/sanitizer");
    if backend == Backend::Lapack {
        cargo.arg("--features=opt-linalg/lapack,opt-linalg/openblas");
    }
    succeed("address sanitizer", cargo)
}

/// Cargo of the nightly toolchain, at the root.
fn nightly() -> Command {
    let mut cargo = Command::new("cargo");
    cargo.arg("+nightly").current_dir(super::ROOT);
    // Of the toolchain that runs us.
    for variable in ["RUSTC", "RUSTDOC", "CARGO", "RUSTUP_TOOLCHAIN"] {
        cargo.env_remove(variable);
    }
    cargo
}

/// Whether nightly has this command.
fn there(command: &str) -> bool {
    let mut cargo = nightly();
    cargo.arg(command);
    if !command.starts_with("--") {
        cargo.arg("--version");
    }
    cargo.output().is_ok_and(|done| done.status.success())
}

fn succeed(what: &str, mut cargo: Command) -> Result<(), String> {
    match cargo.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{what}: {status}")),
        Err(error) => Err(format!("{what}: cannot run cargo: {error}")),
    }
}
