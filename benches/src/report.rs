//! The report: a table for the terminal, and one self-contained HTML page.
//!
//! The page is made of the files in `benches/report`, in this order, and of one JSON text with the
//! results; its script draws everything from that.

mod column;
mod counted;
mod course;
mod figures;
pub(crate) mod markdown;
pub(crate) mod quotes;
mod table;
mod units;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use opt_testkit::{moons, planes};
use serde_json::{Value, json};

use crate::plot::{Landscape, PlotError};
use crate::registry::{family, networks};
use crate::results::{Experiment, Results, by_method, write_file};

pub(crate) use column::figure as short;
pub(crate) use table::{print_claims, print_table};

const PAGE: &str = include_str!("../report/page.html");

const STYLE: [&str; 2] = [
    include_str!("../report/vendor/uPlot.min.css"),
    include_str!("../report/style.css"),
];

/// A file after all that it needs.
const SCRIPT: [&str; 16] = [
    include_str!("../report/vendor/uPlot.iife.min.js"),
    include_str!("../report/vendor/d3-array.min.js"),
    include_str!("../report/vendor/d3-contour.min.js"),
    include_str!("../report/data.js"),
    include_str!("../report/palette.js"),
    include_str!("../report/dom.js"),
    include_str!("../report/chart.js"),
    include_str!("../report/experiment.js"),
    include_str!("../report/special.js"),
    include_str!("../report/overview.js"),
    include_str!("../report/peers.js"),
    include_str!("../report/rules.js"),
    include_str!("../report/problems.js"),
    include_str!("../report/plane.js"),
    include_str!("../report/animation.js"),
    include_str!("../report/main.js"),
];

impl From<PlotError> for io::Error {
    fn from(e: PlotError) -> Self {
        io::Error::other(e)
    }
}

/// Writes `report.html` into `dir`, which is created if need be, and returns its path.
///
/// What `bench --peers` has measured is a part of it if its file lies there.
pub(crate) fn write(dir: &Path, results: &Results) -> io::Result<PathBuf> {
    let path = dir.join("report.html");
    let peers = std::fs::read(dir.join("peers.json")).ok();
    // A file that is none of ours is no reason to withhold the page.
    let peers = peers.and_then(|json| serde_json::from_slice(&json).ok());
    let data = data(results, peers.unwrap_or(Value::Null))?;
    write_file(&path, page(&data).as_bytes())?;
    Ok(path)
}

fn page(data: &Value) -> String {
    // Within a script element nothing but `<` means anything to HTML.
    let data = data.to_string().replace('<', "\\u003c");
    // The data last: whatever stands in it is not looked at again.
    PAGE.replacen("/*STYLE*/", &STYLE.join("\n"), 1)
        .replacen("/*SCRIPT*/", &SCRIPT.join("\n"), 1)
        .replacen("/*DATA*/", &data, 1)
}

/// All that the script knows.
fn data(results: &Results, peers: Value) -> io::Result<Value> {
    let figures: Vec<_> = (results.experiments.iter())
        .flat_map(Experiment::figures)
        .collect();
    let runs = figures.iter().flat_map(|figure| &figure.runs);
    let own = runs.map(|run| {
        let base = run.base.as_ref().unwrap_or(&run.method);
        let family = match run.normalized {
            true => "normalization",
            false => family(base),
        };
        (run.method.as_str(), json!({ "family": family }))
    });
    // Those that are not in these results too: colours are given by place.
    let known = networks().into_iter().map(|entry| {
        let name = entry.name();
        (name, json!({ "family": family(name), "known": true }))
    });
    let mut methods: BTreeMap<&str, Value> = own.collect();
    methods.extend(known);
    let planes = planes().map_err(io::Error::other)?;
    let planes: BTreeMap<_, _> = planes
        .iter()
        .map(|p| {
            let [x, y] = p.window;
            let plane = json!({
                "start": p.start, "window": [[x.0, x.1], [y.0, y.1]], "minimum": p.minimum,
            });
            (p.name, plane)
        })
        .collect();
    let inputs: Vec<_> = moons().iter().map(|row| row.0).collect();
    let labels: Vec<_> = moons().iter().map(|row| u8::from(row.1)).collect();
    Ok(json!({
        "results": {
            "machine": results.machine,
            "commit": results.commit,
            "date": results.date,
            "experiments": figures,
        },
        "methods": methods,
        "planes": planes,
        "moons": { "inputs": inputs, "labels": labels, "batch": opt_testkit::MOONS_BATCH },
        "peers": peers,
    }))
}

/// The still pictures of the documentation, as (file name, SVG).
pub(crate) fn stills(
    results: &Results,
    landscape: &dyn Fn(&str) -> Option<Landscape>,
) -> Result<Vec<(String, String)>, PlotError> {
    let figures: Vec<_> = (results.experiments.iter())
        .flat_map(Experiment::figures)
        .collect();
    let styles = styles(&figures);
    let mut all = Vec::new();
    for experiment in &figures {
        all.extend(figures::plots(experiment, &styles, landscape)?);
    }
    Ok(all)
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
        let losses = Experiment {
            name: "mnist-mlp".into(),
            title: "a </script> b".into(),
            runs: vec![
                run("adam", 0, &[2.0, 1.0]),
                run("<sgd>", 0, &[2.0, f64::NAN]),
            ],
            ..Experiment::default()
        };
        let results = Results {
            experiments: vec![losses],
            machine: "/*DATA*/".to_owned(),
            ..Results::default()
        };
        let dir = std::env::temp_dir().join(format!("opt-bench-report-{}", std::process::id()));
        let page = std::fs::read_to_string(write(&dir, &results).unwrap()).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        // What is in the data ends no element.
        assert_eq!(
            page.matches("</script>").count(),
            page.matches("<script").count()
        );
        for address in [
            "src=\"http",
            "href=\"http",
            "url(http",
            "@import",
            "import(",
        ] {
            assert!(!page.contains(address), "{address}");
        }
        for marker in ["/*STYLE*/", "/*SCRIPT*/"] {
            assert!(!page.contains(marker), "{marker}");
        }
        let data = page.split_once("id=\"data\">").unwrap().1;
        let data = data.split_once("</script>").unwrap().0;
        let data: Value = serde_json::from_str(data).unwrap();
        let experiment = &data["results"]["experiments"][0];
        assert_eq!(experiment["title"], "a </script> b");
        assert_eq!(data["results"]["machine"], "/*DATA*/");
        assert_eq!(data["methods"]["adam"]["family"], "adaptive");
        assert_eq!(data["moons"]["inputs"].as_array().unwrap().len(), 124);
    }

    #[test]
    fn what_another_program_left_there_is_no_reason_to_fail() {
        let dir = std::env::temp_dir().join(format!("opt-bench-peers-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for (json, shown) in [("[{\"work\":\"eigh\"}]", true), ("[", false)] {
            std::fs::write(dir.join("peers.json"), json).unwrap();
            let page = std::fs::read_to_string(write(&dir, &Results::default()).unwrap()).unwrap();
            assert_eq!(page.contains("\"work\":\"eigh\""), shown);
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
