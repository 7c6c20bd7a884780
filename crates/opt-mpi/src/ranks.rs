//! The ranks of a run, and what they tell each other.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use mpi::Count;
use mpi::datatype::{Partition, PartitionMut};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Equivalence, Root};
use opt_core::Scalar;

use crate::Error;

/// A number that MPI can send: `f32` and `f64`.
pub trait Element: Scalar + Equivalence {}

impl<F: Scalar + Equivalence> Element for F {}

/// The ranks of a run: a handle to clone. Made by [`run`](crate::run).
///
/// What is called on it, or on what was made with it, is called by every rank, in the same order.
#[derive(Clone)]
pub struct Ranks {
    shared: Arc<Shared>,
}

struct Shared {
    rank: usize,
    size: usize,
    /// `None` from the end of the run on.
    comm: Mutex<Option<Handle>>,
    bytes: AtomicU64,
    nanoseconds: AtomicU64,
}

struct Handle(SimpleCommunicator);

// SAFETY: a communicator is a handle, which MPI (3.1, 12.4) lets any thread use, as long as no two do so
// at a time, where it provides MPI_THREAD_SERIALIZED: `run` refuses less. That no two do is what the
// mutex around the only `Handle` is for: every call of MPI but those at the ends of `run` is made while
// it is held.
unsafe impl Send for Handle {}

/// What one rank has sent, and how long it has waited for the others and for the network.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Traffic {
    /// Bytes sent to other ranks.
    pub bytes: u64,
    /// Seconds inside of MPI.
    pub seconds: f64,
}

impl Ranks {
    pub(crate) fn new(comm: SimpleCommunicator) -> Self {
        // Neither is negative.
        let (rank, size) = (comm.rank().unsigned_abs(), comm.size().unsigned_abs());
        let shared = Shared {
            rank: rank as usize,
            size: size as usize,
            comm: Mutex::new(Some(Handle(comm))),
            bytes: AtomicU64::new(0),
            nanoseconds: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// This one, from 0 on.
    pub fn rank(&self) -> usize {
        self.shared.rank
    }

    /// How many there are.
    pub fn size(&self) -> usize {
        self.shared.size
    }

    /// This rank's part of `len` things, such as the rows of a minibatch: one after another, and as
    /// equal as can be.
    pub fn part(&self, len: usize) -> Range<usize> {
        self.part_of(self.rank(), len)
    }

    pub(crate) fn part_of(&self, rank: usize, len: usize) -> Range<usize> {
        part(rank, self.size(), len)
    }

    /// The lengths of all parts.
    pub(crate) fn parts(&self, len: usize) -> Vec<usize> {
        (0..self.size())
            .map(|r| self.part_of(r, len).len())
            .collect()
    }

    /// What this rank has sent and waited since the start of the run.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            bytes: self.shared.bytes.load(Ordering::Relaxed),
            seconds: self.shared.nanoseconds.load(Ordering::Relaxed) as f64 * 1e-9,
        }
    }

    pub(crate) fn close(&self) {
        self.comm().take();
    }

    fn comm(&self) -> std::sync::MutexGuard<'_, Option<Handle>> {
        // A panic ends the run on all ranks, so that nothing is half done.
        let comm = self.shared.comm.lock();
        comm.unwrap_or_else(PoisonError::into_inner)
    }

    fn call<T>(&self, bytes: usize, f: impl FnOnce(&SimpleCommunicator) -> T) -> Result<T, Error> {
        let comm = self.comm();
        let Some(Handle(comm)) = &*comm else {
            return Err(Error::Ended);
        };
        let start = Instant::now();
        let result = f(comm);
        let spent = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let Shared {
            nanoseconds,
            bytes: sent,
            ..
        } = &*self.shared;
        nanoseconds.fetch_add(spent, Ordering::Relaxed);
        sent.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(result)
    }

    /// As many words of every rank, in their order.
    pub(crate) fn gather_words<const N: usize>(
        &self,
        mine: [u64; N],
    ) -> Result<Vec<[u64; N]>, Error> {
        let mut all = vec![0; N * self.size()];
        let bytes = 8 * N * (self.size() - 1);
        self.call(bytes, |comm| {
            comm.all_gather_into(&mine[..], &mut all[..]);
        })?;
        let (words, _) = all.as_chunks::<N>();
        Ok(words.to_vec())
    }

    /// Overwrites `data` by that of rank `root`, of the same length.
    pub(crate) fn broadcast_from<T: Equivalence>(
        &self,
        root: usize,
        data: &mut [T],
    ) -> Result<(), Error> {
        let others = if self.rank() == root {
            self.size() - 1
        } else {
            0
        };
        let root = Count::try_from(root).unwrap_or_default();
        for data in data.chunks_mut(MOST) {
            self.call(size_of_val(data) * others, |comm| {
                comm.process_at_rank(root).broadcast_into(data);
            })?;
        }
        Ok(())
    }

    /// Gathers `counts[r]` numbers of every rank r, one after another, in `all`.
    pub(crate) fn gather<F: Element>(
        &self,
        mine: &[F],
        counts: &[usize],
        all: &mut [F],
    ) -> Result<(), Error> {
        if all.len() > MOST {
            // Beyond what MPI's displacements can say: rank by rank.
            let mut rest = all;
            for (rank, &count) in counts.iter().enumerate() {
                let (now, later) = rest.split_at_mut(count.min(rest.len()));
                if rank == self.rank() {
                    now.copy_from_slice(mine);
                }
                self.broadcast_from(rank, now)?;
                rest = later;
            }
            return Ok(());
        }
        let (counts, places) = layout(counts);
        self.call(size_of_val(mine) * (self.size() - 1), |comm| {
            let mut all = PartitionMut::new(all, &counts[..], &places[..]);
            comm.all_gather_varcount_into(mine, &mut all);
        })
    }

    /// Sends the r-th of the [`parts`](Self::parts) of `send` to rank r, for every r, and receives
    /// their parts of this rank's, one after another.
    pub(crate) fn exchange<F: Element>(&self, send: &[F], receive: &mut [F]) -> Result<(), Error> {
        let parts = self.parts(send.len());
        let own = parts[self.rank()];
        let (counts, places) = layout(&parts);
        let (own_counts, own_places) = layout(&vec![own; self.size()]);
        self.call((send.len() - own) * size_of::<F>(), |comm| {
            let send = Partition::new(send, &counts[..], &places[..]);
            let mut receive = PartitionMut::new(receive, &own_counts[..], &own_places[..]);
            comm.all_to_all_varcount_into(&send, &mut receive);
        })
    }
}

impl fmt::Debug for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ranks({} of {})", self.rank(), self.size())
    }
}

/// Elements in one call, whose counts and displacements are C's `int`.
pub(crate) const MOST: usize = 1 << 30;

/// Part number `index` of `parts` of `len` things. Without a product that could overflow.
pub(crate) fn part(index: usize, parts: usize, len: usize) -> Range<usize> {
    let (each, more) = (len / parts, len % parts);
    let start = |index: usize| each * index + more.min(index);
    start(index)..start(index + 1)
}

/// Counts and displacements as MPI wants them, of no more than [`MOST`] elements.
fn layout(counts: &[usize]) -> (Vec<Count>, Vec<Count>) {
    let counts = counts.iter().map(|&n| Count::try_from(n).unwrap_or(0));
    let counts: Vec<Count> = counts.collect();
    let mut end: Count = 0;
    let places = counts.iter().map(|count| {
        let start = end;
        end = end.saturating_add(*count);
        start
    });
    let places = places.collect();
    (counts, places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_everything_once_and_are_nearly_equal() {
        for parts in 1..9 {
            for len in 0..40 {
                let mut end = 0;
                for index in 0..parts {
                    let range = part(index, parts, len);
                    assert_eq!(range.start, end);
                    assert!(range.len().abs_diff(len / parts) <= 1);
                    end = range.end;
                }
                assert_eq!(end, len);
            }
        }
        assert_eq!(part(7, 8, usize::MAX).end, usize::MAX);
    }
}
