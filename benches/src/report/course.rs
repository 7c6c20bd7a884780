//! The course of an experiment as a table: what was measured of each method on the way.

use super::column::{Column, figure};
use super::table::spread;
use crate::results::{Experiment, Point, Run, Stat, by_method};

/// What is measured at a point: one number, or two.
type Shown = fn(&Point) -> Option<Vec<f64>>;

/// The first of these that an experiment has is what its course tells.
const MEASURES: [(&str, Shown); 7] = [
    ("squared error", |p| p.squared_error.map(one)),
    ("gradient of the first and of the last layer", |p| {
        let all = p.layer_gradients.as_ref()?;
        Some(vec![*all.first()?, *all.last()?])
    }),
    ("test error (%)", |p| p.test_error.map(|v| one(100.0 * v))),
    ("condition number", |p| p.condition.map(one)),
    ("length of the step", |p| p.step.map(one)),
    ("value", |p| p.value.map(one)),
    ("training loss", |p| p.train_loss.map(one)),
];

/// One column for each place: a number of updates, or of passes where all methods get the same amount
/// of those; the cells are of the measured point nearest to it.
pub(super) fn table(experiment: &Experiment, places: &[f64]) -> Option<(String, Vec<Column>)> {
    let runs = &experiment.runs;
    let mut points = runs.iter().flat_map(|run| &run.points);
    let has = |show: &Shown| points.clone().any(|p| show(p).is_some());
    let (what, show) = MEASURES.into_iter().find(|(_, show)| has(show))?;
    let by_passes = points.any(|p| p.passes.is_some());
    let rows = by_method(runs);
    let name = rows.iter().map(|runs| runs[0].method.clone()).collect();
    let mut columns = vec![Column::text("method", name)];
    let along = |p: &Point| match by_passes {
        true => p.passes.unwrap_or(f64::INFINITY),
        false => p.update as f64,
    };
    for &place in places {
        let near = |run: &&Run| {
            let apart = |p: &&Point| (along(p) - place).abs();
            let nearest = run
                .points
                .iter()
                .min_by(|a, b| apart(a).total_cmp(&apart(b)));
            nearest.and_then(show)
        };
        let cell = |runs: &Vec<&Run>| {
            let complete = runs.iter().filter(|run| run.failed.is_none());
            let found: Vec<_> = complete.filter_map(near).collect();
            let parts = found.first().map_or(0, Vec::len);
            let of = |k: usize| Stat::of(found.iter().filter_map(|values| values.get(k).copied()));
            let told: Vec<_> = (0..parts)
                .filter_map(|k| of(k).map(|stat| spread(stat, figure)))
                .collect();
            match told.is_empty() {
                true => "–".to_owned(),
                false => told.join(" … "),
            }
        };
        columns.push(Column::numeric(
            place.to_string(),
            rows.iter().map(cell).collect(),
        ));
    }
    let unit = if by_passes { "passes" } else { "updates" };
    Some((format!("{what} after as many {unit}"), columns))
}

fn one(value: f64) -> Vec<f64> {
    vec![value]
}
