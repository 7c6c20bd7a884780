//! Training on several machines, over MPI.
//!
//! Whoever has a cluster has MPI; frameworks bring process groups, collectives and launchers of their own
//! instead, and their sharded optimizers save state that only as many ranks can read. Here a run is a
//! plain program that `mpirun` starts on every machine:
//!
//! - [`run`] starts it, gives it its [`Ranks`], and sees to it that no rank waits for ever for one that
//!   failed;
//! - [`AllReduced`] makes of an objective that of the union of all ranks' minibatches, so that every method
//!   of these crates runs on it unchanged;
//! - [`Sharded`] makes of an update one whose state is dealt out over the ranks, and moves x by the same
//!   bits; its state is saved as one file, which any other number of ranks can restore.
//!
//! ```no_run
//! use opt_core::{FirstOrder, Objective, Train};
//! use opt_firstorder::Adam;
//! use opt_mpi::{AllReduced, Sharded};
//! use opt_nn::{Activation, Init, Mlp, Spec, Target};
//!
//! opt_mpi::run(|ranks| {
//!     let digits = opt_data::digits()?;
//!     let mlp = Mlp::<f32>::new(Spec::classifier(&[64, 50, 10], Activation::Relu))?;
//!     let mut x = mlp.init(Init::He, 0); // the same on all ranks
//!     let mut all = AllReduced::new(mlp, ranks);
//!     let adam = Sharded::new(all.params(), ranks, |shard| {
//!         FirstOrder::new(Adam { lr: 0.01, ..Adam::default() }, shard)
//!     })?;
//!     let mut train = Train::new(adam);
//!     let mut batches = opt_data::Batches::new(digits.labels.len(), 256, 0)?;
//!     for update in 0..100 {
//!         let rows = batches.rows(update);
//!         let mine = &rows[ranks.part(rows.len())]; // of the minibatch
//!         let target = Target::Classes(&digits.labels);
//!         all.inner.load_rows(digits.inputs.view(), target, mine, ranks.rank() as u64)?;
//!         train.step(&mut all, &mut x)?;
//!     }
//!     Ok::<_, Box<dyn std::error::Error>>(())
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is the same, and what is not
//! Sums over ranks are made in the order of the ranks, in double precision and not by `MPI_Allreduce`,
//! whose order is the library's choice: a run gives the same bits each time, under Open MPI and MPICH, and
//! on all ranks. On another number of ranks it differs by rounding, as the parts are others; from one
//! process that sums over the same parts it does not differ.
//!
//! # What it costs
//! A step sends 2n(R − 1)/R numbers of a gradient of n from each of R ranks, and n/R to each other one
//! where the state is sharded; beside them a few messages of some bytes, by which ranks agree.
//! [`Ranks::traffic`] counts them.
//!
//! # K-FAC and PRONG
//! They make their statistics and the gradient of each rank's own rows, and sum them over the ranks: of a
//! convolution far fewer numbers than its patches. Each rank decomposes the statistics of every R-th layer,
//! and hands the result to the others. Nothing need be said for it: [`AllReduced`] brings its ranks along.
//! The inputs of a statistics set, by which PRONG whitens before its first update, are shown to all ranks.
//!
//! # Threads and processes
//! MPI must provide `MPI_THREAD_SERIALIZED`, as Open MPI and MPICH do. Start one process on each machine,
//! or set `RAYON_NUM_THREADS` so that those of a machine share its cores.

mod all_reduced;
mod error;
mod file;
mod mean;
mod meet;
mod pieces;
mod ranks;
mod rows;
mod sharded;
mod share;
mod state;
mod wire;
mod world;

pub use all_reduced::AllReduced;
pub use error::Error;
pub use ranks::{Element, Ranks, Traffic};
pub use sharded::Sharded;
pub use world::run;

/// The example of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
