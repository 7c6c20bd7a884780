//! Rules and updates on burn's modules, beside burn's own.

mod agrees;
mod net;
mod objective;
mod parts;
mod refusals;
mod resume;
mod whole;
