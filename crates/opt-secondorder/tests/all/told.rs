//! What a step tells of itself: trials that failed, rises that rounding explains, rates of 0; and the
//! model hears of each step that was made.

#![allow(clippy::unwrap_used)] // helpers of tests

use crate::function;
use crate::least_squares;

use function::{Function, plane};
use least_squares::Tanh;
use opt_core::{
    Error, Fallback, GaussNewton, HessianDiag, HessianProduct, Method, Objective, ParamMap,
    PerSample, norm,
};
use opt_secondorder::{HessianFree, Lbfgs, Scg, zoo};
use opt_testkit::Plane;

/// A plane that counts what was accepted.
struct Hears {
    inner: Plane,
    accepted: usize,
}

impl Objective<f64> for Hears {
    fn params(&self) -> &ParamMap {
        Objective::<f64>::params(&self.inner)
    }
    fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
        self.inner.value(x)
    }
    fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        self.inner.grad(x, g)
    }
    fn accept(&mut self) {
        self.accepted += 1;
    }
}

impl HessianDiag<f64> for Hears {
    fn hessian_diag(&mut self, x: &[f64], h: &mut [f64]) -> Result<(), Error> {
        self.inner.hessian_diag(x, h)
    }
}

impl HessianProduct<f64> for Hears {
    fn hessian_product(&mut self, x: &[f64], v: &[f64], out: &mut [f64]) -> Result<(), Error> {
        self.inner.hessian_product(x, v, out)
    }
}

impl GaussNewton<f64> for Hears {
    fn gauss_newton_product(&mut self, x: &[f64], v: &[f64], out: &mut [f64]) -> Result<(), Error> {
        self.inner.gauss_newton_product(x, v, out)
    }
}

impl PerSample<f64> for Hears {
    fn samples(&self) -> usize {
        1
    }
    fn grad_moments(&mut self, x: &[f64], g: &mut [f64], s: &mut [f64]) -> Result<f64, Error> {
        self.inner.grad_moments(x, g, s)
    }
}

fn hears() -> Hears {
    Hears {
        inner: plane("rosenbrock"),
        accepted: 0,
    }
}

#[test]
fn the_model_hears_of_each_step_that_was_made_once() {
    for entry in zoo::<f64, Hears>() {
        let (mut objective, mut x) = (hears(), [-1.2, 1.0]);
        let mut method = entry.build(&[], &objective).unwrap();
        let (mut moved, mut stayed) = (0, 0);
        for _ in 0..30 {
            let before = x;
            let Ok(report) = method.step(&mut objective, &mut x) else {
                break;
            };
            // At the minimum, where the gradient is 0, Newton's step is none.
            assert!(report.moves || x == before, "{}", entry.name());
            moved += usize::from(report.moves);
            stayed += usize::from(!report.moves);
            assert_eq!(objective.accepted, moved, "{}", entry.name());
            assert!(report.moves || report.fallback.is_some() || entry.name() == "scg");
        }
        assert!(moved > 5, "{}", entry.name());
        assert!(stayed > 0 || !["scg", "vsgd"].contains(&entry.name()));
    }
}

#[test]
fn with_a_rate_of_0_x_stays() {
    let mut names = Vec::new();
    for entry in zoo::<f64, Hears>() {
        if entry.fields().iter().all(|field| field.name != "lr") {
            continue;
        }
        names.push(entry.name());
        let mut objective = hears();
        let mut method = entry.build(&[("lr", 0.0.into())], &objective).unwrap();
        let mut x = [-1.2, 1.0];
        for _ in 0..25 {
            let report = method.step(&mut objective, &mut x).unwrap();
            assert_eq!((x, report.fallback), ([-1.2, 1.0], None));
        }
        // And goes on when the rate does.
        method.set("lr", 0.1.into()).unwrap();
        method.step(&mut objective, &mut x).unwrap();
        assert!(x != [-1.2, 1.0], "{}", entry.name());
    }
    assert_eq!(names, ["newton", "newton-diagonal", "esgd", "lbfgs"]);
}

/// Σ(xᵢ − 2)²/2, no number beyond 1.
fn walled(x: &[f64]) -> (f64, Vec<f64>) {
    let wall = if x[0] > 1.0 { f64::NAN } else { 0.0 };
    let f: f64 = x.iter().map(|x| 0.5 * (x - 2.0).powi(2)).sum();
    (f + wall, x.iter().map(|x| x - 2.0 + wall).collect())
}

#[test]
fn a_trial_that_is_not_finite_is_told() {
    let map = ParamMap::flat(2).unwrap();
    let mut wall = Function::new(2, walled);
    // The first trial moves by |f|/|f′|, half of the way to the minimum; α₀ makes that too long.
    let hyper = Lbfgs {
        lr: 1.7,
        ..Lbfgs::default()
    };
    let mut x = [0.5, 0.5];
    let mut lbfgs = hyper.method(&map).unwrap();
    let report = lbfgs.step(&mut wall, &mut x).unwrap();
    assert!(report.moves && x[0] > 0.5 && x[0] <= 1.0, "{x:?}");
    assert_eq!(report.fallback, Some(Fallback::Trial));

    let mut x = [0.5, 0.5];
    let mut scg = Scg::default().method(&map).unwrap();
    let report = scg.step(&mut wall, &mut x).unwrap();
    assert_eq!(
        (report.fallback, report.moves),
        (Some(Fallback::Trial), false)
    );

    let reference = include_str!("../reference/hessian_free.json");
    let reference: serde_json::Value = serde_json::from_str(reference).unwrap();
    let tanh = Tanh::of(&reference["tanh"]);
    let mut x = [0.0; 30];
    let mut free = HessianFree::default().method(tanh.params()).unwrap();
    free.step(&mut tanh.clone(), &mut x).unwrap();
    let mut ball = Ball(tanh, 0.98 * norm(&x));
    let (mut free, mut x) = (
        HessianFree::default().method(ball.params()).unwrap(),
        [0.0; 30],
    );
    let report = free.step(&mut ball, &mut x).unwrap();
    assert_eq!(
        (report.fallback, report.moves),
        (Some(Fallback::Trial), true)
    );
}

/// No number where |x| is above this.
struct Ball(Tanh, f64);

impl Objective<f64> for Ball {
    fn params(&self) -> &ParamMap {
        self.0.params()
    }
    fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
        let value = self.0.value(x)?;
        Ok(if norm(x) > self.1 { f64::NAN } else { value })
    }
    fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        self.0.grad(x, g)
    }
}

impl PerSample<f64> for Ball {
    fn samples(&self) -> usize {
        self.0.samples()
    }
    fn grad_moments(&mut self, x: &[f64], g: &mut [f64], s: &mut [f64]) -> Result<f64, Error> {
        self.0.grad_moments(x, g, s)
    }
}

impl GaussNewton<f64> for Ball {
    fn gauss_newton_product(&mut self, x: &[f64], v: &[f64], out: &mut [f64]) -> Result<(), Error> {
        self.0.gauss_newton_product(x, v, out)
    }
}

/// A bowl whose gradient points the wrong way, about a value beside which it is rounding: it may climb
/// no further than rounding explains, and says so.
#[test]
fn a_gradient_of_the_wrong_sign_at_rounding_level_is_told() {
    let liar = |x: &[f64]| {
        let f: f64 = x.iter().map(|x| 0.5 * x * x).sum();
        (1e6 + f, x.iter().map(|x| -x).collect())
    };
    let map = ParamMap::flat(3).unwrap();
    for start in [1e-7, 1e-5, 1e-3, 1.0] {
        let scg: Box<dyn Method<f64, Function<_>>> = Box::new(Scg::default().method(&map).unwrap());
        let lbfgs = Box::new(Lbfgs::default().method(&map).unwrap());
        for (units, mut method) in [(10.0, scg), (1e3, lbfgs)] {
            let mut objective = Function::new(3, liar);
            let mut x = [start, -start, 0.5 * start];
            let first = objective.value(&x).unwrap();
            let limit = units * f64::EPSILON * 1e6;
            let mut last = None;
            for _ in 0..500 {
                let before = objective.value(&x).unwrap();
                let report = method.step(&mut objective, &mut x).unwrap();
                let after = objective.value(&x).unwrap();
                assert!(after - first <= 1.01 * limit, "{start} {}", after - first);
                assert!(after <= before || report.fallback == Some(Fallback::Rounding));
                last = report.fallback;
            }
            let over = [
                Fallback::NoLowerLoss,
                Fallback::Restarted,
                Fallback::Rounding,
            ];
            assert!(
                last.is_some_and(|told| over.contains(&told)),
                "{units} {last:?}"
            );
        }
    }
}

/// Where the steps of SCG are lost in rounding of x, the end is told.
#[test]
fn the_end_of_scg_is_told() {
    let mut rosenbrock = plane("rosenbrock");
    let mut x = rosenbrock.start;
    let map = ParamMap::flat(2).unwrap();
    let mut scg = Scg::default().method(&map).unwrap();
    let told = (0..1000).find_map(|_| {
        let told = scg.step(&mut rosenbrock, &mut x).unwrap().fallback?;
        [Fallback::NoLowerLoss, Fallback::ZeroGradient]
            .contains(&told)
            .then_some(told)
    });
    assert!(told.is_some(), "{x:?}");
    let before = x;
    assert_eq!(scg.step(&mut rosenbrock, &mut x).unwrap().fallback, told);
    assert_eq!(x, before);
}
