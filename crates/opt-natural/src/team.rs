//! What processes that have a minibatch together do each a part of.

use ndarray::{ArrayView2, ArrayViewMut2};
use opt_core::{Error, Layered, Processes, Scalar, State, Team};
use rayon::prelude::*;

/// The processes of a team, if there is one.
pub(crate) type Others<'a, F> = Option<&'a dyn Processes<F>>;

/// Those of the objective's.
pub(crate) fn others<F, O>(objective: &O) -> Others<'_, F>
where
    F: Scalar,
    O: Layered<F> + ?Sized,
{
    objective.team().map(Team::processes)
}

/// Sums over all processes, or on each the first error.
pub(crate) fn sum<F: Scalar>(
    others: Others<'_, F>,
    mine: Result<(), Error>,
    sums: &mut [F],
) -> Result<(), Error> {
    match others {
        Some(others) => others.sum(mine, sums),
        None => mine,
    }
}

/// As [`sum`], of numbers that F may not hold.
pub(crate) fn sum_numbers<F: Scalar>(
    others: Others<'_, F>,
    mine: Result<(), Error>,
    sums: &mut [f64],
) -> Result<(), Error> {
    match others {
        Some(others) => others.sum_numbers(mine, sums),
        None => mine,
    }
}

/// Makes all of `all` side by side; of R processes, number l mod R makes number l, and hands it out.
pub(crate) fn make_all<F, T, E>(
    others: Others<'_, F>,
    all: &mut [T],
    make: impl Fn(usize, &mut T) -> Result<(), E> + Sync,
    state: impl Fn(&mut T) -> &mut dyn State<F>,
) -> Result<(), Error>
where
    F: Scalar,
    T: Send,
    E: Into<Error> + Send,
{
    let (rank, size) = others.map_or((0, 1), |all| (all.rank(), all.size().max(1)));
    // One by one: what is of order 1,000 takes as long as all the small ones.
    let made = all.par_iter_mut().enumerate().with_max_len(1);
    let made = made.map(|(at, one)| match at % size == rank {
        true => make(at, one).map_err(Into::into),
        false => Ok(()),
    });
    let Some(others) = others else {
        return made.collect();
    };
    let made: Vec<_> = made.collect();
    let mut all = all.iter_mut().zip(made).enumerate();
    all.try_for_each(|(at, (one, made))| others.share(at % size, made, state(one)))
}

/// Appends the lower triangle, row by row.
pub(crate) fn pack<F: Scalar>(matrix: ArrayView2<'_, F>, to: &mut Vec<F>) {
    for (index, row) in matrix.rows().into_iter().enumerate() {
        to.extend(row.iter().take(index + 1));
    }
}

/// Takes the lower triangle from the front of `from`; above is 0, on all processes.
pub(crate) fn unpack<F: Scalar>(
    mut matrix: ArrayViewMut2<'_, F>,
    from: &mut std::slice::Iter<'_, F>,
) {
    for (index, mut row) in matrix.rows_mut().into_iter().enumerate() {
        row.fill(F::zero());
        let row = row.iter_mut().take(index + 1);
        row.zip(from.by_ref()).for_each(|(to, &v)| *to = v);
    }
}
