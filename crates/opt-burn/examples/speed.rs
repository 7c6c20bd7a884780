//! A step of 3 million `f32` parameters by burn's own optimizers, and by ours under burn's
//! `ModuleOptimizer` and over the module at once, in turns; and the loss that both have after 100
//! steps of a small problem.

#![allow(clippy::print_stdout)] // what an example is for

use std::time::Instant;

use burn_core as burn;
use burn_core::module::{Module, Param};
use burn_core::tensor::{DType, Device, Tensor, TensorData};
use burn_optim::momentum::MomentumConfig;
use burn_optim::{
    AdamWConfig, GradientsParams, ModuleOptimizer, Optimizer, RmsPropConfig, SgdConfig,
};
use opt_burn::{ModuleUpdate, RuleOptimizer, params};
use opt_core::{FirstOrder, Rule, Tune};
use opt_firstorder::{AdamW, Momentum, RmsProp};

#[derive(Module, Debug)]
struct Net {
    first: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
    second: Param<Tensor<2>>,
}

fn numbers<const D: usize>(shape: [usize; D], scale: f32) -> Tensor<D> {
    let len = shape.iter().product::<usize>();
    let values = (0..len).map(|i| scale * ((i * 7919 % 1009) as f32 / 504.0 - 1.0));
    let data = TensorData::new(values.collect::<Vec<_>>(), shape);
    Tensor::from_data(data, (&Device::flex(), DType::F32))
}

impl Net {
    fn new(width: usize, hidden: usize) -> Self {
        Self {
            first: Param::from_tensor(numbers([width, hidden], 0.05).autodiff()),
            bias: Param::from_tensor(numbers([hidden], 0.05).autodiff()),
            second: Param::from_tensor(numbers([hidden, width], 0.05).autodiff()),
        }
    }

    fn loss(&self) -> Tensor<1> {
        let [width, _] = self.first.val().dims();
        let input = numbers([64, width], 1.0);
        let hidden = (input.clone().matmul(self.first.val()) + self.bias.val().unsqueeze()).tanh();
        (hidden.matmul(self.second.val()) - input.sin())
            .square()
            .mean()
    }

    /// Of nobody else's, as a backward pass makes them.
    fn random_grads(&self) -> GradientsParams {
        let mut grads = GradientsParams::new();
        grads.register(self.first.id, numbers(self.first.val().dims(), 1.0));
        grads.register(self.bias.id, numbers(self.bias.val().dims(), 1.0));
        grads.register(self.second.id, numbers(self.second.val().dims(), 1.0));
        grads
    }
}

const RATE: f64 = 1e-3;

type Step = Box<dyn FnMut(Net, GradientsParams) -> Net>;

fn by_burn(mut optimizer: ModuleOptimizer) -> Step {
    Box::new(move |net, grads| optimizer.step(RATE, net, grads))
}

/// Under burn's trait, and over the module.
fn ours<R, const N: usize>(rule: R, net: &Net) -> Result<[Step; 2], Box<dyn std::error::Error>>
where
    R: Rule<f32, N> + Rule<f64, N>,
{
    let mut update = FirstOrder::<f32, R, N>::new(rule.clone(), &params::<f32, _>(net)?)?;
    update.set("lr", RATE.into())?;
    let mut whole = ModuleUpdate::new(update);
    let single = RuleOptimizer::new(rule)?;
    Ok([
        by_burn(single.into()),
        Box::new(move |net, grads| whole.step(net, grads)),
    ])
}

/// The loss after 100 steps of a small problem.
fn loss_after(step: &mut Step) -> f64 {
    let mut net = Net::new(20, 30);
    for _ in 0..100 {
        let grads = GradientsParams::from_grads(net.loss().backward(), &net);
        net = step(net, grads);
    }
    net.loss().into_scalar::<f64>()
}

/// The median time of a step in ms, of each, in turns.
fn times(steps: &mut [Step]) -> Vec<f64> {
    let mut nets: Vec<_> = steps.iter().map(|_| Some(Net::new(1000, 1500))).collect();
    let mut all = vec![Vec::new(); steps.len()];
    for _ in 0..31 {
        for ((step, net), times) in steps.iter_mut().zip(&mut nets).zip(&mut all) {
            let Some(now) = net.take() else { continue };
            let grads = now.random_grads();
            let begin = Instant::now();
            *net = Some(step(now, grads));
            times.push(1e3 * begin.elapsed().as_secs_f64());
        }
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
    };
    all.into_iter().map(median).collect()
}

fn row<R, const N: usize>(
    name: &str,
    burns: impl Optimizer,
    rule: R,
) -> Result<(), Box<dyn std::error::Error>>
where
    R: Rule<f32, N> + Rule<f64, N>,
{
    let all = |net: &Net| -> Result<Vec<Step>, Box<dyn std::error::Error>> {
        let mut steps = vec![by_burn(burns.clone().into())];
        steps.extend(ours(rule.clone(), net)?);
        Ok(steps)
    };
    let mut steps = all(&Net::new(20, 30))?;
    let losses: Vec<f64> = steps.iter_mut().map(loss_after).collect();
    let times = times(&mut all(&Net::new(1000, 1500))?);
    print!("{name:9}");
    for (time, loss) in times.iter().zip(&losses) {
        let (ratio, far) = (time / times[0], (loss - losses[0]).abs());
        print!(" | {time:7.2} ms  {ratio:5.2}  {far:8.1e}");
    }
    println!();
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!(
        "3.0 M f32 parameters; time of a step, of burn's own; difference of the loss after 100 steps"
    );
    println!(
        "          | burn's own                  | our rule under burn's trait | our ModuleUpdate"
    );
    let (beta1, beta2) = (f64::from(0.9_f32), f64::from(0.999_f32));
    let eps = f64::from(1e-5_f32);
    let adamw = AdamW {
        beta1,
        beta2,
        eps,
        weight_decay: f64::from(1e-4_f32),
        ..AdamW::default()
    };
    row("AdamW", AdamWConfig::new().build(), adamw)?;
    let rmsprop = RmsProp {
        gamma: f64::from(0.99_f32),
        eps,
        ..RmsProp::default()
    };
    let config = RmsPropConfig::new().with_momentum(0.0).with_alpha(0.99);
    row("RMSProp", config.build(), rmsprop)?;
    let momentum = Momentum {
        momentum: beta1,
        ..Momentum::default()
    };
    let config = MomentumConfig::new().with_dampening(0.0);
    let config = SgdConfig::new().with_momentum(Some(config));
    row("momentum", config.build(), momentum)
}
