//! The table of `units`: method by change of units.

use super::table::{Column, figure};
use crate::results::{Experiment, Rescaled, Run, Verdict, by_method};

/// The legend and the columns; none if no run is in other units.
pub(super) fn table(experiment: &Experiment) -> Option<(String, Vec<Column>)> {
    let rescaled = experiment.runs.iter().filter_map(|run| run.units);
    let mut changes: Vec<(f64, f64)> = Vec::new();
    for change in rescaled.map(|r| (r.loss, r.parameter)) {
        if !changes.contains(&change) {
            changes.push(change);
        }
    }
    if changes.is_empty() {
        return None;
    }
    let rows = by_method(&experiment.runs);
    let names = rows
        .iter()
        .map(|runs| runs.first().map_or("", |r| &r.method));
    let own = |runs: &Vec<&Run>| {
        let run = runs.iter().find(|run| run.units.is_none());
        let last = run.and_then(|run| run.points.last()?.value);
        last.map_or_else(String::new, figure)
    };
    let mut columns = vec![
        Column::text("method", names.map(str::to_owned).collect()),
        Column::text("final loss", rows.iter().map(own).collect()),
    ];
    for change in changes {
        let cell = |runs: &Vec<&Run>| {
            let of = |r: &Rescaled| (r.loss, r.parameter) == change;
            let found = runs.iter().find_map(|run| run.units.filter(of));
            found.map_or_else(String::new, cell)
        };
        let cells = rows.iter().map(cell).collect();
        columns.push(Column::text(head(change), cells));
    }
    let legend = "=: the same path; ≈: another path to the same loss, but for 0.1 %; ×r: another path, \
                  to r times the loss; ↑: ends above its start; –: refused";
    Some((legend.to_owned(), columns))
}

fn head((loss, parameter): (f64, f64)) -> String {
    match parameter {
        1.0 => format!("f ×{loss:e}"),
        _ => format!("x ×{parameter:e}"),
    }
}

fn cell(rescaled: Rescaled) -> String {
    match (rescaled.verdict, rescaled.ratio) {
        (Verdict::Invariant, _) => "=".to_owned(),
        (Verdict::Diverges, _) => "↑".to_owned(),
        (Verdict::Refused, _) | (_, None) => "–".to_owned(),
        (_, Some(ratio)) if (ratio - 1.0).abs() < 1e-3 => "≈".to_owned(),
        (_, Some(ratio)) => format!("×{}", figure(ratio)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::print_table;
    use crate::results::{Experiment, Point, Rescaled, Run, Verdict};

    #[test]
    fn methods_by_changes_of_units() {
        let run = |method: &str, units: Option<Rescaled>| Run {
            method: method.into(),
            units,
            points: vec![Point {
                value: Some(0.5),
                ..Point::default()
            }],
            ..Run::default()
        };
        let change = |loss, parameter, verdict, ratio| {
            Some(Rescaled {
                loss,
                parameter,
                apart: None,
                ratio,
                verdict,
            })
        };
        let runs = vec![
            run("sgd", None),
            run("sgd", change(1e3, 1.0, Verdict::Diverges, None)),
            run("sgd", change(1.0, 1e3, Verdict::Slower, Some(2.0))),
            run(
                "sgd, converted",
                change(1e3, 1.0, Verdict::Invariant, Some(1.0)),
            ),
            run("sgd, converted", change(1.0, 1e3, Verdict::Refused, None)),
        ];
        let text = print_table(&Experiment {
            runs,
            ..Experiment::default()
        });
        let lines: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(lines[0], "method          final loss  f ×1e3  x ×1e3");
        assert_eq!(lines[2], "sgd             0.5000      ↑       ×2.000");
        assert_eq!(lines[3], "sgd, converted              =       –");
        assert!(lines[4].starts_with("=: the same path"));
    }
}
