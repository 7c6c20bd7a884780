//! What the libraries survive, at full count: `cargo xtask torture`. A library, so that a fuzzer that is
//! guided by coverage (`fuzz_targets/`) reads with the same readers.

mod alloc;
mod bits;
mod child;
mod corpus;
mod disk;
mod faults;
mod faulty;
mod fuzz;
mod guard;
mod kills;
mod models;
mod mutate;
mod readers;
mod refreshes;
mod report;
mod resumes;
mod rng;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use report::{Report, Scale};

pub use fuzz::fuzzed;

#[global_allocator]
static ALLOCATOR: alloc::Live = alloc::Live;

const HELP: &str = "\
Usage: cargo xtask torture [--minutes M] [--small] [--verbose] [PART…]

  kills      runs that are killed by SIGKILL again and again: the end is bit-equal
  disk       a full disk, a read-only folder: typed errors, and the run goes on
  faults     a fault in every evaluation of every method on every model: refused, nothing changed
  fuzz       broken files for every reader: a value or a typed error, in bounded memory
  resumes    every method on every model, stopped and gone on with in new objects
  refreshes  10,000 of PRONG and of K-FAC: the function stays, and the memory

  --minutes M  go on with new seeds until so many minutes are over
  --small      a few of each, for `cargo xtask test`
  --verbose    name what was refused, too

After all parts come, where a nightly compiler has them, a fuzzer by coverage (`cargo fuzz`), the address
sanitizer and Miri.

The counts are written to target/torture/counts.json. Exit code 1: a case has failed, and is named.
";

type Part = fn(Scale) -> Result<Report, String>;

const PARTS: [(&str, Part); 6] = [
    ("kills", kills::run),
    ("disk", disk::run),
    ("faults", faults::run),
    ("fuzz", fuzz::run),
    ("resumes", resumes::run),
    ("refreshes", refreshes::run),
];

/// Where failing inputs and counts go.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/torture")
}

#[derive(Debug, Default, PartialEq)]
struct Args {
    minutes: f64,
    small: bool,
    verbose: bool,
    help: bool,
    parts: Vec<String>,
}

impl Args {
    fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let (mut parsed, mut args) = (Self::default(), args.into_iter());
        while let Some(arg) = args.next() {
            match &*arg {
                "--small" => parsed.small = true,
                "--verbose" => parsed.verbose = true,
                "--help" | "-h" => parsed.help = true,
                "--minutes" => {
                    let value = args.next().unwrap_or_default();
                    let minutes = value.parse().ok();
                    let minutes = minutes.filter(|m: &f64| m.is_finite() && *m >= 0.0);
                    parsed.minutes =
                        minutes.ok_or_else(|| format!("--minutes `{value}`: must be a number"))?;
                }
                part if PARTS.iter().any(|(name, _)| *name == part) => parsed.parts.push(arg),
                _ => return Err(format!("no part or option `{arg}`")),
            }
        }
        Ok(parsed)
    }
}

/// The program.
pub fn run() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [command, rest @ ..] = &args[..]
        && let Some(done) = hidden(command, rest)
    {
        return done;
    }
    guard::hush();
    match Args::parse(args) {
        Err(why) => {
            eprintln!("torture: {why}\n\n{HELP}");
            ExitCode::from(2)
        }
        Ok(args) if args.help => {
            let _ = std::io::stdout().write_all(HELP.as_bytes());
            ExitCode::SUCCESS
        }
        Ok(args) => match torture(&args) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(why) => {
                eprintln!("torture: {why}");
                ExitCode::FAILURE
            }
        },
    }
}

/// What is no part: a process of a part's own, and the corpus anew.
fn hidden(command: &str, args: &[String]) -> Option<ExitCode> {
    let done = match (command, args) {
        ("child", args) => child::main(args),
        ("corpus", [folder]) => corpus::write(Path::new(folder)),
        _ => return None,
    };
    Some(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("torture: {why}");
            ExitCode::FAILURE
        }
    })
}

/// Whether nothing failed.
fn torture(args: &Args) -> Result<bool, String> {
    let started = Instant::now();
    let until = Duration::from_secs_f64(60.0 * args.minutes);
    let chosen = |name: &str| args.parts.is_empty() || args.parts.iter().any(|part| part == name);
    let parts: Vec<_> = PARTS.into_iter().filter(|(name, _)| chosen(name)).collect();
    let mut reports: Vec<Report> = parts.iter().map(|_| Report::default()).collect();
    let mut out = std::io::stdout();
    for seed in 0.. {
        for ((name, part), total) in parts.iter().zip(&mut reports) {
            // In what is left of the time no part is begun, but for the first round, which is whole.
            if seed > 0 && started.elapsed() >= until {
                break;
            }
            let scale = Scale {
                small: args.small,
                seed,
            };
            let report = part(scale).map_err(|why| format!("{name}: {why}"))?;
            if seed == 0 || !report.failures.is_empty() {
                report.show(name, args.verbose, &mut out);
            }
            total.join(report);
        }
        write_counts(&parts, &reports)?;
        if started.elapsed() >= until {
            if seed > 0 {
                let _ = writeln!(out, "all {} rounds:", seed + 1);
                let all = parts.iter().zip(&reports);
                all.for_each(|((name, _), total)| total.show(name, args.verbose, &mut out));
            }
            break;
        }
    }
    Ok(reports.iter().all(|report| report.failures.is_empty()))
}

fn write_counts(parts: &[(&str, Part)], reports: &[Report]) -> Result<(), String> {
    let (folder, all) = (folder(), parts.iter().zip(reports));
    let map: serde_json::Map<_, _> = all
        .map(|((name, _), report)| ((*name).to_owned(), report.json()))
        .collect();
    let text = format!("{:#}\n", serde_json::Value::Object(map));
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(folder.join("counts.json"), text))
        .map_err(|error| format!("{}: {error}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, String> {
        Args::parse(args.iter().map(|&arg| arg.to_owned()))
    }

    #[test]
    fn arguments() {
        let args = parse(&["--small", "--minutes", "0.5", "faults"]);
        let args = args.expect("these are right");
        assert!(args.small && args.minutes == 0.5 && args.parts == ["faults"]);
        for wrong in [
            &["fault"][..],
            &["--minutes"],
            &["--minutes", "-1"],
            &["--fast"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
