//! PRONG keeps the function, is the same in both coordinates, and is half of K-FAC.

#![allow(clippy::unwrap_used)] // helpers of tests

mod solve;

use ndarray::{Array2, s};
use opt_core::{
    Error, FirstOrder, Layered, Method, Objective, Parameters, Scalar, Snapshot, State,
};
use opt_firstorder::{Adam, Momentum, Sgd};
use opt_natural::{Preconditioned, Prong, ProngCoordinates, ProngPlus, Whiten};
use opt_nn::{Activation, Init, Mlp, Spec, Target};
use solve::solve;

/// 8×8 digits in single or double precision.
fn digits<F: Scalar>(rows: usize) -> (Array2<F>, Vec<u8>) {
    let digits = opt_data::digits().unwrap();
    let inputs = digits
        .inputs
        .slice(s![..rows, ..])
        .mapv(|v| F::of(v.into()));
    (inputs, digits.labels[..rows].to_vec())
}

/// 64-12-9-10, with every constant pixel of the digits.
fn network<F: Scalar>(inputs: &Array2<F>, labels: &[u8]) -> (Mlp<F>, Vec<F>) {
    let mut mlp = Mlp::new(Spec::classifier(&[64, 12, 9, 10], Activation::Tanh)).unwrap();
    mlp.set_statistics(inputs.to_shared()).unwrap();
    mlp.load(inputs.view(), Target::Classes(labels), 0).unwrap();
    let x = mlp.init(Init::LeCun, 3);
    (mlp, x)
}

fn whiten(eps: f64, period: f64, samples: usize) -> Whiten {
    Whiten {
        eps,
        period,
        samples: samples as f64,
        floor: 0.0,
    }
}

/// Trains with a reparametrization at every step, and compares the outputs around each.
fn preserved<F: Scalar + opt_natural::Decompose>(tolerance: f64) {
    let (inputs, labels) = digits::<F>(200);
    let (mut mlp, mut x) = network(&inputs, &labels);
    let rule = Momentum {
        lr: 0.01,
        ..Momentum::default()
    };
    let inner = FirstOrder::new(rule, mlp.params()).unwrap();
    let mut prong = ProngCoordinates::new(whiten(0.1, 1.0, 200), inner, &mlp).unwrap();
    for step in 0..100 {
        prong.step(&mut mlp, &mut x).unwrap();
        let before = mlp.predict(&x, inputs.view()).unwrap();
        // To plain coordinates and, in the next step, to whitened ones again.
        prong.release(&mut mlp, &mut x).unwrap();
        let after = mlp.predict(&x, inputs.view()).unwrap();
        for (a, b) in before.iter().zip(&after) {
            let error = (a.f64() - b.f64()).abs();
            assert!(
                error <= tolerance * b.f64().abs().max(1.0),
                "step {step}: {error:e}"
            );
        }
    }
}

#[test]
fn a_reparametrization_keeps_the_function() {
    preserved::<f64>(1e-10);
    preserved::<f32>(1e-4);
}

/// Iterates in (W, b) of PRONG in its own coordinates, and of the preconditioner.
fn both(momentum: f64, period: f64, eps: f64) -> [Vec<Vec<f64>>; 2] {
    let (inputs, labels) = digits::<f64>(150);
    let (mut mlp, mut x) = network(&inputs, &labels);
    let hyper = Prong {
        lr: 0.02,
        momentum,
        eps,
        period,
        samples: 150.0,
    };
    let mut canonical = Preconditioned::new(hyper, mlp.params()).unwrap();
    let mut all = [Vec::new(), Vec::new()];
    for _ in 0..12 {
        canonical.step(&mut mlp, &mut x).unwrap();
        all[0].push(x.clone());
    }
    for steps in 1..=12 {
        let (mut mlp, mut x) = network(&inputs, &labels);
        let rule = Momentum {
            lr: 0.02,
            momentum,
            weight_decay: 0.0,
        };
        let inner = FirstOrder::new(rule, mlp.params()).unwrap();
        let mut own = ProngCoordinates::new(whiten(eps, period, 150), inner, &mlp).unwrap();
        for _ in 0..steps {
            own.step(&mut mlp, &mut x).unwrap();
        }
        own.release(&mut mlp, &mut x).unwrap();
        all[1].push(x);
    }
    all
}

#[test]
fn both_coordinates_are_the_same_method_under_gradient_descent() {
    for (momentum, period, eps) in [
        (0.0, 1.0, 0.1),
        (0.9, 1.0, 0.01),
        (0.9, 4.0, 0.1),
        (0.5, 1e9, 1.0),
    ] {
        let [canonical, own] = both(momentum, period, eps);
        for (step, (a, b)) in canonical.iter().zip(&own).enumerate() {
            for (a, b) in a.iter().zip(b) {
                let error = (a - b).abs();
                assert!(
                    error <= 1e-10,
                    "μ {momentum} T {period}, step {step}: {error:e}"
                );
            }
        }
    }
}

#[test]
fn with_an_estimate_at_every_step_it_is_half_of_kfac() {
    // ΔW̄ = ∇W̄·(E[h̄h̄ᵀ] + ε·diag(I, 0))⁻¹ with h̄ = (h, 1), biases included.
    let (inputs, labels) = digits::<f64>(150);
    for eps in [1.0, 0.1, 1e-3] {
        let (mut mlp, x0) = network(&inputs, &labels);
        let mut g = vec![0.0; x0.len()];
        mlp.grad(&x0, &mut g).unwrap();
        let mut expected = x0.clone();
        for index in 0..mlp.layers() {
            let (weight, bias) = mlp.segments(index).unwrap();
            let segments = mlp.params().segments();
            let (weight, bias) = (
                segments[weight].range.clone(),
                segments[bias.unwrap()].range.clone(),
            );
            let input = mlp.layer(index).unwrap().input.to_owned();
            let (rows, n) = input.dim();
            let extended = ndarray::concatenate![ndarray::Axis(1), input, Array2::ones((rows, 1))];
            let mut a = extended.t().dot(&extended) / rows as f64;
            (0..n).for_each(|i| a[[i, i]] += eps);
            for (unit, bias) in bias.enumerate() {
                let from = weight.start + unit * n;
                let mut row = g[from..from + n].to_vec();
                row.push(g[bias]);
                let row = Array2::from_shape_vec((n + 1, 1), row).unwrap();
                let row = solve(a.clone(), row);
                (0..n).for_each(|j| expected[from + j] -= 0.05 * row[[j, 0]]);
                expected[bias] -= 0.05 * row[[n, 0]];
            }
        }
        let hyper = Prong {
            lr: 0.05,
            momentum: 0.0,
            eps,
            period: 1.0,
            samples: 150.0,
        };
        let mut x = x0.clone();
        let mut prong = Preconditioned::new(hyper, mlp.params()).unwrap();
        prong.step(&mut mlp, &mut x).unwrap();
        for (a, b) in x.iter().zip(&expected) {
            assert!((a - b).abs() <= 1e-10, "ε {eps}: {a} is not {b}");
        }
    }
}

#[test]
fn where_the_minibatch_is_the_estimate_the_diagonal_correction_changes_nothing() {
    let (inputs, labels) = digits::<f64>(150);
    let (mut mlp, x0) = network(&inputs, &labels);
    let plain = Prong {
        samples: 150.0,
        period: 1.0,
        ..Prong::default()
    };
    let plus = ProngPlus {
        samples: 150.0,
        period: 1.0,
        ..ProngPlus::default()
    };
    let (mut a, mut b) = (x0.clone(), x0);
    let mut plain = Preconditioned::new(plain, mlp.params()).unwrap();
    let mut plus = Preconditioned::new(plus, mlp.params()).unwrap();
    for _ in 0..5 {
        plain.step(&mut mlp, &mut a).unwrap();
        plus.step(&mut mlp, &mut b).unwrap();
    }
    for (a, b) in a.iter().zip(&b) {
        assert!((a - b).abs() <= 1e-10, "{a} is not {b}");
    }
}

#[test]
fn any_rule_trains_in_whitened_coordinates() {
    let (inputs, labels) = digits::<f64>(300);
    let (mut mlp, mut x) = network(&inputs, &labels);
    let start = mlp.value(&x).unwrap();
    let rule = Adam {
        lr: 0.01,
        ..Adam::default()
    };
    let inner = FirstOrder::new(rule, mlp.params()).unwrap();
    let mut prong = ProngCoordinates::new(whiten(0.1, 10.0, 300), inner, &mlp).unwrap();
    for _ in 0..60 {
        prong.step(&mut mlp, &mut x).unwrap();
    }
    assert!(mlp.value(&x).unwrap() < 0.2 * start);
}

type Boxed = Box<dyn Method<f64, Mlp<f64>>>;

fn everything(mlp: &mut Mlp<f64>, method: &mut Boxed, x: &mut [f64]) -> Snapshot<f64> {
    let map = mlp.params().clone();
    let mut parameters = Parameters::new(&map, x).unwrap();
    let model: &mut dyn State<f64> = mlp;
    Snapshot::take(&mut [
        ("method", method.as_mut()),
        ("x", &mut parameters),
        ("model", model),
    ])
    .unwrap()
}

/// The three forms, each anew.
fn methods(mlp: &Mlp<f64>) -> [Boxed; 3] {
    let params = mlp.params();
    let prong = Prong {
        samples: 200.0,
        period: 3.0,
        ..Prong::default()
    };
    let plus = ProngPlus {
        samples: 200.0,
        period: 3.0,
        ..ProngPlus::default()
    };
    let inner = FirstOrder::new(Momentum::default(), params).unwrap();
    [
        Box::new(Preconditioned::new(prong, params).unwrap()),
        Box::new(Preconditioned::new(plus, params).unwrap()),
        Box::new(ProngCoordinates::new(whiten(0.1, 3.0, 200), inner, mlp).unwrap()),
    ]
}

#[test]
fn resumed_it_goes_on_bit_for_bit() {
    let (inputs, labels) = digits::<f64>(200);
    for form in 0..3 {
        let (mut mlp, mut x) = network(&inputs, &labels);
        let mut method = methods(&mlp)[form..]
            .iter_mut()
            .next()
            .map(|m| {
                std::mem::replace(
                    m,
                    Box::new(FirstOrder::new(Sgd::default(), mlp.params()).unwrap()),
                )
            })
            .unwrap();
        for _ in 0..5 {
            method.step(&mut mlp, &mut x).unwrap();
        }
        let saved = everything(&mut mlp, &mut method, &mut x);
        let (mut mlp2, mut x2) = network(&inputs, &labels);
        // The model shows its whitening as state only once it has one: bring it there first.
        let mut other = methods(&mlp2).into_iter().nth(form).unwrap();
        other.step(&mut mlp2, &mut x2).unwrap();
        let map = mlp2.params().clone();
        {
            let mut parameters = Parameters::new(&map, &mut x2).unwrap();
            let model: &mut dyn State<f64> = &mut mlp2;
            saved
                .restore(&mut [
                    ("method", other.as_mut()),
                    ("x", &mut parameters),
                    ("model", model),
                ])
                .unwrap();
        }
        for _ in 0..5 {
            method.step(&mut mlp, &mut x).unwrap();
            other.step(&mut mlp2, &mut x2).unwrap();
        }
        assert!(
            everything(&mut mlp, &mut method, &mut x) == everything(&mut mlp2, &mut other, &mut x2),
            "form {form}"
        );
    }
}

#[test]
fn bad_hyper_parameters_are_named() {
    let (inputs, labels) = digits::<f64>(50);
    let (mlp, _) = network(&inputs, &labels);
    for (field, value) in [
        ("eps", 0.0),
        ("eps", f64::NAN),
        ("period", 0.0),
        ("period", 1.5),
        ("samples", 0.0),
        ("lr", -1.0),
        ("momentum", 1.0),
    ] {
        for mut method in methods(&mlp) {
            match method.set(field, value) {
                Err(Error::Hyper { name, .. }) => assert_eq!(name, field),
                other => panic!("{field} = {value}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_loss_that_is_not_finite_changes_nothing() {
    let (inputs, labels) = digits::<f64>(200);
    for form in 0..3 {
        let (mut mlp, mut x) = network(&inputs, &labels);
        let mut method = methods(&mlp).into_iter().nth(form).unwrap();
        // Before a reparametrization is due, and when it is.
        for steps in [4, 2] {
            for _ in 0..steps {
                method.step(&mut mlp, &mut x).unwrap();
            }
            let mut bad = x.clone();
            bad[0] = f64::NAN;
            let before = everything(&mut mlp, &mut method, &mut x);
            assert!(method.step(&mut mlp, &mut bad).is_err(), "form {form}");
            assert!(bad[1..] == x[1..]);
            assert!(
                everything(&mut mlp, &mut method, &mut x) == before,
                "form {form}"
            );
        }
    }
}
