//! `cargo xtask`: the set-up, the checks and the main job, by calling `cargo` and `opt-bench`.
//!
//! It only orchestrates, and depends on nothing but std: it must build in a second on a machine
//! where OpenBLAS is still missing.

mod backend;
mod bench;
#[cfg(test)]
mod documents;
mod mpi;
mod package;
mod page;
mod peers;
mod ranks;
mod setup;
mod test;
mod torture;

use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    path::Path,
    process::{Command, ExitCode},
};

const HELP: &str = "\
Usage: cargo xtask COMMAND [ARGS…]

  setup          find OpenBLAS; as root on Debian or Ubuntu install it, elsewhere say what to run
  setup mpi      the same for MPI and libclang, which opt-mpi alone needs
  setup page     the same for Chromium and npm packages, which the test of the report needs
  bench [ARGS…]  train with every method, write target/bench/{results.json,report.html}
                   [EXPERIMENT…] [--quick | --full] [--seeds N] [--methods a,b] [--data DIR]
                   [--out DIR] [--json]
  bench --resume go on with a run that was stopped or killed, bit for bit    [--out DIR]
  bench --peers  our steps beside PyTorch, optax, SciPy, burn and candle, as far as these can be
                 had: a table of ratios, in target/bench/peers.json and the report too
                   [WORK…] [--out DIR]
  bench --ranks N  on N ranks of this machine under mpirun: against one process, and what that
                 comes to on more machines    [--quick | --updates N] [--out DIR]
  trace ARGS…    one trajectory on a test function, as CSV on standard output
                   --method NAME [--set KEY=VALUE]… --problem NAME --start A,B --steps N
                   [--loss-scale C] [--unit U]
  test           formatting, lints, tests, docs, and each library crate alone
  torture        kills, faults at every evaluation, broken files, resumes, at full count
                   [--minutes M] [PART…]
  docs           the tables of docs/results.md and its pictures, from target/bench/results.json
                   [--out DIR]
  package        every library as it would be published: built and tested from its package alone

`bench`, `trace` and `test` call `setup` first, and without an OpenBLAS go on in pure Rust.
OPT_BACKEND=faer or OPT_BACKEND=lapack chooses. `bench --help` and `trace --help` say more.
";

/// The workspace root.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn main() -> ExitCode {
    let args: Vec<_> = env::args_os().skip(1).collect();
    let (command, args) = match args.split_first() {
        Some((command, args)) => (command.to_string_lossy(), args),
        None => ("--help".into(), &[][..]),
    };
    let asks_help = args.iter().any(|arg| arg == "--help" || arg == "-h");
    let peers = args.iter().any(|arg| arg == "--peers");
    let ranks = args.iter().any(|arg| arg == "--ranks");
    let outcome = match &*command {
        "bench" if (peers || ranks) && asks_help => help(),
        "bench" if peers => peers::run(args),
        "bench" if ranks => ranks::run(args),
        "bench" | "trace" => bench::run(&command, args),
        "--help" | "-h" | "help" => help(),
        "setup" | "test" | "package" if asks_help => help(),
        "setup" if args == ["page"] => page::ensure().map(|()| eprintln!("xtask: Chromium found")),
        "torture" if asks_help => help(),
        "torture" => torture::run(args),
        "docs" if asks_help => help(),
        "docs" => docs(args),
        "setup" if args == ["mpi"] => mpi::ensure().map(|()| eprintln!("xtask: MPI found")),
        "setup" | "test" | "package" if !args.is_empty() => {
            return usage(&format!(
                "`{command}` takes no arguments, but for `setup mpi` and `setup page`"
            ));
        }
        "setup" => setup::ensure().map(|()| eprintln!("xtask: OpenBLAS found")),
        "test" => test::run(),
        "package" => package::run(),
        _ => {
            return usage(&format!(
                "unknown command `{command}`; there are setup, bench, trace, test, torture, docs and package"
            ));
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

fn docs(args: &[OsString]) -> Result<(), String> {
    let docs = Path::new(ROOT).join("docs");
    let more = ["--docs".into(), docs.into_os_string()];
    bench::run("page", &[args, &more].concat())
}

fn help() -> Result<(), String> {
    // In one write: a reader like `head` that has enough is no error.
    io::stdout()
        .write_all(HELP.as_bytes())
        .map_err(|error| format!("cannot print: {error}"))
}

fn usage(message: &str) -> ExitCode {
    eprintln!("xtask: {message}");
    ExitCode::from(2)
}

/// The cargo that runs us.
fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
