use std::slice::ChunksExact;

use ndarray::{ArrayView2, ArrayViewMut2};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::Error;
use crate::error::check_length;

/// Epochs of shuffled minibatches of equal size: the one owner of the order of the samples.
///
/// It tells rows, and copies none: a model takes them from the data set into its own buffer (as
/// `opt_nn::Mlp::load_rows` does), or [`gather`] into one of the caller's. The order of an epoch is a Fisher–Yates permutation that depends on the number of samples, the
/// seed and the epoch's number, and on nothing else: not on the epochs before. A run resumes exactly
/// where it stopped.
///
/// Every batch has the same size, as batch normalization, learning rates and timings all depend on
/// it: the `samples % batch` samples that are left over at the end of an epoch are dropped, other
/// ones in every epoch. (They are the `remainder()` of the iterator.)
///
/// ```
/// use opt_data::Batches;
///
/// let mut batches = Batches::new(1_000, 128, 7)?;
/// assert_eq!(batches.per_epoch(), 7);
///
/// // Update 17, counted from 0, is on batch 3 of epoch 2.
/// let rows = batches.rows(17).to_vec();
/// assert_eq!(batches.epoch(2).nth(3), Some(&rows[..]));
/// # Ok::<(), opt_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Batches {
    /// The order of epoch `held`, once there is one.
    order: Vec<usize>,
    held: Option<u64>,
    batch: usize,
    seed: u64,
}

impl Batches {
    /// Batches of `batch` out of `samples`.
    ///
    /// # Errors
    ///
    /// [`Error::Batch`] unless 1 ≤ `batch` ≤ `samples`, [`Error::Memory`] if there is no memory for
    /// an index per sample.
    pub fn new(samples: usize, batch: usize, seed: u64) -> Result<Self, Error> {
        if batch == 0 || batch > samples {
            return Err(Error::Batch { batch, samples });
        }
        let mut order = Vec::new();
        if order.try_reserve_exact(samples).is_err() {
            return Err(Error::Memory { samples });
        }
        order.extend(0..samples);
        let held = None;
        Ok(Self {
            order,
            held,
            batch,
            seed,
        })
    }

    /// Batches in an epoch.
    pub fn per_epoch(&self) -> usize {
        self.order.len() / self.batch
    }

    /// Samples in a batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The row indices of every batch of an epoch, without allocation.
    ///
    /// `skip` and `nth` take constant time.
    pub fn epoch(&mut self, epoch: u64) -> ChunksExact<'_, usize> {
        self.shuffle(epoch);
        self.order.chunks_exact(self.batch)
    }

    /// The row indices of the batch of an update, where updates count from 0 and go on through the
    /// epochs; without allocation. Within an epoch it takes constant time.
    pub fn rows(&mut self, update: u64) -> &[usize] {
        // The batch is at most all samples, so that there is one.
        let per_epoch = self.per_epoch() as u64;
        self.shuffle(update / per_epoch);
        let from = (update % per_epoch) as usize * self.batch;
        &self.order[from..from + self.batch]
    }

    fn shuffle(&mut self, epoch: u64) {
        if self.held == Some(epoch) {
            return;
        }
        // From the identity, or the order would depend on the epochs that were asked for before.
        for (index, row) in self.order.iter_mut().enumerate() {
            *row = index;
        }
        self.order.shuffle(&mut generator(self.seed, epoch));
        self.held = Some(epoch);
    }
}

/// A generator for an epoch. The seed goes through the generator once before the epoch is mixed in,
/// so that epoch 1 of seed 0 is not epoch 0 of seed 1; `seed_from_u64` (SplitMix64) then spreads the
/// result over the whole state.
pub(crate) fn generator(seed: u64, epoch: u64) -> Xoshiro256PlusPlus {
    let base = Xoshiro256PlusPlus::seed_from_u64(seed).next_u64();
    Xoshiro256PlusPlus::seed_from_u64(base ^ epoch)
}

/// Copies rows of `source`, `(samples, features)`, to `out`, `(rows.len(), features)`.
///
/// # Errors
///
/// [`Error::Shape`] if `out` has another shape, [`Error::Row`] for an index out of range; nothing is
/// written then.
pub fn gather<A: Copy>(
    source: ArrayView2<'_, A>,
    rows: &[usize],
    mut out: ArrayViewMut2<'_, A>,
) -> Result<(), Error> {
    check_length("columns to gather into", source.ncols(), out.ncols())?;
    check_length("rows to gather into", rows.len(), out.nrows())?;
    check_rows(source.nrows(), rows)?;
    for (mut out, row) in out.rows_mut().into_iter().zip(rows) {
        out.assign(&source.row(*row));
    }
    Ok(())
}

/// Copies the labels of the given rows to `out`, one for each row.
///
/// # Errors
///
/// As [`gather`].
pub fn gather_labels(labels: &[u8], rows: &[usize], out: &mut [u8]) -> Result<(), Error> {
    check_length("rows to gather into", rows.len(), out.len())?;
    check_rows(labels.len(), rows)?;
    for (out, row) in out.iter_mut().zip(rows) {
        *out = labels[*row];
    }
    Ok(())
}

/// Whether all indices are below the number of rows.
pub(crate) fn check_rows(available: usize, rows: &[usize]) -> Result<(), Error> {
    match rows.iter().find(|row| **row >= available) {
        Some(row) => Err(Error::Row {
            row: *row,
            rows: available,
        }),
        None => Ok(()),
    }
}
