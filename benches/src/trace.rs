//! One trajectory in double precision, as CSV on standard output.

use std::io::{self, BufWriter, ErrorKind, Write};

use opt_core::{Error, Objective, find_entry};
use opt_testkit::{Plane, planes};

use crate::{Failure, registry};

/// Words that are checked by hand, as clap's messages have several lines.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A registered method.
    #[arg(long)]
    method: String,
    /// A hyper-parameter that is not the default.
    #[arg(long, value_name = "KEY=VALUE", allow_hyphen_values = true)]
    set: Vec<String>,
    /// rosenbrock, beale, valley or saddle.
    #[arg(long)]
    problem: String,
    /// The starting point.
    #[arg(long, value_name = "A,B", allow_hyphen_values = true)]
    start: String,
    /// Number of steps.
    #[arg(long, allow_hyphen_values = true)]
    steps: String,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let usage = |e: Error| Failure::Usage(e.to_string());
    let planes = planes().map_err(usage)?;
    let known: Vec<_> = planes.iter().map(|plane| plane.name).collect();
    let plane = planes.iter().find(|plane| plane.name == args.problem);
    let plane = plane.ok_or_else(|| {
        Failure::Usage(format!(
            "no problem `{}`; there are: {}",
            args.problem,
            known.join(", ")
        ))
    })?;
    let entries = registry::surfaces::<Plane>();
    let entry = find_entry(&entries, &args.method).map_err(|e| {
        let layered = registry::networks().iter().any(|e| e.name() == args.method);
        Failure::Usage(match layered {
            true => format!("{} needs a layered network; {e}", args.method),
            false => e.to_string(),
        })
    })?;
    let set = args.set.iter().map(|text| assignment(text));
    let set = set.collect::<Result<Vec<_>, _>>()?;
    let params = Objective::<f64>::params(plane);
    let mut method = entry.build(&set, params).map_err(usage)?;
    let mut x = start(&args.start)?;
    let steps: u64 = args.steps.parse().map_err(|_| {
        Failure::Usage(format!(
            "--steps {}: must be a whole number, such as 100",
            args.steps
        ))
    })?;

    let mut out = BufWriter::new(io::stdout().lock());
    let mut plane = plane.clone();
    let mut all = || -> io::Result<Option<Error>> {
        writeln!(out, "step,value,x0,x1")?;
        for step in 0..=steps {
            if step > 0
                && let Err(error) = method.step(&mut plane, &mut x)
            {
                out.flush()?;
                return Ok(Some(error));
            }
            // One digit before the point and sixteen behind it: 17 significant ones.
            writeln!(
                out,
                "{step},{:.16e},{:.16e},{:.16e}",
                (plane.value)(x),
                x[0],
                x[1]
            )?;
        }
        out.flush()?;
        Ok(None)
    };
    match all() {
        Ok(None) => Ok(()),
        Ok(Some(error)) => Err(Failure::Other(format!("{}: {error}", args.method))),
        // A reader like `head` that has enough is no error.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::Other(error.to_string())),
    }
}

fn assignment(text: &str) -> Result<(&str, f64), Failure> {
    let parsed = text
        .split_once('=')
        .and_then(|(key, value)| Some((key, value.parse().ok()?)));
    parsed.ok_or_else(|| Failure::Usage(format!("--set {text}: must be KEY=VALUE, such as lr=0.1")))
}

fn start(text: &str) -> Result<[f64; 2], Failure> {
    let numbers: Option<Vec<f64>> = text.split(',').map(|n| n.trim().parse().ok()).collect();
    match numbers.as_deref() {
        Some(&[a, b]) if a.is_finite() && b.is_finite() => Ok([a, b]),
        _ => Err(Failure::Usage(format!(
            "--start {text}: must be two finite numbers, such as -1.2,1"
        ))),
    }
}
