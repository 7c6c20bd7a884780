//! The Python peers: one process each, which answers one line of JSON to each line of JSON.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::turns::Runner;
use crate::work::Work;

pub(crate) const NAMES: [&str; 3] = ["pytorch", "optax", DECOMPOSES];

/// The one that decomposes matrices, and does nothing else.
pub(crate) const DECOMPOSES: &str = "scipy";

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers.py");

/// A peer that has loaded its libraries.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    child: Child,
    tell: ChildStdin,
    answers: BufReader<ChildStdout>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Ask<'a> {
    /// Make it ready, and warm.
    Set(&'a Work),
    /// One repetition.
    Run,
    /// Free its memory.
    Drop,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    version: Option<String>,
    how: Option<String>,
    ms: Option<f64>,
    gap: Option<String>,
}

impl Peer {
    /// Starts it; the error is why it can't be had.
    pub(crate) fn start(name: &'static str, python: &Path, threads: usize) -> Result<Self, String> {
        let mut command = Command::new(python);
        command.arg(SCRIPT).args([name, &threads.to_string()]);
        // Ours may have been told to run OpenBLAS on one thread, or as a processor that an old
        // OpenBLAS knows. Theirs brings its own, and does as it likes.
        for (variable, _) in std::env::vars_os().filter(|(name, _)| is_openblas(name)) {
            command.env_remove(variable);
        }
        for variable in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"] {
            command.env(variable, threads.to_string());
        }
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", python.display()))?;
        let (Some(tell), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("no pipes to its process".to_owned());
        };
        let mut peer = Self {
            name,
            version: String::new(),
            child,
            tell,
            answers: BufReader::new(answers),
        };
        peer.version = peer.answer()?.version.ok_or("told no version")?;
        Ok(peer)
    }

    /// The error is why it can't do this work.
    pub(crate) fn set(&mut self, work: &Work) -> Result<Option<String>, String> {
        Ok(self.ask(&Ask::Set(work))?.how)
    }

    pub(crate) fn runner(&mut self, how: Option<String>) -> Runner<'_> {
        Runner {
            name: self.name.to_owned(),
            how,
            repeat: Box::new(|| self.ask(&Ask::Run)?.ms.ok_or("told no time".to_owned())),
        }
    }

    /// After a work. A process that has ended says so at the next one.
    pub(crate) fn clear(&mut self) {
        let _ = self.ask(&Ask::Drop);
    }

    fn ask(&mut self, what: &Ask<'_>) -> Result<Answer, String> {
        let line = serde_json::to_string(what).map_err(|error| error.to_string())?;
        writeln!(self.tell, "{line}").map_err(|error| format!("its process ended: {error}"))?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Answer, String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(0) => Err("its process ended; run it by hand to see why".to_owned()),
            Ok(_) => understand(&line),
            Err(error) => Err(format!("cannot read its answer: {error}")),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_openblas(variable: &OsString) -> bool {
    variable.to_string_lossy().starts_with("OPENBLAS_")
}

fn understand(line: &str) -> Result<Answer, String> {
    let answer: Answer = serde_json::from_str(line)
        .map_err(|_| format!("does not answer in JSON: {}", line.trim()))?;
    match answer.gap {
        Some(why) => Err(why),
        None => Ok(answer),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_protocol_is_what_the_script_reads() {
        let work = Work::Update {
            rule: "adam",
            parameters: 3,
            rate: 0.5,
        };
        let told = |ask| serde_json::to_string(&ask).unwrap();
        assert_eq!(
            told(Ask::Set(&work)),
            r#"{"set":{"kind":"update","rule":"adam","parameters":3,"rate":0.5}}"#
        );
        assert_eq!([told(Ask::Run), told(Ask::Drop)], [r#""run""#, r#""drop""#]);
        assert_eq!(understand(r#"{"ms": 1.5}"#).unwrap().ms, Some(1.5));
        assert_eq!(understand(r#"{"gap": "none"}"#).unwrap_err(), "none");
        assert!(understand("hello\n").unwrap_err().ends_with("hello"));
    }
}
