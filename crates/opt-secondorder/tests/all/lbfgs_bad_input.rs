//! L-BFGS where something goes wrong, or `x` and the objective are not as the last step left them.

#![allow(clippy::unwrap_used)] // helpers of tests

use opt_core::{
    Counted, Error, Fallback, Method, Objective, ParamMap, Parameters, Report, Snapshot, State,
    Tune, Visit, dot,
};
use opt_secondorder::{Lbfgs, LbfgsMethod};
use opt_testkit::{Fault, Plane, Quadratic, plane};

/// A function of the point that returns its value and writes its gradient, and how often it was
/// called.
struct Function<T> {
    f: T,
    calls: usize,
    params: ParamMap,
}

impl<T: FnMut(usize, &[f64], &mut [f64]) -> Result<f64, Error>> Function<T> {
    fn new(n: usize, f: T) -> Self {
        let params = ParamMap::flat(n).unwrap();
        let calls = 0;
        Self { f, calls, params }
    }
}

impl<T: FnMut(usize, &[f64], &mut [f64]) -> Result<f64, Error>> Objective<f64> for Function<T> {
    fn params(&self) -> &ParamMap {
        &self.params
    }

    fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
        self.grad(x, &mut vec![0.0; x.len()])
    }

    fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        self.calls += 1;
        (self.f)(self.calls, x, g)
    }
}

/// Σ (xᵢ − 2)².
fn bowl(x: &[f64], g: &mut [f64]) -> f64 {
    let offset: Vec<_> = x.iter().map(|x| x - 2.0).collect();
    g.iter_mut().zip(&offset).for_each(|(g, o)| *g = 2.0 * o);
    dot(&offset, &offset)
}

fn lbfgs<O: Objective<f64>>(objective: &O) -> LbfgsMethod<f64> {
    Lbfgs::default().method(objective.params()).unwrap()
}

fn snapshot(method: &mut LbfgsMethod<f64>, map: &ParamMap, x: &mut [f64]) -> Snapshot<f64> {
    let mut x = Parameters::new(map, x).unwrap();
    Snapshot::take(&mut [("method", method), ("x", &mut x)]).unwrap()
}

/// Counts and numbers of the state, which it may change.
struct Numbers<T>(T);

impl<T: FnMut(&str, &mut f64)> Visit<f64> for Numbers<T> {
    fn packed(&mut self, _: &str, _: &[usize], _: opt_core::Bits<'_>) {}

    fn buffer(&mut self, _: &str, _: &[usize], _: &mut [f64]) {}

    fn count(&mut self, name: &str, value: &mut u64) {
        let mut number = *value as f64;
        (self.0)(name, &mut number);
        *value = number as u64;
    }

    fn number(&mut self, name: &str, value: &mut f64) {
        (self.0)(name, value);
    }
}

fn number(method: &mut LbfgsMethod<f64>, wanted: &str) -> f64 {
    let mut found = f64::NAN;
    method.visit(&mut Numbers(|name: &str, value: &mut f64| {
        if name == wanted {
            found = *value;
        }
    }));
    found
}

fn rosenbrock() -> Plane {
    plane("rosenbrock").unwrap()
}

fn well() -> Quadratic<f64> {
    let params = ParamMap::flat(6).unwrap();
    Quadratic::new(params, |i| 1.0 + i as f64, |i| i as f64 - 2.5)
}

#[test]
fn nan_beyond_a_wall_only_shortens_the_step() {
    let mut walled = Function::new(1, |_, x: &[f64], g: &mut [f64]| {
        let loss = bowl(x, g);
        if x[0] > 1.0 {
            g[0] = f64::NAN;
            return Ok(f64::NAN);
        }
        Ok(loss)
    });
    let (mut x, mut last) = ([0.0], f64::INFINITY);
    let mut method = lbfgs(&walled);
    // In the end it is so near that no trial falls this side.
    let end = loop {
        let before = x;
        match method.step(&mut walled, &mut x) {
            Ok(report) => {
                assert!(report.loss <= last && x[0] > before[0] && x[0] <= 1.0);
                last = report.loss;
            }
            Err(error) => break (error, before),
        }
    };
    assert!(matches!(end.0, Error::NonFiniteLoss(v) if v.is_nan()));
    assert!(x == end.1 && x[0] > 1.0 - 1e-5, "{x:?}");
}

#[test]
fn an_error_in_the_midst_of_a_line_search_changes_nothing() {
    for at in 1..30 {
        // From some evaluation on, whichever it is of its search, all go wrong.
        for refused in [true, false] {
            let mut plane = rosenbrock();
            let mut faulty = Function::new(2, |call, x: &[f64], g: &mut [f64]| {
                let loss = plane.grad(x, g)?;
                match (call >= at, refused) {
                    (true, true) => Err(Error::objective("refused on purpose")),
                    (true, false) => Ok(f64::INFINITY),
                    (false, _) => Ok(loss),
                }
            });
            let map = faulty.params.clone();
            let mut method = lbfgs(&faulty);
            let mut x = [-1.2, 1.0];
            let (before, error) = loop {
                let before = snapshot(&mut method, &map, &mut x);
                if let Err(error) = method.step(&mut faulty, &mut x) {
                    break (before, error);
                }
            };
            assert_eq!(refused, matches!(error, Error::Objective(_)), "{error}");
            assert!(refused || matches!(error, Error::NonFiniteLoss(v) if v == f64::INFINITY));
            assert!(snapshot(&mut method, &map, &mut x) == before);
        }
    }
}

#[test]
fn an_error_at_x_itself_changes_nothing() {
    for steps in [0, 3] {
        let mut well = well();
        let map = well.params().clone();
        let mut method = lbfgs(&well);
        let mut x = [1.0; 6];
        for _ in 0..steps {
            method.step(&mut well, &mut x).unwrap();
        }
        x[2] += 0.5; // so that the last evaluation does not serve
        let before = snapshot(&mut method, &map, &mut x);
        for fault in [Fault::Loss, Fault::Gradient(4), Fault::Refusal] {
            well.fault = Some(fault);
            let result = method.step(&mut well, &mut x);
            assert!(match fault {
                Fault::Loss => matches!(result, Err(Error::NonFiniteLoss(v)) if v.is_nan()),
                Fault::Gradient(_) =>
                    matches!(result, Err(Error::NonFiniteGradient { index: 4, .. })),
                Fault::Refusal => matches!(result, Err(Error::Objective(_))),
            });
            assert!(snapshot(&mut method, &map, &mut x) == before);
        }
        well.fault = None;
        method.step(&mut well, &mut x).unwrap();
    }
}

/// Where x was fine but no trial is, what was known of the last x comes back.
#[test]
fn an_error_after_x_has_moved_puts_the_last_evaluation_back() {
    let (mut x, elsewhere) = ([0.5; 3], [5.0; 3]);
    let mut function = Function::new(3, |_, x: &[f64], g: &mut [f64]| Ok(bowl(x, g)));
    let map = function.params.clone();
    let mut method = lbfgs(&function);
    method.step(&mut function, &mut x).unwrap();
    let before = snapshot(&mut method, &map, &mut x);
    let mut faulty = Function::new(3, |call, x: &[f64], g: &mut [f64]| {
        let loss = bowl(x, g);
        Ok(if call == 1 { loss } else { f64::NAN })
    });
    let mut y = elsewhere;
    let result = method.step(&mut faulty, &mut y);
    assert!(matches!(result, Err(Error::NonFiniteLoss(_))));
    assert_eq!((y, faulty.calls), (elsewhere, 1 + 2 * 20));
    assert!(snapshot(&mut method, &map, &mut x) == before);
}

#[test]
fn steps_along_negative_curvature_are_not_remembered() {
    let mut saddle = plane("saddle").unwrap();
    let mut method = lbfgs(&saddle);
    // Down the ridge: nothing but negative curvature, and no minimum.
    let mut x = [0.0, 1e-3];
    let report = method.step(&mut saddle, &mut x).unwrap();
    assert_eq!(report.fallback, None);
    assert!(x[1] > 1.0 && number(&mut method, "pairs") == 0.0);
    // From the slope, pairs of positive curvature only.
    let mut method = lbfgs(&saddle);
    let (mut x, mut last) = (saddle.start, f64::INFINITY);
    for _ in 0..8 {
        let report = method.step(&mut saddle, &mut x).unwrap();
        assert!(
            report.loss < last && report.fallback.is_none(),
            "{report:?}"
        );
        last = report.loss;
        for index in 0..number(&mut method, "pairs") as usize {
            assert!(number(&mut method, &format!("sy{index}")) > 0.0);
        }
    }
    assert!(last < -1.0);
}

#[test]
fn at_a_zero_gradient_x_stays() {
    let mut well = Counted::new(well());
    let mut method = lbfgs(&well);
    let minimum = well.inner.minimum.clone();
    let mut x = minimum.clone();
    for _ in 0..2 {
        let report = method.step(&mut well, &mut x).unwrap();
        let expected = Some(Fallback::ZeroGradient);
        assert_eq!((report.loss, report.fallback), (0.0, expected));
    }
    assert_eq!((x, well.gradients), (minimum, 1));
}

#[test]
fn a_gradient_that_points_uphill_moves_nothing() {
    let mut liar = Function::new(3, |_, x: &[f64], g: &mut [f64]| {
        let loss = bowl(x, g);
        g.iter_mut().for_each(|g| *g = -*g);
        Ok(loss)
    });
    let mut method = lbfgs(&liar);
    let mut x = [0.5, 1.0, -3.0];
    let report = method.step(&mut liar, &mut x).unwrap();
    assert_eq!(report.fallback, Some(Fallback::NoLowerLoss));
    assert_eq!(x, [0.5, 1.0, -3.0]);
}

/// A memory that is no good, which takes a damaged snapshot or a changed objective.
#[test]
fn where_the_memory_points_uphill_it_is_dropped() {
    for bad in [-1.0, 0.0, f64::NAN, f64::INFINITY] {
        let mut well = well();
        let mut method = lbfgs(&well);
        let mut x = [1.0; 6];
        for _ in 0..4 {
            method.step(&mut well, &mut x).unwrap();
        }
        method.visit(&mut Numbers(|name: &str, value: &mut f64| {
            if name.starts_with("sy") {
                *value = if bad == -1.0 { -*value } else { bad };
            }
        }));
        let before = well.value(&x).unwrap();
        let report = method.step(&mut well, &mut x).unwrap();
        let expected = Fallback::SteepestDescent;
        assert_eq!(report.fallback, Some(expected));
        assert!(well.value(&x).unwrap() < before);
        assert_eq!(number(&mut method, "pairs"), 1.0);
    }
    // More pairs than there is room for.
    let mut well = well();
    let mut method = lbfgs(&well);
    method.visit(&mut Numbers(|name: &str, value: &mut f64| {
        if name == "pairs" {
            *value = f64::INFINITY;
        }
    }));
    method.step(&mut well, &mut [1.0; 6]).unwrap();
}

#[test]
fn x_may_move_between_steps() {
    let mut plane = Counted::new(rosenbrock());
    let mut method = lbfgs(&plane);
    let mut x = plane.inner.start;
    let mut step = |x: &mut [f64; 2]| -> (Report<f64>, u64) {
        let before = plane.gradients;
        let report = method.step(&mut plane, x).unwrap();
        (report, plane.gradients - before)
    };
    step(&mut x);
    // Step 2 of Rosenbrock takes one trial, by the reference. Its loss is that of x, unasked.
    let loss = (rosenbrock().value)(x);
    let (report, evaluations) = step(&mut x);
    assert_eq!((report.loss, evaluations), (loss, 1));
    x = [0.5, 0.5];
    let (report, evaluations) = step(&mut x);
    assert_eq!(report.loss, (rosenbrock().value)([0.5, 0.5]));
    assert!(evaluations >= 2 && (rosenbrock().value)(x) < report.loss);
    // A point that is no number is no point that is known.
    x = [f64::NAN, 0.5];
    let result = method.step(&mut plane, &mut x);
    assert!(matches!(result, Err(Error::NonFiniteLoss(_))));
}

#[test]
fn after_a_restart_it_is_as_new() {
    let (mut plane, mut x) = (rosenbrock(), [-1.2, 1.0]);
    let mut method = lbfgs(&plane);
    for _ in 0..6 {
        method.step(&mut plane, &mut x).unwrap();
    }
    method.restart();
    let (mut new, mut y) = (lbfgs(&plane), x);
    for _ in 0..6 {
        method.step(&mut plane, &mut x).unwrap();
        new.step(&mut plane, &mut y).unwrap();
        assert_eq!(x, y);
    }
}

#[test]
fn less_memory_keeps_the_newest_pairs() {
    let (mut plane, mut x) = (rosenbrock(), [-1.2, 1.0]);
    let mut method = lbfgs(&plane);
    let set = |method: &mut LbfgsMethod<f64>, name, value: f64| method.set(name, value.into());
    for _ in 0..6 {
        method.step(&mut plane, &mut x).unwrap();
    }
    let sy = |method: &mut LbfgsMethod<f64>| {
        [0, 1, 2, 3, 4, 5].map(|index| number(method, &format!("sy{index}")))
    };
    let all = sy(&mut method);
    set(&mut method, "memory", 2.0).unwrap();
    assert_eq!(sy(&mut method)[..2], all[4..]);
    assert_eq!(number(&mut method, "pairs"), 2.0);
    method.step(&mut plane, &mut x).unwrap();
    assert_eq!(number(&mut method, "sy0"), all[5]);
    set(&mut method, "memory", 4.0).unwrap();
    assert_eq!(number(&mut method, "sy0"), all[5]);
    assert_eq!(sy(&mut method)[2..4], [0.0; 2]);
    // What is refused changes nothing.
    let conflict = set(&mut method, "c1", 0.9);
    assert!(matches!(conflict, Err(Error::HyperConflict(_))));
    let too_large = set(&mut method, "memory", 1e18);
    assert!(matches!(too_large, Err(Error::SegmentTooLarge(_))));
    assert_eq!(number(&mut method, "pairs"), 2.0);
    method.step(&mut plane, &mut x).unwrap();
    assert_eq!(number(&mut method, "pairs"), 3.0);
}
