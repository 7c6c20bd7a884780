use std::path::PathBuf;

use opt_core::{Snapshot, find_entry};

use super::checkpoint::Part;
use super::*;
use crate::experiment::Config;
use crate::registry;

const FILE: &str = r#"
kind = "training"
title = "t"
data = "digits"
validation = 100
batch = 50
methods = ["sgd"]
[model]
maps = [{ channels = 3, kernel = 3, padding = 1, pool = 2 }]
hidden = [12]
activation = "tanh"
dropout = 0.2
[grid]
multiples = [0.5, 1.0]
[quick]
epochs = 0.1
search_updates = 3
seeds = 1
points = 3
train_sample = 100
[default]
epochs = 0.1
search_updates = 3
seeds = 1
points = 3
train_sample = 100
[full]
epochs = 0.1
search_updates = 3
seeds = 1
points = 3
train_sample = 100
"#;

fn split() -> Split {
    let (train, test) = opt_data::digits().unwrap().split(300, 0).unwrap();
    let (train, validation) = train.split(100, 1).unwrap();
    Split {
        train: train.into(),
        validation: validation.into(),
        test: test.into(),
        image: Some(ImageShape {
            height: 8,
            width: 8,
            channels: 1,
        }),
    }
}

fn training() -> Training {
    match toml::from_str(FILE).unwrap() {
        Config::Training(training) => *training,
        _ => panic!("it is of training"),
    }
}

/// At its quick size, one seed.
fn trainer<'a>(
    training: &'a Training,
    data: &'a Split,
    ticker: Ticker<'a>,
    shelf: &'a Shelf,
) -> Trainer<'a> {
    Trainer {
        training,
        size: training.quick,
        seeds: 1,
        data,
        cropping: None,
        standardized: None,
        ticker,
        shelf,
    }
}

fn folder(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("opt-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

/// Every bit of x, of the method and of the network.
fn bits(session: &mut Session<'_>) -> Snapshot<f32> {
    session.training_time = std::time::Duration::ZERO;
    (session.with_state(|run| run.take())).unwrap()
}

/// All methods, with and without batch normalization, on one minibatch or many: stopped at three places,
/// each time in files and a session made anew.
#[test]
fn a_run_goes_on_bit_for_bit() {
    let training = training();
    let (data, bar, stop) = (split(), indicatif::ProgressBar::hidden(), Stop::default());
    let dir = folder("checkpoints");
    let shelf = Shelf::new(dir.clone());
    let ticker = Ticker {
        bar: &bar,
        stop: &stop,
    };
    let trainer = trainer(&training, &data, ticker, &shelf);
    let entries = registry::networks();
    let mut tried = 0;
    for entry in &entries {
        for (norm, fixed) in [(false, false), (true, false), (false, true)] {
            let contender = Contender {
                name: format!("{}/{norm}-{fixed}", entry.name()),
                entry,
                variant: Variant {
                    norm,
                    fixed,
                    ..Variant::default()
                },
                set: Settings::new(),
            };
            let value = entry.fields().first().and_then(|f| f.value.real());
            let value = 0.1 * value.unwrap_or(1.0);
            let new = || trainer.session(&contender, value, 3);
            // Curvature with normalization, and blocks that are too large, are refused.
            let (Ok(mut whole), Ok(mut stopped)) = (new(), new()) else {
                continue;
            };
            let mut part = Part {
                run: Run::default(),
                spent: 0,
                state: None,
            };
            for t in 0..9 {
                let outcome = whole.update().map_err(|e| e.replace(char::is_numeric, ""));
                if [2, 4, 7].contains(&t) {
                    trainer
                        .keep(&contender.name, &mut stopped, &mut part)
                        .unwrap();
                    stopped = new().unwrap();
                    part = trainer
                        .part(&contender.name, &mut stopped)
                        .unwrap()
                        .unwrap();
                }
                let other = stopped
                    .update()
                    .map_err(|e| e.replace(char::is_numeric, ""));
                assert_eq!(outcome.is_ok(), other.is_ok(), "{}: {t}", contender.name);
                if outcome.is_err() {
                    break;
                }
            }
            assert!(bits(&mut whole) == bits(&mut stopped), "{}", contender.name);
            tried += usize::from(whole.done > 8);
        }
    }
    assert!(tried > 80, "{tried}");
    // Of each only the last state is left.
    let states = std::fs::read_dir(&dir).unwrap().flatten();
    let states = states.filter(|f| f.path().extension().is_some_and(|e| e == "safetensors"));
    assert!(states.count() <= 3 * entries.len());
    std::fs::remove_dir_all(&dir).unwrap();
}

/// Interrupted in the search and in the run, it comes to what an uninterrupted one does.
#[test]
fn what_is_finished_is_not_done_again() {
    let training = training();
    let (data, bar) = (split(), indicatif::ProgressBar::hidden());
    let entries = registry::networks();
    let contender = Contender {
        name: "adam".into(),
        entry: find_entry(&entries, "adam").unwrap(),
        variant: Variant::default(),
        set: Settings::new(),
    };
    let dirs = [folder("whole"), folder("stopped")];
    let outcome = |shelf: &Shelf, stop: &Stop| {
        let ticker = Ticker { bar: &bar, stop };
        let trainer = trainer(&training, &data, ticker, shelf);
        let choice = trainer.choose(&contender).unwrap()?;
        let mut run = trainer.run(&contender, choice.value, 0).unwrap()?;
        run.points.iter_mut().for_each(|point| point.seconds = None);
        Some((choice.value, run))
    };
    let shelves = dirs.clone().map(Shelf::new);
    let whole = outcome(&shelves[0], &Stop::default()).unwrap();
    assert!(whole.1.points.len() == 3 && whole.1.failed.is_none());
    let asked = Stop::default();
    asked.ask();
    assert_eq!(outcome(&shelves[1], &asked), None);
    assert_eq!(outcome(&shelves[1], &Stop::default()), Some(whole.clone()));
    // By what is in the folder, even when it is stopped.
    assert_eq!(outcome(&shelves[1], &asked), Some(whole));
    std::fs::write(shelves[1].path("adam-0", "json"), "[]").unwrap();
    assert!(shelves[1].get::<Part>("adam-0").is_err());
    for dir in dirs {
        std::fs::remove_dir_all(dir).unwrap();
    }
}

#[test]
fn checkpoints_are_denser_at_first_and_end_at_the_end() {
    assert_eq!(checkpoints(100, 4), [6, 25, 56, 100]);
    assert_eq!(checkpoints(3, 10), [1, 2, 3]);
    assert_eq!(checkpoints(1, 1), [1]);
}
