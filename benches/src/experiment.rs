//! What an experiment is: one TOML file in `benches/experiments`.

use std::collections::BTreeMap;
use std::path::Path;

use opt_core::{Entry, Scalar};
use opt_nn::{Activation, Dense, Init, Loss, Spec};
use serde::Deserialize;

/// A file that has been read.
#[derive(Debug)]
pub(crate) struct Experiment {
    /// The file's name without its ending.
    pub(crate) name: String,
    pub(crate) config: Config,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Config {
    /// Paths on functions of two variables.
    Trajectories(Trajectories),
    /// Curves of networks in training.
    Training(Box<Training>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trajectories {
    pub(crate) title: String,
    pub(crate) note: Option<String>,
    pub(crate) problems: Vec<String>,
    pub(crate) steps: u64,
    /// Hyper-parameters that are not the default, by method.
    #[serde(default)]
    pub(crate) set: BTreeMap<String, BTreeMap<String, f64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Training {
    pub(crate) title: String,
    pub(crate) note: Option<String>,
    pub(crate) data: Data,
    /// Examples split off the training set, on which learning rates are chosen.
    pub(crate) validation: usize,
    pub(crate) batch: usize,
    pub(crate) model: Model,
    #[serde(default)]
    pub(crate) schedule: Schedule,
    /// Methods whose learning rate stays constant whatever the schedule.
    #[serde(default)]
    pub(crate) constant: Vec<String>,
    /// Methods to run; all that are registered if absent.
    pub(crate) methods: Option<Vec<String>>,
    /// Hyper-parameters that are not the default, by method.
    #[serde(default)]
    pub(crate) set: BTreeMap<String, BTreeMap<String, f64>>,
    pub(crate) grid: Grid,
    pub(crate) quick: Size,
    pub(crate) default: Size,
    pub(crate) full: Size,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Data {
    Digits,
    Mnist,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    /// Widths of the hidden layers.
    pub(crate) hidden: Vec<usize>,
    #[serde(default)]
    pub(crate) input_dropout: f64,
    #[serde(default)]
    pub(crate) dropout: f64,
    #[serde(default)]
    pub(crate) l2: f64,
    /// Start from zeros (a single layer has no symmetry to break) instead of He's initialization.
    #[serde(default)]
    pub(crate) zeros: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Schedule {
    #[default]
    Constant,
    /// α/√t
    InverseSqrt,
}

/// Values of the first hyper-parameter that a method is tried with: equally many for each method.
#[derive(Debug, Deserialize)]
pub(crate) struct Grid {
    /// Multiples of the default, for methods without a list of their own.
    multiples: Vec<f64>,
    #[serde(flatten)]
    by_method: BTreeMap<String, Vec<f64>>,
}

/// How long it takes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Size {
    pub(crate) epochs: f64,
    /// Updates for each value of the grid.
    pub(crate) search_updates: u64,
    pub(crate) seeds: u64,
    /// Evaluations along each curve, the start not counted.
    pub(crate) points: u64,
    /// Training examples that the training loss is measured on.
    pub(crate) train_sample: usize,
}

impl Experiment {
    /// All files of a folder, in the order of their names.
    pub(crate) fn read_all(dir: &Path) -> Result<Vec<Self>, String> {
        let shown = dir.display();
        let files = std::fs::read_dir(dir).map_err(|e| format!("{shown}: {e}"))?;
        let mut all = Vec::new();
        for file in files {
            let path = file.map_err(|e| format!("{shown}: {e}"))?.path();
            if path.extension().is_some_and(|ending| ending == "toml") {
                all.push(Self::read(&path)?);
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let config: Config =
            toml::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        if let Config::Training(training) = &config {
            let (grid, n) = (&training.grid, training.grid.multiples.len());
            let uneven = grid.by_method.iter().find(|(_, list)| list.len() != n);
            if let Some((method, list)) = uneven {
                return Err(format!(
                    "{}: grid of {method} has {} values, must have {n}, as all have the same budget",
                    path.display(),
                    list.len()
                ));
            }
            if n == 0 {
                return Err(format!("{}: grid is empty", path.display()));
            }
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Ok(Self {
            name: name.into_owned(),
            config,
        })
    }

    /// The fixed hyper-parameters of a method.
    pub(crate) fn set(&self, method: &str) -> Vec<(String, f64)> {
        let set = match &self.config {
            Config::Trajectories(c) => &c.set,
            Config::Training(c) => &c.set,
        };
        let own = set.get(method).into_iter().flatten();
        own.map(|(name, value)| (name.clone(), *value)).collect()
    }
}

impl Grid {
    /// The values for a method's first hyper-parameter, ascending.
    pub(crate) fn values<F: Scalar, O: ?Sized>(&self, entry: &Entry<F, O>) -> Vec<f64> {
        let default = entry.fields().first().map_or(1.0, |field| field.value);
        let mut values = match self.by_method.get(entry.name()) {
            Some(values) => values.clone(),
            None => self.multiples.iter().map(|m| m * default).collect(),
        };
        values.sort_by(f64::total_cmp);
        values
    }

    pub(crate) fn len(&self) -> usize {
        self.multiples.len()
    }
}

impl Model {
    /// A classifier by softmax cross-entropy with ReLU.
    pub(crate) fn spec(&self, inputs: usize, classes: usize) -> Spec {
        let hidden = self.hidden.iter().map(|&units| Dense {
            units,
            activation: Activation::Relu,
            dropout: self.dropout,
        });
        let output = Dense {
            units: classes,
            activation: Activation::Identity,
            dropout: 0.0,
        };
        Spec {
            inputs,
            layers: hidden.chain([output]).collect(),
            input_dropout: self.input_dropout,
            loss: Loss::SoftmaxCrossEntropy,
            l2: self.l2,
        }
    }

    pub(crate) fn init(&self) -> Option<Init> {
        (!self.zeros).then_some(Init::He)
    }

    /// For the report: `784-1000-1000-10 ReLU, dropout 0.5`.
    pub(crate) fn describe(&self, inputs: usize, classes: usize) -> String {
        let widths = [inputs].into_iter().chain(self.hidden.iter().copied());
        let widths: Vec<_> = widths.chain([classes]).map(|n| n.to_string()).collect();
        let mut text = widths.join("-");
        if !self.hidden.is_empty() {
            text += " ReLU";
        }
        text += ", softmax cross-entropy";
        for (name, value) in [
            ("input dropout", self.input_dropout),
            ("dropout", self.dropout),
            ("L2", self.l2),
        ] {
            if value > 0.0 {
                text += &format!(", {name} {value}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_repository_are_right() {
        let all = Experiment::read_all(&crate::experiments_dir()).unwrap();
        let names: Vec<_> = all.iter().map(|e| e.name.as_str()).collect();
        assert_eq!(names, ["mnist-logistic", "mnist-mlp", "visual"]);
        let entries = opt_firstorder::zoo::<f64, crate::visual::Surface>();
        for experiment in &all {
            let mut named = Vec::new();
            match &experiment.config {
                Config::Trajectories(c) => named.extend(c.set.keys()),
                Config::Training(c) => {
                    named.extend(c.set.keys());
                    named.extend(c.grid.by_method.keys());
                    named.extend(&c.constant);
                    named.extend(c.methods.iter().flatten());
                }
            }
            for method in named {
                assert!(opt_core::find_entry(&entries, method).is_ok(), "{method}");
            }
        }
    }

    #[test]
    fn what_a_file_gets_wrong_is_named() {
        let dir = std::env::temp_dir().join(format!("opt-bench-toml-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let right = include_str!("../experiments/mnist-logistic.toml");
        for (wrong, word) in [
            (right.replace("batch = 128", "bach = 128"), "bach"),
            (right.replace("[grid]", "[grid]\nadam = [1e-3]"), "adam"),
            (right.replace("kind = \"training\"", "kind = \"x\""), "x"),
        ] {
            let path = dir.join("wrong.toml");
            std::fs::write(&path, wrong).unwrap();
            let error = Experiment::read(&path).unwrap_err();
            assert!(
                error.contains("wrong.toml") && error.contains(word),
                "{error}"
            );
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
