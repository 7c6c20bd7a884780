//! What is finished is on the disk: results after every seed, the report nearly as often.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::results::{Experiment, Judged, Outcome, Results, write_file};
use crate::{machine, report};

/// The results so far, and the folder that they are kept in.
pub(super) struct Keep {
    dir: PathBuf,
    results: Results,
    /// Whether `results` has what the page has not.
    stale: bool,
    /// When the page was last written, and how long that took.
    page: Option<(Instant, Duration)>,
}

impl Keep {
    /// Creates the folder and tries to write into it, before anything is trained for nothing.
    ///
    /// # Errors
    /// In one line, why it can't be.
    pub(super) fn new(dir: &Path) -> Result<Self, String> {
        let attempt = dir.join(format!(".attempt-{}", std::process::id()));
        write_file(&attempt, b"")
            .and_then(|()| std::fs::remove_file(&attempt))
            .map_err(|e| format!("{e}; --out names another folder"))?;
        Ok(Self {
            dir: dir.to_owned(),
            results: Results {
                machine: machine::describe(),
                commit: machine::commit(),
                date: machine::date(),
                ..Results::default()
            },
            stale: false,
            page: None,
        })
    }

    /// Takes the experiment in the place of what there was of it, and writes `results.json`; the
    /// page too where the experiment is whole, or if that takes no more than a twentieth of the
    /// time.
    ///
    /// # Errors
    /// In one line, with the file's name.
    pub(super) fn experiment(&mut self, now: Experiment, whole: bool) -> Result<(), String> {
        let all = &mut self.results.experiments;
        match all.last_mut().filter(|last| last.name == now.name) {
            Some(last) => *last = now,
            None => all.push(now),
        }
        self.stale = true;
        self.results.write(&self.dir).map_err(|e| e.to_string())?;
        let due = |&(at, took): &(Instant, Duration)| at.elapsed() >= 20 * took;
        match whole || self.page.as_ref().is_none_or(due) {
            true => self.report(),
            false => Ok(()),
        }
    }

    /// Writes the page, unless it has all already.
    ///
    /// # Errors
    /// As [`experiment`](Self::experiment).
    pub(super) fn report(&mut self) -> Result<(), String> {
        if !self.stale {
            return Ok(());
        }
        let begin = Instant::now();
        report::write(&self.dir, &self.results).map_err(|e| e.to_string())?;
        self.page = Some((Instant::now(), begin.elapsed()));
        self.stale = false;
        Ok(())
    }

    /// Where everything is.
    pub(super) fn told(&self) -> String {
        if self.results.experiments.is_empty() {
            return "nothing was finished, and nothing written".to_owned();
        }
        let findings = self.findings();
        let findings = match findings.is_empty() {
            true => String::new(),
            false => format!(
                "Worth reading first:\n{}\n\n",
                report::print_claims(&findings)
            ),
        };
        let [json, page] = self.paths();
        format!(
            "{findings}results: {}\nreport:  {}",
            json.display(),
            page.display()
        )
    }

    /// The same for machines.
    pub(super) fn files(&self) -> serde_json::Value {
        let [json, page] = self.paths();
        serde_json::json!({ "results": json, "report": page })
    }

    fn paths(&self) -> [PathBuf; 2] {
        ["results.json", "report.html"].map(|name| self.dir.join(name))
    }

    /// Three claims, from different experiments if there are as many: what contradicts the deck before
    /// what agrees with it.
    fn findings(&self) -> Vec<&Judged> {
        let of = |verdict| {
            let all = self.results.experiments.iter();
            all.filter_map(move |e| e.claims.iter().find(|judged| judged.verdict == verdict))
        };
        let mut all: Vec<_> = of(Outcome::DoesNot).chain(of(Outcome::Holds)).collect();
        all.truncate(3);
        all
    }
}
