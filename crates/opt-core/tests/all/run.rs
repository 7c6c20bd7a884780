//! A whole run that goes on in a new process.

use std::process::Command;

use opt_core::{
    Accumulate, Average, Averaging, Error, FirstOrder, ParamMap, Parameters, Plateau,
    PlateauSchedule, Run, State, Visit,
};

use crate::chain::Chain;
use crate::write::{folder, names};

/// A model with state: it remembers where it was.
struct Model {
    running: [f64; 3],
}

impl State<f64> for Model {
    fn visit(&mut self, visitor: &mut dyn Visit<f64>) {
        visitor.buffer("running", &[3], &mut self.running);
    }
}

impl Model {
    fn grad(&mut self, x: &[f64], sample: u64, g: &mut [f64; 3]) -> f64 {
        let noise = (sample as f64).sin();
        for ((g, x), running) in g.iter_mut().zip(x).zip(&mut self.running) {
            *running = 0.9 * *running + 0.1 * x;
            *g = x - 1.0 + 0.1 * noise + 0.01 * *running;
        }
        g.iter().map(|g| g * g).sum()
    }
}

struct Training {
    map: ParamMap,
    x: Vec<f64>,
    model: Model,
    method: FirstOrder<f64, Chain, 2>,
    average: Average<f64>,
    window: Accumulate<f64>,
    lr: PlateauSchedule,
    batch: u64,
    best: f64,
}

impl Training {
    fn new() -> Self {
        let map = ParamMap::new([("w", vec![2]), ("b", vec![1])]).unwrap();
        let rule = Chain {
            lr: 0.1,
            mu: 0.5,
            init: 0.0,
        };
        let plateau = Plateau {
            from: 0.1,
            factor: 0.5,
            patience: 1,
            ..Plateau::default()
        };
        let x = vec![0.0, 3.0, -1.0];
        Self {
            model: Model { running: [0.0; 3] },
            method: FirstOrder::new(rule, &map).unwrap(),
            average: Average::new(Averaging::Polyak { start: 2 }, &map, &x).unwrap(),
            window: Accumulate::new(&map, 2).unwrap(),
            lr: plateau.schedule().unwrap(),
            batch: 0,
            best: f64::MAX,
            map,
            x,
        }
    }

    /// What to do with the whole run: the one place that has the names.
    fn with<T>(&mut self, act: impl FnOnce(&mut Run<'_, f64>) -> T) -> T {
        let mut x = Parameters::new(&self.map, &mut self.x).unwrap();
        let run = Run::new()
            .with("x", &mut x)
            .with("model", &mut self.model)
            .with("method", &mut self.method)
            .with("average", &mut self.average);
        let run = run
            .with("window", &mut self.window)
            .with("lr", &mut self.lr);
        act(&mut run
            .with("batch", &mut self.batch)
            .with("best", &mut self.best))
    }

    fn until(&mut self, end: u64) {
        let mut g = [0.0; 3];
        while self.batch < end {
            let loss = self.model.grad(&self.x, self.batch, &mut g);
            self.batch += 1;
            self.best = self.best.min(loss);
            let lr = self.lr.observe(loss).unwrap();
            self.method.adjust(|_, rule| rule.lr = lr).unwrap();
            if self.window.add(&g, 1 + self.batch % 3).unwrap() {
                self.method.apply(&mut self.x, self.window.mean()).unwrap();
                self.average.update(&self.x).unwrap();
            }
        }
    }
}

const END: u64 = 40;

#[test]
#[ignore = "what another test runs in a process of its own"]
fn child_process() {
    let Some(path) = std::env::var_os("OPT_CORE_RUN") else {
        return;
    };
    let mut training = Training::new();
    assert!(training.with(|run| run.resume(&path)).unwrap());
    training.until(END);
    training.with(|run| run.save(&path)).unwrap();
}

#[test]
fn a_run_goes_on_in_a_new_process_to_the_bit() {
    let folder = folder("run");
    let path = folder.join("run.safetensors");
    let mut whole = Training::new();
    assert!(!whole.with(|run| run.resume(&path)).unwrap());
    whole.until(END);
    let expected = whole.with(|run| run.take()).unwrap();
    for stop in [0, 1, 17, END - 1] {
        let mut first = Training::new();
        first.until(stop);
        first.with(|run| run.save(&path)).unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "run::child_process", "--ignored"])
            .env("OPT_CORE_RUN", &path)
            .output()
            .unwrap();
        assert!(child.status.success(), "{child:?}");
        let found = opt_core::Snapshot::load(&path).unwrap();
        assert_eq!(found, expected, "stopped at {stop}");
    }
    assert_eq!(names(&folder), [path]);
}

#[test]
fn what_cannot_be_resumed_changes_nothing() {
    let folder = folder("run-refused");
    let path = folder.join("run");
    let mut training = Training::new();
    training.until(9);
    let before = training.with(|run| run.take()).unwrap();
    // Another run, a damaged file, something that is no file.
    let mut other = 3_u64;
    Run::<f64>::new()
        .with("other", &mut other)
        .save(&path)
        .unwrap();
    let error = training.with(|run| run.resume(&path)).unwrap_err();
    assert!(error.to_string().contains("`other` is unknown"), "{error}");
    std::fs::write(&path, "cut").unwrap();
    let error = training.with(|run| run.resume(&path)).unwrap_err();
    assert!(matches!(error, Error::Snapshot(_)), "{error}");
    let error = training.with(|run| run.resume(&folder)).unwrap_err();
    assert!(matches!(error, Error::NotAFile { .. }), "{error}");
    assert_eq!(training.with(|run| run.take()).unwrap(), before);

    let (mut a, mut b) = (1_u64, 2_u64);
    let mut twice = Run::<f64>::new().with("n", &mut a).with("n", &mut b);
    assert_eq!(format!("{twice:?}"), r#"Run(["n", "n"])"#);
    let error = twice.save(&path).unwrap_err();
    assert!(error.to_string().contains("`n` is there twice"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"cut");
}

#[test]
fn variables_come_back_by_their_names() {
    let path = folder("run-numbers").join("run");
    let (mut n, mut v, mut nan, mut x) = (u64::MAX, -0.0, f64::NAN, vec![1.0_f32, 2.0]);
    opt_core::run![n, v, nan, x].save(&path).unwrap();
    (n, v, nan, x) = (0, 1.0, 1.0, vec![0.0; 2]);
    assert!(opt_core::run![x, v, n, nan].resume(&path).unwrap());
    assert_eq!((n, v.to_bits()), (u64::MAX, (-0.0_f64).to_bits()));
    assert!(nan.is_nan() && x == [1.0, 2.0]);
    let mut short = vec![0.0_f32];
    let other = Run::new().with("x", &mut short).with("v", &mut v);
    let error = other.with("n", &mut n).with("nan", &mut nan).resume(&path);
    let text = error.unwrap_err().to_string();
    assert_eq!(text, "snapshot: `x` has shape [2], must be [1]");
}
