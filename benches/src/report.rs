//! The report: tables for the terminal, and one self-contained HTML page with the plots.

mod column;
mod figures;
mod peers;
mod table;
mod units;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::plot::{Landscape, PlotError};
use crate::results::{Experiment, Results, by_method, write_file};

pub(crate) use table::print_table;

impl From<PlotError> for io::Error {
    fn from(e: PlotError) -> Self {
        io::Error::other(e)
    }
}

/// Writes the plots (`EXPERIMENT-what.svg`) and `report.html` into `dir`, which is created if
/// need be, and returns the path of the page.
///
/// `landscape` gives the function to draw under the trajectories of the experiment of a name.
pub(crate) fn write(
    dir: &Path,
    results: &Results,
    landscape: &dyn Fn(&str) -> Option<Landscape>,
) -> io::Result<PathBuf> {
    let figures: Vec<_> = (results.experiments.iter())
        .flat_map(Experiment::figures)
        .collect();
    let styles = styles(&figures);
    let mut sections = String::new();
    for experiment in &figures {
        let plots = figures::plots(experiment, &styles, landscape)?;
        for (file, svg) in &plots {
            write_file(&dir.join(file), svg.as_bytes())?;
        }
        sections += &section(experiment, &plots);
    }
    sections += &peers::section(dir);
    let path = dir.join("report.html");
    write_file(&path, page(results, &figures, &sections).as_bytes())?;
    Ok(path)
}

/// One colour and dash for each method in all figures. The figures with the fewest methods
/// choose first: theirs are the colours that differ most.
fn styles(experiments: &[Experiment]) -> BTreeMap<String, usize> {
    let mut figures: Vec<_> = (experiments.iter())
        .map(|experiment| by_method(&experiment.runs))
        .collect();
    figures.sort_by_key(Vec::len);
    let mut styles = BTreeMap::new();
    for run in figures.iter().flatten().filter_map(|runs| runs.first()) {
        let next = styles.len();
        styles.entry(run.method.clone()).or_insert(next);
    }
    styles
}

fn page(results: &Results, figures: &[Experiment], sections: &str) -> String {
    let [machine, commit, date] =
        [&results.machine, &results.commit, &results.date].map(|s| escape(s));
    let link = |e: &Experiment| format!("<a href=\"#{0}\">{0}</a>", escape(&e.name));
    let links: Vec<String> = figures.iter().map(link).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Training methods compared</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1>Training methods compared</h1>\n\
         <dl><dt>Machine</dt><dd>{machine}</dd><dt>Commit</dt><dd>{commit}</dd>\
         <dt>Date</dt><dd>{date}</dd></dl>\n\
         <nav>{}</nav>\n{sections}</body>\n</html>\n",
        links.join(" ")
    )
}

const STYLE: &str = "\
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 960px; margin: 2em auto; padding: 0 1em }
h1, h2 { line-height: 1.2 }
h2 { margin-top: 2.5em; border-top: 1px solid #ccc; padding-top: 1em }
dl { display: grid; grid-template-columns: max-content auto; gap: 0 1em }
dt { color: #666 }
dd { margin: 0 }
nav a { margin-right: 1em }
figure { margin: 1.5em 0 }
svg { max-width: 100%; height: auto }
div.table { overflow-x: auto }
table { border-collapse: collapse; font-size: 13px }
caption { text-align: left; color: #666; padding: 3px 10px }
th, td { padding: 3px 10px; border-bottom: 1px solid #e4e4e4; text-align: left; white-space: nowrap }
th.number, td.number { text-align: right; font-variant-numeric: tabular-nums }
";

fn section(experiment: &Experiment, plots: &[(String, String)]) -> String {
    let [name, title, data, model] = [
        &experiment.name,
        &experiment.title,
        &experiment.data,
        &experiment.model,
    ]
    .map(|s| escape(s));
    let note = experiment
        .note
        .iter()
        .map(|n| format!("<p>{}</p>\n", escape(n)));
    let figures = plots
        .iter()
        .map(|(_, svg)| format!("<figure>\n{svg}</figure>\n"));
    format!(
        "<section id=\"{name}\">\n<h2>{title}</h2>\n\
         <dl><dt>Experiment</dt><dd>{name}</dd><dt>Data</dt><dd>{data}</dd>\
         <dt>Model</dt><dd>{model}</dd></dl>\n{}{}{}</section>\n",
        note.collect::<String>(),
        figures.collect::<String>(),
        table::html(experiment)
    )
}

/// Text as it must stand in HTML, in an element or an attribute.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::figures::aggregate;
    use super::*;
    use crate::results::{Point, Run};

    fn run(method: &str, seed: u64, losses: &[f64]) -> Run {
        let point = |(i, loss): (usize, &f64)| Point {
            update: 10 * i as u64,
            seconds: Some(i as f64 + 0.1 * seed as f64),
            train_loss: Some(*loss),
            ..Point::default()
        };
        let points = losses.iter().enumerate().map(point).collect();
        Run {
            method: method.into(),
            seed,
            points,
            ..Run::default()
        }
    }

    #[test]
    fn curves_are_the_median_at_common_updates() {
        let mut runs = [
            run("adam", 0, &[5.0, 4.0, 1.0]),
            run("adam", 1, &[5.0, 2.0, 3.0, 0.5]),
            run("adam", 2, &[5.0, 9.0, 2.0]),
            run("adam", 3, &[5.0]),
        ];
        runs[3].failed = Some("diverged".into());
        let runs: Vec<&Run> = runs.iter().collect();
        let (points, band) = aggregate(&runs, |p| Some(p.update as f64), |p| p.train_loss);
        assert_eq!(points, [(0.0, 5.0), (10.0, 4.0), (20.0, 2.0)]);
        assert_eq!(
            band.unwrap(),
            [(0.0, 5.0, 5.0), (10.0, 2.0, 9.0), (20.0, 1.0, 3.0)]
        );
        let (points, band) = aggregate(&runs[3..], |p| Some(p.update as f64), |p| p.train_loss);
        assert_eq!((points, band), (vec![(0.0, 5.0)], None));
    }

    #[test]
    fn the_smallest_figure_chooses_its_styles_first() {
        let figure = |methods: &[&str]| Experiment {
            runs: methods.iter().map(|m| run(m, 0, &[])).collect(),
            ..Experiment::default()
        };
        let experiments = vec![figure(&["sgd", "nag", "adam"]), figure(&["adam", "nag"])];
        let styles = styles(&experiments);
        assert_eq!(
            styles,
            [("adam", 0), ("nag", 1), ("sgd", 2)]
                .map(|(m, i)| (m.into(), i))
                .into()
        );
    }

    #[test]
    fn the_page_is_self_contained() {
        let dir = std::env::temp_dir().join(format!("opt-bench-report-{}", std::process::id()));
        let losses = Experiment {
            name: "mnist-mlp".into(),
            title: "a < b".into(),
            runs: vec![
                run("adam", 0, &[2.0, 1.0]),
                run("<sgd>", 0, &[2.0, f64::NAN]),
            ],
            ..Experiment::default()
        };
        let mut path = run("adam", 0, &[]);
        path.points = vec![Point {
            x: Some([0.5, 0.5]),
            value: Some(1.0),
            ..Point::default()
        }];
        let visual = Experiment {
            name: "visual-valley".into(),
            runs: vec![path],
            ..Experiment::default()
        };
        let machine = "<script>".to_owned();
        let results = Results {
            experiments: vec![losses, visual],
            machine,
            ..Results::default()
        };
        let valley = |name: &str| {
            let f = Box::new(|x: f64, y: f64| 0.5 * x * x + 50.0 * y * y);
            let (x, y) = ((-1.0, 1.0), (-1.0, 1.0));
            (name == "visual-valley").then_some(Landscape {
                f,
                x,
                y,
                minimum: Some([0.0; 2]),
            })
        };
        let page = std::fs::read_to_string(write(&dir, &results, &valley).unwrap()).unwrap();
        let mut files: Vec<_> = std::fs::read_dir(&dir)
            .unwrap()
            .map(|f| f.unwrap().file_name())
            .collect();
        std::fs::remove_dir_all(&dir).unwrap();
        files.sort();
        let losses = ["mnist-mlp-loss-seconds.svg", "mnist-mlp-loss-updates.svg"];
        assert_eq!(
            files,
            [losses[0], losses[1], "report.html", "visual-valley.svg"]
        );
        let page = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        assert!(!page.contains("http") && !page.contains("<script") && !page.contains("NaN"));
        assert!(page.contains("&lt;script&gt;") && page.contains("<h2>a &lt; b</h2>"));
        assert_eq!(page.matches("<svg").count(), 3);
        assert!(page.contains("<td class=\"number\"><b>1.000</b></td>"));
    }
}
