use super::Layer;
use crate::error::Error;
use crate::scalar::Scalar;
use crate::state::visit::State;

/// A layered model's part of a minibatch that several processes have together, from
/// [`Layered::team`](super::Layered::team).
///
/// A method that goes by sums over the rows of a layer can make them of the rows that are here, and add
/// them up over the [`processes`](Self::processes): of a convolution, whose rows are patches, the sums
/// are far fewer numbers than the rows.
pub trait Team<F: Scalar> {
    /// Layer `index` as [`Layered::layer`](super::Layered::layer) shows it, but for the rows of this
    /// process alone. Deltas are those of the mean over the samples of all processes.
    fn layer(&self, index: usize) -> Option<Layer<'_, F>>;

    /// Those that have the other parts, and this one.
    fn processes(&self) -> &dyn Processes<F>;
}

/// Processes that do the same on parts of the same minibatch, as one of them sees them. Every call is
/// made by all of them, in the same order; it may be made by any thread.
pub trait Processes<F: Scalar>: Sync {
    /// How many there are.
    fn size(&self) -> usize;

    /// This one, from 0 on.
    fn rank(&self) -> usize;

    /// Overwrites the sums that each process has made by those over all of them, the same bits
    /// everywhere, if none has come with an error: else gives the first one, on all.
    ///
    /// # Errors
    /// That of the first process that has one.
    fn sum(&self, mine: Result<(), Error>, sums: &mut [F]) -> Result<(), Error>;

    /// As [`sum`](Self::sum), of a few numbers, which F may not hold.
    ///
    /// # Errors
    /// As there.
    fn sum_numbers(&self, mine: Result<(), Error>, sums: &mut [f64]) -> Result<(), Error>;

    /// Overwrites `state` by that of process `from`, if none has come with an error: else gives the
    /// first one, on all.
    ///
    /// # Errors
    /// That of the first process that has one.
    fn share(
        &self,
        from: usize,
        mine: Result<(), Error>,
        state: &mut dyn State<F>,
    ) -> Result<(), Error>;
}
