//! `--resume`: what a run was asked for, whether somebody else is at it, and how far it came.

use std::fs::{File, TryLockError};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Args;
use crate::machine;
use crate::results::Experiment;
use crate::shelf::Shelf;

/// How far the run in a folder has come. The folder is locked as long as it is there.
pub(super) struct Journal {
    shelf: Shelf,
    now: Begun,
    /// Whether there is something to go on with.
    begun: bool,
    /// The system gives it up when the process ends, however it does.
    _lock: File,
}

/// What a run was begun with.
#[derive(Debug, Deserialize, Serialize)]
struct Begun {
    args: Args,
    threads: usize,
    commit: String,
}

impl Journal {
    /// Locks the folder, which is there. The arguments to go by: where the run goes on, those that it was
    /// begun with.
    ///
    /// # Errors
    /// In one line, if another process is at it, or if the arguments are others than the run was
    /// begun with.
    pub(super) fn open(dir: &Path, args: &Args) -> Result<(Self, Args), String> {
        let _lock = lock(dir)?;
        let shelf = Shelf::new(dir.join("checkpoints"));
        let now = Begun {
            args: args.clone(),
            threads: rayon::current_num_threads(),
            commit: machine::commit(),
        };
        let begun: Option<Begun> = match args.resume {
            true => shelf.get("begun")?,
            false => None,
        };
        let (begun, args) = match begun {
            Some(begun) => (true, begun.go_on(&now)?),
            None => (false, now.args.clone()),
        };
        Ok((
            Self {
                shelf,
                now,
                begun,
                _lock,
            },
            args,
        ))
    }

    /// Where the run does not go on, forgets what was there.
    pub(super) fn begin(&self) -> Result<(), String> {
        if self.begun {
            return Ok(());
        }
        self.shelf.clear()?;
        self.shelf.put("begun", &self.now)
    }

    /// The experiment, if it is finished.
    pub(super) fn finished(&self, name: &str) -> Result<Option<Experiment>, String> {
        self.shelf.within(name).get("whole")
    }

    /// It is finished.
    pub(super) fn finish(&self, whole: &Experiment) -> Result<(), String> {
        self.shelf.within(&whole.name).put("whole", whole)
    }

    /// What is finished of an experiment, which must be the same as when it began.
    ///
    /// # Errors
    /// In one line, if it is another one.
    pub(super) fn shelf(&self, name: &str, setup: &str) -> Result<Shelf, String> {
        let shelf = self.shelf.within(name);
        match shelf.get::<String>("setup")? {
            Some(before) if before != setup => Err(format!(
                "{name}: its file or its data have changed since the run began; run without --resume"
            )),
            Some(_) => Ok(shelf),
            None => shelf.put("setup", &setup).map(|()| shelf),
        }
    }
}

impl Begun {
    /// The arguments of the run that was begun, if those of now are none or the same.
    fn go_on(self, now: &Self) -> Result<Args, String> {
        let own = |args: &Args| Args {
            out: None,
            resume: false,
            ..args.clone()
        };
        let given = own(&now.args);
        if given != Args::default() && given != own(&self.args) {
            return Err(format!(
                "--resume: the run was begun with {}; give the same, or --resume alone",
                self.args.told()
            ));
        }
        if self.threads != now.threads {
            let (before, threads) = (self.threads, now.threads);
            eprintln!(
                "begun on {before} threads, goes on on {threads}: seconds are not comparable"
            );
        }
        if self.commit != now.commit {
            eprintln!("begun at {}, goes on at {}", self.commit, now.commit);
        }
        Ok(Args {
            out: now.args.out.clone(),
            resume: true,
            ..self.args
        })
    }
}

/// Nobody else's until the file is closed.
fn lock(dir: &Path) -> Result<File, String> {
    let path = dir.join(".lock");
    let shown = path.display();
    let file = File::create(&path).map_err(|e| format!("cannot write {shown}: {e}"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(format!(
            "another run writes into {}; --out names another folder",
            dir.display()
        )),
        Err(TryLockError::Error(e)) => Err(format!("cannot lock {shown}: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_run_and_its_arguments() {
        let dir = std::env::temp_dir().join(format!("opt-journal-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let args = |seeds, resume| Args {
            seeds,
            resume,
            ..Args::default()
        };
        let (journal, _) = Journal::open(&dir, &args(Some(2), false)).unwrap();
        let error = Journal::open(&dir, &args(None, true))
            .map(drop)
            .unwrap_err();
        assert!(error.contains("another run"), "{error}");
        let whole = Experiment {
            name: "a/b".into(),
            ..Experiment::default()
        };
        journal.begin().unwrap();
        journal.finish(&whole).unwrap();
        journal.shelf("a/b", "x").unwrap();
        drop(journal);
        for same in [args(None, true), args(Some(2), true)] {
            let (journal, found) = Journal::open(&dir, &same).unwrap();
            journal.begin().unwrap();
            assert_eq!(found.seeds, Some(2));
            assert_eq!(journal.finished("a/b").unwrap(), Some(whole.clone()));
            journal.shelf("a/b", "x").unwrap();
            let error = journal.shelf("a/b", "y").unwrap_err();
            assert!(error.contains("have changed"), "{error}");
        }
        let error = Journal::open(&dir, &args(Some(3), true))
            .map(drop)
            .unwrap_err();
        assert!(error.contains("--seeds 2"), "{error}");
        // What is no JSON is told, and anew is anew.
        std::fs::write(dir.join("checkpoints/begun.json"), "{").unwrap();
        let error = Journal::open(&dir, &args(None, true))
            .map(drop)
            .unwrap_err();
        assert!(
            error.contains("begun.json") && error.contains("--resume"),
            "{error}"
        );
        let (journal, _) = Journal::open(&dir, &args(None, false)).unwrap();
        assert_eq!(journal.finished("a/b").unwrap(), Some(whole));
        journal.begin().unwrap();
        assert_eq!(journal.finished("a/b").unwrap(), None);
        drop(journal);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
