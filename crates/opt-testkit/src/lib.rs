//! Problems with known answers, and the checks that every training method passes.
//!
//! A method that is listed in a registry is tested without a line of its own: [`suite`] runs
//! every check on every entry. What a method cannot pass is a named skip with its reason.
//! [`Counting`] tells whether a step allocates.

mod counting;
mod moons;
mod plane;
mod quadratic;
mod suite;

pub use counting::{Counting, in_warm_pool};
pub use moons::{BATCH as MOONS_BATCH, Row, moons};
pub use plane::{Evaluated, Matrix, Plane, plane, planes};
pub use quadratic::{Fault, Quadratic};
pub use suite::{Skip, suite};

/// The example of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
