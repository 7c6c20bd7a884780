//! What a part has tried, and what went wrong.

use std::collections::BTreeMap;
use std::io::Write;

/// How much a part does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// For `cargo xtask test`.
    pub(crate) small: bool,
    /// Of everything that is drawn.
    pub(crate) seed: u64,
}

impl Scale {
    /// One of two counts.
    pub(crate) fn pick<T>(self, small: T, full: T) -> T {
        if self.small { small } else { full }
    }
}

/// What a part has to tell.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// How many of what; the greatest of those whose name begins with `max`.
    pub(crate) counts: BTreeMap<&'static str, u64>,
    /// Each with the case that failed: method, model, evaluation, seed.
    pub(crate) failures: Vec<String>,
    /// What was refused or could not be tried, and why.
    pub(crate) notes: Vec<String>,
    /// Of the clock.
    pub(crate) seconds: f64,
}

/// Failures that are told one by one.
const SHOWN: usize = 20;

impl Report {
    /// Counts.
    pub(crate) fn add(&mut self, what: &'static str, count: u64) {
        let entry = self.counts.entry(what).or_default();
        match what.starts_with("max") {
            true => *entry = count.max(*entry),
            false => *entry += count,
        }
    }

    /// A case that was tried, which `result` says something of if it failed.
    pub(crate) fn case(&mut self, what: &'static str, result: Result<(), String>) {
        self.add(what, 1);
        self.failures.extend(result.err());
    }

    /// Joins another report of the same part.
    pub(crate) fn join(&mut self, other: Self) {
        for (what, count) in other.counts {
            self.add(what, count);
        }
        self.failures.extend(other.failures);
        for note in other.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        self.seconds += other.seconds;
    }

    /// One line, and one for each failure.
    pub(crate) fn show(&self, part: &str, verbose: bool, out: &mut dyn Write) {
        let counts: Vec<_> = (self.counts.iter())
            .map(|(what, count)| format!("{what} {count}"))
            .collect();
        let line = format!(
            "{part}: {}; {} failures ({:.0} s)",
            counts.join(", "),
            self.failures.len(),
            self.seconds
        );
        // A closed pipe is no reason to stop.
        let _ = writeln!(out, "{line}");
        let skip = |note: &&String| verbose || !note.starts_with("refused");
        for note in self.notes.iter().filter(skip) {
            let _ = writeln!(out, "  {note}");
        }
        for failure in self.failures.iter().take(SHOWN) {
            let _ = writeln!(out, "  FAILED {failure}");
        }
        if self.failures.len() > SHOWN {
            let _ = writeln!(out, "  and {} more", self.failures.len() - SHOWN);
        }
    }

    /// For counts.json.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "counts": self.counts,
            "failures": self.failures,
            "notes": self.notes,
            "seconds": self.seconds,
        })
    }
}
