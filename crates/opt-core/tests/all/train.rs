//! A direction and an update joined: the order of things, and names that both halves have.

use std::cell::Cell;
use std::rc::Rc;

use opt_core::{
    Bound, Direction, Error, FieldVisitor, FirstOrder, Hyper, Method, Objective, ParamMap, Report,
    Snapshot, Staged, State, Train, Tune, Tuned, Visit, clip_global_norm,
};

use crate::chain::{Chain, PLAIN, map, wave};

/// Σ xᵢ, which may fail, and counts what was accepted.
struct Slope {
    params: ParamMap,
    fault: Fault,
    accepted: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    Loss,
    Gradient,
    Refusal,
}

impl Objective<f32> for Slope {
    fn params(&self) -> &ParamMap {
        &self.params
    }

    fn value(&mut self, x: &[f32]) -> Result<f32, Error> {
        Ok(x.iter().sum())
    }

    fn grad(&mut self, x: &[f32], g: &mut [f32]) -> Result<f32, Error> {
        (0..g.len()).for_each(|i| g[i] = wave(i));
        match self.fault {
            Fault::None => {}
            Fault::Loss => return Ok(f32::INFINITY),
            Fault::Gradient => g[3] = f32::NAN,
            Fault::Refusal => return Err(Error::objective("no data")),
        }
        self.value(x)
    }

    fn accept(&mut self) {
        self.accepted += 1;
    }
}

fn slope() -> Slope {
    Slope {
        params: map(&[2, 3]),
        fault: Fault::None,
        accepted: 0,
    }
}

#[derive(Clone, Debug)]
struct Times {
    lr: f64,
    factor: f64,
}

impl Hyper for Times {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("factor", &mut self.factor, Bound::Positive);
    }
}

/// The gradient times a factor; keeps the sum of all directions that were taken.
struct Scaled<F> {
    hyper: Tuned<Times>,
    sum: f64,
    staged: f64,
    moves: bool,
    commits: Rc<Cell<u64>>,
    x: std::marker::PhantomData<F>,
}

opt_core::tune_by!(Scaled, hyper);

impl<F> Staged for Scaled<F> {
    fn commit(&mut self) {
        self.sum = self.staged;
        self.commits.set(self.commits.get() + 1);
    }
}

impl<F: opt_core::Scalar> State<F> for Scaled<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.number("sum", &mut self.sum);
    }
}

impl<O: Objective<f32> + ?Sized> Direction<f32, O> for Scaled<f32> {
    fn propose(&mut self, o: &mut O, x: &[f32], d: &mut [f32]) -> Result<Report<f32>, Error> {
        let mut report = Report::new(o.grad(x, d)?)?;
        d.iter_mut().for_each(|d| *d *= self.hyper.factor as f32);
        self.staged = self.sum + f64::from(d[0]);
        report.moves = self.moves;
        Ok(report)
    }
}

type Joined = Train<f32, Scaled<f32>, FirstOrder<f32, Chain, 1>>;

fn joined() -> Joined {
    let hyper = Times {
        lr: 0.5,
        factor: 2.0,
    };
    let direction = Scaled {
        hyper: Tuned::new::<f32>(hyper).unwrap(),
        sum: 0.0,
        staged: 0.0,
        moves: true,
        commits: Rc::default(),
        x: std::marker::PhantomData,
    };
    Train::along(direction, FirstOrder::new(PLAIN, &map(&[2, 3])).unwrap())
}

#[test]
fn an_update_goes_along_a_direction() {
    let (mut train, mut slope, mut x) = (joined(), slope(), [1.0; 5]);
    let (mut plain, mut y) = (
        FirstOrder::<f32, _, 1>::new(PLAIN, &map(&[2, 3])).unwrap(),
        x,
    );
    for t in 1..=3 {
        let method: &mut dyn Method<f32, Slope> = &mut train;
        let report = method.step(&mut slope, &mut x).unwrap();
        let d: Vec<f32> = (0..5).map(|i| 2.0 * wave(i)).collect();
        assert_eq!(report.loss, y.iter().sum::<f32>());
        plain.apply(&mut y, &d).unwrap();
        assert_eq!(x, y);
        assert_eq!((train.direction().commits.get(), slope.accepted), (t, t));
    }
    let saved = Snapshot::take(&mut [("m", &mut train)]).unwrap();
    let text = format!("{saved:?}");
    for name in ["m/direction/sum", "m/t/s0", "m/a/s1"] {
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn a_refused_step_has_changed_nothing() {
    for fault in [Fault::Loss, Fault::Gradient, Fault::Refusal] {
        let (mut train, mut slope, mut x) = (joined(), slope(), [1.0; 5]);
        train.step(&mut slope, &mut x).unwrap();
        let (before, start) = (Snapshot::take(&mut [("m", &mut train)]).unwrap(), x);
        slope.fault = fault;
        let error = train.step(&mut slope, &mut x).unwrap_err();
        let right = match fault {
            Fault::Loss => matches!(error, Error::NonFiniteLoss(_)),
            Fault::Gradient => error.to_string() == "gradient of segment `s1` is NaN at index 1",
            _ => matches!(error, Error::Objective(_)),
        };
        assert!(right, "{error}");
        let length = train.step(&mut slope, &mut x[..4]).unwrap_err();
        assert!(matches!(length, Error::Length { found: 4, .. }));
        assert!(Snapshot::take(&mut [("m", &mut train)]).unwrap() == before && x == start);
        assert_eq!((slope.accepted, train.direction().commits.get()), (1, 1));
        // What was staged for the refused step is gone.
        slope.fault = Fault::None;
        train.step(&mut slope, &mut x).unwrap();
        assert_eq!(train.direction().sum, 4.0 * f64::from(wave(0)));
    }
}

#[test]
fn a_direction_that_only_collects_leaves_x_and_the_update() {
    let (mut train, mut slope, mut x) = (joined(), slope(), [1.0; 5]);
    train.direction_mut().moves = false;
    let report = train.step(&mut slope, &mut x).unwrap();
    assert!(!report.moves && x == [1.0; 5] && train.update().steps(0) == 0);
    assert_eq!(train.direction().sum, 2.0 * f64::from(wave(0)));
}

#[test]
fn it_clips_what_the_update_gets() {
    let (mut train, mut slope, mut x) = (joined().clip(0.5).unwrap(), slope(), [1.0; 5]);
    train.step(&mut slope, &mut x).unwrap();
    let (mut plain, mut y) = (
        FirstOrder::<f32, _, 1>::new(PLAIN, &map(&[2, 3])).unwrap(),
        [1.0; 5],
    );
    let mut d: Vec<f32> = (0..5).map(|i| 2.0 * wave(i)).collect();
    clip_global_norm(&mut d, 0.5).unwrap();
    plain.apply(&mut y, &d).unwrap();
    assert_eq!(x, y);
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(joined().clip(bad), Err(Error::Argument { .. })));
    }
    slope.fault = Fault::Gradient;
    let error = train.step(&mut slope, &mut x).unwrap_err();
    assert!(matches!(error, Error::NonFiniteGradient { index: 1, .. }));
}

#[test]
fn a_name_that_both_halves_have_is_refused_bare() {
    let mut train = joined();
    let names: Vec<_> = train.list().into_iter().map(|f| f.name).collect();
    assert_eq!(names, ["update/lr", "mu", "init", "direction/lr", "factor"]);
    for result in [train.set("lr", 0.1.into()), train.scale("lr", 0.1)] {
        let error = result.unwrap_err().to_string();
        let expected = "no hyper-parameter `lr`; there are: direction/lr, update/lr";
        assert_eq!(error, expected);
    }
    train.set("direction/lr", 0.125.into()).unwrap();
    train.scale("update/lr", 2.0).unwrap();
    train.set("factor", 3.into()).unwrap();
    train.set("update/mu", 0.5.into()).unwrap();
    train.scale("direction/factor", 0.5).unwrap();
    let reals = |names: [&str; 4]| names.map(|n| train.get(n).unwrap().real().unwrap());
    let found = reals(["direction/lr", "update/lr", "factor", "mu"]);
    assert_eq!(found, [0.125, 0.6, 1.5, 0.5]);
    for name in ["nope", "direction/mu", "update/factor", "direction/nope"] {
        let error = joined().set(name, 1.into()).unwrap_err().to_string();
        let known = "there are: update/lr, mu, init, direction/lr, factor";
        assert_eq!(error, format!("no hyper-parameter `{name}`; {known}"));
    }
}
