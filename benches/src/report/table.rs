//! The summary of an experiment as a table, for the terminal.

use super::column::{Column, figure};
use super::{counted, units};
use crate::plot::number;
use crate::results::{Experiment, Judged, Outcome, Row, Search, Stat, summary};

/// What the table's cells are, and the table.
pub(super) fn table(experiment: &Experiment) -> (String, Vec<Column>) {
    let own = units::table(experiment).or_else(|| counted::table(experiment));
    if let Some(table) = own {
        return table;
    }
    let columns = columns(&summary(experiment), &experiment.search);
    (LEGEND.to_owned(), columns)
}

const LEGEND: &str = "median [lowest, highest] over the seeds that did not fail";

/// Characters of a line, at most: what a terminal shows.
const WIDTH: usize = 100;

fn columns(rows: &[Row], search: &[Search]) -> Vec<Column> {
    type Field = fn(&Row) -> Option<Stat>;
    type Show = fn(f64) -> String;
    let text = |f: fn(&Row) -> String| rows.iter().map(f).collect::<Vec<_>>();
    let mut columns = vec![Column::text("method", text(|r| r.method.clone()))];
    let fields: [(&str, Field, Show); 6] = [
        ("training loss", |r| r.train_loss, figure),
        ("test loss", |r| r.test_loss, figure),
        (
            "test error (%)",
            |r| r.test_error,
            |v| format!("{:.2}", 100.0 * v),
        ),
        ("squared error", |r| r.squared_error, figure),
        ("condition number", |r| r.condition, figure),
        ("final value", |r| r.value, figure),
    ];
    for (head, field, show) in fields {
        let cell = |r: &Row| field(r).map(|s| spread(s, show));
        columns.extend(Column::numbers(
            head,
            rows,
            |r| field(r).map(|s| s.median),
            cell,
        ));
    }
    let pace = |r: &Row| r.seconds_per_update;
    columns.extend(Column::numbers("per update", rows, pace, |r| {
        pace(r).map(duration)
    }));
    if !search.is_empty() {
        let chosen = |r: &Row| {
            let own = search.iter().find(|search| search.method == r.method);
            let own = own.and_then(|own| Some((&own.key, r.hyper.get(&own.key)?.real()?)));
            own.map_or_else(String::new, |(key, v)| format!("{key}={}", number(v)))
        };
        columns.push(Column::text("tuned", rows.iter().map(chosen).collect()));
    }
    columns
}

/// What went otherwise than it should, a line for each method.
fn troubles(experiment: &Experiment) -> Vec<String> {
    let trouble = |r: &Row| {
        let all = r.fallbacks.iter().map(|(what, n)| format!("{n}× {what}"));
        let told: Vec<_> = r.failed.iter().cloned().chain(all).collect();
        (!told.is_empty()).then(|| format!("{}: {}", r.method, told.join("; ")))
    };
    summary(experiment).iter().filter_map(trouble).collect()
}

/// The median, and the range if there is one.
pub(super) fn spread(s: Stat, show: fn(f64) -> String) -> String {
    match s.min == s.max {
        true => show(s.median),
        false => format!("{} [{}, {}]", show(s.median), show(s.min), show(s.max)),
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{} µs", figure3(1e6 * s)),
        s if s < 1.0 => format!("{} ms", figure3(1e3 * s)),
        s => format!("{} s", figure3(s)),
    }
}

/// A number from 0 to 1,000 in three digits.
fn figure3(v: f64) -> String {
    let decimals = if v < 10.0 {
        2
    } else if v < 100.0 {
        1
    } else {
        0
    };
    format!("{v:.decimals$}")
}

/// The summary of an experiment as aligned text, the best method first.
pub(crate) fn print_table(experiment: &Experiment) -> String {
    let (legend, mut columns) = table(experiment);
    let mut widths: Vec<usize> = columns.iter().map(Column::width).collect();
    // The second one of the measures goes first: the report has all.
    while widths.len() > 3 && widths.iter().map(|w| w + 2).sum::<usize>() - 2 > WIDTH {
        columns.remove(2);
        widths.remove(2);
    }
    let mut lines = vec![format!("{}: {}", experiment.name, experiment.title)];
    let heads = columns.iter().map(|c| c.head.clone()).collect::<Vec<_>>();
    let rows = columns.first().map_or(0, |c| c.cells.len());
    let cells = (0..rows).map(|i| columns.iter().map(|c| c.cells[i].clone()).collect());
    for (i, cells) in std::iter::once(heads).chain(cells).enumerate() {
        let mut line = String::new();
        for ((cell, column), width) in cells.iter().zip(&columns).zip(&widths) {
            match column.numeric {
                true => line += &format!("{cell:>width$}  "),
                false => line += &format!("{cell:<width$}  "),
            }
        }
        lines.push(line.trim_end().to_owned());
        if i == 0 {
            lines.push("─".repeat(widths.iter().map(|w| w + 2).sum::<usize>() - 2));
        }
    }
    let ranges = |c: &Column| c.numeric && c.cells.iter().any(|t| t.contains('['));
    if legend != LEGEND || columns.iter().any(ranges) {
        lines.push(legend);
    }
    // Units have a word for it in their cells.
    if experiment.runs.iter().all(|run| run.units.is_none()) {
        lines.extend(troubles(experiment).iter().map(|line| fold(line)));
    }
    lines.join("\n") + "\n"
}

/// The text in lines that a terminal shows whole.
fn fold(text: &str) -> String {
    let (mut folded, mut length) = (String::new(), 0);
    for word in text.split_whitespace() {
        let long = word.chars().count();
        let gap = match (length, length + 1 + long > WIDTH) {
            (0, _) => "",
            (_, true) => {
                length = 0;
                "\n  "
            }
            _ => " ",
        };
        folded += gap;
        folded += word;
        length += gap.trim_start_matches('\n').len() + long;
    }
    folded
}

/// The claims of an experiment and what came of them.
pub(crate) fn print_claims(claims: &[&Judged]) -> String {
    let line = |judged: &&Judged| {
        let verdict = match (judged.verdict, judged.reduced) {
            (Outcome::Holds, false) => "holds",
            (Outcome::Holds, true) => "holds, at reduced size",
            (Outcome::DoesNot, false) => "does not hold",
            (Outcome::DoesNot, true) => "does not hold at reduced size",
        };
        let Judged {
            claim,
            source,
            measured,
            ..
        } = judged;
        fold(&format!("- {claim} ({source}): {verdict}. {measured}."))
    };
    claims.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Point, Run};

    fn experiment() -> Experiment {
        let run = |method: &str, seed: u64, loss: f64, failed: Option<&str>| Run {
            method: method.into(),
            hyper: [("lr".to_owned(), 1e-3.into())].into(),
            seed,
            failed: failed.map(str::to_owned),
            points: vec![Point {
                train_loss: Some(loss),
                ..Point::default()
            }],
            ..Run::default()
        };
        let search = Search {
            method: "rmsprop".into(),
            key: "lr".into(),
            updates: 5,
            tried: Vec::new(),
        };
        Experiment {
            name: "e".into(),
            title: "t".into(),
            search: vec![search],
            runs: vec![
                run("rmsprop", 0, 0.5, None),
                run("rmsprop", 1, 0.25, None),
                run("sgd", 0, 1e-5, Some("diverged")),
                run("adam", 0, 0.125, None),
            ],
            ..Experiment::default()
        }
    }

    #[test]
    fn text_is_aligned() {
        let expected = "\
e: t
method             training loss  tuned
──────────────────────────────────────────
adam                      0.1250
rmsprop  0.3750 [0.2500, 0.5000]  lr=0.001
sgd                            –
median [lowest, highest] over the seeds that did not fail
sgd: diverged
";
        assert_eq!(print_table(&experiment()), expected);
    }

    #[test]
    fn no_line_is_longer_than_a_terminal() {
        let mut wide = experiment();
        for (seed, run) in wide.runs.iter_mut().enumerate() {
            let scale = 1.0 + seed as f64;
            run.failed = (seed == 2).then(|| "update 3: it diverged, ".repeat(12));
            run.points = vec![Point {
                update: 10,
                seconds: Some(1.0),
                train_loss: Some(1.234e-7 * scale),
                test_loss: Some(2.345e-7 * scale),
                test_error: Some(0.1234 * scale),
                squared_error: Some(3.456e-7 * scale),
                ..Point::default()
            }];
        }
        let text = print_table(&wide);
        assert!(
            text.lines().all(|line| line.chars().count() <= WIDTH),
            "{text}"
        );
        assert!(
            text.contains("training loss") && text.contains("squared error"),
            "{text}"
        );
        assert!(!text.contains("test loss"), "{text}");
        assert!(text.lines().count() > 8, "{text}");
    }

    #[test]
    fn numbers_keep_their_digits() {
        let figures = [0.0, 2.345678, 0.05, 1234.5678, 3.2e-7, -12.0].map(figure);
        assert_eq!(
            figures,
            ["0", "2.346", "0.05000", "1235", "3.200e-7", "-12.00"]
        );
        let durations = [2.5e-6, 0.0123, 12.34].map(duration);
        assert_eq!(durations, ["2.50 µs", "12.3 ms", "12.3 s"]);
    }
}
