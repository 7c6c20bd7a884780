//! Our rules under burn's `ModuleOptimizer` go where burn's own optimizers go.

use burn_core::tensor::DType;
use burn_optim::momentum::MomentumConfig;
use burn_optim::{
    AdaGradConfig, AdamConfig, AdamWConfig, ModuleOptimizer, Optimizer, RmsPropConfig, SgdConfig,
};
use opt_burn::{ModuleUpdate, RuleOptimizer, params};
use opt_core::{FirstOrder, Rule, Tune};
use opt_firstorder::{
    AdaGrad, Adam, AdamW, AmsGrad, Momentum, Nesterov, RmsProp, RmsPropCentered, Sgd,
};

use crate::net::{Net, distance, net};

fn train(mut optimizer: ModuleOptimizer, lr: f64, dtype: DType) -> Net {
    let mut net = net(dtype);
    for t in 0..100 {
        // Rates that change, as a scheduler's do.
        let grads = net.grads(t % 5);
        net = optimizer.step(lr / (1.0 + 0.01 * t as f64), net, grads);
    }
    net
}

/// The same 100 steps by burn, by its `ModuleOptimizer` with our rule, and by ours over the module.
fn agree<R, const N: usize>(burns: impl Optimizer, rule: R, lr: f64)
where
    R: Rule<f32, N> + Rule<f64, N>,
{
    let ours = RuleOptimizer::new(rule.clone()).unwrap();
    for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F64, 1e-5)] {
        let theirs = train(burns.clone().into(), lr, dtype);
        let our = train(ours.clone().into(), lr, dtype);
        if let Some(error) = ours.take_error() {
            panic!("{rule:?}: {error}");
        }
        let far = distance(&theirs.values(), &our.values());
        assert!(far < tolerance, "{rule:?} in {dtype:?}: {far:e}");
        let loss = (theirs.loss_value() - our.loss_value()).abs();
        assert!(loss < 1e-5, "{rule:?} in {dtype:?}: loss {loss:e}");
        assert!(our.loss_value() < net(dtype).loss_value());
    }
    // All at once: bit by bit as tensor by tensor.
    let mut module = net(DType::F32);
    let update = FirstOrder::<f32, R, N>::new(rule.clone(), &params::<f32, _>(&module).unwrap());
    let update = update.unwrap();
    let mut whole = ModuleUpdate::new(update);
    for t in 0..100 {
        let grads = module.grads(t % 5);
        let lr = lr / (1.0 + 0.01 * t as f64);
        whole.update_mut().set("lr", lr.into()).unwrap();
        module = whole.try_step(module, grads).unwrap();
    }
    let singly = train(ours.clone().into(), lr, DType::F32);
    assert_eq!(module.values(), singly.values(), "{rule:?}");
}

#[test]
fn adaptive_rules_agree() {
    let eps = f64::from(1e-5_f32);
    let (beta1, beta2) = (f64::from(0.9_f32), f64::from(0.999_f32));
    let adamw = AdamW {
        lr: 0.0,
        beta1,
        beta2,
        eps,
        weight_decay: f64::from(1e-2_f32),
    };
    let config = AdamWConfig::new().with_weight_decay(1e-2);
    agree(config.build(), adamw, 0.01);
    let adam = Adam {
        beta1,
        beta2,
        eps,
        ..Adam::default()
    };
    agree(AdamConfig::new().build(), adam, 0.01);
    let amsgrad = AmsGrad {
        beta1,
        beta2,
        eps,
        ..AmsGrad::default()
    };
    agree(AdamConfig::new().with_amsgrad(true).build(), amsgrad, 0.01);
    let adagrad = AdaGrad {
        eps: f64::from(1e-5_f32),
        ..AdaGrad::default()
    };
    agree(AdaGradConfig::new().build(), adagrad, 0.05);
}

#[test]
fn rmsprop_agrees() {
    let (gamma, eps) = (f64::from(0.99_f32), f64::from(1e-5_f32));
    let rmsprop = RmsProp {
        gamma,
        eps,
        ..RmsProp::default()
    };
    let config = RmsPropConfig::new().with_momentum(0.0).with_alpha(0.99);
    agree(config.build(), rmsprop, 0.005);
    let centered = RmsPropCentered {
        gamma,
        eps,
        ..RmsPropCentered::default()
    };
    agree(config.with_centered(true).build(), centered, 0.005);
}

#[test]
fn plain_rules_agree() {
    let sgd = Sgd {
        lr: 0.0,
        weight_decay: 0.0,
    };
    agree(SgdConfig::new().build(), sgd, 0.1);
}

/// Burn multiplies the velocity by the rate, we the gradient: the same for a constant rate.
#[test]
fn momentum_agrees_at_a_constant_rate() {
    fn run(mut optimizer: ModuleOptimizer) -> Vec<f64> {
        let mut net = net(DType::F64);
        for t in 0..100 {
            let grads = net.grads(t % 5);
            net = optimizer.step(0.05, net, grads);
        }
        net.values()
    }
    let momentum = f64::from(0.9_f32);
    for nesterov in [false, true] {
        let config = MomentumConfig::new().with_dampening(0.0);
        let config = SgdConfig::new().with_momentum(Some(config.with_nesterov(nesterov)));
        let ours: ModuleOptimizer = if nesterov {
            let rule = Nesterov {
                momentum,
                ..Nesterov::default()
            };
            RuleOptimizer::new(rule).unwrap().into()
        } else {
            let rule = Momentum {
                momentum,
                ..Momentum::default()
            };
            RuleOptimizer::new(rule).unwrap().into()
        };
        let far = distance(&run(config.build().into()), &run(ours));
        assert!(far < 1e-12, "{far:e}");
    }
}
