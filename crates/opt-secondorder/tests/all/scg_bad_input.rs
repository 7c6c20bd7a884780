//! What SCG does where an evaluation fails, nothing can be gained, or somebody moves x.

#![allow(clippy::unwrap_used)] // helpers of tests

use crate::function;

use function::{Function, numbers, plane, slope};
use opt_core::{Error, Fallback, Method, Objective, ParamMap, Parameters, Scalar, Snapshot};
use opt_secondorder::{Scg, ScgMethod};
use opt_testkit::{Plane, Quadratic};

const START: [f64; 2] = [-1.2, 1.0];

fn method<F: Scalar>() -> ScgMethod<F> {
    Scg::default().method(&ParamMap::flat(2).unwrap()).unwrap()
}

fn snapshot<F: Scalar>(method: &mut ScgMethod<F>, x: &mut [F]) -> Snapshot<F> {
    let map = &ParamMap::flat(x.len()).unwrap();
    let x = &mut Parameters::new(map, x).unwrap();
    Snapshot::take(&mut [("method", method), ("x", x)]).unwrap()
}

/// Rosenbrock's function, whose evaluations may go wrong.
struct Faulty {
    inner: Plane,
    calls: usize,
    fault: Option<(usize, &'static str)>,
}

impl Faulty {
    fn new(fault: Option<(usize, &'static str)>) -> Self {
        let (inner, calls) = (plane("rosenbrock"), 0);
        Self {
            inner,
            calls,
            fault,
        }
    }

    fn call(&mut self) -> Result<Option<&'static str>, Error> {
        let now = self.fault.filter(|(call, _)| *call == self.calls);
        self.calls += 1;
        match now {
            Some((_, "refusal")) => Err(Error::objective("refused on purpose")),
            now => Ok(now.map(|(_, what)| what)),
        }
    }
}

impl Objective<f64> for Faulty {
    fn params(&self) -> &ParamMap {
        Objective::<f64>::params(&self.inner)
    }

    fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
        self.call()?;
        self.inner.value(x)
    }

    fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        let fault = self.call()?;
        let loss = self.inner.grad(x, g)?;
        if fault == Some("gradient") {
            g[1] = f64::NAN;
        }
        Ok(if fault == Some("loss") {
            f64::NAN
        } else {
            loss
        })
    }
}

/// Each evaluation of twelve steps, two of which fail by themselves, goes wrong in turn: an error
/// has changed nothing, and the path goes on as if it had not been.
#[test]
fn an_error_anywhere_changes_nothing() {
    let (mut whole, mut expected) = (Faulty::new(None), START);
    let mut scg = method();
    for _ in 0..12 {
        scg.step(&mut whole, &mut expected).unwrap();
    }
    let expected = snapshot(&mut scg, &mut expected);
    assert_eq!(whole.calls, 3 * 10 + 2);
    for fault in ["refusal", "gradient", "loss"] {
        let mut errors = 0;
        for call in 0..whole.calls {
            let (mut objective, mut x) = (Faulty::new(Some((call, fault))), START);
            let mut scg = method();
            for _ in 0..12 {
                let before = snapshot(&mut scg, &mut x);
                if let Err(error) = scg.step(&mut objective, &mut x) {
                    errors += 1;
                    let right = match fault {
                        "refusal" => matches!(error, Error::Objective(_)),
                        "gradient" => matches!(error, Error::NonFiniteGradient { index: 1, .. }),
                        _ => matches!(error, Error::NonFiniteLoss(_)),
                    };
                    assert!(right, "{fault} {call}: {error}");
                    assert_eq!(snapshot(&mut scg, &mut x), before, "{fault} {call}");
                    scg.step(&mut objective, &mut x).unwrap();
                }
            }
            assert_eq!(snapshot(&mut scg, &mut x), expected, "{fault} {call}");
        }
        // A step takes two gradients, with their losses, and a value. A value that is not finite is
        // no error, but a failed step.
        let each = [("refusal", 32), ("gradient", 20), ("loss", 20)];
        assert!(each.contains(&(fault, errors)), "{fault}: {errors}");
    }
}

#[test]
fn a_restart_of_the_program_changes_no_bit() {
    let run = |scg: &mut ScgMethod<f64>, x: &mut [f64; 2], steps: usize| {
        for _ in 0..steps {
            scg.step(&mut plane("rosenbrock"), x).unwrap();
        }
        snapshot(scg, x)
    };
    let whole = run(&mut method(), &mut START.clone(), 30);
    let mut failures = 0;
    for at in 0..30 {
        let saved = run(&mut method(), &mut START.clone(), at);
        let (mut scg, mut x) = (method(), [0.0; 2]);
        let map = &ParamMap::flat(2).unwrap();
        let mut parameters = Parameters::new(map, &mut x).unwrap();
        let states = &mut [("method", &mut scg as _), ("x", &mut parameters as _)];
        saved.restore(states).unwrap();
        failures += numbers(&mut scg)["failed"] as usize;
        assert_eq!(run(&mut scg, &mut x, 30 - at), whole, "{at}");
    }
    assert!(failures > 3, "{failures}");
}

/// f(x) = (x − 2)²/2, which is NaN above 1.
fn wall(x: &[f64]) -> (f64, Vec<f64>) {
    let d = if x[0] > 1.0 { f64::NAN } else { x[0] - 2.0 };
    (0.5 * d * d, vec![d])
}

#[test]
fn a_loss_that_is_not_finite_shortens_the_step() {
    let mut wall = Function::new(1, wall);
    let mut scg = Scg::default().method(&ParamMap::flat(1).unwrap()).unwrap();
    let mut x = [0.0];
    let report = scg.step(&mut wall, &mut x).unwrap();
    assert_eq!((report.loss, x), (2.0, [0.0]));
    assert!(report.fallback.unwrap().to_string().contains("not finite"));
    // The whole step goes to 2; a quarter of it follows, but for λ₁ and the rounding of f″.
    let report = scg.step(&mut wall, &mut x).unwrap();
    assert_eq!((report.loss, report.fallback), (2.0, None));
    assert!((x[0] - 0.5).abs() < 1e-5, "{x:?}");
    // It goes on to the wall, until the curvature is needed beyond it.
    for _ in 0..200 {
        let before = x;
        match scg.step(&mut wall, &mut x) {
            Ok(_) => assert!(before <= x && x[0] <= 1.0),
            Err(error) => {
                assert!(matches!(error, Error::NonFiniteLoss(_)), "{error}");
                assert!(x == before && x[0] > 1.0 - 1e-4, "{x:?}");
                return;
            }
        }
    }
    assert!(x[0] > 1.0 - 1e-3, "{x:?}");
}

#[test]
fn where_every_step_is_refused_x_stays() {
    let mut bowl = Quadratic::new(ParamMap::flat(3).unwrap(), |i| 1.0 + i as f64, |_| 1.0);
    let mut scg = Scg::default().method(bowl.params()).unwrap();
    let mut x = vec![0.0; 3];
    scg.step(&mut bowl, &mut x).unwrap();
    scg.step(&mut bowl, &mut x).unwrap();
    let stuck = x.clone();

    /// The gradient is that of the bowl, but each value is NaN.
    struct NoValue(Quadratic<f64>);
    impl Objective<f64> for NoValue {
        fn params(&self) -> &ParamMap {
            self.0.params()
        }
        fn value(&mut self, _: &[f64]) -> Result<f64, Error> {
            Ok(f64::NAN)
        }
        fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
            self.0.grad(x, g)
        }
    }
    let mut objective = NoValue(bowl);
    let mut said = Vec::new();
    for _ in 0..600 {
        let report = scg.step(&mut objective, &mut x).unwrap();
        let fallback = report.fallback.unwrap();
        if said.last() != Some(&fallback) {
            said.push(fallback);
        }
        assert_eq!(x, stuck);
        assert!(numbers(&mut scg).values().all(|v| v.is_finite()));
    }
    // Along p, then along −f′, then for good.
    let words = [
        Fallback::Trial,
        Fallback::Restarted,
        Fallback::Trial,
        Fallback::NoLowerLoss,
    ];
    assert_eq!(said, words);
}

#[test]
fn a_zero_gradient_stays_where_it_is() {
    let (mut rosenbrock, mut x) = (plane("rosenbrock"), [1.0, 1.0]);
    let mut scg = method();
    let before = snapshot(&mut scg, &mut x);
    let report = scg.step(&mut rosenbrock, &mut x).unwrap();
    assert_eq!(report.loss, 0.0);
    assert!(report.fallback.unwrap().to_string().contains("zero"));
    assert_eq!(snapshot(&mut scg, &mut x), before);
}

#[test]
fn a_gradient_beyond_the_range_of_its_square_is_refused() {
    let mut steep = Function::new(2, |x: &[f64]| (1e200 * x[0], vec![1e200, 0.0]));
    let (mut scg, mut x) = (method(), START);
    let error = scg.step(&mut steep, &mut x).unwrap_err();
    assert!(error.to_string().contains("squared norm"), "{error}");
    assert_eq!(x, START);
}

/// Runs until the first step that fails, the fourth.
fn until_failure(objective: &mut Plane) -> (ScgMethod<f64>, [f64; 2]) {
    let (mut scg, mut x) = (method(), START);
    for _ in 0..4 {
        assert_eq!(numbers(&mut scg)["failed"], 0.0);
        scg.step(objective, &mut x).unwrap();
    }
    assert_eq!(numbers(&mut scg)["failed"], 1.0);
    (scg, x)
}

#[test]
fn x_that_was_moved_after_a_failure_is_a_new_start() {
    let mut rosenbrock = plane("rosenbrock");
    // Also where an even number of signs flip, which weak hashes do not see.
    for at in [[0.5, -0.5], [1.0221600938231645, -1.0613885615882912]] {
        let (mut scg, mut x) = until_failure(&mut rosenbrock);
        x = if at == [0.5, -0.5] { at } else { x.map(|v| -v) };
        let (mut fresh, mut y) = (method(), x);
        let report = scg.step(&mut rosenbrock, &mut x).unwrap();
        assert!(report.fallback.unwrap().to_string().contains("moved"));
        fresh.step(&mut rosenbrock, &mut y).unwrap();
        assert_eq!(snapshot(&mut scg, &mut x), snapshot(&mut fresh, &mut y));
    }
}

#[test]
fn restart_is_a_new_start() {
    let mut rosenbrock = plane("rosenbrock");
    let (mut scg, mut x) = until_failure(&mut rosenbrock);
    scg.restart();
    let (mut fresh, mut y) = (method(), x);
    for _ in 0..5 {
        let report = scg.step(&mut rosenbrock, &mut x).unwrap();
        assert_eq!(report.fallback, None);
        fresh.step(&mut rosenbrock, &mut y).unwrap();
    }
    assert_eq!(snapshot(&mut scg, &mut x), snapshot(&mut fresh, &mut y));
}

/// A long run at the minimum stays there, with a damping that is finite.
fn rests<F: Scalar>(name: &str, near: f64)
where
    Plane: Objective<F>,
{
    let mut objective = plane(name);
    let minimum = objective.minimum.unwrap();
    let mut x = objective.start.map(F::of);
    let mut scg = method::<F>();
    for step in 0..3000 {
        scg.step(&mut objective, &mut x).unwrap();
        let state = numbers(&mut scg);
        let lambda = state["lambda"] / state["unit"].max(f64::MIN_POSITIVE);
        assert!((0.0..1e20).contains(&lambda), "{name} {step}: {lambda}");
        if step > 1000 {
            let off = x.iter().zip(minimum).map(|(x, m)| (x.f64() - m).abs());
            let off = off.fold(0.0, f64::max);
            assert!(off < near, "{name} {step}: {off:e}");
        }
    }
}

/// A loss that is off by 10ε, the noise, is off in x by at most √(20ε/c), c being the least
/// curvature: 0.4 and 0.3. In double precision 1.2e-7; in single precision 2.8e-3.
#[test]
fn a_long_run_at_the_minimum_stays_there() {
    for name in ["rosenbrock", "beale"] {
        rests::<f64>(name, 1.2e-7);
        rests::<f32>(name, 2.8e-3);
    }
}

/// A minimum of −Σa/2 = −1.3e4, to a relative gradient of 1e-10: the last steps gain less than the
/// loss can show. Without the guard for noise they look like failures, and λ explodes.
#[test]
fn an_ill_conditioned_quadratic_is_solved_below_the_noise_of_its_loss() {
    let curvature: Vec<f64> = (0..20).map(|i| 1e4_f64.powf(i as f64 / 19.0)).collect();
    let mut bowl = Function::new(20, |x: &[f64]| {
        let terms = || x.iter().zip(&curvature);
        let f = terms().map(|(x, a)| a * x * (0.5 * x - 1.0)).sum();
        (f, terms().map(|(x, a)| a * (x - 1.0)).collect())
    });
    let mut scg = Scg::default().method(&ParamMap::flat(20).unwrap()).unwrap();
    let mut x = vec![0.0; 20];
    let start = slope(&mut bowl, &x);
    let mut steps = 0;
    while slope(&mut bowl, &x) > 1e-10 * start {
        scg.step(&mut bowl, &mut x).unwrap();
        steps += 1;
        assert!(steps < 2000, "{:e}", slope(&mut bowl, &x) / start);
    }
}

/// Noise excuses no rise that is greater: here the quadratic model promises next to nothing, and
/// leads far up the wall beyond ½.
#[test]
fn a_step_that_promises_nothing_is_refused_if_the_loss_rises() {
    let mut plain = Function::new(1, |x: &[f64]| {
        let beyond = (x[0] - 0.5).max(0.0);
        (beyond * beyond, vec![2.0 * beyond - 1e-17])
    });
    let hyper = Scg {
        lambda: 1e-18,
        ..Scg::default()
    };
    let mut scg = hyper.method(&ParamMap::flat(1).unwrap()).unwrap();
    let mut x = [0.0];
    scg.step(&mut plain, &mut x).unwrap();
    assert_eq!((x, numbers(&mut scg)["failed"]), ([0.0], 1.0));
}

#[test]
fn the_objective_is_never_asked_at_infinity() {
    let mut slope = Function::new(1, |x: &[f32]| {
        assert!(x[0].is_finite());
        (-x[0], vec![-1e19])
    });
    let hyper = Scg {
        lambda: 1e-20,
        ..Scg::default()
    };
    let mut scg = hyper.method(&ParamMap::flat(1).unwrap()).unwrap();
    // No curvature is seen, and so what there may be is the slope over x: a step of 10⁵⁰.
    let mut x = [1e30_f32];
    let report = scg.step(&mut slope, &mut x).unwrap();
    assert!(report.fallback.unwrap().to_string().contains("not finite"));
    assert_eq!(x, [1e30]);
}
