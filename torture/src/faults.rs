//! A fault in every evaluation of a run, for every method and model: a step that is refused has
//! changed nothing, and the run goes on as if the fault had never been.

use std::time::Instant;

use opt_core::{Error, Snapshot};

use crate::bits::Bits;
use crate::faulty::{Evaluation, Fault};
use crate::guard::caught;
use crate::models::{Begin, Data, Model, Session, Subject, subjects, text};
use crate::report::{Report, Scale};
use crate::rng::Rng;

/// Of a run.
const STEPS: u64 = 4;

/// A run without faults: what it was before each step and after the last, and what each step asked.
struct Reference {
    snapshots: Vec<Snapshot<f32>>,
    bits: Vec<Bits>,
    evaluations: Vec<Vec<Evaluation>>,
}

pub(crate) fn run(scale: Scale) -> Result<Report, String> {
    let started = Instant::now();
    let (data, mut report) = (Data::new()?, Report::default());
    let least = scale.pick(2_000, 50_000);
    let subjects = subjects();
    for round in 0.. {
        let seed = scale.seed.wrapping_add(round * 1_000_003);
        for subject in &subjects {
            for &model in Model::all(subject) {
                let case = format!("{} on {}, seed {seed}", subject.name, model.name());
                if let Err(why) =
                    combination(subject, model, &data, (seed, round, scale), &mut report)
                {
                    report.failures.push(format!("{case}: {why}"));
                }
            }
        }
        // Every round has all combinations; the counts of the first say how many there are.
        if report.counts.get("faults").is_none_or(|&n| n >= least) || scale.small {
            break;
        }
    }
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

fn combination(
    subject: &Subject,
    model: Model,
    data: &Data,
    (seed, round, scale): (u64, u64, Scale),
    report: &mut Report,
) -> Result<(), String> {
    let case = format!("{} on {}", subject.name, model.name());
    let mut session = match Session::begin(subject, model, data, seed)? {
        Begin::Ready(session) => session,
        Begin::Refused(why) => {
            refused(report, format!("refused when made: {case}: {why}"));
            return Ok(());
        }
    };
    let reference = match reference(&mut session) {
        Ok(reference) => reference,
        Err(Stop::Refused(why)) => {
            refused(report, format!("refused at the first step: {case}: {why}"));
            return Ok(());
        }
        Err(Stop::Failed(why)) => return Err(why),
    };
    report.add("combinations", 1);
    for (step, evaluations) in reference.evaluations.iter().enumerate() {
        let mut rng = Rng::new(&[seed, step as u64]);
        // Newton asks for a product with every parameter: all of them have their turn in the first
        // full round, and later some.
        let stride = match (scale.small, round) {
            (true, _) => evaluations.len().div_ceil(6),
            (false, 0) => 1,
            (false, _) => evaluations.len().div_ceil(24),
        };
        let stride = stride.max(1);
        let turns = evaluations
            .iter()
            .enumerate()
            .skip(rng.below(stride))
            .step_by(stride);
        for (at, evaluation) in turns {
            let value = *rng.of(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
            for fault in evaluation.faults(rng.below(1 << 16), value) {
                let tried = caught(|| try_one(&mut session, &reference, (step, at, fault)));
                let tried = tried.unwrap_or_else(|what| Err(format!("it panics: {what}")));
                let named = tried.map_err(|why| {
                    format!("{case}, step {step}, evaluation {at} ({evaluation:?}), {fault:?}, seed {seed}: {why}")
                });
                match named {
                    Ok(what) => report.add(what, 1),
                    Err(why) => report.failures.push(why),
                }
                report.add("faults", 1);
            }
        }
    }
    Ok(())
}

fn refused(report: &mut Report, note: String) {
    if !report.notes.contains(&note) {
        report.add("combinations refused", 1);
        report.notes.push(note);
    }
}

enum Stop {
    /// A method cannot take the model, and says so.
    Refused(String),
    Failed(String),
}

fn reference(session: &mut Session<'_>) -> Result<Reference, Stop> {
    let mut reference = Reference {
        snapshots: Vec::new(),
        bits: Vec::new(),
        evaluations: Vec::new(),
    };
    let keep = |session: &mut Session<'_>, reference: &mut Reference| {
        let snapshot = session.with_states(Snapshot::take)?;
        reference.snapshots.push(snapshot.map_err(text)?);
        reference.bits.push(session.bits()?);
        Ok::<(), String>(())
    };
    keep(session, &mut reference).map_err(Stop::Failed)?;
    for step in 0..STEPS {
        session.load(step).map_err(Stop::Failed)?;
        let done = session.step();
        match done {
            Err(error) if step == 0 => return Err(Stop::Refused(error.to_string())),
            Err(error) => return Err(Stop::Failed(format!("step {step}: {error}"))),
            Ok(_) => {}
        }
        reference.evaluations.push(session.objective.seen.clone());
        keep(session, &mut reference).map_err(Stop::Failed)?;
    }
    // Once the model is whitened it stays so, and shows it as state; as it was before the first step,
    // such a run has to be begun anew.
    Ok(reference)
}

/// What became of the step, if all is right.
fn try_one(
    session: &mut Session<'_>,
    reference: &Reference,
    (step, at, fault): (usize, usize, Fault),
) -> Result<&'static str, String> {
    restore(session, &reference.snapshots[step])?;
    session.load(step as u64)?;
    let accepted = session.objective.accepted;
    session.objective.ambush = Some((at, fault));
    let result = session.step();
    if session.objective.ambush.take().is_some() {
        return Err("the step did not get there".to_owned());
    }
    let accepted = session.objective.accepted - accepted;
    match result {
        Err(error) => {
            let same = session.bits()?.same(&reference.bits[step]);
            same.map_err(|what| format!("refused ({error}), and {what}"))?;
            if accepted > 0 {
                return Err(format!("refused ({error}), and the objective accepted"));
            }
            if matches!(error, Error::Diverged { .. }) {
                return Err(format!("it diverged: {error}"));
            }
            // The same minibatch again, and then all others.
            session.run(step as u64..STEPS)?;
            let same = session.bits()?.same(&reference.bits[STEPS as usize]);
            same.map_err(|what| format!("refused ({error}), and at the end {what}"))?;
            Ok("refused")
        }
        Ok(report) => {
            if let Some(name) = session.not_finite()? {
                return Err(format!("accepted ({report:?}), and {name} is not finite"));
            }
            session.run(step as u64 + 1..STEPS)?;
            match session.not_finite()? {
                None => Ok("accepted"),
                Some(name) => Err(format!("accepted ({report:?}), later {name} is not finite")),
            }
        }
    }
}

/// As it was. A model that has been whitened since is made plain first, if it was.
fn restore(session: &mut Session<'_>, to: &Snapshot<f32>) -> Result<(), String> {
    let restored = session.with_states(|states| to.restore(states))?;
    if restored.is_ok() {
        return Ok(());
    }
    opt_core::Reparametrized::clear_whitening(&mut session.objective);
    session
        .with_states(|states| to.restore(states))?
        .map_err(text)
}
