//! The tests of this crate as one program: generic code is compiled, and all is linked, once.

#![allow(clippy::unwrap_used)] // in helpers, too

mod batches;
mod cifar;
mod datasets;
mod from_idx;
mod idx;
mod idx_types;
mod images;
mod published;
mod reviews;
mod sparse;
mod standardize;
mod svmlight;
mod table;
mod targets;
mod zca;
