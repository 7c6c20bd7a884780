//! The main job of the workspace: trains with every method, and shows which one is better.
//!
//! `cargo xtask bench` and `cargo xtask trace` call it; see there for the arguments.

#![allow(clippy::print_stdout)] // tables and CSV are its product

mod bench;
mod check;
mod claims;
mod conditioning;
mod experiment;
mod machine;
mod page;
mod plot;
mod race;
mod rates;
mod registry;
mod report;
mod results;
mod scaled;
mod setting;
mod shelf;
mod starts;
mod stop;
mod stream;
mod trace;
mod train;
mod units;
mod visual;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    about = "Trains with every method and shows which one is better"
)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the experiments; write results.json, plots and report.html.
    Bench(bench::Args),
    /// Print one trajectory as CSV: step,value,x0,x1.
    Trace(trace::Args),
    /// Write report.html again, from results.json.
    #[command(hide = true)]
    Page(page::Args),
}

/// Why the program ends before its time.
#[derive(Debug)]
enum Failure {
    /// The user asked for what is not there: exit code 2.
    Usage(String),
    /// Exit code 1.
    Other(String),
    /// This signal, after what is finished has been written, and where: exit code 128 more.
    Stopped(u8, String),
}

fn main() -> ExitCode {
    let mut command = Args::command();
    if std::env::args_os().any(|arg| arg == "--help" || arg == "-h" || arg == "help") {
        command = command.mut_subcommand("bench", bench::list);
    }
    let parsed = command.try_get_matches();
    let args = match parsed.and_then(|matches| Args::from_arg_matches(&matches)) {
        Ok(args) => args,
        Err(error) if !error.use_stderr() => {
            // --help
            print!("{error}");
            return ExitCode::SUCCESS;
        }
        Err(error) => return fail(Failure::Usage(one_line(&error.to_string()))),
    };
    let result = match args.command {
        Command::Bench(args) => bench::run(&args),
        Command::Trace(args) => trace::run(&args),
        Command::Page(args) => page::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(failure),
    }
}

fn fail(failure: Failure) -> ExitCode {
    let (code, message) = match failure {
        Failure::Usage(message) => (2, message),
        Failure::Other(message) => (1, message),
        Failure::Stopped(signal, kept) => (128 + signal, format!("stopped by {signal}; {kept}")),
    };
    eprintln!("error: {message}");
    ExitCode::from(code)
}

/// Clap explains itself in paragraphs; a script reads one line.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let told: Vec<_> = lines.filter(|line| !line.starts_with("For more")).collect();
    let joined = told.join("; ");
    joined.strip_prefix("error: ").unwrap_or(&joined).to_owned()
}

/// Where the experiments are described. The binary runs where it was built.
pub(crate) fn experiments_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("experiments")
}

/// Where MNIST is.
/// The workspace.
pub(crate) fn root() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().unwrap_or(root)
}

pub(crate) fn mnist_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/mnist")
}
