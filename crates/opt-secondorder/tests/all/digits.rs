//! The methods over a network's own products: softmax regression with L2 on the 8×8 digits, to a
//! relative 1e-8 of the least loss, which `reference/scg.py` found by L-BFGS-B and Newton's method.
//! (`scg.rs` and `lbfgs.rs` have theirs.)
#![allow(clippy::unwrap_used)] // helpers of tests

use opt_core::{Counted, Method, Objective};
use opt_nn::{Activation, Mlp, Spec, Target};
use opt_secondorder::{HessianFree, Newton};

type Network = Counted<Mlp<f64>>;

/// Steps until the loss is within 1e-8 of the least, and the network with its counts.
fn steps_to_the_optimum(
    build: impl Fn(&Mlp<f64>) -> Box<dyn Method<f64, Network>>,
) -> (u64, Network) {
    let data = opt_data::digits().unwrap();
    let mut spec = Spec::classifier(&[64, 10], Activation::Tanh);
    spec.l2 = 1e-2;
    let mut net = Mlp::<f64>::new(spec).unwrap();
    let inputs = data.inputs.mapv(f64::from);
    net.load(inputs.view(), Target::Classes(&data.labels), 0)
        .unwrap();
    let text = include_str!("../reference/scg.json");
    let reference: serde_json::Value = serde_json::from_str(text).unwrap();
    let least = reference["digits"]["loss"].as_f64().unwrap();

    let mut method = build(&net);
    let mut net = Counted::new(net);
    let (mut x, mut steps) = (vec![0.0; net.params().len()], 0);
    let mut last = f64::INFINITY;
    loop {
        let loss = net.inner.value(&x).unwrap();
        // The optimum is the script's to a relative 1e-15; and the loss never rises.
        assert!(loss >= least * (1.0 - 1e-14) && loss <= last, "{loss}");
        if loss - least <= 1e-8 * least {
            return (steps, net);
        }
        last = loss;
        method.step(&mut net, &mut x).unwrap();
        steps += 1;
        assert!(steps < 100, "{loss}");
    }
}

#[test]
fn hessian_free() {
    let (steps, net) = steps_to_the_optimum(|net| {
        let hyper = HessianFree::default();
        Box::new(hyper.method(net.params()).unwrap())
    });
    // One gradient a step; the rest is products.
    assert_eq!(net.gradients, steps);
    assert!(net.gauss_newton_products >= steps);
}

/// The loss is convex, and Newton's steps converge quadratically: a handful is enough.
#[test]
fn newton() {
    let (steps, net) = steps_to_the_optimum(|net| {
        let hyper = Newton {
            damping: 1e-9, // softmax does not see a shift of all biases
            ..Newton::default()
        };
        Box::new(hyper.method(net.params()).unwrap())
    });
    assert_eq!(net.hessian_products, steps * 650);
    assert!(steps <= 10, "{steps}");
}
