//! The works: what ours and theirs do, told to the Python peers in the same words.

use serde::Serialize;

use crate::convolutional::BATCH;

/// 100 MB of f32: what memory is for, not cache.
pub(crate) const PARAMETERS: usize = 25_000_000;

/// As many as MNIST trains on.
pub(crate) const SAMPLES: usize = 60_000;

/// Of every rule and every method, theirs too. Small enough that no work diverges.
pub(crate) const RATE: f64 = 1e-3;

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Work {
    /// One step of an elementwise rule.
    Update {
        rule: &'static str,
        parameters: usize,
        rate: f64,
    },
    /// Updates of a perceptron.
    Training(Net),
    /// Updates of Adam's CIFAR-10 network by Adam.
    Convolution {
        batch: usize,
        rate: f64,
        /// In one repetition.
        updates: usize,
    },
    /// All eigenvalues and eigenvectors of a symmetric matrix in f32.
    Eigh { order: usize },
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Net {
    #[serde(skip)]
    name: &'static str,
    pub(crate) widths: &'static [usize],
    pub(crate) activation: Activation,
    pub(crate) loss: Loss,
    pub(crate) method: &'static str,
    pub(crate) rate: f64,
    pub(crate) batch: usize,
    pub(crate) samples: usize,
    /// In one repetition.
    pub(crate) updates: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Activation {
    Relu,
    Sigmoid,
    /// Of the layers but the last, and of the middle one, which is linear.
    Autoencoder,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Loss {
    /// Softmax cross-entropy of a class.
    Softmax,
    /// Sigmoid cross-entropy of the inputs.
    Sigmoid,
}

/// By their names in `opt_firstorder::zoo`.
const RULES: [&str; 13] = [
    "sgd",
    "momentum",
    "nesterov",
    "adagrad",
    "rmsprop",
    "rmsprop-centered",
    "adadelta",
    "adam",
    "amsgrad",
    "adamw",
    "adamax",
    "irprop-minus",
    "manhattan",
];

const NETS: [Net; 4] = [
    Net {
        name: "mlp adam",
        widths: &[784, 1000, 1000, 10],
        activation: Activation::Relu,
        loss: Loss::Softmax,
        method: "adam",
        rate: RATE,
        batch: 128,
        samples: SAMPLES,
        updates: 16,
    },
    Net {
        name: "autoencoder sgd",
        widths: &[784, 1000, 500, 250, 30, 250, 500, 1000, 784],
        activation: Activation::Autoencoder,
        loss: Loss::Sigmoid,
        method: "sgd",
        rate: RATE,
        batch: 256,
        samples: SAMPLES,
        updates: 8,
    },
    Net {
        name: "sigmoid sgd",
        widths: &[784, 100, 100, 100, 10],
        activation: Activation::Sigmoid,
        loss: Loss::Softmax,
        method: "sgd",
        rate: RATE,
        batch: 60,
        samples: SAMPLES,
        updates: 300,
    },
    Net {
        name: "logistic sgd",
        widths: &[784, 10],
        activation: Activation::Sigmoid,
        loss: Loss::Softmax,
        method: "sgd",
        rate: RATE,
        batch: 128,
        samples: SAMPLES,
        updates: 600,
    },
];

/// All, in the order of the table.
pub(crate) fn all() -> Vec<Work> {
    let updates = RULES.map(|rule| Work::Update {
        rule,
        parameters: PARAMETERS,
        rate: RATE,
    });
    let mut works = updates.to_vec();
    works.extend(NETS.map(Work::Training));
    works.push(Work::Convolution {
        batch: BATCH,
        rate: RATE,
        updates: 2,
    });
    works.push(Work::Eigh { order: 1000 });
    works
}

impl Work {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Update { rule, .. } => format!("update {rule}"),
            Self::Training(net) => format!("training {}", net.name),
            Self::Convolution { .. } => "training convolutional adam".to_owned(),
            Self::Eigh { order } => format!("eigh {order}"),
        }
    }
}

impl Net {
    /// Whether layer `l`'s output passes through the activation.
    pub(crate) fn bends(&self, l: usize) -> bool {
        let layers = self.widths.len() - 1;
        l + 1 < layers && !(self.activation == Activation::Autoencoder && l + 1 == layers / 2)
    }

    /// The samples in [0, 1), the same for all whom we give them.
    pub(crate) fn inputs(&self) -> Vec<f32> {
        let width = self.widths.first().copied().unwrap_or(0);
        let mut draw = draws();
        (0..self.samples * width)
            .map(|_| (draw() >> 40) as f32 / (1_u64 << 24) as f32)
            .collect()
    }

    pub(crate) fn classes(&self) -> Vec<u8> {
        let mut draw = draws();
        (0..self.samples)
            .map(|_| (draw() >> 33) as u8 % 10)
            .collect()
    }

    /// An epoch's order. Minibatch t is the t-th piece of it, cyclically.
    pub(crate) fn order(&self) -> Vec<usize> {
        let mut draw = draws();
        let mut order: Vec<usize> = (0..self.samples).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, (draw() >> 33) as usize % (i + 1));
        }
        order
    }

    /// Where in the order minibatch `t` begins.
    pub(crate) fn begin(&self, t: usize) -> usize {
        t % (self.samples / self.batch) * self.batch
    }
}

/// Knuth's linear congruential generator: nothing here depends on what is drawn.
fn draws() -> impl FnMut() -> u64 {
    let mut state = 1_u64;
    move || {
        state =
            (state.wrapping_mul(6_364_136_223_846_793_005)).wrapping_add(1_442_695_040_888_963_407);
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_and_the_output_are_linear() {
        let bent = |net: &Net| {
            (0..net.widths.len() - 1)
                .map(|l| net.bends(l))
                .collect::<Vec<_>>()
        };
        assert_eq!(bent(&NETS[0]), [true, true, false]);
        let autoencoder = [true, true, true, false, true, true, true, false];
        assert_eq!(bent(&NETS[1]), autoencoder);
        assert_eq!(bent(&NETS[3]), [false]);
    }

    #[test]
    fn an_order_has_each_sample_once() {
        let mut order = NETS[0].order();
        assert_ne!(order[..4], [0, 1, 2, 3]);
        order.sort_unstable();
        assert!(order.into_iter().eq(0..SAMPLES));
    }
}
