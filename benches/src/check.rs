//! What must hold between the values of an experiment's file, each of which is in its range.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use opt_core::{Entry, Error, Objective, Scalar, find_entry};
use opt_nn::Mlp;
use opt_testkit::planes;

use crate::claims::Claim;
use crate::conditioning::Conditioning;
use crate::experiment::{Config, Data, Experiment, Hidden, Kind, Model, Preparation, Training};
use crate::results::Measure;
use crate::setting::{Settings, named};
use crate::starts::{self, Starts};
use crate::train::Network;
use crate::visual::Surface;
use crate::{registry, stream, units};

/// A network of more parameters, or whose units over a minibatch are more, is beyond the memory of
/// the machines that this is for: 400 MB for every buffer.
const MOST_NUMBERS: usize = 100_000_000;

/// All experiments of a folder, whose values are in their ranges and go with each other.
///
/// # Errors
/// In one line, the file, the key and what it must be.
pub(crate) fn read_all(dir: &Path) -> Result<Vec<Experiment>, String> {
    let all = Experiment::read_all(dir)?;
    for experiment in &all {
        let file = dir.join(format!("{}.toml", experiment.name));
        check(&experiment.config)
            .and_then(|()| claims(&experiment.about.claims, &experiment.config))
            .map_err(|e| format!("{}: {e}", file.display()))?;
    }
    Ok(all)
}

/// # Errors
/// In one line, the key that does not go with the others, and what it must be.
fn check(config: &Config) -> Result<(), String> {
    match config {
        Config::Trajectories(c) => {
            let known = planes().map_err(|e| e.to_string())?;
            let known: Vec<_> = known.iter().map(|plane| plane.name).collect();
            let known: Vec<_> = known.into_iter().map(str::to_owned).collect();
            names("problems", Some(&c.problems), &known)?;
            let entries = registry::surfaces::<f64, Surface>();
            names("methods", c.methods.as_ref(), &all(&entries))?;
            for (problem, set) in &c.on {
                names("on", Some(&vec![problem.clone()]), &known)?;
                settings(&format!("on.{problem}"), &entries, set)?;
            }
            settings("set", &entries, &c.set)
        }
        Config::Units(c) => {
            if c.scales.is_empty() {
                return Err("scales: must not be empty".to_owned());
            }
            let entries = units::methods();
            names("methods", c.methods.as_ref(), &all(&entries))?;
            settings("set", &entries, &c.set)
        }
        Config::Conditioning(c) => conditioning(c),
        Config::Stream(c) => {
            let entries = stream::methods();
            names("methods", Some(&c.methods), &all(&entries))?;
            settings("set", &entries, &c.set)
        }
        Config::Starts(c) => starts(c),
        Config::Rates(_) => Ok(()),
        Config::Training(c) => training(c),
    }
}

/// Every claim is about methods that run, and says what is to be reached if it counts what that takes.
fn claims(claims: &[Claim], config: &Config) -> Result<(), String> {
    let known = match config {
        Config::Trajectories(_) => all(&registry::surfaces::<f64, Surface>()),
        Config::Training(c) => {
            let mut known = all(&registry::networks());
            known.extend(c.variant.keys().cloned());
            known
        }
        Config::Conditioning(c) => c.names(),
        _ => Vec::new(),
    };
    for claim in claims {
        names("claims.of", Some(&claim.of), &known)?;
        names("claims.than", Some(&claim.than), &known)?;
        let counts = matches!(claim.measure, Measure::Updates | Measure::Seconds);
        if counts != claim.to.is_some() {
            return Err(
                "claims.to: must be there if measure is updates or seconds, and only then".into(),
            );
        }
    }
    Ok(())
}

fn starts(config: &Starts) -> Result<(), String> {
    let entries = starts::methods();
    names("methods", Some(&config.methods), &all(&entries))?;
    settings("set", &entries, &config.set)?;
    if config.ones as usize > config.bits {
        return Err(format!("ones: must be at most bits = {}", config.bits));
    }
    for (method, values) in &config.grid {
        let key = format!("grid.{method}");
        let entry = find_entry(&entries, method).map_err(|e| format!("{key}: {e}"))?;
        let Some(first) = entry.fields().first().map(|field| field.name.clone()) else {
            return Err(format!(
                "{key}: must not be there, as it has nothing to choose"
            ));
        };
        if values.is_empty() {
            return Err(format!("{key}: must not be empty"));
        }
        for &value in values {
            let mut set = config.set.get(method).cloned().unwrap_or_default();
            set.insert(first.clone(), value.into());
            build(&key, &entries, method, &set)?;
        }
    }
    Ok(())
}

fn conditioning(config: &Conditioning) -> Result<(), String> {
    if !config.updates.is_sorted() {
        return Err("updates: must ascend".to_owned());
    }
    match config.updates.is_empty() {
        true => Err("updates: must not be empty".to_owned()),
        false => Ok(()),
    }
}

fn training(config: &Training) -> Result<(), String> {
    let entries = registry::networks();
    let methods = all(&entries);
    let mut known = methods.clone();
    known.extend(config.variant.keys().cloned());
    names("methods", config.methods.as_ref(), &known)?;
    names(
        "named.methods",
        config.named.as_ref().map(|n| &n.methods),
        &known,
    )?;
    let constant = Some(&config.constant).filter(|names| !names.is_empty());
    names("constant", constant, &known)?;
    names(
        "race",
        config.race.as_ref().map(|r| vec![r.clone()]).as_ref(),
        &known,
    )?;
    samples(config)?;
    network(config)?;
    settings("set", &entries, &config.set)?;
    for (name, variant) in &config.variant {
        let key = format!("variant.{name}");
        names(
            &format!("{key}.method"),
            Some(&vec![variant.method.clone()]),
            &methods,
        )?;
        let set = together(config, name, &variant.method);
        build(&format!("{key}.set"), &entries, &variant.method, &set)?;
        let entry = find_entry(&entries, &variant.method).map_err(|e| format!("{key}: {e}"))?;
        if variant.layer_rates.is_some() && !entry.is_elementwise() {
            let method = &variant.method;
            return Err(format!(
                "{key}.layer_rates: must not be there, as {method} is not elementwise"
            ));
        }
    }
    grid(config, &entries)
}

/// Every one must be among the known ones, and there only once.
fn names(key: &str, names: Option<&Vec<String>>, known: &[String]) -> Result<(), String> {
    let Some(names) = names else { return Ok(()) };
    if names.is_empty() {
        return Err(format!("{key}: must not be empty"));
    }
    let mut seen = BTreeSet::new();
    for name in names {
        if !known.contains(name) {
            return Err(format!(
                "{key}: no `{name}`; must be of: {}",
                known.join(", ")
            ));
        }
        if !seen.insert(name) {
            return Err(format!("{key}: `{name}` is there twice"));
        }
    }
    Ok(())
}

fn all<F: Scalar, O: ?Sized>(entries: &[Entry<F, O>]) -> Vec<String> {
    entries
        .iter()
        .map(|entry| entry.name().to_owned())
        .collect()
}

/// Hyper-parameters by method, each with its method's own range.
fn settings<F: Scalar, O: ?Sized>(
    key: &str,
    entries: &[Entry<F, O>],
    set: &BTreeMap<String, Settings>,
) -> Result<(), String> {
    set.iter()
        .try_for_each(|(method, set)| build(&format!("{key}.{method}"), entries, method, set))
}

fn build<F: Scalar, O: ?Sized>(
    key: &str,
    entries: &[Entry<F, O>],
    method: &str,
    set: &Settings,
) -> Result<(), String> {
    let text = |e: Error| match e {
        e @ (Error::Hyper { .. } | Error::HyperRounds { .. }) => format!("{key}.{e}"),
        e => format!("{key}: {e}"),
    };
    let entry = find_entry(entries, method).map_err(text)?;
    entry.check(&named(set)).map_err(text)
}

/// Training examples of a set, at least.
pub(crate) fn examples(data: Data) -> usize {
    match data {
        Data::Digits => 1_437,
        Data::Mnist | Data::FashionMnist => 60_000,
        Data::Cifar10 => 50_000,
        // Those of the sentences, which take the place of the reviews.
        Data::Imdb | Data::Reviews => 8_568,
    }
}

/// What is taken of the data must be there.
fn samples(config: &Training) -> Result<(), String> {
    let examples = examples(config.data);
    let text = matches!(config.data, Data::Imdb | Data::Reviews);
    if text != (config.words > 0) {
        return Err("words: must be there for texts, and only for them".to_owned());
    }
    let images = !text && config.model.kind == Kind::Classifier;
    if text && config.inputs != Preparation::Pixels {
        return Err("inputs: must be pixels for texts, whose counts stay as they are".to_owned());
    }
    if config.crop.is_some() && (!images || config.data == Data::Digits) {
        return Err("crop: must not be there for texts, digits and auto-encoders".to_owned());
    }
    if !config.model.maps.is_empty() && !images {
        return Err("model.maps: must be empty for texts and auto-encoders".to_owned());
    }
    let most = examples - 1;
    if config.validation > most {
        let has = config.validation;
        return Err(format!(
            "validation = {has}: must be a whole number from 1 to {most}"
        ));
    }
    let most = examples - config.validation;
    let variants = config.variant.iter();
    let own = variants.filter_map(|(name, v)| Some((format!("variant.{name}.batch"), v.batch?)));
    for (key, batch) in own.chain([("batch".to_owned(), config.batch)]) {
        if batch > most {
            return Err(format!(
                "{key} = {batch}: must be a whole number from 1 to {most}, the examples that \
                 validation leaves"
            ));
        }
    }
    Ok(())
}

fn network(config: &Training) -> Result<(), String> {
    let Model { kind, hidden, .. } = &config.model;
    if *kind == Kind::Autoencoder && hidden.is_empty() {
        return Err("model.hidden: must not be empty for an auto-encoder".to_owned());
    }
    let sigmoid = matches!(config.model.activation, Hidden::Sigmoid);
    if config.percentiles && (hidden.is_empty() || !sigmoid) {
        return Err(
            "percentiles: must be false unless the last hidden layer is of sigmoids".into(),
        );
    }
    let side = |size: usize| config.crop.unwrap_or(size);
    let square = |size: usize, channels: usize| {
        let size = side(size);
        (size * size * channels, Some([size, size, channels]), 10)
    };
    let mnist = square(28, 1);
    // What takes the place of another set has to go, too.
    let shapes = match config.data {
        Data::Digits => vec![square(8, 1)],
        Data::Mnist | Data::FashionMnist => vec![mnist],
        Data::Cifar10 => vec![square(32, 3), mnist],
        Data::Imdb | Data::Reviews => vec![(config.words, None, 2)],
    };
    for (inputs, image, classes) in shapes {
        size(config, (inputs, image), classes)?;
    }
    Ok(())
}

/// Whether a network for inputs of this shape can be had, and fits into memory.
fn size(
    config: &Training,
    (inputs, image): (usize, Option<[usize; 3]>),
    classes: usize,
) -> Result<(), String> {
    let spec = config.model.spec((inputs, image), classes, false);
    let own = config.variant.values().filter_map(|variant| variant.batch);
    let batch = own.fold(config.batch, usize::max);
    // Maps are at most as large as the image.
    let pixels = image.map_or(1, |[height, width, _]| height * width);
    let units = spec.layers.iter().map(|layer| match layer.convolution {
        Some(_) => layer.units * pixels,
        None => layer.units,
    });
    let activations = batch * (inputs + units.sum::<usize>());
    let network = Mlp::<f32>::new(spec).map_err(|e| format!("model: {e}"))?;
    let parameters = network.params().len();
    match parameters.max(activations) > MOST_NUMBERS {
        true => Err(format!(
            "model.hidden and batch: {parameters} parameters, and {activations} units over a \
             minibatch: must be at most {MOST_NUMBERS} each"
        )),
        false => Ok(()),
    }
}

/// Every value that a method or variant is run with.
fn grid(config: &Training, entries: &[Entry<f32, Network>]) -> Result<(), String> {
    let n = config.grid.len();
    if n == 0 {
        return Err("grid.multiples: must not be empty".to_owned());
    }
    let uneven = |list: &Vec<f64>| !list.is_empty() && list.len() != n;
    let found = config.grid.by_method.iter().find(|(_, list)| uneven(list));
    if let Some((name, list)) = found {
        return Err(format!(
            "grid.{name}: has {} values, must have {n} or none, as all have the same budget",
            list.len()
        ));
    }
    let own = config.grid.by_method.keys().chain(config.variant.keys());
    let named = config.named.iter().flat_map(|named| &named.methods);
    let listed = config.methods.iter().flatten();
    for name in own.chain(named).chain(listed) {
        let method = config
            .variant
            .get(name)
            .map_or(name, |variant| &variant.method);
        let key = format!("grid.{name}");
        let entry = find_entry(entries, method).map_err(|e| format!("{key}: {e}"))?;
        let Some(first) = entry.fields().first().map(|field| &field.name) else {
            continue;
        };
        for value in config.grid.values(name, entry) {
            let mut set = together(config, name, method);
            set.insert(first.clone(), value.into());
            build(&key, entries, method, &set)?;
        }
    }
    Ok(())
}

/// What the experiment sets for a method, and for this variant of it.
fn together(config: &Training, name: &str, method: &str) -> Settings {
    let own = config.set.get(method).into_iter().flatten();
    let variant = config.variant.get(name).into_iter().flat_map(|v| &v.set);
    own.chain(variant)
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}
