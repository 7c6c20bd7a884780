//! One step of a rule, as `Entry::update` makes it and behind `Trusted`; and a fused loop over the
//! same arrays, which reads the gradient once, and reads and writes x and every buffer of the
//! state, all side by side, and computes next to nothing.

use std::time::Instant;

use opt_core::{Objective, ParamMap, Trusted, Update, Value, find_entry};
use opt_firstorder::zoo;
use rayon::prelude::*;

use crate::turns::{Runner, timed};

const CHUNK: usize = 1 << 15;

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
    let mut runners = vec![
        super::runner(super::LIMIT, limit(buffers, parameters)),
        super::runner(super::TRUSTED, step(Trusted(build()?), parameters)),
    ];
    if !super::unchecked(rule) {
        runners.push(super::runner(super::OURS, step(checked, parameters)));
    }
    Ok(runners)
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
    move || match buffers.len() {
        1 => Ok(pass::<1>(&mut buffers, &g)),
        2 => Ok(pass::<2>(&mut buffers, &g)),
        3 => Ok(pass::<3>(&mut buffers, &g)),
        4 => Ok(pass::<4>(&mut buffers, &g)),
        n => Err(format!("no loop over {n} buffers; write one")),
    }
}

/// In milliseconds.
fn pass<const N: usize>(buffers: &mut [Vec<f32>], g: &[f32]) -> f64 {
    let mut rest: Vec<_> = buffers.iter_mut().map(|b| b.chunks_mut(CHUNK)).collect();
    // The list of pieces is not part of the time.
    let mut pieces: Vec<(&[f32], [&mut [f32]; N])> = (g.chunks(CHUNK))
        .map(|g| {
            let next = |k: usize| rest[k].next().unwrap_or_default();
            (g, std::array::from_fn(next))
        })
        .collect();
    let begin = Instant::now();
    pieces.par_iter_mut().for_each(|(g, buffers)| {
        let buffers = buffers.each_mut().map(|b| &mut **b);
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2") {
            // SAFETY: the line above has found the feature on this machine.
            return unsafe { add_avx2(g, buffers) };
        }
        add(g, buffers);
    });
    1e3 * begin.elapsed().as_secs_f64()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn add_avx2<const N: usize>(g: &[f32], buffers: [&mut [f32]; N]) {
    add(g, buffers);
}

#[inline(always)]
fn add<const N: usize>(g: &[f32], buffers: [&mut [f32]; N]) {
    // All of one length, as the compiler sees, so that the loop needs no checks.
    let mut buffers = buffers.map(|b| &mut b[..g.len()]);
    for i in 0..g.len() {
        for b in &mut buffers {
            b[i] += g[i];
        }
    }
}
