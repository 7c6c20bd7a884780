//! The main job: all experiments, their table, `results.json` and the report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use opt_core::{Entry, find_entry};

use crate::conditioning::Conditioning;
use crate::experiment::{Config, Data, Experiment, Training, Trajectories};
use crate::results::{self, Results};
use crate::train::{Contender, Network, Split, Ticker, Trainer};
use crate::{Failure, experiments_dir, machine, mnist_dir, race, registry, report, visual};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names of experiments; all of them if none is given.
    experiments: Vec<String>,
    /// End within two minutes: shows that all works, not which method is best.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// The papers' sizes: takes hours.
    #[arg(long)]
    full: bool,
    /// Runs of each method.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// Only these methods, separated by commas, of all that are registered.
    #[arg(long, value_delimiter = ',')]
    methods: Vec<String>,
    /// Where to write results.json, the plots and report.html.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

static STOP: AtomicBool = AtomicBool::new(false);

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let all = Experiment::read_all(&experiments_dir()).map_err(Failure::Other)?;
    let chosen = choose(&all, &args.experiments)?;
    let entries = registry::networks();
    for name in &args.methods {
        let variant = |experiment: &&Experiment| match &experiment.config {
            Config::Training(training) => training.variant.contains_key(name),
            Config::Trajectories(_) | Config::Conditioning(_) => false,
        };
        if !chosen.iter().any(variant) {
            find_entry(&entries, name).map_err(|e| Failure::Usage(e.to_string()))?;
        }
    }
    let handler = ctrlc::set_handler(|| {
        // The second time the user means it.
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
    handler.map_err(|e| Failure::Other(format!("cannot catch Ctrl-C: {e}")))?;

    let mut results = Results {
        machine: machine::describe(),
        commit: machine::commit(),
        date: machine::date(),
        ..Results::default()
    };
    let mut splits = Splits::default();
    for experiment in chosen {
        if STOP.load(Ordering::Relaxed) {
            break;
        }
        eprintln!("{}", experiment.name);
        let done = match &experiment.config {
            Config::Trajectories(config) => trajectories(args, experiment, config),
            Config::Conditioning(config) => conditioning(experiment, config, &mut splits),
            Config::Training(config) => training(args, experiment, config, &mut splits),
        };
        let done = done.map_err(Failure::Other)?;
        for figure in done.figures() {
            println!("\n{}", report::print_table(&figure));
        }
        results.experiments.push(done);
    }
    let out = args.out.clone().unwrap_or_else(default_out);
    write(&out, &results).map_err(|e| Failure::Other(e.to_string()))?;
    if STOP.load(Ordering::Relaxed) {
        return Err(Failure::Interrupted);
    }
    Ok(())
}

fn write(out: &Path, results: &Results) -> std::io::Result<()> {
    let json = results.write(out)?;
    let html = report::write(out, results, &visual::landscape)?;
    println!("\nresults: {}\nreport:  {}", json.display(), html.display());
    Ok(())
}

/// `target/bench` of the workspace.
fn default_out() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().unwrap_or(root).join("target/bench")
}

fn choose<'a>(all: &'a [Experiment], names: &[String]) -> Result<Vec<&'a Experiment>, Failure> {
    if names.is_empty() {
        return Ok(all.iter().collect());
    }
    let find = |name: &String| {
        let found = all.iter().find(|experiment| experiment.name == *name);
        found.ok_or_else(|| {
            let known: Vec<_> = all.iter().map(|e| e.name.as_str()).collect();
            Failure::Usage(format!(
                "no experiment `{name}`; there are: {}",
                known.join(", ")
            ))
        })
    };
    names.iter().map(find).collect()
}

fn trajectories(
    args: &Args,
    experiment: &Experiment,
    config: &Trajectories,
) -> Result<results::Experiment, String> {
    let entries = registry::surfaces();
    // Of the command line, else of the experiment, else all.
    let asked = Some(&args.methods).filter(|names| !names.is_empty());
    let names = asked.or(config.methods.as_ref());
    let chosen = |name: &str| names.is_none_or(|names| names.iter().any(|n| n == name));
    let entries: Vec<_> = entries.iter().filter(|e| chosen(e.name())).collect();
    let (runs, told) = visual::run(experiment, config, &entries)?;
    let mut note = config.note.clone();
    if !told.is_empty() {
        *note.get_or_insert_default() += &told;
    }
    Ok(results::Experiment {
        name: experiment.name.clone(),
        title: config.title.clone(),
        data: "none".to_owned(),
        model: config.problems.join(", "),
        note,
        runs,
    })
}

/// The methods and variants that are asked for on the command line, else by the experiment, else
/// all methods.
fn contenders<'a>(
    entries: &'a [Entry<f32, Network>],
    args: &Args,
    config: &Training,
    methods: Option<&Vec<String>>,
) -> Result<Vec<Contender<'a>>, String> {
    let all = || {
        entries
            .iter()
            .map(|entry| entry.name().to_owned())
            .collect()
    };
    let names: Vec<String> = match (args.methods.as_slice(), methods) {
        ([], None) => all(),
        ([], Some(names)) => names.clone(),
        // Those of another experiment's variants are not for this one.
        (names, _) => (names.iter())
            .filter(|name| config.variant.contains_key(*name) || find_entry(entries, name).is_ok())
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
            set: own.chain(more).map(|(k, v)| (k.clone(), *v)).collect(),
            variant: variant.cloned().unwrap_or_default(),
            name,
        })
    };
    let built: Result<_, opt_core::Error> = names.into_iter().map(contender).collect();
    built.map_err(|e| e.to_string())
}

fn conditioning(
    experiment: &Experiment,
    config: &Conditioning,
    splits: &mut Splits,
) -> Result<results::Experiment, String> {
    let train = &splits.get(Data::Mnist, 10_000)?.train;
    let spec = config.spec();
    let widths: Vec<_> = spec
        .layers
        .iter()
        .map(|layer| layer.units.to_string())
        .collect();
    Ok(results::Experiment {
        name: experiment.name.clone(),
        title: config.title.clone(),
        data: format!("mnist-train at 10x10, {} images", config.samples),
        model: format!("100-{} tanh, softmax cross-entropy", widths.join("-")),
        note: config.note.clone(),
        runs: config.run(train)?,
    })
}

fn training(
    args: &Args,
    experiment: &Experiment,
    config: &Training,
    splits: &mut Splits,
) -> Result<results::Experiment, String> {
    let named = config
        .named
        .as_ref()
        .filter(|_| !args.experiments.is_empty());
    let usual = config.methods.as_ref();
    let (size, methods) = match (args.quick, args.full, named) {
        (true, ..) => (config.quick, usual),
        (_, true, named) => (config.full, named.map(|named| &named.methods).or(usual)),
        (.., Some(named)) => (named.size, Some(&named.methods)),
        _ => (config.default, usual),
    };
    let entries = registry::networks();
    let contenders = contenders(&entries, args, config, methods)?;
    let data = splits.get(config.data, config.validation)?;
    let bar = ProgressBar::no_length();
    let trainer = Trainer {
        training: config,
        size,
        seeds: args.seeds.unwrap_or(size.seeds),
        data,
        ticker: Ticker {
            bar: &bar,
            stop: &STOP,
        },
    };
    bar.set_length(trainer.updates_per_method() * contenders.len() as u64);
    bar.set_style(style());
    let (mut runs, mut edges) = (Vec::new(), Vec::new());
    for contender in &contenders {
        bar.set_message(contender.name.clone());
        let Some(outcome) = trainer.contend(contender)? else {
            break;
        };
        for run in &outcome.runs {
            bar.suspend(|| eprintln!("  {}", run.line()));
        }
        if outcome.at_edge {
            edges.push(contender.name.as_str());
        }
        runs.extend(outcome.runs);
    }
    bar.finish_and_clear();
    let (inputs, classes) = (data.train.inputs.ncols(), data.train.classes);
    let mut done = results::Experiment {
        name: experiment.name.clone(),
        title: config.title.clone(),
        data: describe(data),
        model: config.model.describe(inputs, classes),
        note: Some(note(&trainer, &edges)),
        runs,
    };
    if let Some(note) = &mut done.note {
        let reach = config.reach.map(|error| race::to_error(&done.runs, error));
        let race = (config.race.as_ref()).map(|baseline| race::against(&done.runs, baseline));
        note.extend(reach.into_iter().chain(race));
    }
    Ok(done)
}

/// What was run at which size, and where a grid may have been too narrow.
fn note(trainer: &Trainer<'_>, edges: &[&str]) -> String {
    let (training, size) = (trainer.training, trainer.size);
    let mut note = training.note.clone().unwrap_or_default();
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
    if STOP.load(Ordering::Relaxed) {
        note += " Interrupted: not all methods were run.";
    }
    note.trim().to_owned()
}

fn describe(data: &Split) -> String {
    let count = |d: &opt_data::Dataset| d.labels.len();
    let (train, validation, test) = (
        count(&data.train),
        count(&data.validation),
        count(&data.test),
    );
    format!(
        "{}: {train} training, {validation} validation, {test} test examples",
        data.train.name
    )
}

fn style() -> ProgressStyle {
    let template = "  {msg:16} [{wide_bar}] {pos}/{len} updates, {eta} left";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// The data sets, read once.
#[derive(Default)]
struct Splits(BTreeMap<(Data, usize), Split>);

impl Splits {
    fn get(&mut self, data: Data, validation: usize) -> Result<&Split, String> {
        use std::collections::btree_map::Entry as Place;
        let text = |e: opt_data::Error| e.to_string();
        match self.0.entry((data, validation)) {
            Place::Occupied(place) => Ok(place.into_mut()),
            Place::Vacant(place) => {
                let (rest, test) = match data {
                    Data::Mnist => {
                        let mnist = opt_data::mnist(mnist_dir()).map_err(text)?;
                        (mnist.train, mnist.test)
                    }
                    Data::Digits => opt_data::digits()
                        .and_then(|d| d.split(360, 0))
                        .map_err(text)?,
                };
                let (train, validation) = rest.split(validation, 0).map_err(text)?;
                let shared = train.inputs.to_shared();
                Ok(place.insert(Split {
                    train,
                    validation,
                    test,
                    shared,
                }))
            }
        }
    }
}
