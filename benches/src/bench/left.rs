//! How long the whole run will take: by what is done of it, weighted by what it costs.

use std::time::{Duration, Instant};

use super::Args;
use crate::check::examples;
use crate::experiment::{Config, Experiment, Size, Training};
use crate::registry;
use crate::train::updates;

/// What has been trained, and what is to be.
pub(super) struct Left {
    begin: Instant,
    done: f64,
    all: f64,
}

impl Left {
    /// Before anything is trained. All else takes seconds.
    pub(super) fn new(chosen: &[&Experiment], args: &Args, methods: &[String]) -> Self {
        let work = chosen.iter().map(|experiment| match &experiment.config {
            Config::Training(config) => {
                let own = sized(config, args)
                    .2
                    .map_or(registry::networks().len(), Vec::len);
                let contenders = if methods.is_empty() {
                    own
                } else {
                    methods.len()
                };
                contenders as f64 * contender(config, args)
            }
            _ => 0.0,
        });
        Self {
            begin: Instant::now(),
            done: 0.0,
            all: work.sum(),
        }
    }

    /// A part, from 0 to 1, of what one contender of this experiment does has been done.
    pub(super) fn did(&mut self, config: &Training, args: &Args, part: f64) {
        self.done += part * contender(config, args);
    }

    /// Roughly: methods differ in what an update costs.
    pub(super) fn told(&self) -> String {
        if self.done <= 0.0 {
            return "time left unknown".to_owned();
        }
        let rest = (self.all - self.done).max(0.0) / self.done;
        let left = Duration::from_secs_f64((self.begin.elapsed().as_secs_f64() * rest).min(1e7));
        match left.as_secs() {
            seconds @ 0..100 => format!("{seconds} s left"),
            seconds @ 100..6_000 => format!("{} min left", seconds.div_ceil(60)),
            seconds => format!("{:.1} h left", seconds as f64 / 3600.0),
        }
    }
}

/// Multiplications of one contender: its search and its seeds.
fn contender(config: &Training, args: &Args) -> f64 {
    let size = sized(config, args).1;
    let has = examples(config.data) - config.validation;
    let has = size.examples.map_or(has, |most| most.min(has));
    let seeds = args.seeds.unwrap_or(size.seeds);
    let search = config.grid.len() as u64 * size.search_updates;
    let all = search + seeds * updates(size, has, config.batch);
    all as f64 * config.batch as f64 * config.model.price()
}

/// How long it is, by name and by size, and with which methods; all that are registered if none are
/// named.
pub(super) fn sized<'c>(
    config: &'c Training,
    args: &Args,
) -> (&'static str, Size, Option<&'c Vec<String>>) {
    let named = config
        .named
        .as_ref()
        .filter(|_| !args.experiments.is_empty());
    let usual = config.methods.as_ref();
    match (args.quick, args.full, named) {
        (true, ..) => ("quick", config.quick, usual),
        (_, true, named) => {
            let methods = named.map(|named| &named.methods).or(usual);
            ("full", config.full, methods)
        }
        (.., Some(named)) => ("named", named.size, Some(&named.methods)),
        _ => ("default", config.default, usual),
    }
}
