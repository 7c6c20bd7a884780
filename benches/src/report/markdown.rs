//! The tables of docs/results.md: each between two comments that name its experiment.

use super::table::table;
use crate::results::{Experiment, Results};

/// The text with the tables of the experiments that are in both, and their names.
pub(crate) fn fill(text: &str, results: &Results) -> (String, Vec<String>) {
    let (mut text, mut filled) = (text.to_owned(), Vec::new());
    for experiment in results.experiments.iter().flat_map(Experiment::figures) {
        let [begin, end] =
            ["", "/"].map(|slash| format!("<!-- {slash}table {} -->", experiment.name));
        let Some(from) = text.find(&begin).map(|at| at + begin.len()) else {
            continue;
        };
        let Some(to) = text[from..].find(&end).map(|at| from + at) else {
            continue;
        };
        text.replace_range(from..to, &format!("\n{}\n", section(&experiment, results)));
        filled.push(experiment.name);
    }
    (text, filled)
}

fn section(experiment: &Experiment, results: &Results) -> String {
    let (legend, columns) = table(experiment);
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
    let (day, _) = results.date.split_once('T').unwrap_or((&results.date, ""));
    let seeds = experiment
        .runs
        .iter()
        .map(|run| run.seed)
        .max()
        .unwrap_or(0)
        + 1;
    let note = experiment.note.as_deref().unwrap_or_default();
    lines += &format!(
        "\n{day}, commit {}, {}; {legend}; seeds: {seeds}. {note}\n",
        results.commit, results.machine
    );
    for judged in &experiment.claims {
        lines += &format!(
            "\n{}\n",
            super::print_claims(&[judged]).replace("\n  ", " ")
        );
    }
    lines
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
}
