//! candle's optimizers and its perceptron.

use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, SGD, VarBuilder, VarMap};

use crate::turns::{Runner, timed};
use crate::work::{Activation, Loss, Net, Work};

pub(crate) const NAME: &str = "candle";
pub(crate) const GAP: &str = "of the update rules it has SGD and AdamW; it decomposes no matrices";

/// `None` for what it does not have.
pub(crate) fn runner(work: &Work) -> Option<std::result::Result<Runner<'static>, String>> {
    let (how, made) = match *work {
        Work::Update {
            rule: rule @ ("sgd" | "adamw"),
            parameters,
            rate,
        } => (None, update(rule, parameters, rate)),
        Work::Training(net) if net.method == "adam" => (Some("AdamW without decay"), training(net)),
        Work::Training(net) => (None, training(net)),
        _ => return None,
    };
    Some(
        made.map_err(|error| error.to_string())
            .map(|repeat| Runner {
                name: NAME.to_owned(),
                how: how.map(str::to_owned),
                repeat,
            }),
    )
}

type Repeat = crate::turns::Repeat<'static>;

/// Its optimizers have no common type.
enum Method {
    Sgd(SGD),
    AdamW(AdamW),
}

impl Method {
    fn new(name: &str, vars: Vec<Var>, lr: f64) -> Result<Self> {
        let adam = |weight_decay| ParamsAdamW {
            lr,
            weight_decay,
            ..ParamsAdamW::default()
        };
        match name {
            "sgd" => Ok(Self::Sgd(SGD::new(vars, lr)?)),
            "adam" => Ok(Self::AdamW(AdamW::new(vars, adam(0.0))?)),
            "adamw" => Ok(Self::AdamW(AdamW::new(vars, adam(0.01))?)),
            _ => candle_core::bail!("candle has no {name}"),
        }
    }

    fn step(&mut self, grads: &candle_core::backprop::GradStore) -> Result<()> {
        match self {
            Self::Sgd(sgd) => sgd.step(grads),
            Self::AdamW(adam) => adam.step(grads),
        }
    }
}

fn update(rule: &str, parameters: usize, rate: f64) -> Result<Repeat> {
    let x = Var::from_tensor(&Tensor::ones(parameters, DType::F32, &Device::Cpu)?)?;
    let g = Tensor::from_vec(crate::ours::gradient(parameters), parameters, &Device::Cpu)?;
    // Only a backward pass makes a store of gradients.
    let mut grads = x.as_tensor().sum_all()?.backward()?;
    grads.insert(&x, g);
    let mut method = Method::new(rule, vec![x], rate)?;
    Ok(Box::new(move || timed(1, || method.step(&grads))))
}

fn training(net: Net) -> Result<Repeat> {
    let (device, width) = (Device::Cpu, net.widths[0]);
    let vars = VarMap::new();
    let builder = VarBuilder::from_varmap(&vars, DType::F32, &device);
    let shapes = net.widths.windows(2).enumerate();
    let layers = shapes
        .map(|(l, w)| candle_nn::linear(w[0], w[1], builder.pp(l)))
        .collect::<Result<Vec<_>>>()?;
    let mut method = Method::new(net.method, vars.all_vars(), net.rate)?;
    let inputs = Tensor::from_vec(net.inputs(), (net.samples, width), &device)?;
    let classes = net.classes().into_iter().map(u32::from).collect();
    let classes: Tensor = Tensor::from_vec::<_, u32>(classes, net.samples, &device)?;
    let order: Vec<u32> = net.order().into_iter().map(|row| row as u32).collect();
    let order = Tensor::from_vec(order, net.samples, &device)?;
    let mut t = 0;
    Ok(Box::new(move || {
        timed(net.updates, || -> Result<()> {
            let rows = order.narrow(0, net.begin(t), net.batch)?;
            t += 1;
            let input = inputs.index_select(&rows, 0)?;
            let output = forward(&net, &layers, &input)?;
            let loss = match net.loss {
                Loss::Softmax => {
                    let target = classes.index_select(&rows, 0)?;
                    candle_nn::loss::cross_entropy(&output, &target)?
                }
                Loss::Sigmoid => candle_nn::loss::binary_cross_entropy_with_logit(&output, &input)?,
            };
            method.step(&loss.backward()?)
        })
    }))
}

fn forward(net: &Net, layers: &[candle_nn::Linear], input: &Tensor) -> Result<Tensor> {
    let mut h = input.clone();
    for (l, layer) in layers.iter().enumerate() {
        h = candle_nn::Module::forward(layer, &h)?;
        if net.bends(l) {
            h = match net.activation {
                Activation::Relu => h.relu()?,
                _ => candle_nn::ops::sigmoid(&h)?,
            };
        }
    }
    Ok(h)
}
