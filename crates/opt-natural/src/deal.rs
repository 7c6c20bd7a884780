//! Decompositions that are dealt out over processes.

use std::fmt;
use std::sync::Arc;

use opt_core::{Error, Scalar, State};
use rayon::prelude::*;

use crate::{Decompose, KfacDirection, KfacMethod};

/// Overwrites a state by that of another process, unless that has an error.
type Share<F> =
    dyn Fn(usize, Result<(), Error>, &mut dyn State<F>) -> Result<(), Error> + Send + Sync;

/// Deals the inversions of K-FAC's factors out over processes that have the same statistics, as all ranks
/// of `opt_mpi::AllReduced` have: process l mod R inverts those of layer l, and hands them to the others.
///
/// ```text
/// let all = ranks.clone();
/// let share = move |from, done, state: &mut dyn State<f32>| all.share(from, done, state);
/// method.deal(Deal::new(ranks.rank(), ranks.size(), share));
/// ```
#[derive(Clone)]
pub struct Deal<F> {
    rank: usize,
    size: usize,
    share: Arc<Share<F>>,
}

impl<F: Scalar> Deal<F> {
    /// For process `rank` of `size`. `share` gets the number of a process, whether this one could do its
    /// own part, and the inverses: it overwrites them by those of that process, or returns the error of
    /// that process, on all.
    pub fn new<S>(rank: usize, size: usize, share: S) -> Self
    where
        S: Fn(usize, Result<(), Error>, &mut dyn State<F>) -> Result<(), Error>,
        S: Send + Sync + 'static,
    {
        let (size, share) = (size.max(1), Arc::new(share));
        Self { rank, size, share }
    }

    /// Makes of `all` what is this process's, side by side, and hands it out.
    pub(crate) fn out<T: Send, E: Into<Error> + Send>(
        &self,
        all: &mut [T],
        make: impl Fn(&mut T) -> Result<(), E> + Sync,
        state: impl Fn(&mut T) -> &mut dyn State<F>,
    ) -> Result<(), Error> {
        let mine = all.par_iter_mut().enumerate().with_max_len(1);
        let done = mine.map(|(at, one)| match at % self.size == self.rank {
            true => make(one).map_err(Into::into),
            false => Ok(()),
        });
        let done: Vec<_> = done.collect();
        let mut all = all.iter_mut().zip(done).enumerate();
        all.try_for_each(|(at, (one, done))| (self.share)(at % self.size, done, state(one)))
    }
}

impl<F> fmt::Debug for Deal<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Deal({} of {})", self.rank, self.size)
    }
}

impl<F: Decompose> KfacMethod<F> {
    /// Deals the inversions out over processes.
    pub fn deal(&mut self, deal: Deal<F>) {
        self.blocks.deal = Some(deal);
    }
}

impl<F: Decompose> KfacDirection<F> {
    /// Deals the inversions out over processes.
    pub fn deal(&mut self, deal: Deal<F>) {
        self.blocks.deal = Some(deal);
    }
}
