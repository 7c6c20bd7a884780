//! One experiment of each kind.

use indicatif::{ProgressBar, ProgressStyle};
use opt_core::{Entry, find_entry};

use super::data::{Splits, describe};
use super::journal::Journal;
use super::keep::Keep;
use super::left::{Left, sized};
use crate::conditioning::Conditioning;
use crate::experiment::{Config, Experiment, Invariance, Training, Trajectories};
use crate::rates::Rates;
use crate::results::{self, Run, Search};
use crate::starts::{self, Starts};
use crate::stop::Stop;
use crate::stream::{self, Stream};
use crate::train::{Contender, Network, Ticker, Trainer, together};
use crate::{claims, race, registry, units, visual};

/// An experiment in its run.
pub(super) struct Job<'a> {
    pub(super) args: &'a super::Args,
    /// Of the command line, each once.
    pub(super) methods: &'a [String],
    pub(super) experiment: &'a Experiment,
    pub(super) splits: &'a mut Splits,
    /// What is finished of it.
    pub(super) journal: &'a Journal,
    /// Where every finished seed goes.
    pub(super) keep: &'a mut Keep,
    pub(super) left: &'a mut Left,
    pub(super) stop: &'a Stop,
}

impl Job<'_> {
    /// All of it, or what was finished when it was stopped.
    pub(super) fn run(&mut self) -> Result<results::Experiment, String> {
        let experiment = self.experiment;
        let mut done = self.any()?;
        // All but networks are run at their papers' size.
        let reduced = matches!(experiment.config, Config::Training(_)) && !self.args.full;
        done.claims = claims::judge(&experiment.about.claims, &done.runs, reduced);
        Ok(done)
    }

    fn any(&mut self) -> Result<results::Experiment, String> {
        let experiment = self.experiment;
        match &experiment.config {
            Config::Trajectories(config) => self.trajectories(config),
            Config::Conditioning(config) => self.conditioning(config),
            Config::Units(config) => self.units(config),
            Config::Stream(config) => self.stream(config),
            Config::Starts(config) => self.starts(config),
            Config::Rates(config) => self.rates(config),
            Config::Training(config) => self.training(config),
        }
    }

    /// Without runs; what they have told comes after the experiment's own note.
    fn figure(&self, data: String, model: String, told: &str) -> results::Experiment {
        let mut note = self.experiment.about.note.clone();
        if !told.is_empty() {
            *note.get_or_insert_default() += told;
        }
        results::Experiment {
            name: self.experiment.name.clone(),
            title: self.experiment.about.title.clone(),
            kind: self.experiment.config.kind().to_owned(),
            size: match &self.experiment.config {
                Config::Training(config) => sized(config, self.args).0,
                _ if self.args.quick => "quick",
                _ => "default",
            }
            .to_owned(),
            deck: self.experiment.about.deck.clone(),
            note,
            data,
            model,
            ..results::Experiment::default()
        }
    }

    /// Of the command line, else of the experiment, else all.
    fn of<'e, F: opt_core::Scalar, O: ?Sized>(
        &self,
        entries: &'e [Entry<F, O>],
        own: Option<&Vec<String>>,
    ) -> Vec<&'e Entry<F, O>> {
        let asked = Some(self.methods).filter(|names| !names.is_empty());
        let names = asked.or(own.map(Vec::as_slice));
        let chosen = |name: &str| names.is_none_or(|names| names.iter().any(|n| n == name));
        entries.iter().filter(|e| chosen(e.name())).collect()
    }

    fn trajectories(&self, config: &Trajectories) -> Result<results::Experiment, String> {
        let entries = registry::surfaces();
        let entries = self.of(&entries, config.methods.as_ref());
        let (runs, told) = visual::run(self.experiment, config, &entries)?;
        Ok(results::Experiment {
            runs,
            ..self.figure("none".to_owned(), config.problems.join(", "), &told)
        })
    }

    fn conditioning(&mut self, config: &Conditioning) -> Result<results::Experiment, String> {
        let train = self.splits.mnist(10_000)?.train.clone();
        let images = train.dense().ok_or("MNIST is not sparse")?;
        let runs = config.run((images, &train.labels), self.stop)?;
        let layers = config.spec().layers;
        let widths: Vec<_> = layers.iter().map(|layer| layer.units.to_string()).collect();
        let data = format!("mnist-train at 10x10, {} images", config.samples);
        let model = format!("100-{} tanh, softmax cross-entropy", widths.join("-"));
        Ok(results::Experiment {
            runs,
            ..self.figure(data, model, "")
        })
    }

    fn units(&self, config: &Invariance) -> Result<results::Experiment, String> {
        let digits = opt_data::digits().map_err(|e| e.to_string())?;
        let entries = units::methods();
        let entries = self.of(&entries, config.methods.as_ref());
        let runs = config.run(&digits, &entries, self.stop)?;
        let data = format!("digits at 4x4, {} images", config.samples);
        Ok(results::Experiment {
            runs,
            ..self.figure(data, config.model(), "")
        })
    }

    fn stream(&self, config: &Stream) -> Result<results::Experiment, String> {
        let entries = stream::methods();
        let (runs, told) = config.run(&self.of(&entries, Some(&config.methods)))?;
        let model = format!(
            "gradients of 1, and of {} at step {}",
            config.outlier, config.at
        );
        Ok(results::Experiment {
            runs,
            ..self.figure("none".to_owned(), model, &told)
        })
    }

    fn starts(&self, config: &Starts) -> Result<results::Experiment, String> {
        let entries = starts::methods();
        let starts = self.args.seeds.unwrap_or(match self.args.quick {
            true => config.starts.div_ceil(20),
            false => config.starts,
        });
        let chosen = self.of(&entries, Some(&config.methods));
        let (runs, told) = config.run(&chosen, starts, self.stop)?;
        let (bits, ones) = (config.bits, config.ones);
        let data = format!(
            "all {} inputs of {bits} bits: are {ones} set?",
            1_u64 << bits
        );
        Ok(results::Experiment {
            runs,
            ..self.figure(data, config.model(), &told)
        })
    }

    fn rates(&self, config: &Rates) -> Result<results::Experiment, String> {
        let digits = opt_data::digits().map_err(|e| e.to_string())?;
        let runs = config.run(&digits, self.stop)?;
        let data = format!("digits, {} images, full batch", config.samples);
        Ok(results::Experiment {
            runs,
            ..self.figure(data, config.model(), "")
        })
    }

    /// The methods and variants that are asked for on the command line, else by the experiment,
    /// else all methods.
    fn contenders<'e>(
        &self,
        entries: &'e [Entry<f32, Network>],
        config: &Training,
        own: Option<&Vec<String>>,
    ) -> Result<Vec<Contender<'e>>, String> {
        let all = || entries.iter().map(|entry| entry.name().to_owned());
        let names: Vec<String> = match (self.methods, own) {
            ([], None) => all().collect(),
            ([], Some(names)) => names.clone(),
            // Those of another experiment's variants are not for this one.
            (names, _) => (names.iter())
                .filter(|name| {
                    config.variant.contains_key(*name) || find_entry(entries, name).is_ok()
                })
                .cloned()
                .collect(),
        };
        let contender = |name: String| {
            let variant = config.variant.get(&name);
            let method = variant.map_or(&name, |variant| &variant.method);
            let own = config.set.get(method).into_iter().flatten();
            let more = variant.into_iter().flat_map(|variant| &variant.set);
            Ok(Contender {
                entry: find_entry(entries, method)?,
                set: own
                    .chain(more)
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect(),
                variant: variant.cloned().unwrap_or_default(),
                name,
            })
        };
        let built: Result<_, opt_core::Error> = names.into_iter().map(contender).collect();
        built.map_err(|e| e.to_string())
    }

    fn training(&mut self, config: &Training) -> Result<results::Experiment, String> {
        let (_, size, own) = sized(config, self.args);
        let entries = registry::networks();
        let contenders = self.contenders(&entries, config, own)?;
        let examples = size.examples.unwrap_or(usize::MAX);
        let (data, cropping) = self.splits.of(config, examples)?;
        let wanted = contenders.iter().any(|c| c.variant.standardize);
        let standardized = wanted.then(|| data.standardized(false)).transpose()?;
        let bar = ProgressBar::no_length();
        let seeds = self.args.seeds.unwrap_or(size.seeds);
        let setup = format!("{config:?} {size:?} {seeds} {}", describe(&data));
        let shelf = self.journal.shelf(&self.experiment.name, &setup)?;
        let trainer = Trainer {
            training: config,
            size,
            seeds,
            data: &data,
            cropping: cropping.as_ref(),
            standardized: standardized.as_ref(),
            shelf: &shelf,
            ticker: Ticker {
                bar: &bar,
                stop: self.stop,
            },
        };
        bar.set_length(trainer.updates_per_method() * contenders.len() as u64);
        bar.set_style(style());
        let model = &config.model;
        let model = model.describe(trainer.shape(), data.train.classes);
        let mut progress = Progress {
            empty: self.figure(describe(&data), model, ""),
            trainer: &trainer,
            runs: Vec::new(),
            search: Vec::new(),
            edges: Vec::new(),
        };
        let finished = progress.all(&contenders, self.args, (self.keep, self.left))?;
        bar.finish_and_clear();
        Ok(progress.so_far(match finished {
            true => "",
            false => " Interrupted: not all methods, or seeds, were run.",
        }))
    }
}

/// What a training experiment has come to.
struct Progress<'a> {
    /// Without runs.
    empty: results::Experiment,
    trainer: &'a Trainer<'a>,
    runs: Vec<Run>,
    search: Vec<Search>,
    /// Those whose best value is the least or greatest of its grid.
    edges: Vec<&'a str>,
}

impl<'a> Progress<'a> {
    /// Runs all; whether nobody stopped it.
    fn all(
        &mut self,
        contenders: &'a [Contender<'_>],
        args: &super::Args,
        (keep, left): (&mut Keep, &mut Left),
    ) -> Result<bool, String> {
        let (bar, config) = (self.trainer.ticker.bar, self.trainer.training);
        let per_run = self.trainer.updates() as f64 / self.trainer.updates_per_method() as f64;
        for contender in contenders {
            bar.set_message(format!("{} (tuning)", contender.name));
            let Some(choice) = self.trainer.choose(contender)? else {
                return Ok(false);
            };
            if choice.at_edge {
                self.edges.push(&contender.name);
            }
            self.search.extend(choice.search);
            left.did(config, args, 1.0 - per_run * self.trainer.seeds as f64);
            bar.set_message(contender.name.clone());
            for seed in 0..self.trainer.seeds {
                let Some(run) = self.trainer.run(contender, choice.value, seed)? else {
                    return Ok(false);
                };
                left.did(config, args, per_run);
                bar.suspend(|| eprintln!("  {}, {}", run.line(), left.told()));
                self.runs.push(run);
                keep.experiment(self.so_far(" Not finished: more runs are to come."), false)?;
            }
        }
        Ok(true)
    }

    fn so_far(&self, ending: &str) -> results::Experiment {
        let (config, data) = (self.trainer.training, self.trainer.data);
        let own = self.empty.note.clone().unwrap_or_default();
        let mut note = note(own, self.trainer, &self.edges);
        let reach = config.reach.map(|error| race::to_error(&self.runs, error));
        let race = config.race.as_ref();
        let race = race.map(|baseline| race::against(&self.runs, baseline));
        note.extend(reach.into_iter().chain(race));
        note += ending;
        let mut runs = self.runs.clone();
        if config.ensemble {
            runs.extend(together(&self.runs, &data.test));
        }
        results::Experiment {
            note: Some(note),
            search: self.search.clone(),
            runs,
            ..self.empty.clone()
        }
    }
}

/// What was run at which size, and where a grid may have been too narrow.
fn note(own: String, trainer: &Trainer<'_>, edges: &[&str]) -> String {
    let (training, size) = (trainer.training, trainer.size);
    let mut note = own;
    let (epochs, updates) = (size.epochs, trainer.updates());
    note += &format!(
        " Batch {}, {epochs} epochs ({updates} updates).",
        training.batch
    );
    if training.grid.len() > 1 {
        note += &format!(
            " The first hyper-parameter of every method is the best of {} after {} updates, by \
             validation loss.",
            training.grid.len(),
            size.search_updates,
        );
    }
    if !edges.is_empty() {
        note += &format!(" Best at the edge of its grid: {}.", edges.join(", "));
    }
    note.trim().to_owned()
}

fn style() -> ProgressStyle {
    let template = "  {msg:27} [{wide_bar}] {pos}/{len} updates, {eta} left";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
