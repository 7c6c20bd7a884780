//! The deck's questions on AdaDelta and RMSProp, as facts in closed form.

#![allow(clippy::unwrap_used)] // helpers of tests

use crate::common;

use common::moves;

fn near(a: f64, b: f64, tolerance: f64) {
    assert!(
        (a - b).abs() <= tolerance * b.abs().max(1e-300),
        "{a} is not {b}"
    );
}

/// Noise of either sign around 1, silence, and an outlier.
fn gradient(t: u64) -> f64 {
    match t {
        20..=25 => 0.0,
        31 => 1e3,
        t => ((t * 37) % 23) as f64 / 11.0 - 0.6,
    }
}

#[test]
fn without_the_delay_both_averages_have_todays() {
    for (gamma, eps_grad, eps_update) in [(0.95, 1e-6, 1e-6), (0.9, 1e-2, 1e-4), (0.5, 1e-8, 3.0)] {
        let set = [
            ("lr", 1.0),
            ("gamma", gamma),
            ("eps_grad", eps_grad),
            ("eps_update", eps_update),
        ];
        let (mut r, mut d) = (0.0, 0.0);
        let mut x = 0.0;
        for (t, step) in (1..).zip(moves("adadelta-immediate", &set, gradient, 60)) {
            let g: f64 = gradient(t);
            r = gamma * r + (1.0 - gamma) * g * g;
            d = gamma * d + (1.0 - gamma) * step * step;
            // A step is told by the points on both of its sides.
            x += step;
            let told = 8.0 * f64::EPSILON * (x.abs() + step.abs()) / step.abs().max(1e-300);
            near(
                step * step * (r + eps_grad),
                g * g * (d + eps_update),
                1e-12 + 4.0 * told,
            );
        }
    }
}

#[test]
fn without_the_delay_adadelta_is_gradient_descent() {
    for eps in [1e-6, 1e-2] {
        let set = [("lr", 0.25), ("eps", eps)];
        let ours = moves("adadelta-immediate", &set, gradient, 60);
        assert_eq!(ours, moves("sgd", &[("lr", 0.25)], gradient, 60));
    }
    let set = [("lr", 1.0), ("eps_grad", 1e-2), ("eps_update", 1e-6)];
    let ours = moves("adadelta-immediate", &set, gradient, 60);
    for (a, b) in ours.iter().zip(moves("sgd", &[("lr", 1e-2)], gradient, 60)) {
        // The outlier moves x to 10, where a move has 15 digits after the point.
        assert!((a - b).abs() <= 1e-13, "{a} {b}");
    }
}

/// √((d + ε)/(1 − γ)), which the outlier all but attains.
#[test]
fn the_delay_bounds_a_step() {
    let (gamma, eps) = (0.95_f64, 1e-6);
    let mut d = 0.0;
    for (t, step) in (1..).zip(moves("adadelta", &[], gradient, 60)) {
        let most = ((d + eps) / (1.0 - gamma)).sqrt();
        assert!(step.abs() <= most * (1.0 + 1e-9), "{t}: {step}");
        if t == 31 {
            near(-step, most, 1e-3);
        }
        d = gamma * d + (1.0 - gamma) * step * step;
    }
}

#[test]
fn corrected_averages_are_means_from_the_first_step_on() {
    for g in [3.0, -0.02] {
        let (gamma, eps) = (0.95_f64, 1e-6_f64);
        let set = [("eps_grad", 0.0), ("eps_update", eps)];
        let steps = moves("adadelta-corrected", &set, move |_| g, 3);
        // d̂ is 0; then ε; then its mean with 2ε, of weights γ and 1.
        let expected = [1.0, 2.0, 1.0 + (gamma + 2.0) / (gamma + 1.0)];
        for (step, expected) in steps.iter().zip(expected) {
            near(*step, -g.signum() * (expected * eps).sqrt(), 1e-12);
        }
    }
    // With γ = 0 nothing is averaged, and nothing to be corrected.
    let set = [("gamma", 0.0)];
    let plain = moves("adadelta", &set, gradient, 30);
    for (a, b) in moves("adadelta-corrected", &set, gradient, 30)
        .iter()
        .zip(plain)
    {
        near(*a, b, 1e-12);
    }
    // What starts it is ε_update, corrected or not.
    let constant = |method: &str| {
        let set = [("eps_grad", 1e-6), ("eps_update", 0.0)];
        moves(method, &set, |_| 1.0, 5)
    };
    assert!(
        constant("adadelta-corrected")
            .iter()
            .all(|&step| step == 0.0)
    );
}

#[test]
fn rmsprop_with_momentum_sums_rmsprops_steps() {
    let set = [("lr", 0.01), ("gamma", 0.9), ("eps", 1e-8)];
    let plain = moves("rmsprop", &set, gradient, 60);
    let with = |mu: f64| {
        let set = [set[0], set[1], set[2], ("momentum", mu)];
        moves("rmsprop-momentum", &set, gradient, 60)
    };
    assert_eq!(with(0.0), plain);
    let mut v = 0.0;
    for (step, own) in with(0.9).iter().zip(plain) {
        v = 0.9 * v + own;
        assert!((step - v).abs() < 1e-14, "{step} {v}");
    }
}
