//! A run's checkpoints in a folder: the last few, and which of them to go on from.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::run::Run;
use super::snapshot::Snapshot;
use crate::error::Error;
use crate::scalar::Scalar;
use crate::tune::Field;

/// Saves a run every so many steps into a folder of its own, keeps the last few files, and goes on
/// from the newest one that is whole.
///
/// The folder is locked for as long as this lives, and by the operating system: the lock of a
/// process that was killed is gone with it. What the folder has besides is left alone.
///
/// ```
/// use opt_core::{Checkpoints, run};
///
/// # let folder = std::env::temp_dir().join(format!("opt-checkpoints-{}", std::process::id()));
/// # let list: [opt_core::Field; 0] = [];
/// // `list` is what a rule, or a method, says of its settings: `list_hyper(&rule)`.
/// let mut checkpoints = Checkpoints::open(&folder)?;
/// (checkpoints.every, checkpoints.keep) = (100, 2);
/// let (mut x, mut step) = (vec![0.0_f32; 2], 0_u64);
/// # let map = opt_core::ParamMap::flat(2)?;
/// # let mut x = opt_core::Parameters::new(&map, &mut x)?;
/// if let Some(resumed) = checkpoints.resume(&list, &mut run![x, step])? {
///     for changed in &resumed.changed {
///         eprintln!("{changed}"); // lr was 0.1, and is 0.2
///     }
/// }
/// while step < 1000 {
///     step += 1; // and a step of the method
///     checkpoints.save_every(step, &list, &mut run![x, step])?;
/// }
/// # drop(checkpoints);
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok::<(), opt_core::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Checkpoints {
    /// Steps from one checkpoint to the next; 0 for none but those of [`save`](Self::save).
    pub every: u64,
    /// Files that stay, at least 1; the older ones go when a newer one is there.
    pub keep: usize,
    folder: PathBuf,
    /// Held, not read.
    _lock: File,
}

/// What a run goes on from.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Resumed {
    /// Steps so far, by the file's name.
    pub step: u64,
    /// The file.
    pub path: PathBuf,
    /// Settings that are not those that the run was saved with, in the order of their names.
    pub changed: Vec<Changed>,
    /// Newer files that are damaged, and why: passed over.
    pub damaged: Vec<String>,
}

/// A setting of now and of the checkpoint; `None` where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changed {
    /// The setting's name.
    pub name: String,
    /// As the run was saved.
    pub was: Option<String>,
    /// As it goes on.
    pub is: Option<String>,
}

impl std::fmt::Display for Changed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown =
            |value: &Option<String>| value.clone().unwrap_or_else(|| "not there".to_owned());
        let (was, is) = (shown(&self.was), shown(&self.is));
        write!(f, "{} was {was}, and is {is}", self.name)
    }
}

const LOCK: &str = ".lock";

impl Checkpoints {
    /// The checkpoints in this folder, which is made if need be; every 1,000 steps, the last 3.
    ///
    /// # Errors
    /// [`Error::Io`]; of kind [`ErrorKind::WouldBlock`] if another run has the folder.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref().to_owned();
        let path = folder.join(LOCK);
        let named = |path: &Path, source| Error::Io {
            path: path.display().to_string(),
            source,
        };
        fs::create_dir_all(&folder).map_err(|source| named(&folder, source))?;
        let mut options = File::options();
        let file = options.write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|source| named(&path, source))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                let why = "another run keeps its checkpoints here";
                Err(named(&folder, io::Error::new(ErrorKind::WouldBlock, why)))
            }
            // Where the file system has no locks, nobody is kept out.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Self {
                every: 1_000,
                keep: 3,
                folder,
                _lock: file,
            }),
        }
    }

    /// Saves if `step` is a multiple of [`every`](Self::every); whether it was.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn save_every<F: Scalar>(
        &self,
        step: u64,
        settings: &[Field],
        run: &mut Run<'_, F>,
    ) -> Result<bool, Error> {
        let due = self.every > 0 && step.is_multiple_of(self.every);
        if due {
            self.save(step, settings, run)?;
        }
        Ok(due)
    }

    /// Writes the checkpoint of this step, whole or not at all, and then removes those that are too
    /// many.
    ///
    /// `settings` are compared when the run goes on, and change nothing: those of a rule
    /// ([`list_hyper`](crate::list_hyper)), or of a method ([`Tune::list`](crate::Tune::list)), which has
    /// scheduled values as they are at the moment.
    ///
    /// # Errors
    /// As [`Run::save`]. Then the older checkpoints are all there.
    pub fn save<F: Scalar>(
        &self,
        step: u64,
        settings: &[Field],
        run: &mut Run<'_, F>,
    ) -> Result<(), Error> {
        let mut saved = run.take()?;
        saved.settings = texts(settings).collect();
        saved.save(self.folder.join(format!("{step:020}.safetensors")))?;
        let steps = self.steps()?;
        let older = steps.len().saturating_sub(self.keep.max(1));
        for (_, path) in &steps[..older] {
            // Best effort: one that stays is in nobody's way, and goes the next time.
            let _ = fs::remove_file(path);
        }
        Ok(())
    }

    /// Goes on from the newest checkpoint that is whole; `None` if there is none at all, and then
    /// nothing has changed.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Snapshot`] if all are damaged, or if the newest whole one is of
    /// another run: then it lists what differs, and nothing has changed.
    pub fn resume<F: Scalar>(
        &self,
        settings: &[Field],
        run: &mut Run<'_, F>,
    ) -> Result<Option<Resumed>, Error> {
        let (mut damaged, mut last) = (Vec::new(), None);
        for (step, path) in self.steps()?.into_iter().rev() {
            let saved = match Snapshot::load(&path) {
                Ok(saved) => saved,
                Err(error @ Error::Snapshot(_)) => {
                    damaged.push(error.to_string());
                    last = Some(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            run.restore(&saved)?;
            return Ok(Some(Resumed {
                step,
                path,
                changed: changed(&saved, settings),
                damaged,
            }));
        }
        last.map_or(Ok(None), Err)
    }

    /// The steps of the files that are there, ascending.
    fn steps(&self) -> Result<Vec<(u64, PathBuf)>, Error> {
        let named = |source| Error::Io {
            path: self.folder.display().to_string(),
            source,
        };
        let mut steps = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(named)? {
            let path = entry.map_err(named)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let digits = name.and_then(|name| name.strip_suffix(".safetensors"));
            let digits = digits.filter(|digits| digits.len() == 20);
            if let Some(step) = digits.and_then(|digits| digits.parse().ok()) {
                steps.push((step, path));
            }
        }
        steps.sort();
        Ok(steps)
    }
}

fn texts(settings: &[Field]) -> impl Iterator<Item = (String, String)> {
    let text = |field: &Field| (field.name.clone(), field.value.to_string());
    settings.iter().map(text)
}

fn changed<F>(saved: &Snapshot<F>, settings: &[Field]) -> Vec<Changed> {
    let now: std::collections::BTreeMap<_, _> = texts(settings).collect();
    let gone = saved
        .settings
        .keys()
        .filter(|name| !now.contains_key(*name));
    let mut names: Vec<&String> = now.keys().chain(gone).collect();
    names.sort();
    let pairs = names.into_iter().map(|name| Changed {
        name: name.clone(),
        was: saved.settings.get(name).cloned(),
        is: now.get(name).cloned(),
    });
    pairs.filter(|changed| changed.was != changed.is).collect()
}
