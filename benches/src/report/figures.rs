//! Which figures an experiment has, and what their curves are.

use std::collections::BTreeMap;

use crate::plot::{self, Landscape, PlotError, Series, Track};
use crate::results::{Experiment, Point, Row, Run, Stat, summary};

type Field = fn(&Point) -> Option<f64>;

const UPDATES: Field = |p| Some(p.update as f64);
const SECONDS: Field = |p| p.seconds;
const TRAIN: Field = |p| p.train_loss;
const SQUARED: Field = |p| p.squared_error;

/// End of the file's name, label and value of x, label and value of y. Those without data are
/// left out.
const FIGURES: [(&str, &str, Field, &str, Field); 8] = [
    ("-loss-updates", "updates", UPDATES, "training loss", TRAIN),
    (
        "-loss-seconds",
        "seconds of training",
        SECONDS,
        "training loss",
        TRAIN,
    ),
    (
        "-error-updates",
        "updates",
        UPDATES,
        "test error (%)",
        |p| p.test_error.map(|e| 100.0 * e),
    ),
    (
        "-squared-updates",
        "updates",
        UPDATES,
        "squared error per image",
        SQUARED,
    ),
    (
        "-squared-seconds",
        "seconds of training",
        SECONDS,
        "squared error per image",
        SQUARED,
    ),
    (
        "-squared-passes",
        "passes over the training set, in gradients",
        |p| p.passes,
        "squared error per image",
        SQUARED,
    ),
    (
        "-condition-updates",
        "updates",
        UPDATES,
        "condition number of the Fisher block",
        |p| p.condition,
    ),
    (
        "-step-updates",
        "steps",
        UPDATES,
        "length of the step",
        |p| p.step,
    ),
];

const PERCENTILES: [(&str, Field); 3] = [
    ("85 %", |p| p.percentiles.map(|[_, _, high]| high)),
    ("50 %", |p| p.percentiles.map(|[_, middle, _]| middle)),
    ("15 %", |p| p.percentiles.map(|[low, ..]| low)),
];

/// The runs of one method, and how the figures show it.
struct Method<'a> {
    label: String,
    style: usize,
    runs: Vec<&'a Run>,
}

/// The methods of an experiment, the best first.
fn methods<'a>(experiment: &'a Experiment, styles: &BTreeMap<String, usize>) -> Vec<Method<'a>> {
    let method = |row: Row| {
        let runs: Vec<_> = experiment
            .runs
            .iter()
            .filter(|r| r.method == row.method)
            .collect();
        let style = styles.get(&row.method).copied().unwrap_or_default();
        let label = match runs.iter().all(|r| r.failed.is_some()) {
            true => format!("{} (failed)", row.method),
            false => row.method,
        };
        Method { label, style, runs }
    };
    summary(experiment).into_iter().map(method).collect()
}

/// The plots of one experiment as (file name, SVG): those for which there are data.
pub(super) fn plots(
    experiment: &Experiment,
    styles: &BTreeMap<String, usize>,
    landscape: &dyn Fn(&str) -> Option<Landscape>,
) -> Result<Vec<(String, String)>, PlotError> {
    let methods = methods(experiment, styles);
    let file = |what: &str| format!("{}{what}.svg", file_stem(&experiment.name));
    let mut plots = Vec::new();
    let tracks: Vec<Track> = methods.iter().filter_map(track).collect();
    if let Some(landscape) = landscape(&experiment.name).filter(|_| !tracks.is_empty()) {
        plots.push((
            file(""),
            plot::trajectories(&experiment.title, &landscape, &tracks)?,
        ));
    }
    for (what, x_label, x, y_label, y) in FIGURES {
        let series = |m: &Method| series(m.label.clone(), m.style, &m.runs, x, y);
        let series: Vec<Series> = methods.iter().filter_map(series).collect();
        if !series.is_empty() {
            let svg = plot::curves(&experiment.title, x_label, y_label, &series, true)?;
            plots.push((file(what), svg));
        }
    }
    for method in &methods {
        let lines = PERCENTILES.iter().enumerate();
        let line = |(style, (name, y)): (usize, &(&str, Field))| {
            series((*name).to_owned(), style, &method.runs, UPDATES, *y)
        };
        let lines: Vec<Series> = lines.filter_map(line).collect();
        let title = format!("{}: {}", experiment.title, method.label);
        let named = |what: &str| file(&format!("-{what}-{}", file_stem(&method.label)));
        if !lines.is_empty() {
            let svg = plot::curves(&title, "updates", "pre-activation", &lines, false)?;
            plots.push((named("percentiles"), svg));
        }
        let lines = by_layer(&method.runs);
        if !lines.is_empty() {
            let what = "norm of the gradient";
            plots.push((
                named("gradients"),
                plot::curves(&title, "updates", what, &lines, true)?,
            ));
        }
    }
    Ok(plots)
}

/// A line for every layer, of the norm of its gradient.
fn by_layer(runs: &[&Run]) -> Vec<Series> {
    let norms = |p: &Point| p.layer_gradients.as_ref().map_or(0, Vec::len);
    let layers = runs.iter().flat_map(|run| &run.points).map(norms).max();
    let line = |layer: usize| {
        let norm = move |p: &Point| p.layer_gradients.as_ref()?.get(layer).copied();
        series(format!("layer {layer}"), layer, runs, UPDATES, norm)
    };
    (0..layers.unwrap_or(0)).filter_map(line).collect()
}

/// The name with all that a file system may object to replaced.
fn file_stem(name: &str) -> String {
    let safe = |c: char| {
        if c.is_alphanumeric() || c == '_' {
            c
        } else {
            '-'
        }
    };
    name.chars().map(safe).collect()
}

/// The path of the first seed: trajectories start at one point and draw no random numbers.
fn track(method: &Method<'_>) -> Option<Track> {
    let points: Vec<[f64; 2]> = method
        .runs
        .first()?
        .points
        .iter()
        .filter_map(|p| p.x)
        .collect();
    let (name, style) = (method.label.clone(), method.style);
    (!points.is_empty()).then_some(Track {
        name,
        style,
        points,
    })
}

fn series(
    name: String,
    style: usize,
    runs: &[&Run],
    x: Field,
    y: impl Fn(&Point) -> Option<f64>,
) -> Option<Series> {
    let (points, band) = aggregate(runs, x, y);
    (!points.is_empty()).then_some(Series {
        name,
        style,
        points,
        band,
    })
}

type Curve = (Vec<(f64, f64)>, Option<Vec<(f64, f64, f64)>>);

/// The median line and, of several seeds, the band, at the points that all runs have: the k-th of
/// every run belongs to the same budget. Runs that failed count only if none is complete: the others
/// would end where they did.
pub(super) fn aggregate(runs: &[&Run], x: Field, y: impl Fn(&Point) -> Option<f64>) -> Curve {
    let complete = runs.iter().any(|r| r.failed.is_none());
    let used: Vec<_> = runs
        .iter()
        .filter(|r| r.failed.is_none() == complete)
        .collect();
    let mut by_index: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
    for (index, point) in used.iter().flat_map(|r| r.points.iter().enumerate()) {
        if let (Some(x), Some(y)) = (x(point), y(point)) {
            by_index.entry(index).or_default().push((x, y));
        }
    }
    by_index.retain(|_, at| at.len() == used.len());
    let stats = |at: &Vec<(f64, f64)>| {
        Some((
            Stat::of(at.iter().map(|p| p.0))?.median,
            Stat::of(at.iter().map(|p| p.1))?,
        ))
    };
    let stats: Vec<(f64, Stat)> = by_index.values().filter_map(stats).collect();
    let band = || stats.iter().map(|(x, y)| (*x, y.min, y.max)).collect();
    let band = (used.len() > 1).then(band);
    (stats.iter().map(|(x, y)| (*x, y.median)).collect(), band)
}
