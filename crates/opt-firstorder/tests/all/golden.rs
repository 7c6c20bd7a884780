//! Facts that follow from the equations, in closed form.

#![allow(clippy::unwrap_used)] // helpers of tests

use crate::common;

use common::{Chain, Slopes, iterates, moves};
use opt_core::{FirstOrder, ParamMap};
use opt_firstorder::{AdaMax, Adam};
use opt_testkit::Quadratic;
use proptest::prelude::*;

const START: [f64; 4] = [1.0, -1.5, 2.0, 0.5];

fn chain() -> Chain {
    Chain(ParamMap::flat(4).unwrap())
}

fn near(a: f64, b: f64, tolerance: f64) {
    assert!(
        (a - b).abs() <= tolerance * b.abs().max(1e-300),
        "{a} is not {b}"
    );
}

/// Spectral radius of a method on ½λx²: fits x₂ = p·x₁ + q·x₀ and x₃ = p·x₂ + q·x₁, and solves
/// r² = p·r + q.
fn radius(method: &str, lr: f64, momentum: f64, lambda: f64) -> f64 {
    let set = [("lr", lr), ("momentum", momentum)];
    let mut slope = Slopes::new(1, move |_, _, x| lambda * x);
    let x: Vec<f64> = iterates(method, &set, &mut slope, &[1.0], 3).concat();
    let det = x[1] * x[1] - x[0] * x[2];
    let p = (x[1] * x[2] - x[0] * x[3]) / det;
    let q = (x[1] * x[3] - x[2] * x[2]) / det;
    let discriminant = 0.25 * p * p + q;
    if discriminant < 0.0 {
        (-q).sqrt()
    } else {
        (0.5 * p).abs() + discriminant.sqrt()
    }
}

#[test]
fn rates_of_convergence_on_quadratics() {
    for (mu, l) in [(1.0_f64, 10.0_f64), (0.5, 50.0), (1.0, 1000.0)] {
        let kappa = l / mu;
        let worst = |method: &str, lr: f64, momentum: f64| {
            let spectrum = (0..=200).map(|k| mu + (l - mu) * f64::from(k) / 200.0);
            spectrum
                .map(|lambda| radius(method, lr, momentum, lambda))
                .fold(0.0, f64::max)
        };
        let root = kappa.sqrt();
        let beta = (root - 1.0) / (root + 1.0);
        let heavy = 4.0 / (l.sqrt() + mu.sqrt()).powi(2);
        near(worst("momentum", heavy, beta * beta), beta, 1e-6);
        near(worst("nag", 1.0 / l, beta), 1.0 - 1.0 / root, 1e-6);
        let q = (3.0 * kappa + 1.0).sqrt();
        let fastest = worst("nag", 4.0 / (3.0 * l + mu), (q - 2.0) / (q + 2.0));
        near(fastest, 1.0 - 2.0 / q, 1e-6);
        // Gradient descent has one root only: x₁/x₀.
        let descent = |lambda: f64| {
            let mut slope = Slopes::new(1, move |_, _, x| lambda * x);
            iterates("sgd", &[("lr", 2.0 / (l + mu))], &mut slope, &[1.0], 1)[1][0].abs()
        };
        near(
            descent(mu).max(descent(l)),
            (kappa - 1.0) / (kappa + 1.0),
            1e-12,
        );
    }
}

#[test]
fn the_slides_nag_diverges_where_ours_converges() {
    // v = αf′(θ − μv) as printed, on ½x² with α = 1 and μ = 0.9: |x| grows by 1.5 a step.
    let (mut x, mut v) = (1.0_f64, 0.0);
    for _ in 0..50 {
        v = x - 0.9 * v;
        x -= v;
    }
    assert!(x.abs() > 1e6);
    let mut bowl = Quadratic::new(ParamMap::flat(1).unwrap(), |_| 1.0, |_| 0.0);
    let ours = iterates(
        "nag",
        &[("lr", 1.0), ("momentum", 0.9)],
        &mut bowl,
        &[1.0],
        50,
    );
    assert!(ours[50][0].abs() < 1e-12);
}

#[test]
fn without_momentum_all_four_are_sgd_bitwise() {
    let sgd = iterates("sgd", &[("lr", 0.05)], &mut chain(), &START, 60);
    for method in ["momentum", "nag", "nesterov"] {
        let set = [("lr", 0.05), ("momentum", 0.0)];
        assert_eq!(
            iterates(method, &set, &mut chain(), &START, 60),
            sgd,
            "{method}"
        );
    }
}

#[test]
fn the_two_forms_of_nag_agree() {
    let (mu, set) = (0.8, [("lr", 0.03), ("momentum", 0.8)]);
    let ahead = iterates("nag", &set, &mut chain(), &START, 60);
    let stored = iterates("nesterov", &set, &mut chain(), &START, 60);
    for t in 1..ahead.len() {
        for i in 0..4 {
            // φ = θ − μv, with v = θ(t−1) − θ(t)
            let phi = ahead[t][i] - mu * (ahead[t - 1][i] - ahead[t][i]);
            assert!((phi - stored[t][i]).abs() <= 1e-12, "{t} {i}");
        }
    }
}

/// The gradient of the chain, scaled.
fn scaled(c: f64) -> impl Fn(&str, &[(&str, f64)]) -> Vec<Vec<f64>> {
    use opt_core::Objective;
    struct Scaled(Chain, f64);
    impl Objective<f64> for Scaled {
        fn params(&self) -> &ParamMap {
            self.0.params()
        }
        fn value(&mut self, x: &[f64]) -> Result<f64, opt_core::Error> {
            Ok(self.1 * self.0.value(x)?)
        }
        fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, opt_core::Error> {
            let value = self.0.grad(x, g)?;
            g.iter_mut().for_each(|g| *g *= self.1);
            Ok(self.1 * value)
        }
    }
    move |method, set| iterates(method, set, &mut Scaled(chain(), c), &START, 60)
}

#[test]
fn the_scale_of_the_loss_does_not_matter() {
    let free: [(&str, &[(&str, f64)]); 14] = [
        ("adam", &[("lr", 0.05), ("eps", 0.0)]),
        ("amsgrad", &[("lr", 0.05), ("eps", 0.0)]),
        ("adamw", &[("lr", 0.05), ("eps", 0.0)]),
        ("adamax", &[("lr", 0.05), ("eps", 0.0)]),
        ("rmsprop", &[("lr", 0.02), ("eps", 0.0)]),
        ("rmsprop-centered", &[("lr", 0.02), ("eps", 0.0)]),
        ("rmsprop-momentum", &[("lr", 0.004), ("eps", 0.0)]),
        ("adagrad", &[("lr", 0.2), ("eps", 0.0)]),
        ("rprop-minus", &[]),
        ("rprop-plus", &[]),
        ("irprop-minus", &[]),
        ("irprop-plus", &[]),
        ("manhattan", &[]),
        ("manhattan", &[("step0", 0.01)]),
    ];
    for (method, set) in free {
        let plain = scaled(1.0)(method, set);
        for k in [-9, 3, 12] {
            assert_eq!(
                scaled(2.0_f64.powi(k))(method, set),
                plain,
                "{method}, 2^{k}"
            );
        }
        if method.starts_with("ad") {
            let other = scaled(3.7)(method, set);
            for (a, b) in other.iter().flatten().zip(plain.iter().flatten()) {
                assert!((a - b).abs() <= 1e-12, "{method}: {a} {b}");
            }
        }
    }
    // and for SGD it does
    assert_ne!(scaled(2.0)("sgd", &[]), scaled(1.0)("sgd", &[]));
}

#[test]
fn steps_under_a_constant_gradient() {
    for g in [3.0, -0.02] {
        let slope = move |_| g;
        let sign = -f64::signum(g);
        let (lr, n) = (0.01, 1000);
        for step in moves("adam", &[("lr", lr), ("eps", 0.0)], slope, n) {
            assert!((step - sign * lr).abs() < 1e-12, "{step}");
        }
        for (t, step) in moves("adagrad", &[("lr", lr), ("eps", 0.0)], slope, n)
            .iter()
            .enumerate()
        {
            assert!(
                (step - sign * lr / (t as f64 + 1.0).sqrt()).abs() < 1e-12,
                "{step}"
            );
        }
        let set = [("lr", lr), ("eps", 0.0), ("gamma", 0.9)];
        for (t, step) in moves("rmsprop", &set, slope, n).iter().enumerate() {
            let expected = lr / (1.0 - 0.9_f64.powi(t as i32 + 1)).sqrt();
            assert!((step - sign * expected).abs() < 1e-12, "{step}");
        }
        let set = [("lr", lr), ("momentum", 0.9)];
        for (t, step) in moves("momentum", &set, slope, n).iter().enumerate() {
            let velocity = (1.0 - 0.9_f64.powi(t as i32 + 1)) / (1.0 - 0.9) * lr * g;
            assert!((step + velocity).abs() < 1e-12, "{step}");
        }
        let first = moves("adadelta", &[], slope, 1)[0];
        near(first, sign * (1e-6_f64 / 0.05).sqrt(), 0.05); // ε against 0.05·g²
    }
}

#[test]
fn as_printed_adams_first_step_is_three_and_a_half_times_too_long() {
    // m̂ = m/(1 − (1 − γ)ᵗ) with γ = 0.9, 0.999 for a gradient of 1.
    let printed = (0.1 / 0.9) / (0.001_f64 / 0.999).sqrt();
    near(printed, 3.512, 1e-3);
    near(
        -moves("adam", &[("lr", 1.0), ("eps", 0.0)], |_| 1.0, 1)[0],
        1.0,
        1e-12,
    );
}

#[test]
fn the_least_upper_bounds_of_adam_and_adamax_are_attained() {
    // Cauchy–Schwarz: gradients that grow like (β₂/β₁)ᵗ, after long silence. Those whose squares
    // would vanish are silent too.
    let (lr, last) = (1.0, 20_000);
    let growing = move |t: u64| match last - t {
        left @ 0..3_000 => (0.9_f64 / 0.999).powf(left as f64),
        _ => 0.0,
    };
    let steps = moves("adam", &[("lr", lr), ("eps", 0.0)], growing, last as usize);
    let sup = 0.1 / 0.001_f64.sqrt() / (1.0 - 0.81 / 0.999_f64).sqrt();
    near(sup, 7.2703, 1e-5);
    near(-steps[last as usize - 1], sup, 1e-6);
    // AdaMax: gradients that fall like β₂ᵗ.
    let falling = |t: u64| 0.999_f64.powf(t as f64);
    let steps = moves("adamax", &[("lr", lr)], falling, 300);
    near(-steps[299], 0.1 / (1.0 - 0.9 / 0.999), 1e-9);
}

proptest! {
    #[test]
    fn no_gradients_take_adam_or_adamax_beyond_their_bounds(
        gradients in proptest::collection::vec(-1e3_f64..1e3, 1..80),
        silence in proptest::collection::vec(any::<bool>(), 80),
    ) {
        let params = ParamMap::flat(1).unwrap();
        let mut adam = FirstOrder::new(Adam { lr: 1.0, eps: 0.0, ..Adam::default() }, &params).unwrap();
        let mut adamax = FirstOrder::new(AdaMax { lr: 1.0, ..AdaMax::default() }, &params).unwrap();
        for (g, silent) in gradients.into_iter().zip(silence) {
            let g = if silent { 0.0 } else { g };
            let (mut a, mut b) = ([0.0_f64], [0.0_f64]);
            adam.apply(&mut a, &[g]).unwrap();
            adamax.apply(&mut b, &[g]).unwrap();
            prop_assert!(a[0].abs() <= 7.2704, "adam {}", a[0]);
            prop_assert!(b[0].abs() <= 1.00909 * (1.0 + 1e-4), "adamax {}", b[0]);
        }
    }

}

#[test]
fn adadelta_is_free_of_units_only_with_two_epsilons() {
    // f → c·f and θ = s·φ: the gradient in φ is c·s·f′(sφ).
    let run = |c: f64, s: f64, eps_grad: f64, eps_update: f64| {
        let slope = move |_, i: usize, phi: f64| {
            let x = s * phi;
            c * s * ([1.0, 10.0, 0.1, 3.0][i] * x + x * x * x)
        };
        let start = START.map(|x| x / s);
        let set = [("eps_grad", eps_grad), ("eps_update", eps_update)];
        let all = iterates("adadelta", &set, &mut Slopes::new(4, slope), &start, 200);
        all.concat()
            .into_iter()
            .map(|phi| s * phi)
            .collect::<Vec<_>>()
    };
    let plain = run(1.0, 1.0, 1e-3, 1e-3);
    let covariant = |c: f64, s: f64| run(c, s, 1e-3 * (c * s).powi(2), 1e-3 / (s * s));
    assert_eq!(covariant(0.25, 8.0), plain);
    for (a, b) in covariant(3.0, 0.7).iter().zip(&plain) {
        assert!((a - b).abs() < 1e-11, "{a} {b}");
    }
    let shared = run(0.25, 8.0, 1e-3, 1e-3);
    let off = shared
        .iter()
        .zip(&plain)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max);
    assert!(off > 0.1, "one ε for both must not be free of units: {off}");
    // Without ε_update it never moves.
    assert!(
        moves("adadelta", &[("eps_update", 0.0)], |_| 1.0, 9)
            .iter()
            .all(|&m| m == 0.0)
    );
}

#[test]
fn reddis_counterexample() {
    // Regret-minimal is −1: two steps up by 1, one down by 10. On [−1, 1].
    for (method, end) in [("adam", 1.0), ("amsgrad", -1.0)] {
        let entries = opt_firstorder::zoo::<f64, dyn opt_core::Objective<f64>>();
        let entry = opt_core::find_entry(&entries, method).unwrap();
        let beta2 = 1.0 / 101.0;
        let set = [("beta1", 0.0), ("beta2", beta2), ("eps", 0.0)];
        let set = set.map(|(name, value)| (name, opt_core::Value::Real(value)));
        let mut objective = Slopes::new(1, |t, _, _| if t % 3 == 1 { 10.0 } else { -1.0 });
        let mut method = entry.build(&set, &objective).unwrap();
        let mut x = [0.0];
        for t in 1..=30_000 {
            let lr = 0.5 * (1.0_f64 - beta2).sqrt() / f64::from(t).sqrt();
            method.set("lr", lr.into()).unwrap();
            method.step(&mut objective, &mut x).unwrap();
            x[0] = x[0].clamp(-1.0, 1.0);
        }
        assert!((x[0] - end).abs() < 0.05, "{}", x[0]);
    }
}
