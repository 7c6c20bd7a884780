//! Any update on any direction.

use ndarray::s;
use opt_core::{Direction, FirstOrder, Groups, Layered, Method, Objective, Rule, Train, Update};
use opt_firstorder::{Adam, AdamW, Momentum, RmsProp, Sgd};
use opt_natural::{Curvature, Kfac, NaturalGradient, Prong, ProngPlus};
use opt_nn::{Activation, Init, Loss, Mlp, Spec, Target};

use crate::common::{digits, everything, load, restore, small, wave};

type Net = Mlp<f64>;
type AnyDirection = Box<dyn FnOnce(&Net) -> Box<dyn Direction<f64, Net>>>;

/// Every direction, to be made for a network; and whether it takes parameters outside of layers.
fn directions() -> Vec<(&'static str, bool, AnyDirection)> {
    fn boxed<D: Direction<f64, Net> + 'static>(
        make: impl FnOnce(&Net) -> D + 'static,
    ) -> AnyDirection {
        Box::new(move |mlp| Box::new(make(mlp)))
    }
    let prong = Prong {
        period: 3,
        samples: 60,
        ..Prong::default()
    };
    let plus = ProngPlus {
        period: 3,
        samples: 60,
        ..ProngPlus::default()
    };
    let kfac = Kfac {
        period: 3,
        ..Kfac::default()
    };
    let natural = NaturalGradient {
        curvature: Curvature::SampledFisher,
        ..NaturalGradient::default()
    };
    vec![
        (
            "prong",
            true,
            boxed(move |mlp| prong.direction(mlp.params(), mlp.places()).unwrap()),
        ),
        (
            "prong-plus",
            true,
            boxed(move |mlp| plus.direction(mlp.params(), mlp.places()).unwrap()),
        ),
        (
            "kfac",
            true,
            boxed(move |mlp| kfac.direction(mlp.params(), mlp.places()).unwrap()),
        ),
        (
            "natural",
            false,
            boxed(move |mlp| natural.direction(mlp.params(), mlp.places()).unwrap()),
        ),
    ]
}

fn updates(mlp: &Net) -> Vec<(&'static str, Box<dyn Update<f64>>)> {
    let params = mlp.params();
    let groups = Groups::builder()
        .rule("weights", |s| s.shape.len() == 2, Momentum::default())
        .rule("rest", |s| s.shape.len() == 1, Adam::default());
    vec![
        (
            "adamw",
            Box::new(FirstOrder::new(AdamW::default(), params).unwrap()),
        ),
        (
            "rmsprop",
            Box::new(FirstOrder::new(RmsProp::default(), params).unwrap()),
        ),
        (
            "momentum",
            Box::new(FirstOrder::new(Momentum::default(), params).unwrap()),
        ),
        ("groups", Box::new(groups.build(params).unwrap())),
    ]
}

fn model(norm: bool) -> (Net, Vec<f64>) {
    let (mut mlp, x) = small(norm, Loss::SoftmaxCrossEntropy);
    mlp.set_statistics(wave(70, 5, 0.9).into_shared()).unwrap();
    (mlp, x)
}

type Joined = Train<f64, Box<dyn Direction<f64, Net>>, Box<dyn Update<f64>>>;

/// Direction number `d` with update number `u`, on a network for them.
fn joined(d: usize, u: usize) -> (String, Net, Joined, Vec<f64>) {
    let (direction, norm, make) = directions().into_iter().nth(d).unwrap();
    let (mlp, x) = model(norm);
    let (update, by) = updates(&mlp).into_iter().nth(u).unwrap();
    let train = Train::along(make(&mlp), by);
    (format!("{direction} with {update}"), mlp, train, x)
}

fn all() -> impl Iterator<Item = (usize, usize)> {
    (0..4).flat_map(|d| (0..4).map(move |u| (d, u)))
}

#[test]
fn is_the_direction_and_then_the_update_bit_for_bit() {
    for (d, u) in all() {
        let (what, mut mlp, mut train, mut x) = joined(d, u);
        let (_, mut other, parts, mut y) = joined(d, u);
        drop(parts);
        let mut direction = directions().into_iter().nth(d).unwrap().2(&other);
        let mut update = updates(&other).into_iter().nth(u).unwrap().1;
        let mut g = vec![0.0; y.len()];
        for step in 0..8 {
            load(&mut mlp, step);
            train.step(&mut mlp, &mut x).unwrap();
            load(&mut other, step);
            direction.propose(&mut other, &y, &mut g).unwrap();
            update.apply(&mut y, &g).unwrap();
            direction.commit();
            other.accept();
            assert!(x == y, "{what}, step {step}");
        }
    }
}

/// And by the formula, for PRONG with the deck's momentum.
#[test]
fn the_method_is_its_direction_with_momentum_by_hand() {
    let prong = Prong {
        period: 3,
        samples: 60,
        ..Prong::default()
    };
    let (mut mlp, mut x) = model(true);
    let mut method = prong.method(mlp.params(), mlp.places()).unwrap();
    let (mut other, mut y) = model(true);
    let mut direction = prong.direction(other.params(), other.places()).unwrap();
    let (mut d, mut v) = (vec![0.0; y.len()], vec![0.0; y.len()]);
    for step in 0..8 {
        load(&mut mlp, step);
        method.step(&mut mlp, &mut x).unwrap();
        load(&mut other, step);
        direction.propose(&mut other, &y, &mut d).unwrap();
        for ((y, v), d) in y.iter_mut().zip(&mut v).zip(&d) {
            *v = 0.9 * *v + 3e-3 * d;
            *y -= *v;
        }
        opt_core::Staged::commit(&mut direction);
        other.accept();
        assert!(x == y, "step {step}");
    }
}

#[test]
fn resumed_at_any_of_three_stops_they_go_on_bit_for_bit() {
    for ((d, u), stop) in all().flat_map(|pair| [1, 5, 8].map(|stop| (pair, stop))) {
        let (what, mut mlp, mut train, mut x) = joined(d, u);
        for step in 0..stop {
            load(&mut mlp, step);
            train.step(&mut mlp, &mut x).unwrap();
        }
        let saved = everything(&mut mlp, &mut train, &mut x);
        let (_, mut other, mut resumed, mut y) = joined(d, u);
        y.fill(0.0);
        restore(&saved, &mut other, &mut resumed, &mut y);
        for step in stop..12 {
            load(&mut mlp, step);
            train.step(&mut mlp, &mut x).unwrap();
            load(&mut other, step);
            resumed.step(&mut other, &mut y).unwrap();
        }
        let a = everything(&mut mlp, &mut train, &mut x);
        let b = everything(&mut other, &mut resumed, &mut y);
        assert!(a == b, "{what}, stopped at {stop}");
    }
}

/// γ and β follow their plain gradient, by the update of their group.
#[test]
fn what_is_outside_of_layers_follows_its_gradient() {
    for d in 0..3 {
        let (name, _, make) = directions().into_iter().nth(d).unwrap();
        let (mut mlp, mut x) = model(true);
        load(&mut mlp, 0);
        let mut g = vec![0.0; x.len()];
        mlp.grad(&x, &mut g).unwrap();
        let plain = Sgd {
            lr: 0.25,
            ..Sgd::default()
        };
        let outside = |name: &str| name == "layer0.gamma" || name == "layer0.beta";
        let groups = Groups::builder()
            .rule("layers", |s| !outside(&s.name), AdamW::default())
            .rule("outside", |s| outside(&s.name), plain)
            .build(mlp.params())
            .unwrap();
        let direction = make(&mlp);
        let before = x.clone();
        let mut train = Train::along(direction, groups);
        train.step(&mut mlp, &mut x).unwrap();
        for name in ["layer0.gamma", "layer0.beta"] {
            for i in mlp.params().get(name).unwrap().range.clone() {
                assert!(g[i] != 0.0);
                assert!((x[i] - (before[i] - 0.25 * g[i])).abs() < 1e-15, "{name}");
            }
        }
        assert!(
            x[0] != before[0] && (x[0] - before[0]).abs() < 2e-3,
            "{name}"
        );
    }
}

/// The loss on the digits after 60 updates of 100 samples, and before.
fn trained(make: impl FnOnce(&Mlp<f32>) -> Box<dyn Method<f32, Mlp<f32>>>) -> (f64, f64) {
    let (inputs, labels) = digits::<f32>(1797);
    let spec = Spec::classifier(&[64, 30, 20, 10], Activation::Tanh);
    let mut mlp = Mlp::new(spec).unwrap();
    mlp.set_statistics(inputs.to_shared()).unwrap();
    let mut x = mlp.init(Init::LeCun, 1);
    let mut method = make(&mlp);
    let loss = |mlp: &mut Mlp<f32>, x: &[f32]| {
        let all = mlp.evaluate(x, inputs.view(), Target::Classes(&labels));
        all.unwrap().loss
    };
    let start = loss(&mut mlp, &x);
    for t in 0..60 {
        let rows = (t % 17) * 100..(t % 17 + 1) * 100;
        let target = Target::Classes(&labels[rows.clone()]);
        mlp.load(inputs.slice(s![rows, ..]), target, 0).unwrap();
        method.step(&mut mlp, &mut x).unwrap();
    }
    (loss(&mut mlp, &x), start)
}

#[test]
fn they_train_the_digits() {
    let adamw = AdamW {
        lr: 0.01,
        ..AdamW::default()
    };
    let (loss, start) = trained(|mlp| {
        let direction = Kfac::default()
            .direction(mlp.params(), mlp.places())
            .unwrap();
        let update = FirstOrder::new(adamw, mlp.params()).unwrap();
        Box::new(Train::along(direction, update))
    });
    assert!(loss < 0.2 * start, "K-FAC with AdamW: {loss} of {start}");
    let rmsprop = RmsProp {
        lr: 0.01,
        ..RmsProp::default()
    };
    let (loss, start) = trained(|mlp| {
        let direction = Prong::default()
            .direction(mlp.params(), mlp.places())
            .unwrap();
        let update = FirstOrder::new(rmsprop, mlp.params()).unwrap();
        Box::new(Train::along(direction, update))
    });
    assert!(loss < 0.2 * start, "PRONG with RMSProp: {loss} of {start}");
}

#[test]
fn a_rule_makes_a_method_along_the_gradient() {
    let (mut mlp, mut x) = model(true);
    load(&mut mlp, 0);
    let mut method = Rule::<f64, 0>::method(Sgd::default(), mlp.params()).unwrap();
    assert!(method.step(&mut mlp, &mut x).unwrap().moves);
}
