//! A small perceptron with its data.

use burn_core as burn;
use burn_core::module::{Module, Param};
use burn_core::tensor::{DType, Device, Tensor, TensorData};
use burn_optim::GradientsParams;

#[derive(Module, Debug)]
pub(crate) struct Layer {
    pub(crate) weight: Param<Tensor<2>>,
    pub(crate) bias: Option<Param<Tensor<1>>>,
}

#[derive(Module, Debug)]
pub(crate) struct Net {
    pub(crate) layers: Vec<Layer>,
}

const WIDTHS: [usize; 3] = [4, 9, 3];
const SAMPLES: usize = 16;

/// Numbers in [−1, 1) that look random.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (state >> 40) as f64 / f64::from(1 << 23) - 1.0
    };
    (0..len).map(next).collect()
}

pub(crate) fn tensor<const D: usize>(shape: [usize; D], seed: u64, dtype: DType) -> Tensor<D> {
    let data = TensorData::new(noise(shape.iter().product(), seed), shape);
    Tensor::from_data(data, (&Device::flex(), dtype))
}

pub(crate) fn param<const D: usize>(tensor: Tensor<D>) -> Param<Tensor<D>> {
    Param::from_tensor(tensor.autodiff())
}

/// The same numbers at every call, and other ids.
pub(crate) fn net(dtype: DType) -> Net {
    let layer = |l: usize| Layer {
        weight: param(tensor([WIDTHS[l], WIDTHS[l + 1]], l as u64, dtype) * 0.5),
        bias: Some(param(tensor([WIDTHS[l + 1]], 10 + l as u64, dtype) * 0.5)),
    };
    Net {
        layers: vec![layer(0), layer(1)],
    }
}

impl Net {
    /// A mean of squares.
    pub(crate) fn loss(&self, seed: u64) -> Tensor<1> {
        let dtype = self.layers[0].weight.val().dtype();
        let mut h = tensor([SAMPLES, WIDTHS[0]], 100 + seed, dtype);
        for (l, layer) in self.layers.iter().enumerate() {
            h = h.matmul(layer.weight.val());
            if let Some(bias) = &layer.bias {
                h = h + bias.val().unsqueeze();
            }
            if l == 0 {
                h = h.tanh();
            }
        }
        let target: Tensor<2> = tensor([SAMPLES, WIDTHS[2]], 200 + seed, dtype);
        (h - target).square().mean()
    }

    pub(crate) fn grads(&self, seed: u64) -> GradientsParams {
        GradientsParams::from_grads(self.loss(seed).backward(), self)
    }

    /// All parameters, one after another.
    pub(crate) fn values(&self) -> Vec<f64> {
        let mut all = Vec::new();
        for layer in &self.layers {
            all.extend(layer.weight.val().into_data().iter::<f64>());
            let bias = layer.bias.iter().map(|bias| bias.val().into_data());
            bias.for_each(|bias| all.extend(bias.iter::<f64>()));
        }
        all
    }

    pub(crate) fn loss_value(&self) -> f64 {
        self.loss(0).into_scalar::<f64>()
    }
}

/// The greatest difference.
pub(crate) fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().zip(b);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
