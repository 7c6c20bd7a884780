use std::collections::BTreeSet;

use super::*;

mod claims;
mod maps;

#[test]
fn the_files_of_the_repository_are_right() {
    let all = crate::check::read_all(&crate::experiments_dir()).unwrap();
    let names: Vec<_> = all.iter().map(|e| e.name.as_str()).collect();
    let expected = [
        "adadelta-delay",
        "bn-diagonal-prong",
        "bn-ensembles",
        "bn-sigmoid",
        "bn-steps",
        "bn-steps-cifar",
        "cifar-conv",
        "cifar-prong",
        "conv",
        "efficient-backprop",
        "fisher-conditioning",
        "imdb-logistic",
        "larger-batches",
        "largest-rate",
        "mnist-logistic",
        "mnist-mlp",
        "prong-autoencoder",
        "prong-classifier",
        "secondorder-autoencoder",
        "secondorder-paths",
        "three-nodes",
        "units",
        "vanishing-gradients",
        "visual",
    ];
    assert_eq!(names, expected);
}

/// Every key that a file of each kind may have, with a value; together they are a right file.
const WHOLE: [&str; 9] = [
    r#"kind = "trajectories"
title = "t"
note = "n"
deck = "d"
by_name = true
problems = ["beale"]
methods = ["sgd"]
steps = 3
tolerance = 1e-6
set.sgd.lr = 0.1
on.beale.sgd.lr = 0.1"#,
    r#"kind = "conditioning"
title = "t"
note = "n"
deck = "d"
by_name = false
hidden = [3]
eps = 0.1
lr = 0.1
batch = 10
updates = [0, 1]
samples = 100"#,
    r#"kind = "units"
title = "t"
note = "n"
deck = "d"
by_name = false
methods = ["sgd"]
steps = 3
samples = 10
l2 = 0.1
scales = [10.0]
tolerance = 1e-6
set.sgd.lr = 0.1"#,
    r#"kind = "training"
title = "t"
note = "n"
deck = "d"
by_name = false
data = "digits"
inputs = "standardized"
validation = 100
batch = 10
budget = "updates"
schedule = "constant"
constant = ["adam"]
methods = ["sgd"]
percentiles = true
layer_gradients = true
ensemble = true
race = "sgd"
reach = 0.1
model.kind = "classifier"
model.hidden = [3]
model.activation = "sigmoid"
model.init.gaussian = 0.1
model.input_dropout = 0.5
model.dropout = 0.5
model.l2 = 0.1
variant.v.method = "sgd"
variant.v.norm = true
variant.v.standardize = true
variant.v.activation = "tanh"
variant.v.input_dropout = 0.5
variant.v.dropout = 0.5
variant.v.layer_rates = 3.0
variant.v.batch = 10
variant.v.fixed = false
variant.v.curvature = 10
variant.v.set.lr = 0.1
set.sgd.lr = 0.1
grid.multiples = [1.0]
grid.sgd = [0.1]
named.methods = ["sgd"]
quick.epochs = 1
quick.search_updates = 1
quick.seeds = 1
quick.points = 1
quick.train_sample = 1
quick.examples = 100
default.epochs = 1
default.search_updates = 1
default.seeds = 1
default.points = 1
default.train_sample = 1
default.examples = 100
full.epochs = 1
full.search_updates = 1
full.seeds = 1
full.points = 1
full.train_sample = 1
full.examples = 100
named.size.epochs = 1
named.size.search_updates = 1
named.size.seeds = 1
named.size.points = 1
named.size.train_sample = 1
named.size.examples = 100"#,
    r#"kind = "stream"
title = "t"
note = "n"
deck = "d"
by_name = false
methods = ["sgd"]
steps = 3
at = 2
outlier = 1e3
set.sgd.lr = 0.1"#,
    r#"kind = "starts"
title = "t"
note = "n"
deck = "d"
by_name = false
bits = 3
ones = 2
std = 1.0
starts = 2
updates = 3
methods = ["sgd"]
grid.sgd = [0.1]
set.sgd.lr = 0.1"#,
    r#"kind = "rates"
title = "t"
note = "n"
deck = "d"
by_name = false
hidden = 3
samples = 100
l2 = 0.1
steps = 3
products = 3
passes = 3"#,
    // Keys of images, and of texts.
    r#"kind = "training"
title = "t"
data = "cifar10"
crop = 24
validation = 100
batch = 10
model.maps = [{ channels = 2, kernel = 5, stride = 2, padding = 1, pool = 3, pool_stride = 2, average = true }]
model.hidden = [3]
grid.multiples = [1.0]
quick.epochs = 1
quick.search_updates = 1
quick.seeds = 1
quick.points = 1
quick.train_sample = 1
default.epochs = 1
default.search_updates = 1
default.seeds = 1
default.points = 1
default.train_sample = 1
full.epochs = 1
full.search_updates = 1
full.seeds = 1
full.points = 1
full.train_sample = 1"#,
    r#"kind = "training"
title = "t"
data = "imdb"
words = 10
validation = 100
batch = 10
model.hidden = [3]
grid.multiples = [1.0]
quick.epochs = 1
quick.search_updates = 1
quick.seeds = 1
quick.points = 1
quick.train_sample = 1
default.epochs = 1
default.search_updates = 1
default.seeds = 1
default.points = 1
default.train_sample = 1
full.epochs = 1
full.search_updates = 1
full.seeds = 1
full.points = 1
full.train_sample = 1"#,
];

/// Values of which every key refuses all that are not of its kind.
const WRONG: [&str; 16] = [
    "18446744073709551615",
    "99999999999999999999999999",
    "-1",
    "0",
    "1.5",
    "nan",
    "inf",
    "-inf",
    "-0.5",
    "1e301",
    "true",
    r#""nonsense""#,
    "[99999999999]",
    "[[1]]",
    "{ x = 1 }",
    "2020-01-01",
];

/// The fault of a file of this text, if it has one.
fn fault(name: &str, text: &str) -> Option<String> {
    let dir = std::env::temp_dir().join(format!("opt-bench-toml-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("wrong.toml");
    std::fs::write(&path, text).unwrap();
    let read = crate::check::read_all(&dir);
    std::fs::remove_dir_all(&dir).unwrap();
    read.err().inspect(|error| {
        assert!(
            !error.contains('\n') && error.contains("wrong.toml"),
            "{error}"
        );
    })
}

/// Whether the key's own kind takes the value.
fn right(kind: &keys::Kind, value: &str) -> bool {
    use keys::Kind::*;
    let number = value.parse::<f64>().ok();
    match *kind {
        Whole(from, to) => value.parse().is_ok_and(|v| (from..=to).contains(&v)),
        Positive(to) => number.is_some_and(|v| v > 0.0 && v <= to),
        NonNegative(to) => number.is_some_and(|v| v >= 0.0 && v <= to),
        Share => number.is_some_and(|v| (0.0..1.0).contains(&v)),
        // Of sgd's lr: what it is beyond that is its method's to say.
        Hyper | Number => number.is_some_and(|v| v >= 0.0 && v.is_finite()),
        Flag => value == "true",
        Text | OneOf(_) => false,
    }
}

#[test]
fn every_wrong_value_of_every_key_is_refused_in_one_line_that_names_it() {
    let mut tried = BTreeSet::new();
    let kind = |whole: &'static str| whole.split('"').nth(1).unwrap();
    for whole in WHOLE {
        assert_eq!(fault("values", whole), None);
        let kind = kind(whole);
        for line in whole.lines() {
            // Tables in a list: below.
            if line.starts_with("model.maps") {
                continue;
            }
            let (key, value) = line.split_once(" = ").unwrap();
            let list = value.starts_with('[');
            let path: Vec<_> = key.split('.').map(str::to_owned).collect();
            let (pattern, must) = keys::find(kind, &path, list).unwrap();
            tried.insert((kind, *pattern));
            for wrong in WRONG {
                let plain_text = wrong.starts_with('"') && matches!(must, keys::Kind::Text);
                let plain_text = plain_text && ["title", "note", "deck"].contains(&key);
                if right(must, wrong) && !list || plain_text {
                    continue;
                }
                for wrong in [wrong.to_owned(), format!("[{wrong}]")] {
                    let inside = wrong.trim_matches(['[', ']']);
                    if list && wrong == format!("[{inside}]") && right(must, inside) {
                        continue;
                    }
                    let text = whole.replace(line, &format!("{key} = {wrong}"));
                    let told = fault("values", &text);
                    let told = told.unwrap_or_else(|| panic!("{key} = {wrong} is accepted"));
                    assert!(told.contains(key), "{key} = {wrong}: {told}");
                    assert!(told.contains("must"), "{key} = {wrong}: {told}");
                }
            }
        }
    }
    for kind in WHOLE.map(kind) {
        let all = keys::keys(kind).map(|(pattern, _)| *pattern);
        // `model.init` is a text too, which cannot stand beside its table.
        // Claims are below.
        let mut others = all.filter(|name| {
            *name != "model.init" && !name.contains("maps[]") && !name.starts_with("claims[]")
        });
        let untried = others.find(|name| !tried.contains(&(kind, *name)));
        assert_eq!(untried, None);
    }
}

#[test]
fn values_that_do_not_go_together_are_refused() {
    let training = WHOLE[3];
    let cases = [
        ("batch = 10", "bach = 10", "bach"),
        ("batch = 10\n", "", "batch"),
        ("model.hidden", "model.hiden", "hiden"),
        ("kind = \"training\"", "kind = \"x\"", "kind"),
        ("title = \"t\"", "title = ", "line 2"),
        ("grid.sgd = [0.1]", "grid.sgd = [0.1, 0.2]", "grid.sgd"),
        ("grid.sgd = [0.1]", "grid.sdg = [0.1]", "grid.sdg"),
        ("grid.sgd = [0.1]", "grid.sgd = [-0.1]", "grid.sgd"),
        (
            "grid.multiples = [1.0]",
            "grid.multiples = []",
            "grid.multiples",
        ),
        (
            "set.sgd.lr = 0.1\ngrid",
            "set.sgd.rl = 0.1\ngrid",
            "set.sgd",
        ),
        (
            "set.sgd.lr = 0.1\ngrid",
            "set.sgd.lr = -0.1\ngrid",
            "set.sgd",
        ),
        (
            "set.sgd.lr = 0.1\ngrid",
            "set.sdg.lr = 0.1\ngrid",
            "set.sdg",
        ),
        (
            "variant.v.set.lr = 0.1",
            "variant.v.set.momentum = 0.1",
            "variant.v.set",
        ),
        (
            "variant.v.method = \"sgd\"",
            "variant.v.method = \"kfac\"",
            "variant.v.layer_rates",
        ),
        (
            "variant.v.method = \"sgd\"",
            "variant.v.method = \"sdg\"",
            "variant.v.method",
        ),
        (
            "variant.v.batch = 10",
            "variant.v.batch = 1400",
            "variant.v.batch",
        ),
        ("\nbatch = 10", "\nbatch = 1400", "batch"),
        ("validation = 100", "validation = 1437", "validation"),
        ("\nmethods = [\"sgd\"]", "\nmethods = [\"sdg\"]", "methods"),
        ("\nmethods = [\"sgd\"]", "\nmethods = []", "methods"),
        (
            "\nmethods = [\"sgd\"]",
            "\nmethods = [\"sgd\", \"sgd\"]",
            "methods",
        ),
        (
            "named.methods = [\"sgd\"]",
            "named.methods = [\"sdg\"]",
            "named.methods",
        ),
        ("race = \"sgd\"", "race = \"sdg\"", "race"),
        ("constant = [\"adam\"]", "constant = [\"adma\"]", "constant"),
        ("model.hidden = [3]", "model.hidden = []", "percentiles"),
        (
            "model.activation = \"sigmoid\"",
            "model.activation = \"relu\"",
            "percentiles",
        ),
        (
            "model.hidden = [3]",
            "model.hidden = [10000, 10000, 10000]",
            "model.hidden",
        ),
    ];
    for (right, wrong, word) in cases {
        assert!(training.contains(right), "{right}");
        let told = fault("together", &training.replace(right, wrong));
        let told = told.unwrap_or_else(|| panic!("{wrong} is accepted"));
        assert!(told.contains(word), "{wrong}: {told}");
    }
    let long = format!("grid.sgd = [{}]", "0.1, ".repeat(2_000));
    assert!(fault("together", &training.replace("grid.sgd = [0.1]", &long)).is_some());
    let updates = WHOLE[1].replace("updates = [0, 1]", "updates = [1, 0]");
    assert!(fault("together", &updates).is_some_and(|told| told.contains("updates")));
}
