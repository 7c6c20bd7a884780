//! The moments of a minibatch's rows, of which each process has a part.

use ndarray::ArrayView1;
use opt_core::{Error, Processes};
use opt_linalg::Decompose;

use crate::factor::Factor;
use crate::team::{pack, unpack};

/// Makes of every factor's moments of this process's rows those of the rows of all processes; or gives
/// the error of the first that could not begin.
///
/// Two messages: the vectors' numbers and sums, in double precision, and then what each part brings to the
/// covariances about the common means.
pub(crate) fn unite<F: Decompose>(
    processes: &dyn Processes<F>,
    begun: Result<(), Error>,
    factors: &mut [Factor<F>],
) -> Result<(), Error> {
    let mut sums = Vec::new();
    for batch in factors.iter_mut().filter_map(Factor::batch) {
        let count = batch.count();
        sums.push(count);
        sums.extend(batch.mean().iter().map(|mean| count * mean.f64()));
    }
    processes.sum_numbers(begun, &mut sums)?;
    let (mut lower, mut rest) = (Vec::new(), &sums[..]);
    for batch in factors.iter_mut().filter_map(Factor::batch) {
        let (sums, later) = rest.split_at(1 + batch.width());
        let mean: Vec<F> = sums[1..].iter().map(|sum| F::of(sum / sums[0])).collect();
        batch.part_of(sums[0], ArrayView1::from(&mean))?;
        pack(batch.lower(), &mut lower);
        rest = later;
    }
    processes.sum(Ok(()), &mut lower)?;
    let mut from = lower.iter();
    for batch in factors.iter_mut().filter_map(Factor::batch) {
        unpack(batch.lower_mut(), &mut from);
    }
    Ok(())
}
