//! A module as an objective.

use burn_core::tensor::{DType, Tensor};
use opt_burn::{Error, ModuleObjective};
use opt_core::{Method, Objective, check_gradient};
use opt_secondorder::{Lbfgs, Scg};

use crate::net::{Net, distance, net};

fn fit(net: &Net) -> Tensor<1> {
    net.loss(0)
}

#[test]
fn its_gradient_is_that_of_its_value() {
    let mut objective = ModuleObjective::<f64, _, _>::new(net(DType::F64), fit).unwrap();
    let x = objective.start().unwrap();
    assert_eq!(x, net(DType::F64).values());
    assert_eq!(objective.value(&x).unwrap(), net(DType::F64).loss_value());
    let check = check_gradient(&mut objective, &x, 1e-5).unwrap();
    assert!(check.error < 1e-8, "{check:?}");
    let mut g = vec![0.0; x.len()];
    objective.grad(&x, &mut g).unwrap();
    for at in [0, 20, 40, 60, x.len() - 1] {
        let mut moved = x.clone();
        let mut value = |by: f64| {
            moved[at] = x[at] + by;
            objective.value(&moved).unwrap()
        };
        let slope = (value(1e-6) - value(-1e-6)) / 2e-6;
        assert!((slope - g[at]).abs() < 1e-8, "{at}: {slope} {}", g[at]);
    }
}

/// Both methods fall far below where the best of burn's first-order ones gets in as many gradients.
#[test]
fn second_order_methods_minimize_it() {
    let start = net(DType::F64).loss_value();
    let mut objective = ModuleObjective::<f64, _, _>::new(net(DType::F64), fit).unwrap();
    let mut x = objective.start().unwrap();
    let mut lbfgs = Lbfgs::default().method(objective.params()).unwrap();
    for _ in 0..100 {
        lbfgs.step(&mut objective, &mut x).unwrap();
    }
    let trained = objective.into_module(&x).unwrap();
    assert_eq!(trained.values(), x);
    let by_lbfgs = trained.loss_value();
    assert!(by_lbfgs < 0.1 * start, "{by_lbfgs} of {start}");

    let mut objective = ModuleObjective::<f32, _, _>::new(net(DType::F32), fit).unwrap();
    let mut x = objective.start().unwrap();
    let mut scg = Scg::default().method(objective.params()).unwrap();
    for _ in 0..200 {
        scg.step(&mut objective, &mut x).unwrap();
    }
    let by_scg = objective.into_module(&x).unwrap().loss_value();
    assert!(by_scg < 0.2 * start, "{by_scg} of {start}");
}

#[test]
fn it_says_what_it_cannot_evaluate() {
    type Loss = fn(&Net) -> Tensor<1>;
    let two: Loss = |net| Tensor::cat(vec![net.loss(0), net.loss(1)], 0);
    let detached: Loss = |net| net.loss(0).detach();
    let other: Loss = |net| net.loss(0).cast(DType::F64);
    let mut objective = ModuleObjective::<f32, _, Loss>::new(net(DType::F32), two).unwrap();
    let x = objective.start().unwrap();
    let mut g = vec![0.0; x.len()];
    let text = objective.value(&x).unwrap_err().to_string();
    assert!(text.contains("2 elements"), "{text}");
    objective.load(detached);
    let text = objective.grad(&x, &mut g).unwrap_err().to_string();
    assert!(text.contains("no gradient"), "{text}");
    objective.load(other);
    let text = objective.value(&x).unwrap_err().to_string();
    assert!(text.contains("F64"), "{text}");
    // After all of these it is as before.
    objective.load(fit);
    assert!(objective.value(&x[1..]).is_err() && objective.grad(&x, &mut g[1..]).is_err());
    objective.grad(&x, &mut g).unwrap();
    assert!(objective.into_module(&x[1..]).is_err());
    assert!(matches!(
        ModuleObjective::<f32, _, _>::new(net(DType::F64), fit),
        Err(Error::DType { .. })
    ));
}

/// One that the loss does not see has a gradient of 0; one that is frozen is no parameter.
#[test]
fn parameters_without_a_part_in_it() {
    let first: fn(&Net) -> Tensor<1> = |net| net.layers[0].weight.val().square().sum();
    let mut objective = ModuleObjective::<f32, _, _>::new(net(DType::F32), first).unwrap();
    let x = objective.start().unwrap();
    let mut g = vec![9.0; x.len()];
    objective.grad(&x, &mut g).unwrap();
    let expected: Vec<f64> = (x.iter().enumerate())
        .map(|(at, x)| if at < 36 { 2.0 * f64::from(*x) } else { 0.0 })
        .collect();
    let g: Vec<f64> = g.into_iter().map(f64::from).collect();
    assert!(distance(&g, &expected) < 1e-7);
}
