//! One step of a rule, as `Entry::update` makes it and behind `Trusted`; and the limit.

use opt_core::{Objective, ParamMap, Trusted, Update, Value, find_entry};
use opt_firstorder::zoo;

use crate::turns::{Runner, timed};

/// The fused loop, as `cargo bench -p opt-bench --bench update` has it.
#[path = "../../../criterion/limit.rs"]
mod pass;

pub(super) fn runners(
    rule: &str,
    parameters: usize,
    rate: f64,
) -> Result<Vec<Runner<'static>>, String> {
    let params = ParamMap::flat(parameters).map_err(|error| error.to_string())?;
    let entries = zoo::<f32, dyn Objective<f32>>();
    let entry = find_entry(&entries, rule).map_err(|error| error.to_string())?;
    // What has no rate, as AdaDelta as it was published and Rprop, keeps its own settings.
    let has_rate = entry.fields().iter().any(|field| field.name == "lr");
    let set = [("lr", Value::Real(rate))];
    let set = if has_rate { &set[..] } else { &[] };
    let build = || {
        let update = entry.update(set, &params);
        update
            .ok_or_else(|| format!("{rule} is not elementwise"))?
            .map_err(|error| error.to_string())
    };
    let checked = build()?;
    let buffers = 1 + checked.width();
    Ok(vec![
        super::runner(super::LIMIT, limit(buffers, parameters)),
        super::runner(super::OURS, step(Trusted(build()?), parameters)),
        super::runner(super::CHECKED, step(checked, parameters)),
    ])
}

/// Signs that change now and then, so that every branch is taken.
pub(crate) fn gradient(parameters: usize) -> Vec<f32> {
    (0..parameters).map(|i| (i % 17) as f32 - 8.0).collect()
}

fn step(
    mut update: impl Update<f32> + 'static,
    parameters: usize,
) -> impl FnMut() -> Result<f64, String> {
    let (mut x, g) = (vec![1.0; parameters], gradient(parameters));
    move || timed(1, || update.apply(&mut x, &g))
}

fn limit(buffers: usize, parameters: usize) -> impl FnMut() -> Result<f64, String> {
    let mut buffers = vec![vec![1.0_f32; parameters]; buffers];
    let g = gradient(parameters);
    move || {
        let time = pass::limit(&mut buffers, &g);
        let time = time.ok_or("no loop over so many buffers; write one")?;
        Ok(1e3 * time.as_secs_f64())
    }
}
