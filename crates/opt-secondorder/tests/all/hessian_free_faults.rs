//! Hessian-free over objectives that go wrong: what was accepted so far is kept.

#![allow(clippy::unwrap_used)] // helpers of tests

use crate::least_squares;

use least_squares::Tanh;
use opt_core::{Error, GaussNewton, Method, Objective, ParamMap, Parameters, PerSample, Snapshot};
use opt_secondorder::{CgEnd, HessianFree, HessianFreeMethod};
use opt_testkit::{Quadratic, plane};

fn tanh() -> Tanh {
    let reference = include_str!("../reference/hessian_free.json");
    let reference: serde_json::Value = serde_json::from_str(reference).unwrap();
    Tanh::of(&reference["tanh"])
}

fn method<O: Objective<f64>>(hyper: HessianFree, objective: &O) -> HessianFreeMethod<f64> {
    hyper.method(objective.params()).unwrap()
}

/// An objective that goes wrong on purpose.
#[derive(Clone)]
struct Faulty<O> {
    inner: O,
    /// Evaluations of any kind so far, and the first that is refused.
    evaluations: usize,
    refuse_from: usize,
    /// Products so far, and the first that is NaN.
    products: usize,
    nan_from: usize,
    /// Whether the gradient points downhill.
    lie: bool,
    /// Where |x| is above it the loss is NaN, and how often it was.
    radius: f64,
    beyond: usize,
}

impl<O> Faulty<O> {
    fn new(inner: O) -> Self {
        Self {
            inner,
            evaluations: 0,
            refuse_from: usize::MAX,
            products: 0,
            nan_from: usize::MAX,
            lie: false,
            radius: f64::INFINITY,
            beyond: 0,
        }
    }

    fn count(&mut self) -> Result<(), Error> {
        self.evaluations += 1;
        if self.evaluations > self.refuse_from {
            return Err(Error::objective("refused on purpose"));
        }
        Ok(())
    }
}

impl<O: Objective<f64>> Objective<f64> for Faulty<O> {
    fn params(&self) -> &ParamMap {
        self.inner.params()
    }

    fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
        self.count()?;
        if opt_core::norm(x) > self.radius {
            self.beyond += 1;
            return Ok(f64::NAN);
        }
        self.inner.value(x)
    }

    fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        self.inner.grad(x, g)
    }
}

impl<O: PerSample<f64>> PerSample<f64> for Faulty<O> {
    fn samples(&self) -> usize {
        self.inner.samples()
    }

    fn grad_moments(&mut self, x: &[f64], g: &mut [f64], square: &mut [f64]) -> Result<f64, Error> {
        self.count()?;
        let loss = self.inner.grad_moments(x, g, square)?;
        if self.lie {
            g.iter_mut().for_each(|g| *g = -*g);
        }
        Ok(loss)
    }
}

impl<O: GaussNewton<f64>> GaussNewton<f64> for Faulty<O> {
    fn gauss_newton_product(&mut self, x: &[f64], v: &[f64], out: &mut [f64]) -> Result<(), Error> {
        self.count()?;
        self.products += 1;
        self.inner.gauss_newton_product(x, v, out)?;
        if self.products > self.nan_from {
            out[0] = f64::NAN;
        }
        Ok(())
    }
}

fn snapshot(map: &ParamMap, method: &mut HessianFreeMethod<f64>, x: &mut [f64]) -> Snapshot<f64> {
    let mut parameters = Parameters::new(map, x).unwrap();
    Snapshot::take(&mut [("method", method), ("x", &mut parameters)]).unwrap()
}

#[test]
fn an_error_at_any_evaluation_changes_nothing() {
    let rosenbrock = plane("rosenbrock").unwrap();
    let map = ParamMap::flat(2).unwrap();
    let mut method = method(HessianFree::default(), &rosenbrock);
    let mut rosenbrock = Faulty::new(rosenbrock);
    let mut x = vec![-1.2, 1.0];
    method.step(&mut rosenbrock, &mut x).unwrap();
    let before = snapshot(&map, &mut method, &mut x);
    let (mut unharmed, mut expected) = (method.clone(), x.clone());
    unharmed.step(&mut rosenbrock, &mut expected).unwrap();
    for refuse_from in 0.. {
        (rosenbrock.evaluations, rosenbrock.refuse_from) = (0, refuse_from);
        match method.step(&mut rosenbrock, &mut x) {
            Err(Error::Objective(_)) => {
                assert!(snapshot(&map, &mut method, &mut x) == before);
            }
            other => {
                other.unwrap();
                // The gradient, three products, two values, and three shortened steps.
                assert_eq!((refuse_from, x), (9, expected));
                return;
            }
        }
    }
}

#[test]
fn products_that_are_not_finite_leave_the_iterates_before_them() {
    for k in 1..8 {
        let mut faulty = Faulty::new(tanh());
        faulty.nan_from = k;
        let mut method = method(HessianFree::default(), &faulty);
        let mut x = [0.0; 30];
        let report = method.step(&mut faulty, &mut x).unwrap();
        let step = method.last.unwrap();
        assert_eq!((step.iterations, step.end), (k, CgEnd::NonFinite));
        assert!(
            report
                .fallback
                .unwrap()
                .to_string()
                .contains("curvature broke off")
        );
        let (mut capped, mut expected) = (self::method(capped(k as u64), &faulty), [0.0; 30]);
        capped.step(&mut tanh(), &mut expected).unwrap();
        assert_eq!((x, method.damping()), (expected, capped.damping()));
    }
}

fn capped(iterations: u64) -> HessianFree {
    HessianFree {
        cg_iterations: iterations,
        ..HessianFree::default()
    }
}

#[test]
fn without_any_curvature_it_is_preconditioned_steepest_descent() {
    let negative = Quadratic::new(ParamMap::flat(30).unwrap(), |_| -10.0, |i| i as f64);
    let mut nan = Faulty::new(tanh());
    nan.nan_from = 0;
    descends_steeply(&mut nan, CgEnd::NonFinite);
    descends_steeply(&mut Faulty::new(negative), CgEnd::Curvature);
    // The direction is not where the next step starts: that would be a product more.
    let mut method = method(HessianFree::default(), &nan);
    let mut x = [0.0; 30];
    method.step(&mut nan, &mut x).unwrap();
    (nan.nan_from, nan.products) = (usize::MAX, 0);
    method.step(&mut nan, &mut x).unwrap();
    assert_eq!(nan.products, method.last.unwrap().iterations);
}

fn descends_steeply<O>(objective: &mut O, end: CgEnd)
where
    O: GaussNewton<f64> + PerSample<f64>,
{
    let (mut g, mut square) = ([0.0; 30], [0.0; 30]);
    (objective.grad_moments(&[0.0; 30], &mut g, &mut square)).unwrap();
    let (mut method, mut x) = (method(HessianFree::default(), objective), [0.0; 30]);
    let report = method.step(objective, &mut x).unwrap();
    let step = method.last.unwrap();
    assert_eq!((step.iterations, step.end), (0, end));
    assert!(step.ratio.is_nan() && step.rate > 0.0);
    assert!(
        report
            .fallback
            .unwrap()
            .to_string()
            .contains("steepest descent")
    );
    assert_eq!(method.damping(), 1.5);
    assert!(objective.value(&x).unwrap() < report.loss);
    for ((x, g), square) in x.iter().zip(g).zip(square) {
        let expected = -step.rate * g / (square + 1.0_f64).powf(0.75);
        assert!((x - expected).abs() <= 1e-14 * expected.abs());
    }
}

#[test]
fn an_indefinite_matrix_stops_cg_and_the_loss_falls() {
    let saddle = |i: usize| if i == 0 { 2.0 } else { -2.0 };
    let mut saddle = Quadratic::new(ParamMap::flat(2).unwrap(), saddle, |_| 0.0);
    let mut method = method(HessianFree::default(), &saddle);
    let (mut x, mut ends) = ([-1.0, 1e-3], Vec::new());
    for _ in 0..10 {
        let report = method.step(&mut saddle, &mut x).unwrap();
        assert!(saddle.value(&x).unwrap() < report.loss);
        assert!(report.fallback.is_some());
        ends.push(method.last.unwrap().end);
    }
    assert!(ends.iter().all(|end| *end == CgEnd::Curvature), "{ends:?}");
    assert!(x[1].abs() > 1e-3, "{x:?}");
}

/// ½|x − 3|², which is NaN beyond x₀ = 1.
#[derive(Clone)]
struct Wall(Quadratic<f64>);

impl Objective<f64> for Wall {
    fn params(&self) -> &ParamMap {
        self.0.params()
    }

    fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
        let value = self.0.value(x)?;
        Ok(if x[0] > 1.0 { f64::NAN } else { value })
    }

    fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        self.0.grad(x, g)
    }
}

impl PerSample<f64> for Wall {
    fn samples(&self) -> usize {
        1
    }

    fn grad_moments(&mut self, x: &[f64], g: &mut [f64], square: &mut [f64]) -> Result<f64, Error> {
        self.0.grad_moments(x, g, square)
    }
}

impl GaussNewton<f64> for Wall {
    fn gauss_newton_product(&mut self, x: &[f64], v: &[f64], out: &mut [f64]) -> Result<(), Error> {
        self.0.gauss_newton_product(x, v, out)
    }
}

#[test]
fn a_loss_that_is_not_finite_counts_as_high() {
    let mut wall = Wall(Quadratic::new(ParamMap::flat(3).unwrap(), |_| 1.0, |_| 3.0));
    let mut method = method(HessianFree::default(), &wall);
    let (mut x, mut loss, mut stayed) = ([0.0; 3], 13.5, 0);
    for _ in 0..60 {
        let before = x;
        let report = method.step(&mut wall, &mut x).unwrap();
        let now = wall.value(&x).unwrap();
        assert!(now <= loss, "{loss} became {now}");
        if method.last.unwrap().rate == 0.0 {
            assert_eq!(x, before);
            assert!(
                report
                    .fallback
                    .unwrap()
                    .to_string()
                    .contains("no step lowers")
            );
            stayed += 1;
        }
        loss = now;
    }
    assert!(x[0] > 0.99 && method.damping() > 1.0, "{x:?}");
    assert!(stayed > 0);
}

#[test]
fn the_walk_back_passes_iterates_without_a_finite_loss() {
    let mut ball = Faulty::new(tanh());
    let mut x = [0.0; 30];
    let default = HessianFree::default;
    (method(default(), &ball).step(&mut ball, &mut x)).unwrap();
    // The iterates of CG grow, the first ones fastest.
    ball.radius = 0.98 * opt_core::norm(&x);
    let (mut method, mut x) = (method(default(), &ball), [0.0; 30]);
    method.step(&mut ball, &mut x).unwrap();
    assert!(ball.beyond >= 3, "{}", ball.beyond);
    // One of them was within, so that none had to be shortened.
    assert_eq!(method.last.unwrap().rate, 1.0);
    assert!(opt_core::norm(&x) <= ball.radius && x != [0.0; 30]);
}

#[test]
fn where_no_step_lowers_the_loss_x_stays_and_the_damping_rises() {
    let mut liar = Faulty::new(tanh());
    liar.lie = true;
    let mut method = method(HessianFree::default(), &liar);
    let mut x = [0.0; 30];
    let report = method.step(&mut liar, &mut x).unwrap();
    assert_eq!((x, method.damping()), ([0.0; 30], 1.5));
    assert_eq!(method.last.unwrap().rate, 0.0);
    assert!(
        report
            .fallback
            .unwrap()
            .to_string()
            .contains("no step lowers")
    );
}

#[test]
fn a_zero_gradient_changes_nothing() {
    let map = ParamMap::flat(4).unwrap();
    let mut quadratic = Quadratic::new(map.clone(), |_| 2.0, |i| i as f64);
    let mut method = method(HessianFree::default(), &quadratic);
    let mut x = [5.0; 4];
    method.step(&mut quadratic, &mut x).unwrap();
    x = [0.0, 1.0, 2.0, 3.0];
    let before = snapshot(&map, &mut method, &mut x);
    let report = method.step(&mut quadratic, &mut x).unwrap();
    assert!(
        report
            .fallback
            .unwrap()
            .to_string()
            .contains("gradient is zero")
    );
    assert!(snapshot(&map, &mut method, &mut x) == before);
}

#[test]
fn squared_gradients_beyond_single_precision_are_an_error() {
    let mut steep = Quadratic::<f32>::new(ParamMap::flat(2).unwrap(), |_| 1e15, |_| 1e10);
    let hyper = HessianFree::default();
    let mut method = hyper.method::<f32>(steep.params()).unwrap();
    let mut x = [0.0; 2];
    match method.step(&mut steep, &mut x) {
        Err(Error::Objective(source)) => {
            let found = source.downcast_ref();
            assert!(matches!(found, Some(opt_secondorder::Error::NonFinite(_))));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(x, [0.0; 2]);
}
