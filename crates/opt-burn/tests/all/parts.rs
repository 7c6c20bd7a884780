//! Burn's groups, schedulers, clipping and accumulation over our rules.

use burn_core::module::ParamGroup;
use burn_core::tensor::DType;
use burn_optim::grad_clipping::GradientClipping;
use burn_optim::lr_scheduler::linear::LinearLrSchedulerConfig;
use burn_optim::{AdamWConfig, GradientsAccumulator, ModuleOptimizer, Optimizer, SgdConfig};
use opt_burn::RuleOptimizer;
use opt_firstorder::{AdamW, Sgd};

use crate::net::{Net, distance, net};

fn adamw() -> RuleOptimizer<AdamW, 2> {
    let rule = AdamW {
        lr: 0.0,
        beta1: f64::from(0.9_f32),
        beta2: f64::from(0.999_f32),
        eps: f64::from(1e-5_f32),
        weight_decay: f64::from(1e-4_f32),
    };
    RuleOptimizer::new(rule).unwrap()
}

fn sgd() -> RuleOptimizer<Sgd, 0> {
    RuleOptimizer::new(Sgd::default()).unwrap()
}

/// A first optimizer for all, and another one, that clips, for the biases.
fn groups(all: impl Optimizer, biases: impl Optimizer) -> ModuleOptimizer {
    let clip = GradientClipping::Norm(0.01);
    ModuleOptimizer::from(all)
        .with_grad_clipping(GradientClipping::Value(0.02))
        .with_group(ParamGroup::from_predicate("bias"), biases, Some(clip))
}

fn train(mut optimizer: ModuleOptimizer) -> Net {
    let (mut net, mut sum) = (net(DType::F32), GradientsAccumulator::new());
    let mut rates = LinearLrSchedulerConfig::new(0.05, 0.01, 30).init().unwrap();
    for t in 0..60 {
        let grads = net.grads(t % 5);
        sum.accumulate(&net, grads);
        if t % 2 == 1 {
            net = optimizer.step(rates.step(), net, sum.grads());
        }
    }
    net
}

#[test]
fn groups_clipping_schedules_and_accumulation_are_burns() {
    let (weights, biases) = (adamw(), sgd());
    let ours = train(groups(weights.clone(), biases.clone()));
    assert!(weights.take_error().is_none() && biases.take_error().is_none());
    let theirs = train(groups(AdamWConfig::new().build(), SgdConfig::new().build()));
    let far = distance(&ours.values(), &theirs.values());
    assert!(far < 1e-5, "{far:e}");
}

#[test]
fn a_clone_goes_its_own_way() {
    let mut net = net(DType::F32);
    let mut one = ModuleOptimizer::from(adamw());
    let step = |optimizer: &mut ModuleOptimizer, net: Net, seed| {
        let grads = net.grads(seed);
        optimizer.step(0.01, net, grads)
    };
    net = step(&mut one, net, 0);
    let mut two = one.clone();
    let (a, b) = (
        step(&mut one, net.clone(), 1),
        step(&mut two, net.clone(), 2),
    );
    // Each has its own state: the same gradients from here on would show a shared one.
    let mut three = ModuleOptimizer::from(adamw());
    let mut again = step(&mut three, crate::net::net(DType::F32), 0);
    again = step(&mut three, again, 2);
    assert_eq!(again.values(), b.values());
    assert_ne!(a.values(), b.values());
    assert_eq!(
        step(&mut two, b, 3).values(),
        step(&mut three, again, 3).values()
    );
}
