//! PRONG keeps the function, is the same in both coordinates, and is half of K-FAC.

use ndarray::Array2;
use opt_core::{
    Bound, Error, FirstOrder, Kind, LayerPlace, Layered, Method, Objective, Scalar, Value,
};
use opt_firstorder::{Adam, Momentum};
use opt_natural::{Extent, Prong, ProngCoordinates, ProngPlus, Whiten};
use opt_nn::{Activation, Convolution, Init, Layer, Mlp, Pool, Spec, Target};

use crate::common::{digits, everything, restore};
use crate::solve::solve;

/// 64-12-9-10, with every constant pixel of the digits.
fn network<F: Scalar>(inputs: &Array2<F>, labels: &[u8]) -> (Mlp<F>, Vec<F>) {
    penalized(inputs, labels, 0.0, false)
}

/// With an L2 penalty; and with two convolutions instead of the hidden layers if `maps`, of which one
/// is padded, pools, and has a stride.
fn penalized<F: Scalar>(
    inputs: &Array2<F>,
    labels: &[u8],
    l2: f64,
    maps: bool,
) -> (Mlp<F>, Vec<F>) {
    let mut spec = Spec::classifier(&[64, 12, 9, 10], Activation::Tanh);
    if maps {
        let convolution = |kernel, stride, padding| Convolution {
            kernel,
            stride,
            padding,
        };
        let mut first = Layer::convolution(3, convolution(3, 2, 1), Activation::Tanh);
        first.pool = Some(Pool::max(2, 1));
        let second = Layer::convolution(4, convolution(2, 1, 1), Activation::Tanh);
        spec.layers.splice(..2, [first, second]);
        spec.image = Some([8, 8, 1]);
    }
    spec.l2 = l2;
    let mut mlp = Mlp::new(spec).unwrap();
    mlp.set_statistics(inputs.to_shared()).unwrap();
    mlp.load(inputs.view(), Target::Classes(labels), 0).unwrap();
    let x = mlp.init(Init::LeCun, 3);
    (mlp, x)
}

fn whiten(eps: f64, period: u64, samples: u64) -> Whiten {
    Whiten {
        eps,
        period,
        samples,
        ..Whiten::default()
    }
}

/// Trains with a reparametrization at every step, and compares the outputs around each.
fn preserved<F: Scalar + opt_natural::Decompose>(whitening: Extent, maps: bool, tolerance: f64) {
    let (inputs, labels) = digits::<F>(200);
    let (mut mlp, mut x) = penalized(&inputs, &labels, 0.0, maps);
    let rule = Momentum {
        lr: 0.01,
        ..Momentum::default()
    };
    let inner = FirstOrder::new(rule, mlp.params()).unwrap();
    let whiten = Whiten {
        whitening,
        ..whiten(0.1, 1, 200)
    };
    let mut prong = ProngCoordinates::new(whiten, inner, &mlp).unwrap();
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
    for whitening in [Extent::Full, Extent::Patches, Extent::Diagonal] {
        for maps in [false, true] {
            preserved::<f64>(whitening, maps, 1e-10);
            preserved::<f32>(whitening, maps, 1e-4);
        }
    }
}

/// Iterates in (W, b) of PRONG in its own coordinates, and of the preconditioner.
fn both(
    (momentum, period, eps, l2): (f64, u64, f64, f64),
    whitening: Extent,
    maps: bool,
) -> [Vec<Vec<f64>>; 2] {
    let (inputs, labels) = digits::<f64>(150);
    let (mut mlp, mut x) = penalized(&inputs, &labels, l2, maps);
    let hyper = Prong {
        lr: 0.02,
        momentum,
        eps,
        period,
        samples: 150,
        whitening,
    };
    let mut canonical = hyper.method(mlp.params(), mlp.places()).unwrap();
    let mut all = [Vec::new(), Vec::new()];
    for _ in 0..12 {
        canonical.step(&mut mlp, &mut x).unwrap();
        all[0].push(x.clone());
    }
    for steps in 1..=12 {
        let (mut mlp, mut x) = penalized(&inputs, &labels, l2, maps);
        let rule = Momentum {
            lr: 0.02,
            momentum,
            weight_decay: 0.0,
        };
        let inner = FirstOrder::new(rule, mlp.params()).unwrap();
        let whiten = Whiten {
            whitening,
            ..whiten(eps, period, 150)
        };
        let mut own = ProngCoordinates::new(whiten, inner, &mlp).unwrap();
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
    for case in [
        (0.0, 1, 0.1, 0.0),
        (0.9, 1, 0.01, 0.0),
        (0.9, 4, 0.1, 0.0),
        (0.5, 1_000_000_000, 1.0, 0.0),
        (0.0, 1, 0.1, 0.03),
        (0.9, 3, 0.1, 0.03),
        (0.9, 4, 0.01, 0.03),
    ] {
        for whitening in [Extent::Full, Extent::Patches, Extent::Diagonal] {
            for maps in [false, true] {
                let [canonical, own] = both(case, whitening, maps);
                for (step, (a, b)) in canonical.iter().zip(&own).enumerate() {
                    for (a, b) in a.iter().zip(b) {
                        let error = (a - b).abs();
                        assert!(
                            error <= 1e-10,
                            "{case:?} {whitening:?} {maps} {step}: {error:e}"
                        );
                    }
                }
            }
        }
    }
}

/// Every input of a layer, centred and scaled by its own variance alone, has the variance λ/(λ + ε).
#[test]
fn diagonal_whitening_gives_each_input_its_variance() {
    let (eps, (inputs, labels)) = (0.01, digits::<f64>(200));
    let (mut mlp, mut x) = network(&inputs, &labels);
    let (mut plain, start) = (mlp.clone(), x.clone());
    let still = Momentum {
        lr: 0.0,
        ..Momentum::default()
    };
    let inner = FirstOrder::new(still, mlp.params()).unwrap();
    let whiten = Whiten {
        whitening: Extent::Diagonal,
        ..whiten(eps, 1, 200)
    };
    let mut prong = ProngCoordinates::new(whiten, inner, &mlp).unwrap();
    prong.step(&mut mlp, &mut x).unwrap();
    for layer in 0..3 {
        let h = match layer {
            0 => inputs.clone(),
            _ => plain.hidden(&start, inputs.view(), layer).unwrap(),
        };
        let (u, c) = mlp.whitening(layer).unwrap();
        let off = |((i, j), &u): ((usize, usize), &f64)| i == j || u == 0.0;
        assert!(u.indexed_iter().all(off), "layer {layer}: a rotation");
        let white = (&h - &c).dot(&u.t());
        for (before, after) in h.columns().into_iter().zip(white.columns()) {
            let variance = before.var(0.0);
            assert!(after.mean().unwrap().abs() < 1e-12, "layer {layer}");
            let error = (after.var(0.0) - variance / (variance + eps)).abs();
            assert!(error < 1e-10, "layer {layer}: {error:e}");
        }
    }
}

/// The state of the two differs.
#[test]
fn a_method_keeps_the_whitening_that_it_was_made_with() {
    let (inputs, labels) = digits::<f64>(150);
    let (mlp, _) = network(&inputs, &labels);
    let mut prong = Prong::default().method(mlp.params(), mlp.places()).unwrap();
    let set = |to: &str, prong: &mut opt_natural::ProngMethod<f64>| {
        opt_core::Tune::set(prong, "whitening", to.into())
    };
    set("full", &mut prong).unwrap();
    let error = set("diagonal", &mut prong).unwrap_err();
    assert!(matches!(error, Error::HyperConflict(_)), "{error}");
    let error = set("half", &mut prong).unwrap_err();
    assert!(
        error.to_string().contains("full, patches, diagonal"),
        "{error}"
    );
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
        for index in 0..mlp.places().len() {
            let LayerPlace { weight, bias, .. } = mlp.places()[index];
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
            period: 1,
            samples: 150,
            ..Prong::default()
        };
        let mut x = x0.clone();
        let mut prong = hyper.method(mlp.params(), mlp.places()).unwrap();
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
        samples: 150,
        period: 1,
        ..Prong::default()
    };
    let plus = ProngPlus {
        samples: 150,
        period: 1,
        ..ProngPlus::default()
    };
    let (mut a, mut b) = (x0.clone(), x0);
    let mut plain = plain.method(mlp.params(), mlp.places()).unwrap();
    let mut plus = plus.method(mlp.params(), mlp.places()).unwrap();
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
    let mut prong = ProngCoordinates::new(whiten(0.1, 10, 300), inner, &mlp).unwrap();
    for _ in 0..60 {
        prong.step(&mut mlp, &mut x).unwrap();
    }
    assert!(mlp.value(&x).unwrap() < 0.2 * start);
}

type Boxed = Box<dyn Method<f64, Mlp<f64>>>;

/// The three forms, each anew.
fn methods(mlp: &Mlp<f64>) -> [Boxed; 3] {
    let (params, places) = (mlp.params(), mlp.places());
    let prong = Prong {
        samples: 200,
        period: 3,
        ..Prong::default()
    };
    let plus = ProngPlus {
        samples: 200,
        period: 3,
        ..ProngPlus::default()
    };
    let inner = FirstOrder::new(Momentum::default(), params).unwrap();
    [
        Box::new(prong.method(params, places).unwrap()),
        Box::new(plus.method(params, places).unwrap()),
        Box::new(ProngCoordinates::new(whiten(0.1, 3, 200), inner, mlp).unwrap()),
    ]
}

#[test]
fn resumed_it_goes_on_bit_for_bit() {
    let (inputs, labels) = digits::<f64>(200);
    for form in 0..3 {
        let (mut mlp, mut x) = network(&inputs, &labels);
        let mut method = methods(&mlp).into_iter().nth(form).unwrap();
        for _ in 0..5 {
            method.step(&mut mlp, &mut x).unwrap();
        }
        let saved = everything(&mut mlp, &mut *method, &mut x);
        let (mut mlp2, mut x2) = network(&inputs, &labels);
        // The model shows its whitening as state only once it has one: bring it there first.
        let mut other = methods(&mlp2).into_iter().nth(form).unwrap();
        other.step(&mut mlp2, &mut x2).unwrap();
        restore(&saved, &mut mlp2, &mut *other, &mut x2);
        for _ in 0..5 {
            method.step(&mut mlp, &mut x).unwrap();
            other.step(&mut mlp2, &mut x2).unwrap();
        }
        let [a, b] = [
            everything(&mut mlp, &mut *method, &mut x),
            everything(&mut mlp2, &mut *other, &mut x2),
        ];
        assert!(a == b, "form {form}");
    }
}

#[test]
fn the_objective_does_not_jump_where_the_coordinates_change() {
    let (inputs, labels) = digits::<f64>(200);
    let (mut mlp, mut x) = penalized(&inputs, &labels, 0.03, false);
    let rule = Momentum {
        lr: 0.01,
        ..Momentum::default()
    };
    let inner = FirstOrder::new(rule, mlp.params()).unwrap();
    let mut prong = ProngCoordinates::new(whiten(0.1, 1, 200), inner, &mlp).unwrap();
    for step in 0..20 {
        let before = mlp.value(&x).unwrap();
        // The loss in the new coordinates, at the same point.
        let loss = prong.step(&mut mlp, &mut x).unwrap().loss;
        assert!((loss - before).abs() < 1e-12, "{step}: {before}, {loss}");
        if step % 3 == 2 {
            let before = mlp.value(&x).unwrap();
            prong.release(&mut mlp, &mut x).unwrap();
            assert!((mlp.value(&x).unwrap() - before).abs() < 1e-12);
            assert!((0..3).all(|index| mlp.whitening(index).is_none()));
        }
    }
}

#[test]
fn bad_hyper_parameters_are_named() {
    let (inputs, labels) = digits::<f64>(50);
    let (mlp, _) = network(&inputs, &labels);
    for (field, value, kind) in [
        ("eps", 0.0, Kind::Real(Bound::Positive)),
        ("eps", f64::NAN, Kind::Real(Bound::Positive)),
        ("period", 0.0, Kind::Count(1)),
        ("period", 1.5, Kind::Count(1)),
        ("samples", 0.0, Kind::Count(1)),
        ("lr", -1.0, Kind::Real(Bound::NonNegative)),
        ("momentum", 1.0, Kind::Real(Bound::Unit)),
    ] {
        for mut method in methods(&mlp) {
            let before = method.list();
            match method.set(field, Value::Real(value)) {
                Err(Error::Hyper {
                    name, kind: found, ..
                }) => assert_eq!((name.as_str(), found), (field, kind.clone())),
                other => panic!("{field} = {value}: {other:?}"),
            }
            assert_eq!(method.list(), before);
        }
    }
}
