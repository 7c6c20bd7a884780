//! How many of many random starts a method brings to a solution: the three-node network.

use std::collections::BTreeMap;

use ndarray::Array2;
use opt_core::{Counted, Entry, Objective};
use opt_nn::{Activation, Init, Loss, Mlp, Spec, Target};
use rayon::prelude::*;
use serde::Deserialize;

use crate::registry;
use crate::results::{Point, Run};
use crate::setting::{Settings, hyper, named};
use crate::stop::Stop;

/// What the methods train here.
pub(crate) type Small = Counted<Mlp<f64>>;

#[derive(Debug, Deserialize)]
pub(crate) struct Starts {
    /// Bits of an input; all 2ⁿ inputs are the training set.
    pub(crate) bits: usize,
    /// Of which as many are set in an input of class 1.
    pub(crate) ones: u32,
    /// Of the initial weights, which are normal.
    pub(crate) std: f64,
    pub(crate) starts: u64,
    /// Updates after which a start has failed.
    pub(crate) updates: u64,
    pub(crate) methods: Vec<String>,
    /// Values of a method's first hyper-parameter: what counts is the one with the most solutions.
    #[serde(default)]
    pub(crate) grid: BTreeMap<String, Vec<f64>>,
    /// Hyper-parameters that are not the default, by method.
    #[serde(default)]
    pub(crate) set: BTreeMap<String, Settings>,
}

pub(crate) fn methods() -> Vec<Entry<f64, Small>> {
    registry::layered()
}

impl Starts {
    /// Two hidden nodes and one output.
    fn spec(&self) -> Spec {
        let mut spec = Spec::classifier(&[self.bits, 2, 1], Activation::Sigmoid);
        spec.loss = Loss::SigmoidCrossEntropy;
        spec
    }

    pub(crate) fn model(&self) -> String {
        format!("{}-2-1 sigmoid, sigmoid cross-entropy", self.bits)
    }

    /// All inputs, and the class of each.
    pub(crate) fn problem(&self) -> (Array2<f64>, Array2<f64>) {
        let (n, bits) = (1_usize << self.bits, self.bits);
        let inputs = Array2::from_shape_fn((n, bits), |(i, bit)| ((i >> bit) & 1) as f64);
        let class = |i: usize| f64::from(u8::from(i.count_ones() == self.ones));
        (inputs, Array2::from_shape_fn((n, 1), |(i, _)| class(i)))
    }

    /// A run for each method and start, at the method's best value, and a sentence on those; as far
    /// as nobody stops it.
    pub(crate) fn run(
        &self,
        entries: &[&Entry<f64, Small>],
        starts: u64,
        stop: &Stop,
    ) -> Result<(Vec<Run>, String), String> {
        let (mut all, mut told) = (Vec::new(), Vec::new());
        for entry in entries {
            let mut best: Option<Vec<Run>> = None;
            for set in self.settings(entry) {
                if stop.asked() {
                    return Ok((all, String::new()));
                }
                let runs = (0..starts).into_par_iter();
                let runs: Result<Vec<Run>, String> =
                    runs.map(|start| self.start(entry, &set, start)).collect();
                let runs = runs?;
                if best
                    .as_ref()
                    .is_none_or(|best| solved(best) < solved(&runs))
                {
                    best = Some(runs);
                }
            }
            let best = best.unwrap_or_default();
            eprintln!("  {}: {} of {starts}", entry.name(), solved(&best));
            told.extend(chosen(entry, &best));
            all.extend(best);
        }
        Ok((all, format!(" Chosen: {}.", told.join(", "))))
    }

    /// The experiment's settings, with each value of the grid.
    fn settings(&self, entry: &Entry<f64, Small>) -> Vec<Settings> {
        let own = self.set.get(entry.name()).cloned().unwrap_or_default();
        let grid = self.grid.get(entry.name());
        let first = entry.fields().first();
        match (grid, first) {
            (Some(grid), Some(first)) => {
                let with = |&value: &f64| {
                    let mut set = own.clone();
                    set.insert(first.name.clone(), value.into());
                    set
                };
                grid.iter().map(with).collect()
            }
            _ => vec![own],
        }
    }

    /// One start, to a solution or to the end.
    fn start(&self, entry: &Entry<f64, Small>, set: &Settings, start: u64) -> Result<Run, String> {
        let text = |e: &dyn std::fmt::Display| format!("{}: {e}", entry.name());
        let (inputs, classes) = self.problem();
        let mut mlp = Mlp::new(self.spec()).map_err(|e| text(&e))?;
        let statistics = mlp.set_statistics(inputs.to_shared());
        statistics.map_err(|e| text(&e))?;
        let target = Target::Values(classes.view());
        mlp.load(inputs.view(), target, 0).map_err(|e| text(&e))?;
        let mut x = mlp.init(Init::Gaussian { std: self.std }, start);
        let mut network = Counted::new(mlp);
        let built = entry.build(&named(set), &network);
        let mut method = built.map_err(|e| text(&e))?;
        let mut run = Run {
            method: entry.name().to_owned(),
            hyper: hyper(entry, set),
            seed: start,
            failed: Some(format!("no solution after {} updates", self.updates)),
            ..Run::default()
        };
        for update in 0..=self.updates {
            let outputs = network.inner.predict(&x, inputs.view());
            let outputs = outputs.map_err(|e| text(&e))?;
            let right = |(p, y): (&f64, &f64)| (*p > 0.5) == (*y > 0.5);
            let solved = outputs.iter().zip(&classes).all(right);
            if solved || update == self.updates {
                let loss = network.inner.value(&x).map_err(|e| text(&e))?;
                run.points.push(Point {
                    update,
                    gradient_evaluations: network.gradients,
                    train_loss: Some(loss),
                    ..Point::default()
                });
            }
            if solved {
                run.failed = None;
                break;
            }
            if let Err(why) = method.step(&mut network, &mut x) {
                run.failed = Some(format!("update {}: {why}", update + 1));
                break;
            }
        }
        Ok(run)
    }
}

/// The first hyper-parameter, as it was chosen.
fn chosen(entry: &Entry<f64, Small>, runs: &[Run]) -> Option<String> {
    let first = entry.fields().first()?;
    let value = runs.first()?.hyper.get(&first.name)?;
    Some(format!("{} {}={value}", entry.name(), first.name))
}

fn solved(runs: &[Run]) -> usize {
    runs.iter().filter(|run| run.failed.is_none()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_problem_has_a_solution_of_three_nodes() {
        let config = Starts {
            bits: 4,
            ones: 2,
            std: 1.0,
            starts: 1,
            updates: 1,
            methods: Vec::new(),
            grid: BTreeMap::new(),
            set: BTreeMap::new(),
        };
        let (inputs, classes) = config.problem();
        assert_eq!((inputs.dim(), classes.sum()), ((16, 4), 6.0));
        // Σ > 1.5, Σ < 2.5, and both.
        let mut mlp = Mlp::<f64>::new(config.spec()).unwrap();
        let mut x = vec![40.0; 4];
        x.extend([-40.0; 4]);
        x.extend([-60.0, 100.0, 40.0, 40.0, -60.0]);
        let outputs = mlp.predict(&x, inputs.view()).unwrap();
        for (p, y) in outputs.iter().zip(&classes) {
            assert!((p - y).abs() < 1e-6, "{p} {y}");
        }
    }
}
