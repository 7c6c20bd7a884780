//! Rates of 0, rates and decays that follow a schedule, and steps that a segment sits out.

#![allow(clippy::unwrap_used)] // helpers of tests

use opt_core::{
    Error, FirstOrder, Grouped, Groups, Objective, ParamMap, Part, Rule, Segment, Snapshot, Tune,
    Update,
};
use opt_firstorder::{
    Adam, AdamW, AmsGrad, DeltaBarDelta, Gains, Momentum, RmsProp, RpropPlus, Sgd, zoo,
};

fn wave(i: usize) -> f64 {
    ((i * 13) % 17) as f64 / 8.0 - 1.1
}

#[test]
fn at_a_rate_of_0_state_moves_and_x_stays() {
    let params = ParamMap::flat(5).unwrap();
    for entry in zoo::<f64, dyn Objective<f64>>() {
        let Some(made) = entry.update(&[], &params) else {
            continue;
        };
        let rate = entry.fields()[0].name.clone();
        if !["lr", "step0"].contains(&rate.as_str()) || entry.name().contains("rprop") {
            continue;
        }
        let mut warm = entry
            .update(&[(&rate, 0.0.into())], &params)
            .unwrap()
            .unwrap();
        let mut plain = made.unwrap();
        // 1 − shrink·x: AdamW's decay has the rate as a factor, too.
        let start: Vec<f64> = (0..5).map(wave).collect();
        let (mut x, mut y) = (start.clone(), start.clone());
        for t in 0..4 {
            let g: Vec<f64> = (0..5).map(|i| wave(i + 3 * t)).collect();
            warm.apply(&mut x, &g).unwrap();
            plain.apply(&mut y, &g).unwrap();
        }
        match entry.name() {
            // It raises its own rate.
            "delta-bar-delta" => assert!(x != start),
            name => assert_eq!(x, start, "{name}"),
        }
        // What has the rate in its state has none of it; all other state is as with any rate.
        let held = ["momentum", "gains", "delta-bar-delta", "rmsprop-momentum"];
        if held.contains(&entry.name()) {
            continue;
        }
        let default = entry.fields()[0].value.clone();
        warm.set(&rate, default).unwrap();
        (x, y) = (start.clone(), start);
        let g: Vec<f64> = (0..5).map(|i| wave(i + 40)).collect();
        warm.apply(&mut x, &g).unwrap();
        plain.apply(&mut y, &g).unwrap();
        assert_eq!(x, y, "{}", entry.name());
    }
}

#[test]
fn what_is_held_moves_on_at_a_rate_of_0() {
    let params = ParamMap::flat(1).unwrap();
    let coast = |update: &mut dyn Update<f64>| {
        let mut x = [0.0];
        update.apply(&mut x, &[1.0]).unwrap();
        update.scale("lr", 0.0).unwrap();
        (0..4)
            .map(|_| {
                let before = x[0];
                update.apply(&mut x, &[1.0]).unwrap();
                x[0] - before
            })
            .collect::<Vec<f64>>()
    };
    let near = |moves: Vec<f64>, expected: [f64; 4]| {
        for (a, b) in moves.iter().zip(expected) {
            assert!((a - b).abs() < 1e-15, "{moves:?}");
        }
    };
    let powers = [0.9, 0.81, 0.729, 0.6561];
    let momentum = Momentum {
        lr: 0.5,
        ..Momentum::default()
    };
    let mut momentum = FirstOrder::new(momentum, &params).unwrap();
    near(coast(&mut momentum), powers.map(|p| -0.5 * p));
    let gains = Gains {
        lr: 0.5,
        ..Gains::default()
    };
    near(
        coast(&mut FirstOrder::new(gains, &params).unwrap()),
        powers.map(|p| -0.5 * p),
    );
    // Its rates start with lr; 0 grows by κ from the second step on.
    let delta = DeltaBarDelta {
        lr: 0.0,
        kappa: 0.25,
        ..DeltaBarDelta::default()
    };
    let moves = coast(&mut FirstOrder::new(delta, &params).unwrap());
    near(moves, [-0.25, -0.5, -0.75, -1.0]);
}

/// Adam's step under a constant gradient is α, whatever schedule β follows.
#[test]
fn steps_stay_alpha_while_the_decay_rates_change() {
    let params = ParamMap::flat(1).unwrap();
    let makers: [&dyn Fn() -> Box<dyn Update<f64>>; 3] = [
        &|| {
            let rule = Adam {
                lr: 0.01,
                beta2: 0.9,
                eps: 0.0,
                ..Adam::default()
            };
            Box::new(FirstOrder::new(rule, &params).unwrap())
        },
        &|| {
            let rule = AmsGrad {
                lr: 0.01,
                beta2: 0.9,
                eps: 0.0,
                ..AmsGrad::default()
            };
            Box::new(FirstOrder::new(rule, &params).unwrap())
        },
        &|| {
            let (lr, beta2) = (0.01, 0.9);
            let rule = AdamW {
                lr,
                beta2,
                eps: 0.0,
                weight_decay: 0.0,
                ..AdamW::default()
            };
            Box::new(FirstOrder::new(rule, &params).unwrap())
        },
    ];
    for (make, g) in makers.iter().flat_map(|make| [(make, 3.0), (make, -0.02)]) {
        let (mut whole, mut falling) = (make(), make());
        for t in 1..=60 {
            if t == 11 {
                whole.set("beta2", 0.999.into()).unwrap();
            }
            // β₁,t = β₁λ^(t − 1), as in the paper's theorem.
            falling.scale("beta1", 0.9_f64.powi(t - 1)).unwrap();
            for update in [&mut whole, &mut falling] {
                let mut x = [0.0];
                update.apply(&mut x, &[g]).unwrap();
                let error = x[0] + 0.01 * f64::signum(g);
                assert!(error.abs() < 1e-14, "{t}: {error:e}");
            }
        }
    }
}

#[test]
fn steps_that_a_segment_sits_out_do_not_count() {
    let params = ParamMap::new([("w", vec![1]), ("rare", vec![1])]).unwrap();
    let rule = Adam {
        lr: 0.01,
        eps: 0.0,
        ..Adam::default()
    };
    let mut adam = FirstOrder::new(rule, &params).unwrap();
    let (mut w, mut rare) = ([0.0], [0.0]);
    for _ in 0..999 {
        let mut parts = [Part::new(&mut w, &[1.0]), Part::still(&mut rare)];
        adam.apply_parts(&mut parts).unwrap();
    }
    assert_eq!((rare, adam.steps(0), adam.steps(1)), ([0.0], 999, 0));
    let mut parts = [Part::still(&mut w), Part::new(&mut rare, &[-5.0])];
    adam.apply_parts(&mut parts).unwrap();
    assert!(
        (rare[0] - 0.01_f64).abs() < 1e-15 && (w[0] + 9.99).abs() < 1e-9,
        "{w:?} {rare:?}"
    );
    assert_eq!((adam.steps(0), adam.steps(1)), (999, 1));
    // A bad gradient where there is one; nothing where there is none.
    let mut parts = [Part::still(&mut w), Part::new(&mut rare, &[f64::NAN])];
    let error = adam.apply_parts(&mut parts).unwrap_err();
    assert!(matches!(error, Error::NonFiniteGradient { segment, .. } if segment == "rare"));
}

/// Rules of different types, decays and ranges side by side, against optimizers of their own.
#[test]
fn groups_are_optimizers_of_their_own() {
    let params = ParamMap::new([
        ("embedding", vec![3, 2]),
        ("w1", vec![4, 3]),
        ("b1", vec![4]),
        ("w2", vec![2, 4]),
        ("b2", vec![2]),
    ])
    .unwrap();
    let adam = || Adam {
        lr: 0.02,
        ..Adam::default()
    };
    let build = || {
        Groups::<f32>::builder()
            .rule("weights", |s| s.name.starts_with('w'), adam())
            .rule("biases", |s| s.name.starts_with('b'), RpropPlus::default())
            .frozen("fixed", |s| s.name == "embedding")
            .build(&params)
            .unwrap()
    };
    let flat = |n: usize| ParamMap::flat(n).unwrap();
    let (mut groups, mut x) = (build(), (0..32).map(|i| wave(i) as f32).collect::<Vec<_>>());
    let mut weights = [12, 8].map(|n| FirstOrder::new(adam(), &flat(n)).unwrap());
    let mut biases = [4, 2].map(|n| FirstOrder::new(RpropPlus::default(), &flat(n)).unwrap());
    let mut y = x.clone();
    for t in 0..20 {
        let g: Vec<f32> = (0..32).map(|i| wave(i + 7 * t) as f32).collect();
        groups.scale("lr", 1.0 / (t as f64 + 1.0)).unwrap(); // of Adam alone
        groups.apply(&mut x, &g).unwrap();
        for (adam, range) in weights.iter_mut().zip([6..18, 22..30]) {
            adam.scale("lr", 1.0 / (t as f64 + 1.0)).unwrap();
            adam.apply(&mut y[range.clone()], &g[range]).unwrap();
        }
        for (rprop, range) in biases.iter_mut().zip([18..22, 30..32]) {
            rprop.apply(&mut y[range.clone()], &g[range]).unwrap();
        }
        assert_eq!(x, y, "step {t}");
    }
    // 1e20 is no gradient for Adam in f32, and then none for anybody; it is for Rprop.
    let saved = Snapshot::take(&mut [("u", &mut groups)]).unwrap();
    let mut g = vec![0.5_f32; 32];
    g[22] = 1e20;
    let error = groups.apply(&mut x, &g).unwrap_err();
    assert!(matches!(error, Error::GradientRange { segment, index: 0, .. } if segment == "w2"));
    assert!(x == y && Snapshot::take(&mut [("u", &mut groups)]).unwrap() == saved);
    g.swap(22, 30);
    groups.apply(&mut x, &g).unwrap();
    let mut resumed = build();
    saved.restore(&mut [("u", &mut resumed)]).unwrap();
    resumed.scale("lr", 0.05).unwrap();
    resumed.apply(&mut y, &g).unwrap();
    assert_eq!(x, y);
}

/// Every elementwise method of the registry, each group with a rate of its own.
#[test]
fn groups_by_name_are_optimizers_of_their_own() {
    let params = ParamMap::new([("w", vec![3]), ("b", vec![2])]).unwrap();
    let mut tried = 0;
    for entry in zoo::<f64, dyn Objective<f64>>() {
        let rate = entry.fields()[0].name.clone();
        let (low, high) = ([(&*rate, 0.01.into())], [(&*rate, 0.03.into())]);
        let (w, b) = (|s: &Segment| s.name == "w", |s: &Segment| s.name == "b");
        let Some(made) = entry.groups(&[("low", &low, &w), ("high", &high, &b)], &params) else {
            assert!(!entry.is_elementwise());
            continue;
        };
        let own = |set: &[_; 1], n| {
            let params = ParamMap::flat(n).unwrap();
            entry.update(set, &params).unwrap().unwrap()
        };
        let (mut made, mut low, mut high) = (made.unwrap(), own(&low, 3), own(&high, 2));
        let mut x: Vec<f64> = (0..5).map(wave).collect();
        let mut y = x.clone();
        for t in 0..5 {
            let g: Vec<f64> = (0..5).map(|i| wave(i + 7 * t)).collect();
            made.apply(&mut x, &g).unwrap();
            low.apply(&mut y[..3], &g[..3]).unwrap();
            high.apply(&mut y[3..], &g[3..]).unwrap();
        }
        assert_eq!(x, y, "{}", entry.name());
        tried += 1;
        let unknown = [("rat", 0.1.into())];
        let groups: [Grouped<'_>; 2] = [("low", &unknown, &w), ("high", &[], &b)];
        let error = entry.groups(&groups, &params).unwrap().unwrap_err();
        assert!(matches!(error, Error::UnknownHyper { .. }));
    }
    assert!(tried > 15, "{tried}");
}

#[test]
fn a_rule_is_a_method_by_one_call() {
    let params = ParamMap::flat(2).unwrap();
    let mut method = Sgd {
        lr: 0.5,
        ..Sgd::default()
    }
    .method(&params)
    .unwrap();
    let mut bowl = opt_testkit::Quadratic::<f64>::new(params.clone(), |_| 1.0, |_| 0.0);
    let mut x = [1.0, -2.0];
    let report = method.step(&mut bowl, &mut x).unwrap();
    assert_eq!((report.loss, x, bowl.accepted), (2.5, [0.5, -1.0], 1));
    method.set("lr", 1.0.into()).unwrap();
    method.step(&mut bowl, &mut x).unwrap();
    assert_eq!(x, [0.0; 2]);
    let Err(error) = Rule::<f32, 1>::method(
        RmsProp {
            lr: 1e39,
            ..RmsProp::default()
        },
        &params,
    ) else {
        panic!("1e39 is no f32");
    };
    assert!(matches!(error, Error::HyperRounds { name, .. } if name == "lr"));
}
