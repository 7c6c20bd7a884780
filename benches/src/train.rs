//! Training networks: the choice of a learning rate for every method, then the runs that count.

use opt_core::Entry;
use opt_data::{Crops, ImageShape};

use crate::experiment::{Budget, Size, Training, Variant};
use crate::results::{Point, Run, Search, Tried};
use crate::setting::{Settings, hyper};
use crate::shelf::Shelf;
use crate::stop::Stop;
use crate::train::checkpoint::{Due, Part};
use crate::train::session::Session;

mod checkpoint;
mod cost;
mod ensemble;
mod memory;
mod samples;
mod session;

pub(crate) use crate::registry::Network;
pub(crate) use ensemble::together;
pub(crate) use samples::{Samples, Split};

/// Random parts of images.
#[derive(Clone, Debug)]
pub(crate) struct Cropping {
    /// Whole.
    pub(crate) train: Samples,
    pub(crate) image: ImageShape,
    pub(crate) crops: Crops,
}

/// Where a run reports that it goes on, and learns that it must not.
pub(crate) struct Ticker<'a> {
    pub(crate) bar: &'a indicatif::ProgressBar,
    pub(crate) stop: &'a Stop,
}

impl Ticker<'_> {
    fn stopped(&self) -> bool {
        self.stop.asked()
    }
}

/// A method in the setting in which it runs.
pub(crate) struct Contender<'a> {
    /// The method's name, or the variant's.
    pub(crate) name: String,
    pub(crate) entry: &'a Entry<f32, Network>,
    /// Its network, and its minibatches.
    pub(crate) variant: Variant,
    /// Hyper-parameters that are not the default.
    pub(crate) set: Settings,
}

impl Contender<'_> {
    /// With this value of the first hyper-parameter, unless it is set already.
    fn set(&self, value: f64) -> Settings {
        let mut set = self.set.clone();
        // What the experiment has set is not for the grid to choose.
        if let Some(tuned) = self.entry.fields().first() {
            set.entry(tuned.name.clone()).or_insert(value.into());
        }
        set
    }
}

/// One experiment at one size.
pub(crate) struct Trainer<'a> {
    pub(crate) training: &'a Training,
    pub(crate) size: Size,
    pub(crate) seeds: u64,
    pub(crate) data: &'a Split,
    /// What it is trained on instead, if only parts of the images are shown.
    pub(crate) cropping: Option<&'a Cropping>,
    /// The same with inputs of mean 0 and variance 1, if a variant wants them.
    pub(crate) standardized: Option<&'a Split>,
    pub(crate) ticker: Ticker<'a>,
    /// Where what is finished is kept.
    pub(crate) shelf: &'a Shelf,
}

/// What a method runs with.
#[derive(Debug)]
pub(crate) struct Choice {
    /// What there was to choose from, if anything.
    pub(crate) search: Option<Search>,
    /// Of the first hyper-parameter.
    pub(crate) value: f64,
    /// Whether it is the least or greatest of its grid.
    pub(crate) at_edge: bool,
}

impl Trainer<'_> {
    /// What a contender is trained and judged on.
    fn data(&self, variant: &Variant) -> &Split {
        let standardized = self.standardized.filter(|_| variant.standardize);
        standardized.unwrap_or(self.data)
    }

    /// Inputs of a network, as images if they are.
    pub(crate) fn shape(&self) -> (usize, Option<[usize; 3]>) {
        let image = (self.data.image).map(|image| [image.height, image.width, image.channels]);
        (self.data.train.width(), image)
    }

    /// Updates of one run.
    pub(crate) fn updates(&self) -> u64 {
        updates(self.size, self.data.train.labels.len(), self.training.batch)
    }

    /// Updates of all that one method does.
    pub(crate) fn updates_per_method(&self) -> u64 {
        let search = self.training.grid.len() as u64 * self.size.search_updates;
        search + self.seeds * self.updates()
    }

    /// Chooses the learning rate by short runs. `None` if interrupted.
    pub(crate) fn choose(&self, contender: &Contender<'_>) -> Result<Option<Choice>, String> {
        let grid = (self.training.grid).values(&contender.name, contender.entry);
        let (mut chosen, mut least) = (0, None);
        let name = format!("{}-search", contender.name);
        // Of each value so far; none where it diverged.
        let mut losses: Vec<Option<f64>> = self.shelf.get(&name)?.unwrap_or_default();
        for (i, &value) in grid.iter().enumerate().filter(|_| grid.len() > 1) {
            if losses.len() <= i {
                let Some(loss) = self.search(contender, value)? else {
                    return Ok(None);
                };
                losses.push(Some(loss).filter(|loss| loss.is_finite()));
                self.shelf.put(&name, &losses)?;
            }
            let loss = losses[i].unwrap_or(f64::INFINITY);
            if least.is_none_or(|least| loss < least) {
                (chosen, least) = (i, Some(loss));
            }
        }
        let value = *grid.get(chosen).ok_or("the grid is empty")?;
        // Where all failed, nothing was chosen.
        let found = least.is_some_and(f64::is_finite);
        let at_edge = found && (chosen == 0 || chosen + 1 == grid.len());
        let tried = grid.iter().zip(losses);
        let search = contender.entry.fields().first().map(|field| Search {
            method: contender.name.clone(),
            key: field.name.clone(),
            updates: self.size.search_updates,
            tried: tried.map(|(&value, loss)| Tried { value, loss }).collect(),
        });
        Ok(Some(Choice {
            value,
            at_edge,
            search: search.filter(|_| grid.len() > 1),
        }))
    }

    /// The validation loss after the search's updates; infinite if it diverged.
    fn search(&self, contender: &Contender<'_>, value: f64) -> Result<Option<f64>, String> {
        let mut session = self.session(contender, value, SEARCH_SEED)?;
        let (mut spent, budget) = (0, self.size.search_updates);
        while spent < budget {
            if self.ticker.stopped() {
                return Ok(None);
            }
            let failed = session.update().is_err();
            self.advance(&session, &mut spent, budget, failed);
            if failed {
                return Ok(Some(f64::INFINITY));
            }
        }
        let data = self.data(&contender.variant);
        let loss = session.evaluate(&data.validation, usize::MAX)?.loss;
        Ok(Some(if loss.is_finite() {
            loss
        } else {
            f64::INFINITY
        }))
    }

    /// One seed, with this value of the first hyper-parameter: what is left of it, or what there is of it
    /// if it is finished. `None` if interrupted.
    pub(crate) fn run(
        &self,
        contender: &Contender<'_>,
        value: f64,
        seed: u64,
    ) -> Result<Option<Run>, String> {
        let name = format!("{}-{seed}", contender.name);
        if let Some(run) = self.finished(&name)? {
            self.ticker.bar.inc(self.updates());
            return Ok(Some(run));
        }
        let mut session = self.session(contender, value, seed)?;
        let data = self.data(&contender.variant);
        let mut part = match self.part(&name, &mut session)? {
            Some(part) => part,
            None => Part {
                run: Run {
                    method: contender.name.clone(),
                    base: Some(contender.entry.name().to_owned())
                        .filter(|base| *base != contender.name),
                    normalized: contender.variant.norm,
                    hyper: hyper(contender.entry, &contender.set(value)),
                    seed,
                    points: vec![self.point(&mut session, data)?],
                    ..Run::default()
                },
                spent: 0,
                state: None,
            },
        };
        self.ticker.bar.inc(part.spent);
        let budget = self.updates();
        let checkpoints = checkpoints(budget, self.size.points);
        let mut due = Due::new();
        while part.spent < budget {
            if self.ticker.stopped() {
                self.keep(&name, &mut session, &mut part)?;
                return Ok(None);
            }
            if due.now() {
                self.keep(&name, &mut session, &mut part)?;
                due.done();
            }
            let (before, step) = (part.spent, session.update());
            self.advance(&session, &mut part.spent, budget, step.is_err());
            match step {
                Ok(fallback) => part.run.note(fallback),
                Err(why) => {
                    part.run.failed = Some(format!("update {}: {why}", session.done + 1));
                    break;
                }
            }
            let passed = |&&at: &&u64| at > before && at <= part.spent;
            let passed = checkpoints.iter().filter(passed).count();
            if passed > 0 {
                // One point for each, so that the k-th of every seed belongs to the same budget.
                let point = self.point(&mut session, data)?;
                part.run.points.extend(std::iter::repeat_n(point, passed));
            }
        }
        let mut run = part.run;
        if self.training.ensemble && run.failed.is_none() {
            run.outputs = Some(session.predict(&data.test)?);
        }
        run.memory = Some(session.memory());
        run.cost = session.cost(contender.entry.is_elementwise());
        self.finish(&name, &run, part.state)?;
        Ok(Some(run))
    }

    /// Moves `spent` and the progress bar on to what the session has spent, or to the end.
    fn advance(&self, session: &Session<'_>, spent: &mut u64, budget: u64, failed: bool) {
        let now = match (failed, self.training.budget) {
            (true, _) => budget,
            (_, Budget::Updates) => session.done,
            (_, Budget::Gradients) => session.gradients(self.training.batch) as u64,
        };
        let now = now.clamp(*spent, budget);
        self.ticker.bar.inc(now - *spent);
        *spent = now;
    }

    fn point(&self, session: &mut Session<'_>, data: &Split) -> Result<Point, String> {
        let train = session.evaluate(&data.train, self.size.train_sample)?;
        let test = session.evaluate(&data.test, usize::MAX)?;
        let percentiles = match self.training.percentiles {
            true => Some(session.percentiles(&data.test)?),
            false => None,
        };
        let layer_gradients = match self.training.layer_gradients {
            true => Some(session.layer_gradients(&data.train)?),
            false => None,
        };
        Ok(Point {
            update: session.done,
            epoch: Some(session.done as f64 / session.batches.per_epoch() as f64),
            passes: (self.training.budget == Budget::Gradients)
                .then(|| session.gradients(self.data.train.labels.len())),
            seconds: Some(session.training_time.as_secs_f64()),
            gradient_evaluations: session.network.gradients,
            train_loss: Some(train.loss),
            test_loss: Some(test.loss),
            test_error: test.error,
            squared_error: train.squared_error,
            percentiles,
            layer_gradients,
            ..Point::default()
        })
    }
}

/// Updates of one run over so many examples.
pub(crate) fn updates(size: Size, examples: usize, batch: usize) -> u64 {
    let per_epoch = examples / batch.max(1);
    ((size.epochs * per_epoch as f64).round() as u64).max(1)
}

/// Not the seed of any run that counts.
const SEARCH_SEED: u64 = 1_000_003;

/// The updates after which a run is evaluated: the k-th is (k/points)² of the way, because the
/// curves bend at first.
fn checkpoints(updates: u64, points: u64) -> Vec<u64> {
    let at = |k: u64| {
        let share = k as f64 / points as f64;
        ((share * share * updates as f64).round() as u64).clamp(1, updates)
    };
    let mut all: Vec<u64> = (1..=points).map(at).collect();
    all.dedup();
    all
}

impl Run {
    /// One line for the log.
    pub(crate) fn line(&self) -> String {
        let shown = |value: Option<f64>| value.map_or("–".to_owned(), |v| format!("{v:.4}"));
        let last = self.points.last();
        let loss = shown(last.and_then(|p| p.train_loss));
        let error = shown(last.and_then(|p| p.test_error));
        let memory = self
            .memory
            .map(|all| format!(", {:.1} MiB", all.mebibytes()));
        let (memory, failed) = (memory.unwrap_or_default(), self.failed.as_deref());
        let failed = failed.map(|why| format!(", {why}")).unwrap_or_default();
        let pace = last.and_then(|p| Some(p.update as f64 / p.seconds.filter(|&s| s > 0.0)?));
        let pace = pace
            .map(|pace| format!(", {pace:.0} updates/s"))
            .unwrap_or_default();
        let (method, seed) = (&self.method, self.seed);
        format!(
            "{method} seed {seed}: training loss {loss}, test error {error}{memory}{pace}{failed}"
        )
    }
}

#[cfg(test)]
mod tests;
