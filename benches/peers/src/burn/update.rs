//! One step of an optimizer, on a tensor that nobody else holds: nothing is copied for a graph.

use std::time::Instant;

use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdaGradConfig, AdamConfig, AdamWConfig, Optimizer, RmsPropConfig, SgdConfig};
use burn::tensor::{Device, Tensor, TensorData};

use crate::turns::Repeat;

pub(super) fn repeat(
    rule: &str,
    parameters: usize,
    rate: f64,
    device: &Device,
) -> Option<Repeat<'static>> {
    let momentum = |nesterov| {
        let config = MomentumConfig::new().with_dampening(0.0);
        SgdConfig::new().with_momentum(Some(config.with_nesterov(nesterov)))
    };
    let rmsprop = |centered| {
        let config = RmsPropConfig::new().with_momentum(0.0);
        config.with_centered(centered).build()
    };
    let adam = |amsgrad| AdamConfig::new().with_amsgrad(amsgrad).build();
    Some(match rule {
        "sgd" => steps(SgdConfig::new().build(), parameters, rate, device),
        "momentum" => steps(momentum(false).build(), parameters, rate, device),
        "nesterov" => steps(momentum(true).build(), parameters, rate, device),
        "adagrad" => steps(AdaGradConfig::new().build(), parameters, rate, device),
        "rmsprop" => steps(rmsprop(false), parameters, rate, device),
        "rmsprop-centered" => steps(rmsprop(true), parameters, rate, device),
        "adam" => steps(adam(false), parameters, rate, device),
        "amsgrad" => steps(adam(true), parameters, rate, device),
        "adamw" => steps(AdamWConfig::new().build(), parameters, rate, device),
        _ => return None,
    })
}

fn steps<O: Optimizer>(
    optimizer: O,
    parameters: usize,
    rate: f64,
    device: &Device,
) -> Repeat<'static> {
    let mut x = Some(Tensor::<1>::ones([parameters], device));
    let mut state = None;
    let (g, device) = (crate::ours::gradient(parameters), device.clone());
    Box::new(move || {
        let x_now = x.take().ok_or("no parameters after a panic")?;
        // A step may write into its gradient, as one of a backward pass is nobody else's.
        let g = TensorData::new(g.clone(), [parameters]);
        let g = Tensor::<1>::from_data(g, &device);
        let begin = Instant::now();
        let (moved, next) = optimizer.step(rate, x_now, g, state.take());
        let ms = 1e3 * begin.elapsed().as_secs_f64();
        (x, state) = (Some(moved), next);
        Ok(ms)
    })
}
