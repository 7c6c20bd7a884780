//! The start and the end of a run.

use std::fmt::Display;
use std::thread;

use mpi::Threading;
use mpi::topology::SimpleCommunicator;
use mpi::traits::Communicator;

use crate::{Error, Ranks};

/// Runs `work` on every rank that `mpirun` has started, or on one without it.
///
/// No rank waits for ever for another:
/// - an error that an objective or an update of this crate returns is the same on all ranks, and all
///   return it;
/// - where a rank returns alone, the next call of this crate on the others fails: with its error, if it
///   returned one, and else with [`Error::OutOfStep`];
/// - a panic aborts the run at once, where in plain MPI the other ranks would wait;
/// - a rank that is killed ends the run by `mpirun`, as does one that exits.
///
/// ```no_run
/// use opt_firstorder::{FirstOrder, Sgd, Train};
/// use opt_mpi::AllReduced;
/// use opt_nn::{Activation, Init, Mlp, Spec, Target};
///
/// opt_mpi::run(|ranks| {
///     let digits = opt_data::digits()?;
///     let mlp = Mlp::<f32>::new(Spec::classifier(&[64, 50, 10], Activation::Relu))?;
///     let mut x = mlp.init(Init::He, 0);
///     let mut all = AllReduced::new(mlp, ranks);
///     let sgd = FirstOrder::new(Sgd { lr: 0.1, weight_decay: 0.0 }, all.inner.params())?;
///     let mut train = Train::new(sgd);
///     let mut batches = opt_data::Batches::new(digits.labels.len(), 256, 0)?;
///     for update in 0..100 {
///         let rows = batches.rows(update);
///         let mine = &rows[ranks.part(rows.len())];
///         all.inner.load_rows(digits.inputs.view(), Target::Classes(&digits.labels), mine, 0)?;
///         train.step(&mut all, &mut x)?;
///     }
///     Ok::<_, Box<dyn std::error::Error>>(())
/// })?;
/// # use opt_core::Objective;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Started`]; [`Error::Threads`]; what `work` returns.
pub fn run<T, E>(work: impl FnOnce(&Ranks) -> Result<T, E>) -> Result<T, E>
where
    E: Display + From<Error>,
{
    let started = mpi::initialize_with_threading(Threading::Serialized);
    let Some((universe, threads)) = started else {
        return Err(Error::Started.into());
    };
    if threads < Threading::Serialized {
        return Err(Error::Threads.into());
    }
    // Of its own, so that no call of the caller's own on the world gets between.
    let ranks = Ranks::new(universe.world().duplicate());
    // Dropped first, before a communicator is freed that the others still wait in.
    let guard = Guard;
    let result = work(&ranks);
    // An error would be that the communicator is closed, which is done below.
    let _ = ranks.part_with(result.as_ref().err().map(ToString::to_string));
    ranks.close();
    // Last of all, MPI itself; a panic in there aborts too.
    drop(universe);
    std::mem::forget(guard);
    result
}

/// Aborts the run if it is dropped by a panic.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        if thread::panicking() {
            abort(&SimpleCommunicator::world(), "a panic");
        }
    }
}

fn abort(comm: &SimpleCommunicator, why: &str) -> ! {
    eprintln!("opt-mpi: rank {} aborts the run: {why}", comm.rank());
    comm.abort(1)
}
