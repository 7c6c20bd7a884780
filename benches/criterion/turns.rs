//! Two works in turns in one run: how long each takes.

use std::time::Instant;

/// How long `f` takes.
pub(crate) fn milliseconds(f: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    f();
    1e3 * begin.elapsed().as_secs_f64()
}

/// Of an even number of times the greater one of the middle two.
pub(crate) fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
