//! What the experiments measured: the types of `results.json`, and its summary by method.
//!
//! The JSON is public: every field below is written under its own name, and a field that does
//! not apply, or whose number is not finite, is absent (JSON has neither NaN nor infinity).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use opt_core::Fallback;
use serde::{Deserialize, Serialize, Serializer};

use crate::setting::{Setting, Settings};

mod parts;

pub(crate) use parts::{Cost, Judged, Measure, Memory, Outcome, Rate, Search, Tried};

/// The whole of `results.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Results {
    /// One entry for each experiment that ran, in the order in which they ran.
    pub(crate) experiments: Vec<Experiment>,
    /// The machine: processor, cores, operating system, threads used.
    pub(crate) machine: String,
    /// The commit that was measured.
    pub(crate) commit: String,
    /// When the run began: ISO 8601, UTC.
    pub(crate) date: String,
}

/// One figure: several methods on one model and one data set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Experiment {
    /// The name of its TOML file; the files of its plots begin with it.
    pub(crate) name: String,
    /// What the figure shows, as a heading.
    pub(crate) title: String,
    /// The kind of its TOML file.
    #[serde(default)]
    pub(crate) kind: String,
    /// Which of its lengths it had: `quick`, `default`, `full`, or `named` where a run by name is longer.
    #[serde(default)]
    pub(crate) size: String,
    /// What the deck shows, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deck: Option<String>,
    /// The data set, and how many examples of it.
    pub(crate) data: String,
    /// The model or test function that is minimized.
    pub(crate) model: String,
    /// What a reader must know to judge the figure, such as "stopped early".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
    /// What the deck and its papers say, and what was measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) claims: Vec<Judged>,
    /// Networks only: how the first hyper-parameter of each method was chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) search: Vec<Search>,
    /// One entry for each method and seed.
    pub(crate) runs: Vec<Run>,
}

/// One method with one seed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// The name of the method in the registry, or of the experiment's variant of one.
    pub(crate) method: String,
    /// Variants only: the method's name in the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) base: Option<String>,
    /// Whether the network had batch normalization.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) normalized: bool,
    /// The hyper-parameters in use, those from the learning-rate search included.
    #[serde(serialize_with = "finite_entries")]
    pub(crate) hyper: Settings,
    /// Seed of the initial weights, the order of the examples and the dropout masks.
    pub(crate) seed: u64,
    /// Trajectories only: the test function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
    /// How often a step was not the method's usual one, by what it fell back to; absent if none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) fallbacks: BTreeMap<String, u64>,
    /// The problem was in other units: which, and what came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) units: Option<Rescaled>,
    /// Networks only: bytes that the run keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<Memory>,
    /// Networks only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cost: Option<Cost>,
    /// Ensembles only: the probabilities of the test examples at the end.
    #[serde(skip)]
    pub(crate) outputs: Option<Array2<f32>>,
    /// Why the run ended before its time ("diverged", "stopped"); absent for a complete run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<String>,
    /// What was measured, in the order of the updates. All seeds of a method share one grid of
    /// updates, but a failed run stops early.
    pub(crate) points: Vec<Point>,
}

/// A run of a problem in other units, beside the one in its own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rescaled {
    /// What the loss was multiplied by.
    pub(crate) loss: f64,
    /// What the parameters were multiplied by.
    pub(crate) parameter: f64,
    /// The greatest distance of the two paths at any step, as a part of the way that the other one
    /// made; in the problem's own units, as is the next.
    #[serde(skip_serializing_if = "not_finite")]
    pub(crate) apart: Option<f64>,
    /// The final loss over that of the other.
    #[serde(skip_serializing_if = "not_finite")]
    pub(crate) ratio: Option<f64>,
    pub(crate) verdict: Verdict,
}

/// What other units do to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// It is the same.
    Invariant,
    /// It ends no lower.
    Slower,
    /// It ends lower.
    Faster,
    /// It ends above its start.
    Diverges,
    /// A step, or a hyper-parameter, was refused.
    Refused,
}

impl Run {
    /// Counts what a step fell back to.
    pub(crate) fn note(&mut self, fallback: Option<Fallback>) {
        if let Some(fallback) = fallback {
            *self.fallbacks.entry(fallback.to_string()).or_default() += 1;
        }
    }
}

/// The state of a run after `update` updates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    /// Updates of the parameters so far; 0 is the start.
    pub(crate) update: u64,
    /// Passes over the training set so far.
    #[serde(skip_serializing_if = "not_finite")]
    pub(crate) epoch: Option<f64>,
    /// Wall-clock time spent on training so far, evaluation excluded, in seconds.
    #[serde(skip_serializing_if = "not_finite")]
    pub(crate) seconds: Option<f64>,
    /// Gradients evaluated so far, each over one minibatch.
    pub(crate) gradient_evaluations: u64,
    /// What all evaluations cost so far, in gradients over the whole training set; where all
    /// methods get the same amount of that.
    #[serde(skip_serializing_if = "not_finite")]
    pub(crate) passes: Option<f64>,
    /// Mean loss over the training examples.
    #[serde(skip_serializing_if = "not_finite")]
    pub(crate) train_loss: Option<f64>,
    /// Mean loss over the test examples.
    #[serde(skip_serializing_if = "not_finite")]
    pub(crate) test_loss: Option<f64>,
    /// Share of the test examples that are classified wrongly, from 0 to 1.
    #[serde(skip_serializing_if = "not_finite")]
    pub(crate) test_error: Option<f64>,
    /// Auto-encoders only: squared error per image, summed over the pixels, on the training
    /// examples.
    #[serde(skip_serializing_if = "not_finite")]
    pub(crate) squared_error: Option<f64>,
    /// Condition number of a block of the Fisher matrix.
    #[serde(skip_serializing_if = "not_finite")]
    pub(crate) condition: Option<f64>,
    /// 15th, 50th and 85th percentile of a pre-activation of the last hidden layer.
    #[serde(skip_serializing_if = "not_finite_triple")]
    pub(crate) percentiles: Option<[f64; 3]>,
    /// Norm of the gradient of every layer's weight, from the input on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) layer_gradients: Option<Vec<f64>>,
    /// Streams only: the length of this step.
    #[serde(default, skip_serializing_if = "not_finite")]
    pub(crate) step: Option<f64>,
    /// Learning rates only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<Rate>,
    /// Trajectories only: the two parameters.
    #[serde(skip_serializing_if = "not_finite_pair")]
    pub(crate) x: Option<[f64; 2]>,
    /// Trajectories only: the test function at `x`.
    #[serde(skip_serializing_if = "not_finite")]
    pub(crate) value: Option<f64>,
}

fn not_finite(value: &Option<f64>) -> bool {
    !value.is_some_and(f64::is_finite)
}

fn not_finite_pair(pair: &Option<[f64; 2]>) -> bool {
    !pair.is_some_and(|p| p.iter().all(|v| v.is_finite()))
}

fn not_finite_triple(triple: &Option<[f64; 3]>) -> bool {
    !triple.is_some_and(|p| p.iter().all(|v| v.is_finite()))
}

fn finite_entries<S: Serializer>(map: &Settings, s: S) -> Result<S::Ok, S::Error> {
    let finite = |v: &Setting| v.real().is_none_or(f64::is_finite);
    s.collect_map(map.iter().filter(|(_, v)| finite(v)))
}

impl Experiment {
    /// Whether it had its default length; results that are older than the field had.
    pub(crate) fn is_default(&self) -> bool {
        matches!(self.size.as_str(), "default" | "")
    }

    /// An experiment on several test functions as one for each, named `EXPERIMENT-PROBLEM`, with the
    /// claims about it: that is what a figure or a table shows. Others as they are.
    pub(crate) fn figures(&self) -> Vec<Experiment> {
        let mut figures: Vec<Experiment> = Vec::new();
        for run in &self.runs {
            let name = match &run.problem {
                Some(problem) => format!("{}-{problem}", self.name),
                None => self.name.clone(),
            };
            if let Some(figure) = figures.iter_mut().find(|figure| figure.name == name) {
                figure.runs.push(run.clone());
                continue;
            }
            let mut figure = Experiment {
                name,
                runs: vec![run.clone()],
                ..self.clone()
            };
            if let Some(problem) = &run.problem {
                figure.title += &format!(": {problem}");
                let about = |claim: &Judged| claim.problem.as_ref().is_none_or(|p| p == problem);
                figure.claims.retain(about);
            }
            figures.push(figure);
        }
        figures
    }
}

impl Results {
    /// Writes `results.json` into `dir`, which is created if need be, and returns its path.
    pub(crate) fn write(&self, dir: &Path) -> io::Result<PathBuf> {
        let path = dir.join("results.json");
        let mut json = serde_json::to_vec(self)?;
        json.push(b'\n');
        write_file(&path, &json)?;
        Ok(path)
    }
}

/// Writes a file whole or not at all, see [`opt_core::write_whole`], in a folder that is created if
/// need be.
pub(crate) fn write_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let name =
        |e: io::Error| io::Error::new(e.kind(), format!("cannot write {}: {e}", path.display()));
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(name)?;
    }
    opt_core::write_whole(path, content).map_err(|error| match error {
        opt_core::Error::Io { source, .. } => name(source),
        other => io::Error::other(other.to_string()),
    })
}

/// Median and range over the seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Stat {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Stat {
    /// Of the finite values; none if there are none. Of an even number of values the median is
    /// the mean of the middle two.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut v: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
        v.sort_by(f64::total_cmp);
        let (min, max) = (*v.first()?, *v.last()?);
        let (low, high) = (*v.get((v.len() - 1) / 2)?, *v.get(v.len() / 2)?);
        // Halved before they are added: the sum of two large values overflows.
        let median = if low == high {
            low
        } else {
            0.5 * low + 0.5 * high
        };
        Some(Stat { median, min, max })
    }
}

/// One method of an experiment at the end of its runs, over the seeds that did not fail.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Row {
    pub(crate) method: String,
    /// Of the method's first run: the choice is made once for all seeds.
    pub(crate) hyper: Settings,
    pub(crate) train_loss: Option<Stat>,
    pub(crate) test_loss: Option<Stat>,
    pub(crate) test_error: Option<Stat>,
    pub(crate) squared_error: Option<Stat>,
    pub(crate) condition: Option<Stat>,
    pub(crate) value: Option<Stat>,
    pub(crate) seconds_per_update: Option<f64>,
    /// Over all seeds, as in [`Run::fallbacks`].
    pub(crate) fallbacks: BTreeMap<String, u64>,
    /// Why runs failed, and how many if not all did.
    pub(crate) failed: Option<String>,
}

/// One row for each method, the lowest final training loss (for trajectories: value) first;
/// then methods of which some seeds failed, and last those of which all did.
pub(crate) fn summary(experiment: &Experiment) -> Vec<Row> {
    let mut rows: Vec<(bool, bool, f64, Row)> = Vec::new();
    for runs in by_method(&experiment.runs) {
        let failed: Vec<&str> = runs.iter().filter_map(|r| r.failed.as_deref()).collect();
        let row = row(&runs, &failed);
        let rank = row
            .train_loss
            .or(row.value)
            .map_or(f64::INFINITY, |s| s.median);
        rows.push((failed.len() == runs.len(), !failed.is_empty(), rank, row));
    }
    rows.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)));
    rows.into_iter().map(|(.., row)| row).collect()
}

/// Runs by method, methods in the order of their first run.
pub(crate) fn by_method(runs: &[Run]) -> Vec<Vec<&Run>> {
    let mut groups: Vec<Vec<&Run>> = Vec::new();
    for run in runs {
        let same = |g: &&mut Vec<&Run>| g.first().is_some_and(|r| r.method == run.method);
        match groups.iter_mut().find(same) {
            Some(group) => group.push(run),
            None => groups.push(vec![run]),
        }
    }
    groups
}

fn row(runs: &[&Run], failed: &[&str]) -> Row {
    let last = |field: fn(&Point) -> Option<f64>| {
        let complete = runs.iter().filter(|r| r.failed.is_none());
        Stat::of(complete.filter_map(|r| r.points.iter().rev().find_map(field)))
    };
    let reason = failed
        .first()
        .map(|first| match failed.len() == runs.len() {
            true => (*first).to_owned(),
            false => format!("{} of {} seeds: {first}", failed.len(), runs.len()),
        });
    let mut fallbacks = BTreeMap::new();
    for (what, n) in runs.iter().flat_map(|run| &run.fallbacks) {
        *fallbacks.entry(what.clone()).or_default() += n;
    }
    Row {
        fallbacks,
        method: runs.first().map_or_else(String::new, |r| r.method.clone()),
        hyper: runs.first().map_or_else(Settings::new, |r| r.hyper.clone()),
        train_loss: last(|p| p.train_loss),
        test_loss: last(|p| p.test_loss),
        test_error: last(|p| p.test_error),
        squared_error: last(|p| p.squared_error),
        condition: last(|p| p.condition),
        value: last(|p| p.value),
        seconds_per_update: Stat::of(runs.iter().filter_map(|r| pace(r))).map(|s| s.median),
        failed: reason,
    }
}

/// Seconds per update between the first and the last point that have a time.
fn pace(run: &Run) -> Option<f64> {
    let mut timed = run
        .points
        .iter()
        .filter_map(|p| Some((p.update, p.seconds?)));
    let (first, last) = (timed.next()?, timed.next_back()?);
    let updates = last.0.checked_sub(first.0).filter(|&n| n > 0)?;
    Some((last.1 - first.1) / updates as f64)
}

#[cfg(test)]
mod tests;
