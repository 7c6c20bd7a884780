//! Every key that an experiment's file may have, and its range: the one place for both.
//!
//! A file is held against this table before anything else looks at it, so that whatever is wrong
//! with it is told in one line that names the key and what it must be.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

mod kind;

use Kind::{Flag, Hyper, NonNegative, Number, OneOf, Positive, Share, Text, Whole};
pub(super) use kind::Kind;

/// A key as a path: `*` stands for any name, `[]` for each value of a list, and `quick` for
/// whatever else gives a size.
pub(super) type Key = (&'static str, Kind);

/// Of every experiment.
const COMMON: &[Key] = &[
    ("kind", OneOf(KINDS)),
    ("title", Text),
    ("note", Text),
    ("by_name", Flag),
    ("deck", Text),
    ("claims[].claim", Text),
    ("claims[].source", Text),
    ("claims[].problem", Text),
    ("claims[].measure", OneOf(MEASURES)),
    ("claims[].to", OneOf(MEASURES)),
    ("claims[].of[]", Text),
    ("claims[].than[]", Text),
    ("claims[].at_most", Positive(1e6)),
];

/// Of a claim.
const MEASURES: &[&str] = &[
    "train_loss",
    "test_loss",
    "test_error",
    "squared_error",
    "condition",
    "value",
    "updates",
    "seconds",
];

const KINDS: &[&str] = &[
    "trajectories",
    "conditioning",
    "training",
    "units",
    "stream",
    "starts",
    "rates",
];

const TRAJECTORIES: &[Key] = &[
    ("problems[]", Text),
    ("methods[]", Text),
    // Each step of each method is a point in memory, and in results.json.
    ("steps", Whole(1, 100_000)),
    ("tolerance", Positive(1e300)),
    ("set.*.*", Hyper),
    ("on.*.*.*", Hyper),
];

const CONDITIONING: &[Key] = &[
    // The Fisher matrix of a layer has (100 + 1)·width rows.
    ("hidden[]", Whole(1, 50)),
    ("eps", Positive(1e300)),
    ("lr", Positive(1e300)),
    ("batch", Whole(1, 60_000)),
    ("updates[]", Whole(0, 1_000_000)),
    ("samples", Whole(1, 60_000)),
];

const UNITS: &[Key] = &[
    ("methods[]", Text),
    ("steps", Whole(1, 10_000)),
    ("samples", Whole(1, 1_437)),
    ("l2", NonNegative(1e6)),
    ("scales[]", Positive(1e100)),
    ("tolerance", Positive(1.0)),
    ("set.*.*", Hyper),
];

const STREAM: &[Key] = &[
    ("methods[]", Text),
    ("steps", Whole(1, 100_000)),
    ("at", Whole(2, 100_000)),
    ("outlier", Positive(1e300)),
    ("set.*.*", Hyper),
];

const STARTS: &[Key] = &[
    ("bits", Whole(2, 8)),
    ("ones", Whole(1, 8)),
    ("std", Positive(1e3)),
    ("starts", Whole(1, super::MOST_SEEDS)),
    ("updates", Whole(1, 1_000_000)),
    ("methods[]", Text),
    ("grid.*[]", Number),
    ("set.*.*", Hyper),
];

const RATES: &[Key] = &[
    ("hidden", Whole(1, 1_000)),
    ("samples", Whole(1, 1_797)),
    ("l2", Positive(1e6)),
    ("steps", Whole(1, 100_000)),
    ("products", Whole(1, 100_000)),
    ("passes", Whole(1, 1_000)),
];

/// Of the hidden layers.
const ACTIVATIONS: Kind = OneOf(&["relu", "tanh", "scaled-tanh", "sigmoid"]);

const TRAINING: &[Key] = &[
    (
        "data",
        OneOf(&[
            "digits",
            "mnist",
            "fashion-mnist",
            "cifar10",
            "imdb",
            "reviews",
        ]),
    ),
    ("inputs", OneOf(&["pixels", "standardized", "whitened"])),
    ("words", Whole(1, 100_000)),
    ("crop", Whole(1, 28)),
    ("validation", Whole(1, 59_999)),
    ("batch", Whole(1, 59_999)),
    ("budget", OneOf(&["updates", "gradients"])),
    ("schedule", OneOf(&["constant", "inverse-sqrt"])),
    ("constant[]", Text),
    ("methods[]", Text),
    ("percentiles", Flag),
    ("layer_gradients", Flag),
    ("ensemble", Flag),
    ("race", Text),
    ("reach", Positive(1.0)),
    ("model.kind", OneOf(&["classifier", "autoencoder"])),
    ("model.maps[].channels", Whole(1, 1_024)),
    ("model.maps[].kernel", Whole(1, 28)),
    ("model.maps[].stride", Whole(1, 28)),
    ("model.maps[].padding", Whole(0, 27)),
    ("model.maps[].pool", Whole(1, 28)),
    ("model.maps[].pool_stride", Whole(1, 28)),
    ("model.maps[].average", Flag),
    ("model.hidden[]", Whole(1, 10_000)),
    ("model.activation", ACTIVATIONS),
    ("model.init", OneOf(&["he", "lecun", "zeros"])),
    ("model.init.gaussian", Positive(1e6)),
    ("model.input_dropout", Share),
    ("model.dropout", Share),
    ("model.l2", NonNegative(1e6)),
    ("variant.*.method", Text),
    ("variant.*.norm", Flag),
    ("variant.*.standardize", Flag),
    ("variant.*.activation", ACTIVATIONS),
    ("variant.*.input_dropout", Share),
    ("variant.*.dropout", Share),
    ("variant.*.layer_rates", Positive(1e3)),
    ("variant.*.batch", Whole(1, 59_999)),
    ("variant.*.fixed", Flag),
    ("variant.*.curvature", Whole(1, 59_999)),
    ("variant.*.set.*", Hyper),
    ("set.*.*", Hyper),
    ("grid.multiples[]", Positive(1e6)),
    ("grid.*[]", Number),
    ("named.methods[]", Text),
    ("quick.epochs", Positive(1e5)),
    ("quick.search_updates", Whole(0, 100_000_000)),
    ("quick.seeds", Whole(1, super::MOST_SEEDS)),
    ("quick.points", Whole(1, 10_000)),
    ("quick.train_sample", Whole(1, 60_000)),
    ("quick.examples", Whole(1, 60_000)),
];

/// No list in a file is longer.
const LONGEST: usize = 1_000;

/// The keys of an experiment of this kind.
pub(super) fn keys(kind: &str) -> impl Iterator<Item = &'static Key> + Clone {
    let own = match kind {
        "trajectories" => TRAJECTORIES,
        "conditioning" => CONDITIONING,
        "units" => UNITS,
        "training" => TRAINING,
        "stream" => STREAM,
        "starts" => STARTS,
        "rates" => RATES,
        _ => &[],
    };
    COMMON.iter().chain(own)
}

/// Whether every key of the file is one of the table's, and every value in its range.
///
/// # Errors
/// In one line, the first that is not, with what it must be.
pub(super) fn check(text: &str) -> Result<(), String> {
    let line = |at: usize| {
        text.as_bytes()
            .iter()
            .take(at)
            .filter(|b| **b == b'\n')
            .count()
            + 1
    };
    let table = DeTable::parse(text).map_err(|e| {
        let at = e.span().map_or(1, |span| line(span.start));
        format!("line {at}: {}", one_line(e.message()))
    })?;
    let table = table.get_ref();
    let kind = table.get("kind").and_then(|kind| kind.get_ref().as_str());
    let kind = kind.filter(|kind| KINDS.contains(kind));
    let kind = kind.ok_or_else(|| format!("kind: must be {}", OneOf(KINDS)))?;
    let mut leaves = Vec::new();
    for (key, value) in table {
        collect(vec![key.get_ref().to_string()], value, &mut leaves);
    }
    // In the order of the file, not of the alphabet.
    leaves.sort_by_key(|(_, value)| value.span().start);
    for (path, value) in leaves {
        judge(kind, &path, value.get_ref()).map_err(|must| {
            let shown = path.join(".").replace("[]", "");
            let span = value.span();
            let text = one_line(text.get(span.clone()).unwrap_or_default());
            format!("line {}: {shown} = {text}: {must}", line(span.start))
        })?;
    }
    Ok(())
}

/// The entry of a key that a list, or a single value, stands behind.
#[cfg(test)]
pub(super) fn find(kind: &str, path: &[String], list: bool) -> Option<&'static Key> {
    let mut path = normal(path);
    if let Some(last) = path.last_mut().filter(|_| list) {
        last.push_str("[]");
    }
    let pattern = |key: &&Key| fits(&key.0.split('.').collect::<Vec<_>>(), &path);
    keys(kind).find(pattern)
}

type Leaf<'a> = (Vec<String>, &'a Spanned<DeValue<'a>>);

/// All values that are neither tables nor lists, and all tables and lists that are empty, or lists
/// too long.
fn collect<'a>(path: Vec<String>, value: &'a Spanned<DeValue<'a>>, leaves: &mut Vec<Leaf<'a>>) {
    match value.get_ref() {
        DeValue::Table(table) if !table.is_empty() => {
            for (key, value) in table {
                let below = path.iter().cloned().chain([key.get_ref().to_string()]);
                collect(below.collect(), value, leaves);
            }
        }
        DeValue::Array(list) if (1..=LONGEST).contains(&list.len()) => {
            let mut item = path;
            if let Some(last) = item.last_mut() {
                last.push_str("[]");
            }
            for value in list {
                collect(item.clone(), value, leaves);
            }
        }
        _ => leaves.push((path, value)),
    }
}

/// What is wrong with a value: what it must be.
fn judge(kind: &str, path: &[String], value: &DeValue<'_>) -> Result<(), String> {
    let path = normal(path);
    let patterns = keys(kind).map(|(pattern, must)| (pattern.split('.').collect::<Vec<_>>(), must));
    if let Some((_, must)) = patterns.clone().find(|(pattern, _)| fits(pattern, &path)) {
        return match must.holds(value) {
            true => Ok(()),
            false => Err(format!("must be {must}")),
        };
    }
    let mut list = path.clone();
    if let Some(last) = list.last_mut() {
        last.push_str("[]");
    }
    if let Some((_, must)) = patterns.clone().find(|(pattern, _)| fits(pattern, &list)) {
        return match value.as_array() {
            Some(all) if all.is_empty() => Ok(()),
            Some(_) => Err(format!("must have at most {LONGEST} values")),
            None => Err(format!("must be a list, each {must}")),
        };
    }
    let below =
        |pattern: &[&str]| pattern.len() > path.len() && fits(&pattern[..path.len()], &path);
    if patterns.clone().any(|(pattern, _)| below(&pattern)) {
        return match value.is_table() {
            true => Ok(()),
            false => Err("must be a table".to_owned()),
        };
    }
    if let Some(must) = above(kind, &path) {
        return Err(must);
    }
    let names = patterns.map(|(pattern, _)| pattern.join(".").replace("[]", ""));
    Err(format!(
        "no such key; there are: {}",
        names.collect::<Vec<_>>().join(", ")
    ))
}

/// What stands where the path leads further: a list or table is where there must be none.
fn above(kind: &str, path: &[String]) -> Option<String> {
    (1..=path.len()).rev().find_map(|length| {
        let (last, names) = path[..length].split_last()?;
        let name = last.trim_end_matches("[]");
        let key = |ending: &str| [names, &[format!("{name}{ending}")]].concat();
        let find = |path: Vec<String>| {
            let pattern =
                |(pattern, _): &&Key| fits(&pattern.split('.').collect::<Vec<_>>(), &path);
            keys(kind).find(pattern).map(|(_, must)| must)
        };
        let shown = key("").join(".").replace("[]", "");
        let single = find(key("")).map(|must| format!("{shown}: must be {must}"));
        single
            .or_else(|| find(key("[]")).map(|must| format!("{shown}: must be a list, each {must}")))
    })
}

/// The path as the table has it, where one entry is for all sizes.
fn normal(path: &[String]) -> Vec<String> {
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    let rest = match names.as_slice() {
        ["named", "size", rest @ ..] | ["default" | "full", rest @ ..] => rest,
        _ => return path.to_vec(),
    };
    let all = ["quick"].iter().chain(rest);
    all.map(|name| (*name).to_owned()).collect()
}

fn fits(pattern: &[&str], path: &[String]) -> bool {
    let same = |(pattern, name): (&&str, &String)| match pattern.strip_prefix('*') {
        Some(list) => name.matches("[]").count() == list.matches("[]").count(),
        None => pattern == name,
    };
    pattern.len() == path.len() && pattern.iter().zip(path).all(same)
}

/// Some text of a file, or of a library, in one short line.
pub(super) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(80) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}
