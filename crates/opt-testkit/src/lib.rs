//! Problems with known answers, and the checks that every training method passes.
//!
//! A method that is listed in a registry is tested without a line of its own: [`suite`] runs
//! every check on every entry. What a method cannot pass is a named skip with its reason.

mod plane;
mod quadratic;
mod suite;

pub use plane::{Matrix, Plane, planes};
pub use quadratic::{Fault, Quadratic};
pub use suite::{Skip, suite};
