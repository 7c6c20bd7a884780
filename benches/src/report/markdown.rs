//! The tables of docs/results.md: each between two comments that say which it is.
//!
//! `<!-- table NAME -->` is the summary of the experiment's default run, `NAME named` of its longer one
//! by name, `NAME imdb` of the default run on those data; `NAME at 100 500` is what was measured after
//! as many updates (see [`course`]).

use super::column::Column;
use super::{course, table::table};
use crate::results::{Experiment, Results};

pub(super) const BEGIN: &str = "<!-- table ";
pub(super) const END: &str = " -->";

/// The comment after the table that was asked for.
pub(super) fn closing(asked: &str) -> String {
    format!("<!-- /table {asked}{END}")
}

/// The text with the tables of the experiments that are in both, and their names.
pub(crate) fn fill(text: &str, results: &Results) -> (String, Vec<String>) {
    let figures = results.experiments.iter().flat_map(Experiment::figures);
    let figures: Vec<_> = figures.collect();
    let (mut new, mut rest, mut filled) = (String::new(), text, Vec::new());
    while let Some((before, after)) = rest.split_once(BEGIN) {
        new += before;
        new += BEGIN;
        rest = after;
        let found = after.split_once(END).and_then(|(asked, after)| {
            let section = section(asked, &figures, results)?;
            let end = after.find(&closing(asked))?;
            Some((asked, section, &after[end..]))
        });
        if let Some((asked, section, after)) = found {
            new += &format!("{asked}{END}\n{section}\n");
            filled.push(asked.to_owned());
            rest = after;
        }
    }
    (new + rest, filled)
}

/// What a comment asks for, if it was measured.
fn section(asked: &str, figures: &[Experiment], results: &Results) -> Option<String> {
    let (which, places) = match asked.split_once(" at ") {
        Some((which, places)) => (which, Some(places)),
        None => (asked, None),
    };
    let (name, word) = which.split_once(' ').unwrap_or((which, "default"));
    let same = |e: &Experiment| match e.is_default() {
        true => word == "default" || e.data.starts_with(&format!("{word}-")),
        false => word == e.size && word != "quick",
    };
    let experiment = figures.iter().find(|e| e.name == name && same(e))?;
    let Some(places) = places else {
        let (legend, columns) = table(experiment);
        let mut lines = rows(&columns) + &origin(experiment, results, &legend);
        lines += &format!(" {}\n", experiment.note.as_deref().unwrap_or_default());
        for judged in &experiment.claims {
            let claim = super::print_claims(&[judged]).replace("\n  ", " ");
            lines += &format!("\n{claim}\n");
        }
        return Some(lines);
    };
    let places: Result<Vec<f64>, _> = places.split(' ').map(str::parse).collect();
    let (legend, columns) = course::table(experiment, &places.ok()?)?;
    Some(rows(&columns) + &origin(experiment, results, &legend) + "\n")
}

fn rows(columns: &[Column]) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut lines = line(columns.iter().map(|c| c.head.clone()).collect());
    let rule = columns
        .iter()
        .map(|c| if c.numeric { "--:" } else { "---" });
    lines += &line(rule.map(str::to_owned).collect());
    for row in 0..columns.first().map_or(0, |c| c.cells.len()) {
        lines += &line(
            columns
                .iter()
                .map(|c| c.cells[row].replace('|', "\\|"))
                .collect(),
        );
    }
    lines
}

/// Where the numbers come from.
fn origin(experiment: &Experiment, results: &Results, legend: &str) -> String {
    let (day, _) = results.date.split_once('T').unwrap_or((&results.date, ""));
    let last = experiment.runs.iter().map(|run| run.seed).max();
    format!(
        "\n{day}, commit {}, {}; {legend}; seeds: {}.",
        results.commit,
        results.machine,
        last.unwrap_or(0) + 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Point, Run};

    #[test]
    fn tables_are_replaced_and_all_else_stays() {
        let run = |loss: f64| Run {
            method: "a|b".to_owned(),
            points: vec![Point {
                train_loss: Some(loss),
                ..Point::default()
            }],
            ..Run::default()
        };
        let experiment = |name: &str, loss| Experiment {
            name: name.to_owned(),
            note: Some("Batch 3.".to_owned()),
            runs: vec![run(loss)],
            ..Experiment::default()
        };
        let results = Results {
            experiments: vec![experiment("one", 0.5), experiment("none", 2.0)],
            commit: "c".to_owned(),
            date: "2026-01-02T03:04:05Z".to_owned(),
            machine: "m".to_owned(),
        };
        let text =
            "before\n<!-- table one -->\nold\n<!-- /table one -->\nafter\n<!-- table two -->";
        let (filled, names) = fill(text, &results);
        assert_eq!(names, ["one"]);
        let expected = "before\n<!-- table one -->\n| method | training loss |\n| --- | --: |\n\
            | a\\|b | 0.5000 |\n\n2026-01-02, commit c, m; median [lowest, highest] over the seeds \
            that did not fail; seeds: 1. Batch 3.\n\n<!-- /table one -->\nafter\n<!-- table two -->";
        assert_eq!(filled, expected);
        // What was filled is filled again, and is the same.
        assert_eq!(fill(&filled, &results).0, filled);
    }

    #[test]
    fn a_longer_run_and_the_course_of_one_are_tables_of_their_own() {
        let point = |update: u64, error: f64| Point {
            update,
            test_error: Some(error),
            ..Point::default()
        };
        let run = |seed: u64, scale: f64| Run {
            method: "adam".to_owned(),
            seed,
            points: vec![point(10, 0.2 * scale), point(30, 0.1 * scale)],
            ..Run::default()
        };
        let experiment = |size: &str, scale: f64| Experiment {
            name: "one".to_owned(),
            size: size.to_owned(),
            runs: (0..3)
                .map(|seed| run(seed, scale * (1.0 + seed as f64)))
                .collect(),
            ..Experiment::default()
        };
        let text = "<!-- table one at 10 31 -->\n<!-- /table one at 10 31 -->\n\
            <!-- table one named at 10 -->\n<!-- /table one named at 10 -->\n\
            <!-- table one -->\n<!-- /table one -->\n\
            <!-- table one at ten -->\n<!-- /table one at ten -->";
        let of = |experiments| Results {
            experiments,
            ..Results::default()
        };
        let (filled, names) = fill(text, &of(vec![experiment("named", 0.5)]));
        assert_eq!(names, ["one named at 10"]);
        assert!(
            filled.contains("| adam | 20.00 [10.00, 30.00] |"),
            "{filled}"
        );
        let (filled, names) = fill(&filled, &of(vec![experiment("default", 1.0)]));
        assert_eq!(names, ["one at 10 31", "one"]);
        let row = "| method | 10 | 31 |\n| --- | --: | --: |\n\
            | adam | 40.00 [20.00, 60.00] | 20.00 [10.00, 30.00] |";
        assert!(filled.contains(row), "{filled}");
        assert!(
            filled.contains("test error (%) after as many updates"),
            "{filled}"
        );
        assert!(
            filled.contains("| adam | 20.00 [10.00, 30.00] |"),
            "{filled}"
        );
        assert!(
            fill(&filled, &of(vec![experiment("quick", 1.0)]))
                .1
                .is_empty()
        );
        let text = "<!-- table one imdb -->\n<!-- /table one imdb -->";
        let mut words = experiment("default", 1.0);
        assert!(fill(text, &of(vec![words.clone()])).1.is_empty());
        words.data = "imdb-train: 5 training".to_owned();
        assert_eq!(fill(text, &of(vec![words])).1, ["one imdb"]);
    }
}
