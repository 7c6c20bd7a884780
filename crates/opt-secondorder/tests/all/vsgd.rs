//! What is known of vSGD.

#![allow(clippy::unwrap_used)] // helpers of tests

use crate::common;

use common::{Spoil, Spoiled, buffer, refuses, snapshot};
use opt_core::{
    AnyMethod, Error, HessianDiag, Method, Objective, ParamMap, Parameters, PerSample, State, norm,
};
use opt_secondorder::{Bbprop, FiniteDifferences, Form, Vsgd};
use opt_testkit::Quadratic;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

const FORMS: [Form; 3] = [Form::Local, Form::Block, Form::Global];

fn plain(form: Form) -> Vsgd {
    Vsgd {
        slow_start: 0.0,
        warmup: 1,
        outlier: 2.0,
        eps: 1e-9,
        form,
    }
}

type Both = [AnyMethod<f64, Quadratic<f64>>; 2];

fn both(hyper: &Vsgd, params: &ParamMap) -> Both {
    [
        Box::new(hyper.clone().method::<_, Bbprop>(params).unwrap()),
        Box::new(
            hyper
                .clone()
                .method::<_, FiniteDifferences>(params)
                .unwrap(),
        ),
    ]
}

#[test]
fn without_noise_the_optimum_takes_one_step() {
    let map = || ParamMap::new([("a", vec![2]), ("b", vec![2])]).unwrap();
    let local = |i: usize| [0.5, 2.0, 8.0, 0.0][i];
    let block = |i: usize| [0.5, 0.5, 8.0, 8.0][i];
    let global = |_| 4.0;
    let curvatures: [&dyn Fn(usize) -> f64; 3] = [&local, &block, &global];
    for (form, curvature) in FORMS.into_iter().zip(curvatures) {
        let mut quadratic = Quadratic::<f64>::new(map(), curvature, |i| 1.0 - i as f64);
        for (kind, method) in both(&plain(form), quadratic.params())
            .iter_mut()
            .enumerate()
        {
            // The last parameter of the local case has no gradient and no curvature.
            let mut x = [3.0, -2.0, 5.0, 7.0];
            let end = if form == Form::Local { 7.0 } else { -2.0 };
            method.step(&mut quadratic, &mut x).unwrap();
            assert_eq!(x, [3.0, -2.0, 5.0, 7.0], "the first minibatch is collected");
            for step in 0..3_000 {
                method.step(&mut quadratic, &mut x).unwrap();
                assert_eq!(x, [1.0, 0.0, -1.0, end], "{form:?} {kind}, step {step}");
            }
            let params = quadratic.params().clone();
            let state = format!("{:?}", snapshot(method.as_mut(), &params, &mut x));
            assert!(!state.contains("NaN"), "{state}");
        }
    }
}

/// ½h(x − c)² with c drawn anew in each step from N(0, 1), for each of many parameters: as many
/// independent runs in one dimension.
struct Noisy {
    params: ParamMap,
    centers: Vec<f64>,
    rng: Xoshiro256PlusPlus,
}

const H: f64 = 3.0;

impl Noisy {
    fn new(runs: usize) -> Self {
        Self {
            params: ParamMap::flat(runs).unwrap(),
            centers: vec![0.0; runs],
            rng: Xoshiro256PlusPlus::seed_from_u64(10),
        }
    }

    fn draw(&mut self) {
        for c in &mut self.centers {
            *c = StandardNormal.sample(&mut self.rng);
        }
    }
}

impl Objective<f64> for Noisy {
    fn params(&self) -> &ParamMap {
        &self.params
    }

    fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
        self.grad(x, &mut vec![0.0; x.len()])
    }

    fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        for (g, (x, c)) in g.iter_mut().zip(x.iter().zip(&self.centers)) {
            *g = H * (x - c);
        }
        Ok(0.5 * g.iter().map(|g| g * g / H).sum::<f64>())
    }
}

impl PerSample<f64> for Noisy {
    fn samples(&self) -> usize {
        1
    }

    fn grad_moments(&mut self, x: &[f64], g: &mut [f64], s: &mut [f64]) -> Result<f64, Error> {
        let loss = self.grad(x, g)?;
        s.iter_mut().zip(g).for_each(|(s, g)| *s = *g * *g);
        Ok(loss)
    }
}

impl HessianDiag<f64> for Noisy {
    fn hessian_diag(&mut self, _: &[f64], h: &mut [f64]) -> Result<(), Error> {
        h.fill(H);
        Ok(())
    }
}

#[test]
fn with_noise_the_rates_fall_as_one_over_t() {
    for outlier in [0.0, 2.0] {
        let mut noisy = Noisy::new(400);
        let hyper = Vsgd {
            outlier,
            ..plain(Form::Local)
        };
        let mut method = hyper.method::<_, Bbprop>(&noisy.params).unwrap();
        let mut x = vec![20.0; 400];
        for t in 0..=2_000_u32 {
            noisy.draw();
            method.step(&mut noisy, &mut x).unwrap(); // the first one collects
            let rates = method.direction().rates(1);
            assert!(rates.iter().all(|eta| (0.0..=1.0).contains(&(eta * H))));
            let mean = rates.iter().sum::<f64>() / 400.0 * H;
            // The rule of outliers takes the way to the minimum for noise: it starts late.
            let expected = match t {
                1 => Some(1.0),
                10 if outlier == 0.0 => Some(0.1),
                100 | 1_000 => Some(1.0 / f64::from(t)),
                _ => None,
            };
            if let Some(expected) = expected {
                assert!((0.5..=2.0).contains(&(mean / expected)), "{t}: {mean}");
            }
        }
        // The average of all t centers would be at 1/√t.
        let rms = norm(&x) / 20.0;
        assert!(rms <= 2.0 / 2_000.0_f64.sqrt(), "{outlier}: {rms}");
    }
}

#[test]
fn for_one_sample_the_moments_change_nothing() {
    // Batches of one: v is g², and the rates are the paper's P/h with P = ḡ²/v̄.
    let mut noisy = Noisy::new(5);
    let mut method = plain(Form::Local)
        .method::<_, Bbprop>(&noisy.params)
        .unwrap();
    let mut x = vec![1.0; 5];
    for _ in 0..50 {
        noisy.draw();
        method.step(&mut noisy, &mut x).unwrap();
    }
    let (g, v) = (buffer(&mut method, "g/x"), buffer(&mut method, "v/x"));
    for ((eta, g), v) in method.direction().rates(1).iter().zip(g).zip(v) {
        let expected = g * g / v / H;
        assert!((eta - expected).abs() <= 1e-14 * expected);
    }
}

#[test]
fn a_slow_start_is_slow_by_its_square() {
    let mut quadratic = Quadratic::<f64>::new(ParamMap::flat(3).unwrap(), |_| 2.0, |_| 0.0);
    let rate = |slow_start, quadratic: &mut Quadratic<f64>| {
        let hyper = Vsgd {
            slow_start,
            warmup: 999_999,
            ..plain(Form::Local)
        };
        // With a million minibatches behind it, the first step's own weight does not count.
        let mut method = hyper.method::<_, Bbprop>(quadratic.params()).unwrap();
        let mut x = [1.0; 3];
        method.step(quadratic, &mut x).unwrap();
        set_count(&mut method, "collected", 999_999);
        method.step(quadratic, &mut x).unwrap();
        1.0 - x[0]
    };
    // C = 1 + 7/√3·√3 = 8.
    let c = 7.0 / 3.0_f64.sqrt();
    let (full, slow) = (rate(0.0, &mut quadratic), rate(c, &mut quadratic));
    assert_eq!(full, 1.0);
    assert!((slow * 64.0 - 1.0).abs() < 1e-4, "{slow}");
}

/// A parameter that meets its first gradient after the warm-up starts as slowly as the others: with
/// nothing in its averages, whatever C is, its first step would be Newton's.
#[test]
fn a_slow_start_holds_for_what_has_not_been_seen() {
    let mut quadratic = Quadratic::<f64>::new(ParamMap::flat(2).unwrap(), |_| 1.0, |_| 0.0);
    let hyper = Vsgd {
        slow_start: 99.0 / 2.0_f64.sqrt(), // C = 100
        warmup: 4,
        outlier: 0.0,
        ..plain(Form::Local)
    };
    let mut method = hyper.method::<_, Bbprop>(quadratic.params()).unwrap();
    let mut x = [0.0, 1.0];
    for _ in 0..4 {
        method.step(&mut quadratic, &mut x).unwrap();
    }
    x[0] = 1.0;
    method.step(&mut quadratic, &mut x).unwrap();
    // The fifth of five equal weights: g = 1/5, v = h = 4/5·100 + 1/5, where v is the neighbour's.
    let rate = 0.2 * 0.2 / 80.2 / 80.2;
    assert!(((1.0 - x[0]) / rate - 1.0).abs() < 1e-9, "{}", 1.0 - x[0]);
}

fn set_count<M: State<f64>>(method: &mut M, name: &str, to: u64) {
    struct Set<'a>(&'a str, u64);
    impl opt_core::Visit<f64> for Set<'_> {
        fn packed(&mut self, _: &str, _: &[usize], _: opt_core::Bits<'_>) {}

        fn buffer(&mut self, _: &str, _: &[usize], _: &mut [f64]) {}
        fn count(&mut self, name: &str, value: &mut u64) {
            if name.strip_prefix("direction/").unwrap_or(name) == self.0 {
                *value = self.1;
            }
        }
        fn number(&mut self, _: &str, _: &mut f64) {}
    }
    method.visit(&mut Set(name, to));
}

#[test]
fn a_linear_loss_and_a_zero_gradient_move_nothing() {
    // Curvature 0 but a gradient: nothing is known of the step's length.
    struct Linear(ParamMap);
    impl Objective<f64> for Linear {
        fn params(&self) -> &ParamMap {
            &self.0
        }
        fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
            Ok(x.iter().sum())
        }
        fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
            g.fill(1.0);
            self.value(x)
        }
    }
    impl PerSample<f64> for Linear {
        fn samples(&self) -> usize {
            4
        }
        fn grad_moments(&mut self, x: &[f64], g: &mut [f64], s: &mut [f64]) -> Result<f64, Error> {
            s.fill(1.0);
            self.grad(x, g)
        }
    }
    impl HessianDiag<f64> for Linear {
        fn hessian_diag(&mut self, _: &[f64], h: &mut [f64]) -> Result<(), Error> {
            h.fill(0.0);
            Ok(())
        }
    }
    for form in FORMS {
        let mut linear = Linear(ParamMap::flat(3).unwrap());
        let mut one = plain(form).method::<_, Bbprop>(&linear.0).unwrap();
        let mut two = plain(form)
            .method::<_, FiniteDifferences>(&linear.0)
            .unwrap();
        let mut x = [1.0; 3];
        for _ in 0..20 {
            one.step(&mut linear, &mut x).unwrap();
            two.step(&mut linear, &mut x).unwrap();
        }
        assert_eq!(x, [1.0; 3]);

        let mut quadratic = Quadratic::new(ParamMap::flat(3).unwrap(), |_| 2.0, |_| 1.0);
        for mut method in both(&plain(form), quadratic.params()) {
            for _ in 0..20 {
                method.step(&mut quadratic, &mut x).unwrap();
            }
            assert_eq!(x, [1.0; 3], "the start is the minimum");
        }
    }
}

#[test]
fn answers_that_are_not_finite_change_nothing() {
    for form in FORMS {
        let params = ParamMap::flat(4).unwrap();
        let mut objective = Spoiled {
            inner: Quadratic::new(params.clone(), |i| 1.0 + i as f64, |_| 1.0),
            spoil: None,
        };
        let mut x = [3.0, 2.0, 0.0, -1.0];
        let mut method = plain(form).method::<_, Bbprop>(&params).unwrap();
        for spoil in [
            Spoil::Square,
            Spoil::Diagonal,
            Spoil::Square,
            Spoil::Diagonal,
        ] {
            refuses(&mut method, &mut objective, &mut x, spoil);
        }
        let mut method = plain(form).method::<_, FiniteDifferences>(&params).unwrap();
        for spoil in [
            Spoil::Square,
            Spoil::Gradient,
            Spoil::Square,
            Spoil::Gradient,
        ] {
            refuses(&mut method, &mut objective, &mut x, spoil);
        }
    }
}

/// Beyond the first minibatches, which are all that the suite has time for.
#[test]
fn steps_resume_bitwise_and_do_not_depend_on_the_number_of_threads() {
    let shapes = [
        ("weight", vec![301, 250]),
        ("empty", vec![0]),
        ("bias", vec![301]),
    ];
    let map = ParamMap::new(shapes).unwrap();
    for form in FORMS {
        for kind in 0..2 {
            let run = |threads: usize, restart: bool| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
                pool.build().unwrap().install(|| {
                    let curvature = |i: usize| 0.5 + (i * 7 % 11) as f64;
                    let mut quadratic = Quadratic::new(map.clone(), curvature, |i| (i % 3) as f64);
                    let mut x = vec![0.5; map.len()];
                    let mut method = both(&plain(form), &map).into_iter().nth(kind).unwrap();
                    for step in 0..8 {
                        // Noise, so that every path is taken.
                        let shift = |i: usize| ((i * 13 + step * 5) % 17) as f64 * 0.1;
                        for (i, c) in quadratic.minimum.iter_mut().enumerate() {
                            *c = (i % 3) as f64 + shift(i);
                        }
                        method.step(&mut quadratic, &mut x).unwrap();
                        if restart && step % 2 == 0 {
                            let saved = snapshot(method.as_mut(), &map, &mut x);
                            method = both(&plain(form), &map).into_iter().nth(kind).unwrap();
                            let mut parameters = Parameters::new(&map, &mut x).unwrap();
                            saved
                                .restore(&mut [("method", method.as_mut()), ("x", &mut parameters)])
                                .unwrap();
                        }
                    }
                    x
                })
            };
            let one = run(1, false);
            assert!(one.iter().any(|x| *x != 0.5));
            assert!(one == run(3, false), "{form:?} {kind}: threads");
            assert!(one == run(2, true), "{form:?} {kind}: resume");
        }
    }
}

#[test]
fn hyper_parameters_change_by_name() {
    let params = ParamMap::flat(2).unwrap();
    let mut method = Vsgd::default().method::<f64, Bbprop>(&params).unwrap();
    let method: &mut dyn Method<f64, Quadratic<f64>> = &mut method;
    for (name, good, bad) in [
        ("slow_start", 1.0, -0.5),
        ("warmup", 3.0, 0.0),
        ("outlier", 0.0, -1.0),
        ("eps", 1e-12, 0.0),
    ] {
        method.set(name, good.into()).unwrap();
        assert!(matches!(
            method.set(name, bad.into()),
            Err(Error::Hyper { .. })
        ));
    }
}
