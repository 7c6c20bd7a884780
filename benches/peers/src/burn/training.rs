//! Updates of a perceptron.

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams, SgdConfig};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::turns::{Repeat, timed};
use crate::work::{Activation, Loss, Net};

#[derive(Module, Debug)]
struct Perceptron {
    layers: Vec<Linear>,
}

impl Perceptron {
    fn forward(&self, net: &Net, input: Tensor<2>) -> Tensor<2> {
        let mut h = input;
        for (l, layer) in self.layers.iter().enumerate() {
            h = layer.forward(h);
            if net.bends(l) {
                h = match net.activation {
                    Activation::Relu => relu(h),
                    _ => sigmoid(h),
                };
            }
        }
        h
    }
}

pub(super) fn repeat(net: Net, device: &Device) -> Repeat<'static> {
    let pairs = net.widths.windows(2);
    let layers = pairs.map(|w| LinearConfig::new(w[0], w[1]).init(device));
    let mut model = Some(Perceptron {
        layers: layers.collect(),
    });
    let mut method = match net.method {
        "adam" => AdamConfig::new().init(),
        _ => SgdConfig::new().init(),
    };
    let cross_entropy = CrossEntropyLossConfig::new().init(device);
    let shape = [net.samples, net.widths[0]];
    let inputs = Tensor::<2>::from_data(TensorData::new(net.inputs(), shape), device);
    let ints = |values: Vec<i64>| {
        Tensor::<1, Int>::from_data(TensorData::new(values, [net.samples]), device)
    };
    let classes = ints(net.classes().into_iter().map(i64::from).collect());
    let order = ints(net.order().into_iter().map(|row| row as i64).collect());
    let mut t = 0;
    Box::new(move || {
        timed(net.updates, || -> Result<(), String> {
            let model_now = model.take().ok_or("no model after a panic")?;
            let begin = net.begin(t);
            t += 1;
            let rows = order.clone().slice(begin..begin + net.batch);
            let input = inputs.clone().select(0, rows.clone());
            let output = model_now.forward(&net, input.clone());
            let loss = match net.loss {
                Loss::Softmax => cross_entropy.forward(output, classes.clone().select(0, rows)),
                Loss::Sigmoid => sigmoid_cross_entropy(output, input),
            };
            let gradients = GradientsParams::from_grads(loss.backward(), &model_now);
            model = Some(method.step(net.rate, model_now, gradients));
            Ok(())
        })
    })
}

/// Its own is for targets that are 0 or 1.
fn sigmoid_cross_entropy(z: Tensor<2>, target: Tensor<2>) -> Tensor<1> {
    let tail = z.clone().abs().neg().exp().log1p();
    (relu(z.clone()) - z * target + tail).mean()
}
