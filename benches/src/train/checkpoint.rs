//! What a run needs to go on in a new process: bit for bit as if the old one had gone on.

use std::path::Path;
use std::time::{Duration, Instant};

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::Trainer;
use super::session::Session;
use crate::results::Run;
use crate::shelf::remove;

/// A run on its way.
#[derive(Deserialize, Serialize)]
pub(super) struct Part {
    pub(super) run: Run,
    /// Of its budget.
    pub(super) spent: u64,
    /// The name of the file with the state of everything, once there is one.
    pub(super) state: Option<String>,
}

/// A run that is finished.
#[derive(Deserialize, Serialize)]
struct Whole {
    run: Run,
    /// Of an ensemble's member: what it says of each test example.
    outputs: Option<(usize, usize, Vec<f32>)>,
}

/// Seconds between two checkpoints.
const EVERY: f64 = 20.0;

/// When it is time for a checkpoint: after a while, and not so often that it costs more than a
/// fiftieth of the time.
pub(super) struct Due {
    last: Instant,
    wait: f64,
    asked: Option<Instant>,
}

impl Due {
    pub(super) fn new() -> Self {
        Self {
            last: Instant::now(),
            wait: EVERY,
            asked: None,
        }
    }

    pub(super) fn now(&mut self) -> bool {
        let due = self.last.elapsed().as_secs_f64() >= self.wait;
        self.asked = due.then(Instant::now);
        due
    }

    /// The checkpoint that was due is written.
    pub(super) fn done(&mut self) {
        let took = (self.asked.take()).map_or(0.0, |asked| asked.elapsed().as_secs_f64());
        (self.last, self.wait) = (Instant::now(), EVERY.max(50.0 * took));
    }
}

impl Session<'_> {
    /// Calls `f` with all that changes in the course of a run, by name.
    pub(super) fn with_state<T>(
        &mut self,
        f: impl FnOnce(&mut opt_core::Run<'_, f32>) -> Result<T, opt_core::Error>,
    ) -> Result<T, String> {
        let mut nanoseconds = self.training_time.as_nanos() as u64;
        let mut run = opt_core::Run::new()
            .with("x", &mut self.x)
            .with("method", &mut self.method)
            .with("network", &mut self.network)
            .with("updates", &mut self.done)
            .with("nanoseconds", &mut nanoseconds);
        let done = f(&mut run).map_err(|e| e.to_string());
        self.training_time = Duration::from_nanos(nanoseconds);
        done
    }
}

impl Trainer<'_> {
    /// The run of this name, if it is finished.
    pub(super) fn finished(&self, name: &str) -> Result<Option<Run>, String> {
        let Some(Whole { mut run, outputs }) = self.shelf.get(name)? else {
            return Ok(None);
        };
        if let Some((rows, columns, all)) = outputs {
            let outputs = Array2::from_shape_vec((rows, columns), all);
            run.outputs = Some(outputs.map_err(|e| format!("{name}: {e}"))?);
        }
        Ok(Some(run))
    }

    /// What there is of the run of this name, with the session as it was then.
    pub(super) fn part(
        &self,
        name: &str,
        session: &mut Session<'_>,
    ) -> Result<Option<Part>, String> {
        let Some(part) = self.shelf.get::<Part>(&format!("{name}-part"))? else {
            return Ok(None);
        };
        let state = part.state.as_deref().unwrap_or(name);
        let path = self.shelf.path(state, "safetensors");
        match session.with_state(|run| run.resume(&path))? {
            true => Ok(Some(part)),
            false => Err(format!(
                "{} is missing; run without --resume",
                path.display()
            )),
        }
    }

    /// Writes how far it is: the state first, then what names it, then the older state goes.
    pub(super) fn keep(
        &self,
        name: &str,
        session: &mut Session<'_>,
        part: &mut Part,
    ) -> Result<(), String> {
        let state = format!("{name}-{}", session.done);
        let path = self.shelf.path(&state, "safetensors");
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("")))
            .map_err(|e| format!("cannot write {}: {e}", path.display()))?;
        session.with_state(|run| run.save(&path))?;
        let before = part.state.replace(state);
        self.shelf.put(&format!("{name}-part"), part)?;
        match before.filter(|before| part.state.as_ref() != Some(before)) {
            Some(before) => remove(&self.shelf.path(&before, "safetensors")),
            None => Ok(()),
        }
    }

    /// The run of this name is finished.
    pub(super) fn finish(
        &self,
        name: &str,
        run: &Run,
        state: Option<String>,
    ) -> Result<(), String> {
        let outputs = run.outputs.as_ref();
        let whole = Whole {
            run: run.clone(),
            outputs: outputs.map(|all| (all.nrows(), all.ncols(), all.iter().copied().collect())),
        };
        self.shelf.put(name, &whole)?;
        let part = self.shelf.path(&format!("{name}-part"), "json");
        remove(&part)?;
        match state {
            Some(state) => remove(&self.shelf.path(&state, "safetensors")),
            None => Ok(()),
        }
    }
}
