//! The main job: all experiments, their table, `results.json` and the report.

mod data;
mod journal;
mod keep;
mod kinds;
mod left;

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Command;
use opt_core::find_entry;
use serde::{Deserialize, Serialize};

use crate::experiment::{Config, Experiment, MOST_SEEDS};
use crate::stop::Stop;
use crate::{Failure, experiments_dir, registry, report, results};
use data::Splits;
use journal::Journal;
use keep::Keep;
use kinds::Job;
use left::Left;

#[derive(Clone, Debug, Default, PartialEq, clap::Args, Deserialize, Serialize)]
pub(crate) struct Args {
    /// Names of experiments; all but those that run by name only if none is given.
    experiments: Vec<String>,
    /// End within two minutes: shows that all works, not which method is best.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// The papers' sizes: takes hours.
    #[arg(long)]
    full: bool,
    /// Runs of each method.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=MOST_SEEDS))]
    seeds: Option<u64>,
    /// Only these methods, separated by commas, of all that are registered.
    #[arg(long, value_delimiter = ',')]
    methods: Vec<String>,
    /// Where to write results.json, the plots and report.html.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where imdb (or aclImdb), cifar10 (or cifar-10-batches-bin) and fashion-mnist are, if not in the
    /// workspace's data folder. Without them an experiment takes what the repository has, and says so.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where the experiments are described, one TOML file each, if not in benches/experiments.
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    /// Go on with the run that was stopped, or killed, in the folder that it writes to: bit for bit as if
    /// it had not been. The other arguments are those that it was begun with, and need not be given again.
    #[arg(long)]
    #[serde(skip)]
    resume: bool,
    /// For machines: on standard output, instead of tables, one JSON object for each experiment, with
    /// medians and ranges by method, and at last one that says where the files are.
    #[arg(long)]
    #[serde(skip)]
    json: bool,
}

impl Args {
    /// As they are written, but for --out and --resume.
    fn told(&self) -> String {
        let mut told = self.experiments.clone();
        let flags = [("--quick", self.quick), ("--full", self.full)];
        told.extend(
            flags
                .iter()
                .filter(|(_, on)| *on)
                .map(|(name, _)| (*name).to_owned()),
        );
        told.extend(self.seeds.map(|n| format!("--seeds {n}")));
        if !self.methods.is_empty() {
            told.push(format!("--methods {}", self.methods.join(",")));
        }
        let folders = [("--data", &self.data), ("--files", &self.files)];
        let folders = folders
            .iter()
            .filter_map(|(name, dir)| Some((name, dir.as_ref()?)));
        told.extend(folders.map(|(name, dir)| format!("{name} {}", dir.display())));
        match told.is_empty() {
            true => "no arguments".to_owned(),
            false => told.join(" "),
        }
    }
}

const EXAMPLES: &str = "Examples:
  cargo xtask bench --quick                          all of it in two minutes
  cargo xtask bench mnist-mlp --methods adam,sgd     a part of it
  cargo xtask bench cifar-conv --data ~/data         what is not in the repository
  cargo xtask bench --resume                         goes on with what was stopped
  cargo xtask bench conv --json | head -1            for machines
";

/// The experiments, for `bench --help`.
pub(crate) fn list(command: Command) -> Command {
    let lines = match crate::check::read_all(&experiments_dir()) {
        Ok(all) => all.iter().map(|e| format!("  {}", e.line())).collect(),
        Err(e) => vec![format!("  {e}")],
    };
    command.after_help(format!("{EXAMPLES}\nExperiments:\n{}", lines.join("\n")))
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    // Before anything is written; a run that goes on has its arguments in its folder.
    let new = match args.resume {
        true => None,
        false => Some(plan(args)?),
    };
    let out = args.out.clone().unwrap_or_else(default_out);
    let mut keep = Keep::new(&out).map_err(Failure::Usage)?;
    let json = args.json;
    let (journal, args) = Journal::open(&out, args).map_err(Failure::Usage)?;
    // How it tells what it did is no part of what it was begun with.
    let args = &Args { json, ..args };
    let Plan {
        all,
        chosen,
        methods,
    } = match new {
        Some(new) => new,
        None => plan(args)?,
    };
    let chosen: Vec<_> = chosen.into_iter().map(|at| &all[at]).collect();
    // Here, as nothing is wrong with the arguments, and nothing is written yet.
    crate::machine::mend_openblas();
    journal.begin().map_err(Failure::Other)?;
    let stop = Stop::catch().map_err(Failure::Other)?;
    let ran = run_all(args, &methods, &chosen, (&journal, &mut keep), &stop);
    // Also after an error: what was finished before it is worth a report.
    let written = keep.report();
    ran.map_err(Failure::Other)?;
    written.map_err(Failure::Other)?;
    match stop.signal() {
        Some(signal) => Err(Failure::Stopped(signal, keep.told().replace('\n', "; "))),
        None => {
            match args.json {
                true => println!("{}", keep.files()),
                false => println!("\n{}", keep.told()),
            }
            Ok(())
        }
    }
}

/// What the arguments ask for.
struct Plan {
    all: Vec<Experiment>,
    /// Those of them that run.
    chosen: Vec<usize>,
    /// Of the command line, each once.
    methods: Vec<String>,
}

fn plan(args: &Args) -> Result<Plan, Failure> {
    let files = args.files.clone().unwrap_or_else(experiments_dir);
    let all = crate::check::read_all(&files).map_err(Failure::Usage)?;
    let chosen = choose(&all, &args.experiments)?;
    let mut seen = BTreeSet::new();
    let mut methods = args.methods.clone();
    methods.retain(|name| seen.insert(name.clone()));
    let experiments: Vec<_> = chosen.iter().map(|&at| &all[at]).collect();
    check_methods(&methods, &experiments)?;
    Ok(Plan {
        all,
        chosen,
        methods,
    })
}

fn run_all(
    args: &Args,
    methods: &[String],
    chosen: &[&Experiment],
    (journal, keep): (&Journal, &mut Keep),
    stop: &Stop,
) -> Result<(), String> {
    let mut splits = Splits::new(args.data.as_deref());
    let mut left = Left::new(chosen, args, methods);
    for experiment in chosen {
        if stop.asked() {
            break;
        }
        if !methods.is_empty() && !methods.iter().any(|name| takes(experiment, name)) {
            eprintln!("{}: none of the methods is for it", experiment.name);
            continue;
        }
        eprintln!("{}", experiment.name);
        if let Some(done) = journal.finished(&experiment.name)? {
            eprintln!("  finished before");
            keep.experiment(done, true)?;
            continue;
        }
        let mut job = Job {
            args,
            methods,
            experiment,
            splits: &mut splits,
            journal,
            keep,
            left: &mut left,
            stop,
        };
        let done = job.run()?;
        if done.runs.is_empty() {
            continue;
        }
        for figure in done.figures() {
            match args.json {
                true => println!("{}", summary_json(&figure)),
                false => println!("\n{}", report::print_table(&figure)),
            }
        }
        if !stop.asked() {
            journal.finish(&done)?;
        }
        keep.experiment(done, true)?;
    }
    Ok(())
}

/// An experiment without its points, in one line.
fn summary_json(figure: &results::Experiment) -> serde_json::Value {
    serde_json::json!({
        "experiment": figure.name,
        "title": figure.title,
        "data": figure.data,
        "model": figure.model,
        "note": figure.note,
        "methods": results::summary(figure),
        "claims": figure.claims,
    })
}

/// `target/bench` of the workspace.
pub(crate) fn default_out() -> PathBuf {
    crate::root().join("target/bench")
}

/// Where those of these names are, each once; or all that do not run by name only.
fn choose(all: &[Experiment], names: &[String]) -> Result<Vec<usize>, Failure> {
    if names.is_empty() {
        return Ok((0..all.len())
            .filter(|&at| !all[at].about.by_name)
            .collect());
    }
    let mut chosen = Vec::new();
    for name in names {
        let found = all.iter().position(|experiment| experiment.name == *name);
        let found = found.ok_or_else(|| {
            let known: Vec<_> = all.iter().map(|e| e.name.as_str()).collect();
            Failure::Usage(format!(
                "no experiment `{name}`; there are: {}",
                known.join(", ")
            ))
        })?;
        if !chosen.contains(&found) {
            chosen.push(found);
        }
    }
    Ok(chosen)
}

/// Whether `--methods NAME` leaves something of the experiment to run.
fn takes(experiment: &Experiment, name: &str) -> bool {
    match &experiment.config {
        Config::Training(c) => c.variant.contains_key(name) || is_method(name),
        Config::Units(_) | Config::Starts(_) => is_method(name),
        Config::Stream(_) => find_entry(&crate::stream::methods(), name).is_ok(),
        Config::Trajectories(_) => {
            let entries = registry::surfaces::<f64, crate::visual::Surface>();
            find_entry(&entries, name).is_ok()
        }
        // They have no methods to choose from.
        Config::Conditioning(_) | Config::Rates(_) => true,
    }
}

fn is_method(name: &str) -> bool {
    find_entry(&registry::networks(), name).is_ok()
}

/// Every name must be of a method, or of a variant, that one of the experiments runs.
fn check_methods(methods: &[String], chosen: &[&Experiment]) -> Result<(), Failure> {
    let mut chooses = chosen
        .iter()
        .filter(|e| !matches!(e.config, Config::Conditioning(_) | Config::Rates(_)));
    for name in methods {
        if chooses.clone().any(|experiment| takes(experiment, name)) {
            continue;
        }
        find_entry(&registry::networks(), name).map_err(|e| Failure::Usage(e.to_string()))?;
        // A method, but not for what was asked for.
        if let Some(experiment) = chooses.next() {
            return Err(Failure::Usage(format!(
                "--methods {name}: {} is on functions without layers, which it needs",
                experiment.name
            )));
        }
    }
    Ok(())
}
