/// What can go wrong between ranks. Inside of an objective, an update or a state it comes as
/// [`opt_core::Error::Objective`], the same on every rank.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// MPI was started before, in this process.
    #[error("MPI has been started in this process already: call `opt_mpi::run` once")]
    Started,

    /// MPI does not let several threads call it in turns.
    #[error("this MPI is built without MPI_THREAD_SERIALIZED: build it with threads")]
    Threads,

    /// The communicator was used after the end of [`run`](crate::run).
    #[error("the ranks have parted: use them inside of `opt_mpi::run`")]
    Ended,

    /// Ranks came together for different calls, or with vectors of different lengths.
    #[error(
        "rank 0 came to {first}, and rank {rank} to {other}: every rank must make the same calls in the \
         same order, on vectors of the same length"
    )]
    OutOfStep {
        /// What rank 0 called.
        first: String,
        /// The first rank that called something else.
        rank: usize,
        /// What it called.
        other: String,
    },

    /// The parameters, or a vector that goes with them, are not the same on all ranks.
    #[error(
        "the vectors given to {call} on rank {rank} are not bitwise those of rank 0: begin with \
         `Ranks::broadcast`, and the same seeds"
    )]
    Differs {
        /// The call.
        call: String,
        /// The first rank whose vectors differ.
        rank: usize,
    },

    /// An error of one rank that has no type here.
    #[error("on rank {rank}: {message}")]
    OnRank {
        /// The first rank that failed.
        rank: usize,
        /// What it said.
        message: String,
    },

    /// There are more ranks than parameters to share.
    #[error("{parameters} parameters cannot be shared by {ranks} ranks: take fewer")]
    TooManyRanks {
        /// Parameters.
        parameters: usize,
        /// Ranks.
        ranks: usize,
    },

    /// The update of a shard is not over the shard's parameters.
    #[error("the update was not made for the parameters of the shard that it was given")]
    OtherShard,

    /// State that is neither by segment nor the same on all ranks.
    #[error("state `{0}` is of no segment, or in few bits: it cannot be sharded")]
    State(String),
}

impl From<Error> for opt_core::Error {
    fn from(error: Error) -> Self {
        Self::objective(error)
    }
}
