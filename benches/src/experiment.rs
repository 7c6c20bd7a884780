//! What an experiment is: one TOML file in `benches/experiments`.

mod invariance;
mod keys;
mod model;

use std::collections::BTreeMap;
use std::path::Path;

use opt_core::{Entry, Scalar};
use serde::Deserialize;

pub(crate) use invariance::Invariance;
pub(crate) use model::{Hidden, Kind, Model};

use crate::claims::Claim;
use crate::setting::Settings;

/// Runs of one method, in a file or on the command line.
pub(crate) const MOST_SEEDS: u64 = 1_000;

/// A file that has been read.
#[derive(Debug)]
pub(crate) struct Experiment {
    /// The file's name without its ending.
    pub(crate) name: String,
    pub(crate) about: About,
    pub(crate) config: Config,
}

/// What every file says of its experiment, whatever its kind.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct About {
    pub(crate) title: String,
    pub(crate) note: Option<String>,
    /// Not a part of the run of all experiments.
    #[serde(default)]
    pub(crate) by_name: bool,
    /// What the deck shows, in one sentence.
    pub(crate) deck: Option<String>,
    /// What the deck, or its papers, say of the methods.
    #[serde(default)]
    pub(crate) claims: Vec<Claim>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Config {
    /// Paths on functions of two variables.
    Trajectories(Trajectories),
    /// Condition numbers of the Fisher matrix.
    Conditioning(crate::conditioning::Conditioning),
    /// Curves of networks in training.
    Training(Box<Training>),
    /// Which method is invariant to which units.
    Units(Invariance),
    /// What a method makes of an outlier.
    Stream(crate::stream::Stream),
    /// How many random starts come to a solution.
    Starts(crate::starts::Starts),
    /// The largest stable learning rate.
    Rates(crate::rates::Rates),
}

#[derive(Debug, Deserialize)]
pub(crate) struct Trajectories {
    pub(crate) problems: Vec<String>,
    /// All that need no layers if absent.
    pub(crate) methods: Option<Vec<String>>,
    pub(crate) steps: u64,
    /// Ends a path where the gradient's norm is at most this, and tells what that took.
    pub(crate) tolerance: Option<f64>,
    /// Hyper-parameters that are not the default, by method.
    #[serde(default)]
    pub(crate) set: BTreeMap<String, Settings>,
    /// Instead of those of `set`, by problem and method.
    #[serde(default)]
    pub(crate) on: BTreeMap<String, BTreeMap<String, Settings>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Training {
    pub(crate) data: Data,
    #[serde(default)]
    pub(crate) inputs: Preparation,
    /// Of texts: the most frequent that are counted.
    #[serde(default)]
    pub(crate) words: usize,
    /// Trains on random parts of the images, of this height and width, mirrored or not; judged by the
    /// middles.
    pub(crate) crop: Option<usize>,
    /// Examples split off the training set, on which learning rates are chosen.
    pub(crate) validation: usize,
    pub(crate) batch: usize,
    #[serde(default)]
    pub(crate) budget: Budget,
    pub(crate) model: Model,
    #[serde(default)]
    pub(crate) schedule: Schedule,
    /// Methods whose learning rate stays constant whatever the schedule.
    #[serde(default)]
    pub(crate) constant: Vec<String>,
    /// Methods or variants to run; all methods that are registered if absent.
    pub(crate) methods: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) variant: BTreeMap<String, Variant>,
    /// Also follow a pre-activation of the last hidden layer.
    #[serde(default)]
    pub(crate) percentiles: bool,
    /// Also follow the norm of every layer's gradient.
    #[serde(default)]
    pub(crate) layer_gradients: bool,
    /// Also judge the networks of all seeds together, by the mean of their probabilities.
    #[serde(default)]
    pub(crate) ensemble: bool,
    /// Tells when each reaches the best that this one came to.
    pub(crate) race: Option<String>,
    /// Tells when each reaches this test error.
    pub(crate) reach: Option<f64>,
    /// Hyper-parameters that are not the default, by method.
    #[serde(default)]
    pub(crate) set: BTreeMap<String, Settings>,
    pub(crate) grid: Grid,
    pub(crate) quick: Size,
    pub(crate) default: Size,
    pub(crate) full: Size,
    /// Instead of `default` when the experiment is asked for by name.
    pub(crate) named: Option<Named>,
}

/// A longer run than fits beside all other experiments.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    pub(crate) methods: Vec<String>,
    pub(crate) size: Size,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Data {
    Digits,
    Mnist,
    FashionMnist,
    Cifar10,
    Imdb,
    /// Sentences of film reviews.
    Reviews,
}

/// What becomes of the inputs before anything is trained.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Preparation {
    /// In [0, 1], or counts of words.
    #[default]
    Pixels,
    /// Mean 0 and variance 1, of images by channel.
    Standardized,
    /// Images by global contrast normalization and ZCA.
    Whitened,
}

/// A method of the registry in a setting of its own, such as on a network with batch
/// normalization.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Variant {
    pub(crate) method: String,
    /// Batch normalization before every hidden non-linearity.
    #[serde(default)]
    pub(crate) norm: bool,
    /// Inputs of mean 0 and variance 1, by the training set.
    #[serde(default)]
    pub(crate) standardize: bool,
    /// Another non-linearity of the hidden layers than the experiment's.
    pub(crate) activation: Option<Hidden>,
    /// Other dropout of the inputs than the experiment's.
    pub(crate) input_dropout: Option<f64>,
    /// Other dropout of the hidden layers than the experiment's.
    pub(crate) dropout: Option<f64>,
    /// Of an elementwise method: every layer has the rate of the one above it times this.
    pub(crate) layer_rates: Option<f64>,
    /// Another minibatch than the experiment's.
    pub(crate) batch: Option<usize>,
    /// Whether all updates see the same minibatch.
    #[serde(default)]
    pub(crate) fixed: bool,
    /// Samples that curvature is taken on, the first of the minibatch; all of them if absent.
    pub(crate) curvature: Option<usize>,
    #[serde(default)]
    pub(crate) set: Settings,
}

/// What all methods get the same amount of: as much as an update of SGD takes, times the updates
/// that the size gives.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Budget {
    #[default]
    Updates,
    /// Evaluations, by what they cost in gradients of the experiment's minibatch.
    Gradients,
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
    pub(crate) by_method: BTreeMap<String, Vec<f64>>,
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
    /// Training examples at all; without it those that validation leaves.
    pub(crate) examples: Option<usize>,
}

impl Config {
    /// Its name in the files.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Trajectories(_) => "trajectories",
            Self::Conditioning(_) => "conditioning",
            Self::Training(_) => "training",
            Self::Units(_) => "units",
            Self::Stream(_) => "stream",
            Self::Starts(_) => "starts",
            Self::Rates(_) => "rates",
        }
    }
}

impl Experiment {
    /// All files of a folder, in the order of their names. [`check`](crate::check) has still to see
    /// whether their values go with each other.
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

    /// One file, all of whose values are in their ranges.
    fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|e| format!("{shown}: {e}"))?;
        keys::check(&text).map_err(|e| format!("{shown}: {e}"))?;
        // What is missing.
        let config: Config = toml::from_str(&text)
            .map_err(|e| format!("{shown}: {}", keys::one_line(e.message())))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let about = toml::from_str(&text);
        Ok(Self {
            name: name.into_owned(),
            about: about.map_err(|e| format!("{shown}: {}", keys::one_line(e.message())))?,
            config,
        })
    }

    /// For the list of `--help`: its name, what it shows, and how it is asked for.
    pub(crate) fn line(&self) -> String {
        let longer = matches!(&self.config, Config::Training(c) if c.named.is_some());
        let asked = match (self.about.by_name, longer) {
            (true, _) => " (by name only)",
            (false, true) => " (by name: longer, with more methods)",
            (false, false) => "",
        };
        format!("{:24} {}{asked}", self.name, self.about.title)
    }
}

impl Trajectories {
    /// The hyper-parameters of a method on a problem that are not the default.
    pub(crate) fn set_for(&self, method: &str, problem: &str) -> Settings {
        let own = self.on.get(problem).and_then(|set| set.get(method));
        let set = own.or_else(|| self.set.get(method));
        set.cloned().unwrap_or_default()
    }
}

impl Grid {
    /// The values for the first hyper-parameter, ascending: of a variant's own list, else of its
    /// method's.
    pub(crate) fn values<F: Scalar, O: ?Sized>(&self, name: &str, entry: &Entry<F, O>) -> Vec<f64> {
        let default = entry.fields().first().and_then(|field| field.value.real());
        let default = default.unwrap_or(1.0);
        let own = self.by_method.get(name);
        let mut values = match own.or_else(|| self.by_method.get(entry.name())) {
            // An empty list: the method is not tuned.
            Some(values) if values.is_empty() => vec![default],
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

#[cfg(test)]
mod tests;
