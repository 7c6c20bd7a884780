//! One trajectory in double precision, as CSV on standard output.

use std::io::{self, BufWriter, ErrorKind, Write};

use opt_core::{AnyMethod, Error, Fallback, Value, find_entry};
use opt_testkit::{Plane, planes};

use crate::scaled::{Scaled, Units};
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
    /// rosenbrock, beale, valley, saddle, or moons, which is noisy.
    #[arg(long)]
    problem: String,
    /// The starting point.
    #[arg(long, value_name = "A,B", allow_hyphen_values = true)]
    start: String,
    /// Number of steps.
    #[arg(long, allow_hyphen_values = true)]
    steps: String,
    /// The method sees, and `value` shows, C times the function.
    #[arg(long, value_name = "C", allow_hyphen_values = true)]
    loss_scale: Option<String>,
    /// The method sees parameters U·x; --start and the x that is printed stay x.
    #[arg(long, value_name = "U", allow_hyphen_values = true)]
    unit: Option<String>,
}

/// A billion lines are 80 GB.
const MOST_STEPS: u64 = 1_000_000_000;

/// What a trajectory is made of.
struct Path {
    plane: Plane,
    units: Units,
    method: AnyMethod<f64, Scaled<Plane>>,
    start: [f64; 2],
    steps: u64,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let path = read(args)?;
    match print(path, &mut BufWriter::new(io::stdout().lock())) {
        Ok(None) => Ok(()),
        Ok(Some(error)) => Err(Failure::Other(format!("{}: {error}", args.method))),
        // A reader like `head` that has enough is no error.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::Other(error.to_string())),
    }
}

fn read(args: &Args) -> Result<Path, Failure> {
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
    let entries = registry::surfaces::<f64, Scaled<Plane>>();
    let entry = find_entry(&entries, &args.method).map_err(|e| {
        let layered = registry::networks().iter().any(|e| e.name() == args.method);
        Failure::Usage(match layered {
            true => format!("{} needs a layered network; {e}", args.method),
            false => e.to_string(),
        })
    })?;
    let set = args.set.iter().map(|text| assignment(text));
    let set = set.collect::<Result<Vec<_>, _>>()?;
    let units = Units {
        loss: scale("--loss-scale", args.loss_scale.as_deref())?,
        parameter: scale("--unit", args.unit.as_deref())?,
    };
    let problem = Scaled::new(plane.clone(), units);
    let method = entry.build(&set, &problem).map_err(usage)?;
    let (start, steps) = (start(&args.start)?, steps(&args.steps)?);
    if units.scale(&start).iter().any(|u| !u.is_finite()) {
        return Err(Failure::Usage(format!(
            "--unit {} times --start {}: must be finite",
            units.parameter, args.start
        )));
    }
    Ok(Path {
        plane: plane.clone(),
        units,
        method,
        start,
        steps,
    })
}

/// The trajectory, up to the step that is refused; and why it was.
fn print(path: Path, out: &mut impl Write) -> io::Result<Option<Error>> {
    let Path {
        plane,
        units,
        mut method,
        start,
        steps,
    } = path;
    let mut objective = Scaled::new(plane.clone(), units);
    let mut u = start.map(|x| units.parameter * x);
    let mut last = None;
    writeln!(out, "step,value,x0,x1")?;
    for step in 0..=steps {
        if step > 0 {
            match method.step(&mut objective, &mut u) {
                Ok(report) => tell(step, report.fallback, &mut last, out)?,
                Err(error) => {
                    out.flush()?;
                    return Ok(Some(error));
                }
            }
        }
        let x = units.restore(u);
        let value = units.loss * (plane.value)(x);
        // One digit before the point and sixteen behind it: 17 significant ones.
        writeln!(out, "{step},{value:.16e},{:.16e},{:.16e}", x[0], x[1])?;
    }
    out.flush()?;
    Ok(None)
}

/// Says on standard error what a step fell back to, once until it is another.
fn tell(
    step: u64,
    fallback: Option<Fallback>,
    last: &mut Option<Fallback>,
    out: &mut impl Write,
) -> io::Result<()> {
    if fallback != *last
        && let Some(fallback) = fallback
    {
        // In the order of the lines, where both go to one terminal.
        out.flush()?;
        eprintln!("step {step}: {fallback}");
    }
    *last = fallback;
    Ok(())
}

fn assignment(text: &str) -> Result<(&str, Value), Failure> {
    let parsed = text.split_once('=');
    let parsed = parsed.map(|(key, value)| (key, Value::parse(value)));
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

fn steps(text: &str) -> Result<u64, Failure> {
    let steps = text.parse().ok().filter(|steps| *steps <= MOST_STEPS);
    steps.ok_or_else(|| {
        Failure::Usage(format!(
            "--steps {text}: must be a whole number from 0 to {MOST_STEPS}, such as 100"
        ))
    })
}

fn scale(name: &str, text: Option<&str>) -> Result<f64, Failure> {
    let Some(text) = text else {
        return Ok(1.0);
    };
    let value = text.trim().parse().ok();
    // A denormal has too few digits to scale with.
    value
        .filter(|v: &f64| *v > 0.0 && v.is_normal())
        .ok_or_else(|| {
            Failure::Usage(format!(
                "{name} {text}: must be a finite number above 0, such as 1e6"
            ))
        })
}
