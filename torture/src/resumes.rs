//! Every method on every model, stopped at three steps and gone on with from a file, in new objects:
//! the end has the same bits as without a stop.

use std::time::Instant;

use opt_core::{Checkpoints, Run, Tune};

use crate::models::{Begin, Data, Model, Session, Subject, subjects, text};
use crate::report::{Report, Scale};

const STEPS: u64 = 9;
const STOPS: [u64; 3] = [2, 5, 7];

pub(crate) fn run(scale: Scale) -> Result<Report, String> {
    let started = Instant::now();
    let (data, mut report) = (Data::new()?, Report::default());
    let folder = crate::folder().join("resumes");
    for subject in &subjects() {
        for &model in Model::all(subject) {
            let case = format!("{} on {}, seed {}", subject.name, model.name(), scale.seed);
            let new = || Session::begin(subject, model, &data, scale.seed);
            let mut whole = match new()? {
                Begin::Ready(session) => session,
                Begin::Refused(why) => {
                    refused(&mut report, &case, &why);
                    continue;
                }
            };
            if let Err(why) = whole.run(0..1) {
                refused(&mut report, &case, &why);
                continue;
            }
            report.add("combinations", 1);
            if let Err(why) = whole.run(1..STEPS) {
                report.failures.push(format!("{case}: {why}"));
                continue;
            }
            for stop in STOPS {
                let _ = std::fs::remove_dir_all(&folder);
                let done = resumed(subject, &new, stop, &folder);
                let done = done.and_then(|mut session| session.bits()?.same(&whole.bits()?));
                let done = done.map_err(|why| format!("{case}, stopped at {stop}: {why}"));
                report.case("resumes", done);
            }
        }
    }
    let _ = std::fs::remove_dir_all(&folder);
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

fn refused(report: &mut Report, case: &str, why: &str) {
    report.add("combinations refused", 1);
    report.notes.push(format!("refused: {case}: {why}"));
}

/// The run's end, after a stop.
fn resumed<'a>(
    subject: &Subject,
    new: &dyn Fn() -> Result<Begin<'a>, String>,
    stop: u64,
    folder: &std::path::Path,
) -> Result<Box<Session<'a>>, String> {
    let begin = || match new()? {
        Begin::Ready(session) => Ok(session),
        Begin::Refused(why) => Err(why),
    };
    let mut session = begin()?;
    session.run(0..stop)?;
    let checkpoints = Checkpoints::open(folder).map_err(text)?;
    let list = session.method.list();
    session.with_run(|run| checkpoints.save(stop, &list, run))?;
    // Those of the new process, so to speak.
    drop((session, checkpoints));
    let mut session = begin()?;
    if subject.name == "prong-coordinates" {
        // The model shows its whitening as state only once it has one.
        session.run(0..1)?;
    }
    let checkpoints = Checkpoints::open(folder).map_err(text)?;
    let list = session.method.list();
    let found = session.with_run(|run| checkpoints.resume(&list, run))?;
    let found = found.ok_or("there is no checkpoint")?;
    if found.step != stop || !found.damaged.is_empty() {
        return Err(format!("it goes on from {found:?}"));
    }
    session.run(stop..STEPS)?;
    Ok(session)
}

impl Session<'_> {
    /// Calls `f` with all that changes, as a run.
    pub(crate) fn with_run<T>(
        &mut self,
        f: impl FnOnce(&mut Run<'_, f32>) -> Result<T, opt_core::Error>,
    ) -> Result<T, String> {
        let done = self.with_states(|states| {
            let mut run = Run::new();
            for (name, state) in states {
                run = run.with(name, &mut **state);
            }
            f(&mut run)
        });
        done?.map_err(text)
    }
}
