//! A run's checkpoints: which stay, which one is taken, and what is told of it.

use std::io::ErrorKind;

use opt_core::{Checkpoints, Error, Field, ParamMap, Parameters, Run, list_hyper};

use crate::chain::Chain;
use crate::write::folder;

/// lr, mu and init.
fn settings(lr: f64) -> Vec<Field> {
    let (mu, init) = (0.5, 0.0);
    list_hyper(&Chain { lr, mu, init })
}

struct Loop {
    map: ParamMap,
    x: [f64; 2],
    step: u64,
}

impl Loop {
    fn new() -> Self {
        Self {
            map: ParamMap::new([("w", vec![2])]).unwrap(),
            x: [0.0; 2],
            step: 0,
        }
    }

    fn with<T>(&mut self, f: impl FnOnce(&mut Run<'_, f64>) -> T) -> T {
        let mut x = Parameters::new(&self.map, &mut self.x).unwrap();
        f(&mut Run::new().with("x", &mut x).with("step", &mut self.step))
    }

    /// Goes on to this step.
    fn to(&mut self, step: u64, checkpoints: &Checkpoints, settings: &[Field]) {
        while self.step < step {
            self.step += 1;
            self.x[0] = 1.0 / self.step as f64;
            let at = self.step;
            let saved = self.with(|run| checkpoints.save_every(at, settings, run).unwrap());
            assert_eq!(saved, at.is_multiple_of(checkpoints.every));
        }
    }
}

fn files(dir: &std::path::Path) -> Vec<u64> {
    let names = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let steps = names.filter_map(|name| name.strip_suffix(".safetensors")?.parse().ok());
    let mut steps: Vec<u64> = steps.collect();
    steps.sort_unstable();
    steps
}

#[test]
fn the_last_few_stay_and_the_newest_is_taken() {
    let dir = folder("checkpoints-last");
    let mut checkpoints = Checkpoints::open(&dir).unwrap();
    (checkpoints.every, checkpoints.keep) = (10, 3);
    let mut run = Loop::new();
    assert_eq!(run.with(|run| checkpoints.resume(&[], run)).unwrap(), None);
    run.to(57, &checkpoints, &settings(0.1)[..2]);
    assert_eq!(files(&dir), [30, 40, 50]);

    let now = settings(0.2);
    let mut again = Loop::new();
    let resumed = again
        .with(|run| checkpoints.resume(&now, run))
        .unwrap()
        .unwrap();
    assert_eq!(
        (resumed.step, again.step, again.x),
        (50, 50, [1.0 / 50.0, 0.0])
    );
    let told: Vec<String> = resumed.changed.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        ["init was not there, and is 0", "lr was 0.1, and is 0.2"]
    );
    assert!(resumed.damaged.is_empty());

    // And on: it is the run that was never stopped.
    run.to(80, &checkpoints, &[]);
    again.to(80, &checkpoints, &[]);
    assert_eq!((run.x, run.step), (again.x, again.step));
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn what_is_damaged_is_passed_over_and_what_is_of_another_run_is_not() {
    let dir = folder("checkpoints-damaged");
    let mut checkpoints = Checkpoints::open(&dir).unwrap();
    checkpoints.every = 10;
    let mut run = Loop::new();
    run.to(30, &checkpoints, &[]);
    let path = |step: u64| dir.join(format!("{step:020}.safetensors"));
    let whole = std::fs::read(path(30)).unwrap();
    for length in [0, 1, 8, whole.len() / 2, whole.len() - 1] {
        std::fs::write(path(30), &whole[..length]).unwrap();
        let mut again = Loop::new();
        let resumed = again
            .with(|run| checkpoints.resume(&[], run))
            .unwrap()
            .unwrap();
        assert_eq!(
            (resumed.step, again.step, resumed.damaged.len()),
            (20, 20, 1),
            "{length}"
        );
    }
    // What is no checkpoint by its name is none of ours.
    std::fs::write(dir.join("99.safetensors"), b"").unwrap();
    std::fs::write(path(20), b"").unwrap();
    std::fs::write(path(10), b"").unwrap();
    let mut again = Loop::new();
    let refused = again.with(|run| checkpoints.resume(&[], run));
    assert!(matches!(refused, Err(Error::Snapshot(_))), "{refused:?}");
    assert_eq!((again.step, again.x), (0, [0.0; 2]));

    std::fs::write(path(30), whole).unwrap();
    let mut other = 0;
    let refused = checkpoints.resume(&[], &mut Run::<f64>::new().with("epoch", &mut other));
    assert!(matches!(refused, Err(Error::Snapshot(_))), "{refused:?}");
    assert_eq!(other, 0);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_folder_belongs_to_one_run() {
    let dir = folder("checkpoints-lock");
    let first = Checkpoints::open(&dir).unwrap();
    let refused = Checkpoints::open(&dir);
    let busy =
        |e: &Error| matches!(e, Error::Io { source, .. } if source.kind() == ErrorKind::WouldBlock);
    assert!(refused.as_ref().is_err_and(busy), "{refused:?}");
    drop(first);
    Checkpoints::open(&dir).unwrap();
    std::fs::remove_dir_all(dir).unwrap();
    // A file where the folder should be.
    let file = folder("checkpoints-file").join("file");
    std::fs::write(&file, b"").unwrap();
    assert!(matches!(Checkpoints::open(&file), Err(Error::Io { .. })));
    std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
}
