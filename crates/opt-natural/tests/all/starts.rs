//! PRONG whitens before its first update, or collects and says so.

use opt_core::{Counted, Fallback, Layered, Method, Objective, Train};
use opt_firstorder::RmsProp;
use opt_natural::{Prong, ProngCoordinates, ProngPlus, Whiten};
use opt_nn::{Loss, Mlp};

use crate::common::{load, small, wave};

type Model = Counted<Mlp<f64>>;
type Boxed = Box<dyn Method<f64, Model>>;

/// PRONG, PRONG+ and a direction with another update, for so many samples.
fn forms(samples: u64, model: &Model) -> [(&'static str, Boxed); 3] {
    let (params, places) = (model.params(), model.places());
    let prong = Prong {
        samples,
        period: 4,
        ..Prong::default()
    };
    let plus = ProngPlus {
        samples,
        period: 4,
        ..ProngPlus::default()
    };
    let direction = prong.direction::<f64>(params, places).unwrap();
    let rmsprop = opt_core::FirstOrder::new(RmsProp::default(), params).unwrap();
    [
        ("prong", Box::new(prong.method(params, places).unwrap())),
        ("prong-plus", Box::new(plus.method(params, places).unwrap())),
        ("rmsprop", Box::new(Train::along(direction, rmsprop))),
    ]
}

/// With a statistics set of so many rows, if any.
fn model(rows: usize) -> (Model, Vec<f64>) {
    let (mut mlp, x) = small(true, Loss::SoftmaxCrossEntropy);
    if rows > 0 {
        mlp.set_statistics(wave(rows, 5, 0.9).into_shared())
            .unwrap();
    }
    (Counted::new(mlp), x)
}

#[test]
fn a_statistics_set_whitens_before_the_first_update() {
    for form in 0..3 {
        let (mut model, mut x) = model(70);
        let (name, mut method) = forms(60, &model).into_iter().nth(form).unwrap();
        for step in 0..6 {
            load(&mut model.inner, step);
            let before = x.clone();
            let report = method.step(&mut model, &mut x).unwrap();
            assert!(report.moves && x != before, "{name}, step {step}");
            assert_eq!(report.fallback, None, "{name}, step {step}");
            assert_eq!((model.gradients, model.observed), (step as u64 + 1, 60));
        }
    }
}

#[test]
fn without_one_the_first_steps_collect() {
    for form in 0..3 {
        let (mut model, mut x) = model(0);
        // Of 24 samples each: the third has enough.
        let (name, mut method) = forms(60, &model).into_iter().nth(form).unwrap();
        for step in 0..6 {
            load(&mut model.inner, step);
            let before = x.clone();
            let report = method.step(&mut model, &mut x).unwrap();
            let collecting = step < 2;
            let expected = collecting.then_some(Fallback::Collecting);
            assert_eq!(report.fallback, expected, "{name}, step {step}");
            assert_eq!(report.moves, !collecting, "{name}, step {step}");
            assert_eq!(x == before, collecting, "{name}, step {step}");
            assert_eq!((model.gradients, model.observed), (step as u64 + 1, 0));
        }
    }
}

/// The widest layer has 6 inputs.
#[test]
fn fewer_samples_than_inputs_do_not_pass_without_a_word() {
    for (rows, samples, few) in [(70, 5, true), (70, 6, false), (5, 60, true), (6, 60, false)] {
        for form in 0..3 {
            let (mut model, mut x) = model(rows);
            let (name, mut method) = forms(samples, &model).into_iter().nth(form).unwrap();
            load(&mut model.inner, 0);
            let report = method.step(&mut model, &mut x).unwrap();
            let expected = few.then_some(Fallback::FewSamples);
            assert_eq!(report.fallback, expected, "{name}: {samples} of {rows}");
            assert!(report.moves);
        }
        let (mut model, mut x) = model(rows);
        let whiten = Whiten {
            samples,
            ..Whiten::default()
        };
        let inner = opt_core::FirstOrder::new(RmsProp::default(), model.params()).unwrap();
        let mut own = ProngCoordinates::new(whiten, inner, &model).unwrap();
        load(&mut model.inner, 0);
        let report = own.step(&mut model, &mut x).unwrap();
        assert_eq!(report.fallback, few.then_some(Fallback::FewSamples));
    }
    // So also where the minibatches are the statistics: 24 samples for 30 inputs.
    let spec = opt_nn::Spec::classifier(&[30, 3], opt_nn::Activation::Tanh);
    let mut mlp = Mlp::new(spec).unwrap();
    let mut x = mlp.init(opt_nn::Init::LeCun, 1);
    let labels: Vec<u8> = (0..24).map(|i| i % 3).collect();
    let target = opt_nn::Target::Classes(&labels);
    mlp.load(wave(24, 30, 0.2).view(), target, 0).unwrap();
    let prong = Prong {
        samples: 24,
        period: 1,
        ..Prong::default()
    };
    let mut method = prong.method(mlp.params(), mlp.places()).unwrap();
    for _ in 0..3 {
        let report = method.step(&mut mlp, &mut x).unwrap();
        assert_eq!(report.fallback, Some(Fallback::FewSamples));
    }
}

/// A period longer than the run whitens at initialization alone; another, when it is due.
#[test]
fn refreshes_come_with_the_period() {
    for (period, expected) in [(4, [1, 1, 1, 1, 2, 2, 2, 2, 3]), (1_000, [1; 9])] {
        let (mlp, mut x) = model(70);
        let mut mlp = mlp.inner;
        let prong = Prong {
            samples: 24,
            period,
            ..Prong::default()
        };
        let mut method = prong.method(mlp.params(), mlp.places()).unwrap();
        for (step, refreshes) in expected.into_iter().enumerate() {
            load(&mut mlp, step);
            method.step(&mut mlp, &mut x).unwrap();
            assert_eq!(method.direction().refreshes(), refreshes, "step {step}");
        }
    }
}
