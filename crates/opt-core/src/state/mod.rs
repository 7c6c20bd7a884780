//! All that must survive a restart, and copies of it.

mod accumulate;
mod average;
#[cfg(feature = "safetensors")]
mod checkpoints;
#[cfg(feature = "safetensors")]
mod file;
mod parameters;
mod run;
mod snapshot;
pub(crate) mod visit;
mod write;

pub use accumulate::{Accumulate, Incomplete};
pub use average::{Average, Averaging};
#[cfg(feature = "safetensors")]
pub use checkpoints::{Changed, Checkpoints, Resumed};
pub use parameters::Parameters;
pub use run::Run;
pub use snapshot::{Named, Restored, Snapshot};
pub use visit::{Bits, Prefixed, State, Visit};
pub use write::write_whole;
