//! The summary of an experiment as a table, for the terminal and for the page.

use super::{escape, units};
use crate::plot::number;
use crate::results::{Experiment, Row, Stat, summary};
use crate::setting::Setting;

/// A column of the summary table. `best` marks the cells with the lowest value.
pub(super) struct Column {
    head: String,
    cells: Vec<String>,
    best: Vec<bool>,
    numeric: bool,
}

impl Column {
    pub(super) fn text(head: impl Into<String>, cells: Vec<String>) -> Self {
        Column {
            head: head.into(),
            best: vec![false; cells.len()],
            cells,
            numeric: false,
        }
    }

    /// None if no method has the value. A method of which runs failed cannot be the best.
    fn numbers(
        head: &'static str,
        rows: &[Row],
        value: impl Fn(&Row) -> Option<f64>,
        cell: impl Fn(&Row) -> Option<String>,
    ) -> Option<Self> {
        let sound = rows.iter().map(|r| value(r).filter(|_| r.failed.is_none()));
        let sound: Vec<Option<f64>> = sound.collect();
        let best = Stat::of(sound.iter().copied().flatten()).map(|s| s.min);
        let cells = rows
            .iter()
            .map(|r| cell(r).unwrap_or_else(|| "–".to_owned()))
            .collect();
        let best = sound.iter().map(|v| v.is_some() && *v == best).collect();
        let some = rows.iter().any(|r| value(r).is_some());
        some.then_some(Column {
            head: head.to_owned(),
            cells,
            best,
            numeric: true,
        })
    }
}

/// What the table's cells are, and the table.
fn table(experiment: &Experiment) -> (String, Vec<Column>) {
    if let Some(table) = units::table(experiment) {
        return table;
    }
    let columns = columns(&summary(experiment));
    (LEGEND.to_owned(), columns)
}

const LEGEND: &str = "median [lowest, highest] over the seeds that did not fail";

fn columns(rows: &[Row]) -> Vec<Column> {
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
    let hyper = |r: &Row| {
        let pairs = r.hyper.iter().map(|(k, v)| match v {
            Setting::Real(v) => format!("{k}={}", number(*v)),
            other => format!("{k}={other}"),
        });
        pairs.collect::<Vec<_>>().join(" ")
    };
    columns.push(Column::text("settings", text(hyper)));
    if rows.iter().any(|r| !r.fallbacks.is_empty()) {
        let told = |r: &Row| {
            let all = r.fallbacks.iter().map(|(what, n)| format!("{n}× {what}"));
            all.collect::<Vec<_>>().join("; ")
        };
        columns.push(Column::text("fell back", text(told)));
    }
    if rows.iter().any(|r| r.failed.is_some()) {
        columns.push(Column::text(
            "failed",
            text(|r| r.failed.clone().unwrap_or_default()),
        ));
    }
    columns
}

/// The median, and the range if there is one.
fn spread(s: Stat, show: fn(f64) -> String) -> String {
    match s.min == s.max {
        true => show(s.median),
        false => format!("{} [{}, {}]", show(s.median), show(s.min), show(s.max)),
    }
}

/// A number in four digits.
pub(super) fn figure(v: f64) -> String {
    match v.abs() {
        0.0 => "0".to_owned(),
        size if (1e-3..1e5).contains(&size) => {
            let decimals = (3 - size.log10().floor() as i32).max(0) as usize;
            format!("{v:.decimals$}")
        }
        _ => format!("{v:.3e}"),
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
    let (legend, columns) = table(experiment);
    let widths: Vec<usize> = columns
        .iter()
        .map(|c| c.cells.iter().map(|t| t.chars().count()).max().unwrap_or(0))
        .zip(&columns)
        .map(|(width, c)| width.max(c.head.chars().count()))
        .collect();
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
    lines.join("\n") + "\n"
}

/// The summary of an experiment as an HTML table, the best values in bold.
pub(super) fn html(experiment: &Experiment) -> String {
    let (legend, columns) = table(experiment);
    let rows = columns.first().map_or(0, |c| c.cells.len());
    let class = |c: &Column| if c.numeric { " class=\"number\"" } else { "" };
    let head = |c: &Column| format!("<th{}>{}</th>", class(c), escape(&c.head));
    let mut html = String::from("<div class=\"table\"><table>\n");
    let bold = match columns.iter().any(|c| c.best.contains(&true)) {
        true => "; best in bold",
        false => "",
    };
    html += &format!("<caption>{legend}{bold}</caption>\n<thead><tr>");
    html.extend(columns.iter().map(head));
    html += "</tr></thead>\n<tbody>\n";
    for i in 0..rows {
        html += "<tr>";
        for column in &columns {
            let text = escape(&column.cells[i]);
            html += &match column.best[i] {
                true => format!("<td{}><b>{text}</b></td>", class(column)),
                false => format!("<td{}>{text}</td>", class(column)),
            };
        }
        html += "</tr>\n";
    }
    html + "</tbody>\n</table></div>\n"
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
        Experiment {
            name: "e".into(),
            title: "t".into(),
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
method             training loss  settings  failed
────────────────────────────────────────────────────
adam                      0.1250  lr=0.001
rmsprop  0.3750 [0.2500, 0.5000]  lr=0.001
sgd                            –  lr=0.001  diverged
median [lowest, highest] over the seeds that did not fail
";
        assert_eq!(print_table(&experiment()), expected);
    }

    #[test]
    fn the_best_is_bold_and_a_failed_run_is_not() {
        let html = html(&experiment());
        assert_eq!(html.matches("<b>").count(), 1);
        assert!(html.contains("<b>0.1250</b>"));
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
