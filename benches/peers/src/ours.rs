//! Our side of each work, and the limit beside it.

mod convolution;
mod eigh;
mod training;
mod update;

pub(crate) use update::gradient;

use crate::turns::Runner;
use crate::work::Work;

/// Names of runners that are no peers.
pub(crate) const OURS: &str = "ours";
pub(crate) const CHECKED: &str = "ours, checked";
pub(crate) const LIMIT: &str = "limit";

/// The limit where there is one, and ours.
pub(crate) fn runners(work: &Work) -> Result<Vec<Runner<'static>>, String> {
    match *work {
        Work::Update {
            rule,
            parameters,
            rate,
        } => update::runners(rule, parameters, rate),
        Work::Training(net) => training::runners(net),
        Work::Convolution { rate, updates, .. } => convolution::runners(rate, updates),
        Work::Eigh { order } => Ok(vec![eigh::runner(order)]),
    }
}

/// By which way the row's `ours_ms` was made, if there are several.
pub(crate) fn how(work: &Work) -> Option<String> {
    match work {
        Work::Update { .. } => Some("trusted".to_owned()),
        Work::Eigh { .. } => Some(crate::machine::decomposer()),
        _ => None,
    }
}

fn runner(name: &str, repeat: impl FnMut() -> Result<f64, String> + 'static) -> Runner<'static> {
    Runner {
        name: name.to_owned(),
        how: None,
        repeat: Box::new(repeat),
    }
}
