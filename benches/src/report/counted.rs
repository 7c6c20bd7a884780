//! The tables of `starts`, solutions by method, and of `rates`, predicted and found.

use super::column::{Column, figure};
use crate::plot::number;
use crate::results::{Experiment, Point, Rate, Run, Stat, by_method};

/// The legend and the columns; none if the experiment is of another kind.
pub(super) fn table(experiment: &Experiment) -> Option<(String, Vec<Column>)> {
    match experiment.kind.as_str() {
        "starts" => Some(starts(&experiment.runs)),
        "rates" => Some(rates(&experiment.runs)),
        _ => None,
    }
}

fn starts(runs: &[Run]) -> (String, Vec<Column>) {
    let solved = |runs: &[&Run]| runs.iter().filter(|run| run.failed.is_none()).count();
    let mut rows = by_method(runs);
    rows.sort_by_key(|runs| std::cmp::Reverse(solved(runs)));
    let text = |f: &dyn Fn(&[&Run]) -> String| rows.iter().map(|runs| f(runs)).collect();
    let took = |runs: &[&Run]| {
        let took = runs.iter().filter(|run| run.failed.is_none());
        let took = Stat::of(took.filter_map(|run| Some(run.points.last()?.update as f64)));
        took.map_or_else(|| "–".to_owned(), |stat| number(stat.median))
    };
    let columns = vec![
        Column::text("method", text(&|runs| runs[0].method.clone())),
        Column::numeric("solved", text(&|runs| solved(runs).to_string())),
        Column::numeric("median updates of those", text(&took)),
    ];
    let starts = rows.iter().map(Vec::len).max().unwrap_or(0);
    (format!("of {starts} starts"), columns)
}

fn rates(runs: &[Run]) -> (String, Vec<Column>) {
    type Place = fn(&Run) -> Option<&Point>;
    type Value = fn(Rate) -> f64;
    let places: [(&str, Place); 2] = [
        ("start", |run| run.points.first()),
        ("end", |run| run.points.last()),
    ];
    let values: [(&str, Value); 3] = [
        ("2/λ", |rate| rate.predicted),
        ("online", |rate| rate.online),
        ("found", |rate| rate.found),
    ];
    let name = runs.iter().map(|run| run.method.clone()).collect();
    let mut columns = vec![Column::text("network", name)];
    for (place, point) in places {
        for (what, value) in values {
            let cell = |run: &Run| {
                let rate = point(run).and_then(|point| point.rate);
                rate.map_or_else(|| "–".to_owned(), |rate| figure(value(rate)))
            };
            let cells = runs.iter().map(cell).collect();
            columns.push(Column::numeric(format!("{place} {what}"), cells));
        }
    }
    let legend = "the largest stable learning rate, at the start and at the end, a minimum";
    (legend.to_owned(), columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(experiment: &Experiment) -> Vec<Vec<String>> {
        let (_, columns) = table(experiment).unwrap();
        columns.into_iter().map(|column| column.cells).collect()
    }

    #[test]
    fn the_most_solutions_come_first() {
        let run = |method: &str, update: u64, solved: bool| Run {
            method: method.to_owned(),
            failed: (!solved).then(|| "no solution".to_owned()),
            points: vec![Point {
                update,
                ..Point::default()
            }],
            ..Run::default()
        };
        let experiment = Experiment {
            kind: "starts".to_owned(),
            runs: vec![
                run("sgd", 100, false),
                run("sgd", 100, false),
                run("adam", 100, false),
                run("adam", 20, true),
                run("prong", 9, true),
                run("prong", 4, true),
            ],
            ..Experiment::default()
        };
        let expected = [
            ["prong", "adam", "sgd"],
            ["2", "1", "0"],
            ["6.5", "20", "–"],
        ];
        assert_eq!(rows(&experiment), expected);
        assert_eq!(table(&experiment).unwrap().0, "of 2 starts");
    }

    #[test]
    fn rates_are_of_the_first_and_of_the_last_point() {
        let point = |scale: f64| Point {
            rate: Some(Rate {
                predicted: scale,
                online: 2.0 * scale,
                found: 3.0 * scale,
            }),
            ..Point::default()
        };
        let experiment = Experiment {
            kind: "rates".to_owned(),
            runs: vec![Run {
                method: "tanh".to_owned(),
                points: vec![point(1.0), point(10.0)],
                ..Run::default()
            }],
            ..Experiment::default()
        };
        let expected = ["tanh", "1.000", "2.000", "3.000", "10.00", "20.00", "30.00"];
        assert_eq!(rows(&experiment).concat(), expected);
        assert!(table(&Experiment::default()).is_none());
    }
}
