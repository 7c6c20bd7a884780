//! A whole run, so that a new process can go on with it.

use std::fmt;

use super::snapshot::Snapshot;
use crate::error::Error;
use crate::scalar::Scalar;
use crate::state::visit::State;

/// All that a run needs to go on in a new process, by name: the parameters, the method, the model
/// if it has state (running statistics), averages, schedules that look at the loss, and the run's
/// own counters, which are plain `u64` and `f64` variables.
///
/// It borrows what it holds, so it is made where a run is saved and again where it is resumed;
/// [`run!`](crate::run!) makes it of variables, under their names. Hyper-parameters are
/// configuration and not in it.
///
/// ```
/// use opt_core::{Average, Averaging, ParamMap, Parameters, Plateau, Run, run};
///
/// let map = ParamMap::new([("w", vec![2])])?;
/// let mut x = vec![1.0, 2.0];
/// let mut average = Average::new(Averaging::Polyak { start: 0 }, &map, &x)?;
/// let mut lr = Plateau { from: 0.1, ..Plateau::default() }.schedule()?;
/// let (mut epoch, mut seed, mut best) = (3_u64, 17_u64, 0.25);
///
/// // With the feature `safetensors`, run![…].save(path) and run![…].resume(path) do it with a file.
/// let saved = run![x, average, lr, epoch, seed, best].take()?;
/// epoch = 4;
/// run![x, average, lr, epoch, seed, best].restore(&saved)?;
/// assert_eq!(epoch, 3);
///
/// // Under names of one's own, and the parameters by theirs: `theta/w`.
/// let mut parameters = Parameters::new(&map, &mut x)?;
/// let saved = Run::new().with("theta", &mut parameters).with("epoch", &mut epoch).take()?;
/// # Ok::<(), opt_core::Error>(())
/// ```
pub struct Run<'a, F> {
    states: Vec<(&'a str, &'a mut dyn State<F>)>,
}

impl<'a, F: Scalar> Run<'a, F> {
    /// Nothing yet.
    #[allow(clippy::new_without_default)] // the beginning of one, and no value
    pub fn new() -> Self {
        Self { states: Vec::new() }
    }

    /// With this state, under this name.
    #[must_use]
    pub fn with(mut self, name: &'a str, state: &'a mut dyn State<F>) -> Self {
        self.states.push((name, state));
        self
    }

    /// A copy of all.
    ///
    /// # Errors
    /// As [`Snapshot::take`]; two states of one name are among them.
    pub fn take(&mut self) -> Result<Snapshot<F>, Error> {
        Snapshot::take(&mut self.states)
    }

    /// Writes the copy back: all of it, or nothing.
    ///
    /// # Errors
    /// As [`Snapshot::restore`].
    pub fn restore(&mut self, saved: &Snapshot<F>) -> Result<(), Error> {
        saved.restore(&mut self.states)
    }

    /// Writes everything to a file, which is whole or not there.
    ///
    /// # Errors
    /// As [`take`](Self::take) and [`Snapshot::save`].
    #[cfg(feature = "safetensors")]
    pub fn save(&mut self, path: impl AsRef<std::path::Path>) -> Result<(), Error> {
        self.take()?.save(path)
    }

    /// Goes on where the file was saved. `false` if there is no file yet: then nothing has changed,
    /// and the run begins.
    ///
    /// # Errors
    /// As [`Snapshot::load`], unless nothing is at `path`, and [`Snapshot::restore`].
    #[cfg(feature = "safetensors")]
    pub fn resume(&mut self, path: impl AsRef<std::path::Path>) -> Result<bool, Error> {
        match Snapshot::load(path) {
            Ok(saved) => self.restore(&saved).map(|()| true),
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

impl<F> fmt::Debug for Run<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.states.iter().map(|(name, _)| name);
        f.debug_tuple("Run")
            .field(&names.collect::<Vec<_>>())
            .finish()
    }
}

/// A [`Run`] of these variables, each under its own name: renaming one makes older files unknown.
#[macro_export]
macro_rules! run {
    ($($state:ident),+ $(,)?) => {
        $crate::Run::new()$(.with(stringify!($state), &mut $state))+
    };
}
