//! Runs that are killed by SIGKILL at random moments, again and again, until they end: the newest checkpoint
//! is whole each time, and the end has the bits of a run that was never killed.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

use opt_core::{Checkpoints, Error, Snapshot};

use crate::child::{End, REFUSED};
use crate::models::text;
use crate::report::{Report, Scale};
use crate::rng::Rng;

/// Of each kind one: with little state and much, with a line search, with factors, with curvature.
const METHODS: [&str; 7] = [
    "adam",
    "momentum",
    "irprop-plus",
    "lbfgs",
    "prong",
    "kfac",
    "esgd",
];

pub(crate) fn run(scale: Scale) -> Result<Report, String> {
    let (started, mut report) = (Instant::now(), Report::default());
    let (steps, least) = scale.pick((8, 6), (60, 200));
    let methods = &METHODS[..scale.pick(3, METHODS.len())];
    let folder = crate::folder().join("kills");
    let mut rng = Rng::new(&[scale.seed, 1]);
    for round in 0.. {
        for method in methods {
            let case = format!(
                "{method} on 64-N-10 digits, seed {}, round {round}",
                scale.seed
            );
            let done = killed(method, steps, &folder, &mut rng, &mut report);
            report.case("runs", done.map_err(|why| format!("{case}: {why}")));
        }
        let kills = report.counts.get("kills").copied().unwrap_or(0);
        if kills >= least || !report.failures.is_empty() {
            break;
        }
    }
    let _ = std::fs::remove_dir_all(folder);
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

fn killed(
    method: &str,
    steps: u64,
    folder: &Path,
    rng: &mut Rng,
    report: &mut Report,
) -> Result<(), String> {
    let _ = std::fs::remove_dir_all(folder);
    let (whole, begun) = (folder.join("whole"), Instant::now());
    let reference = finish(start(&whole, method, steps)?)?;
    // Some ten kills a run, if it gets as far as its share between two.
    let longest = begun.elapsed() / 6;
    let stopped = folder.join("stopped");
    let mut last = 0;
    loop {
        let mut child = start(&stopped, method, steps)?;
        let opened = rng.below(4) > 0;
        if opened {
            opens(&mut child)?;
        }
        if opened && rng.below(8) == 0 {
            second_is_refused(&mut child, &stopped, method, steps)?;
            report.add("second runs refused", 2);
        }
        let wait = longest.mul_f64(rng.below(1_000) as f64 / 1_000.0);
        std::thread::sleep(wait);
        if child.process.try_wait().map_err(text)?.is_some() {
            let end = finish(child)?;
            return match end.digest == reference.digest {
                true => Ok(()),
                false => Err(format!("the end is not the same: {end:?}, {reference:?}")),
            };
        }
        child.process.kill().map_err(text)?;
        child.process.wait().map_err(text)?;
        report.add("kills", 1);
        let newest = inspect(&stopped, report)?;
        if newest < last {
            return Err(format!("step {newest} is the newest, and {last} was"));
        }
        last = newest;
    }
}

/// What is left in the folder: every file is whole. Gives the newest step.
fn inspect(folder: &Path, report: &mut Report) -> Result<u64, String> {
    let mut newest = 0;
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        // It was killed before it had made it.
        Err(_) => return Ok(0),
    };
    for entry in entries {
        let path = entry.map_err(text)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".opt-tmp") {
            report.add("kills in a write", 1);
        }
        if let Some(step) = name.strip_suffix(".safetensors") {
            Snapshot::<f32>::load(&path).map_err(|error| format!("{name} is damaged: {error}"))?;
            report.add("checkpoints loaded", 1);
            newest = newest.max(step.parse().map_err(text)?);
        }
    }
    // The lock has died with its process.
    Checkpoints::open(folder).map_err(|error| format!("still locked: {error}"))?;
    Ok(newest)
}

/// By us, and as another process.
fn second_is_refused(
    first: &mut Running,
    folder: &Path,
    method: &str,
    steps: u64,
) -> Result<(), String> {
    // On a machine that is busy the first may be done before the second begins.
    let mut done = || {
        first
            .process
            .try_wait()
            .is_ok_and(|status| status.is_some())
    };
    match Checkpoints::open(folder) {
        Ok(_) if done() => return Ok(()),
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::WouldBlock => {}
        other => return Err(format!("a second run gets {other:?}")),
    }
    let mut second = start(folder, method, steps)?;
    let code = second.process.wait().map_err(text)?.code();
    match code {
        Some(REFUSED) => Ok(()),
        Some(0) if done() => Ok(()),
        _ => Err(format!("a second process ends with {code:?}")),
    }
}

/// A child and what it says.
pub(crate) struct Running {
    pub(crate) process: Child,
    out: BufReader<ChildStdout>,
}

/// Starts a run.
fn start(folder: &Path, method: &str, steps: u64) -> Result<Running, String> {
    let mut command = Command::new(binary()?);
    command
        .arg("child")
        .arg(folder)
        .args([method, &steps.to_string()]);
    spawn(command)
}

/// Ourselves.
pub(crate) fn binary() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(text)
}

pub(crate) fn spawn(mut command: Command) -> Result<Running, String> {
    let mut process = command.stdout(Stdio::piped()).spawn().map_err(text)?;
    let out = process.stdout.take().ok_or("no pipe")?;
    Ok(Running {
        process,
        out: BufReader::new(out),
    })
}

/// Waits until it has opened its folder.
fn opens(child: &mut Running) -> Result<(), String> {
    let mut line = String::new();
    child.out.read_line(&mut line).map_err(text)?;
    match &*line {
        "open\n" => Ok(()),
        _ => Err(format!("it says `{}` and ends", line.trim())),
    }
}

/// Waits for its end.
pub(crate) fn finish(mut child: Running) -> Result<End, String> {
    let mut output = String::new();
    child.out.read_to_string(&mut output).map_err(text)?;
    let status = child.process.wait().map_err(text)?;
    End::parse(&output).ok_or_else(|| format!("it ends with {status} and says `{output}`"))
}
