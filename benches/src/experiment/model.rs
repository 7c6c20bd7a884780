//! The network of a training experiment.

use opt_nn::{Activation, BatchNorm, Init, Spec};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    #[serde(default)]
    pub(crate) kind: Kind,
    /// Widths of the hidden layers; of an auto-encoder those of the encoder, the last of which is
    /// the linear code. The decoder mirrors them.
    pub(crate) hidden: Vec<usize>,
    #[serde(default)]
    pub(crate) activation: Hidden,
    #[serde(default)]
    pub(crate) init: Start,
    #[serde(default)]
    pub(crate) input_dropout: f64,
    #[serde(default)]
    pub(crate) dropout: f64,
    #[serde(default)]
    pub(crate) l2: f64,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Softmax cross-entropy of the classes.
    #[default]
    Classifier,
    /// Sigmoid cross-entropy of the inputs.
    Autoencoder,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Hidden {
    #[default]
    Relu,
    Tanh,
    ScaledTanh,
    Sigmoid,
}

impl Hidden {
    pub(crate) fn activation(self) -> Activation {
        match self {
            Self::Relu => Activation::Relu,
            Self::Tanh => Activation::Tanh,
            Self::ScaledTanh => Activation::ScaledTanh,
            Self::Sigmoid => Activation::Sigmoid,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Start {
    #[default]
    He,
    Lecun,
    /// A single layer has no symmetry to break.
    Zeros,
    /// Normal with this standard deviation.
    Gaussian(f64),
}

impl Model {
    /// The network; `norm` adds batch normalization before every hidden non-linearity.
    pub(crate) fn spec(&self, inputs: usize, classes: usize, norm: bool) -> Spec {
        let activation = self.activation.activation();
        let hidden = self.hidden.iter().copied();
        let mut spec = match self.kind {
            Kind::Classifier => {
                let widths: Vec<_> = [inputs]
                    .into_iter()
                    .chain(hidden)
                    .chain([classes])
                    .collect();
                Spec::classifier(&widths, activation)
            }
            Kind::Autoencoder => {
                let widths: Vec<_> = [inputs].into_iter().chain(hidden).collect();
                Spec::autoencoder(&widths, activation)
            }
        };
        (spec.input_dropout, spec.l2) = (self.input_dropout, self.l2);
        if let Some((_, hidden)) = spec.layers.split_last_mut() {
            for layer in hidden {
                layer.dropout = self.dropout;
                if norm && layer.activation != Activation::Identity {
                    layer.norm = Some(BatchNorm::default());
                }
            }
        }
        spec
    }

    /// `None` for zeros.
    pub(crate) fn init(&self) -> Option<Init> {
        match self.init {
            Start::Zeros => None,
            Start::He => Some(Init::He),
            Start::Lecun => Some(Init::LeCun),
            Start::Gaussian(std) => Some(Init::Gaussian { std }),
        }
    }

    /// For the report: `784-1000-1000-10 ReLU, softmax cross-entropy, dropout 0.5`.
    pub(crate) fn describe(&self, inputs: usize, classes: usize) -> String {
        let spec = self.spec(inputs, classes, false);
        let widths = spec.layers.iter().map(|layer| layer.units);
        let widths: Vec<_> = [inputs]
            .into_iter()
            .chain(widths)
            .map(|n| n.to_string())
            .collect();
        let mut text = widths.join("-");
        if !self.hidden.is_empty() {
            text += match self.activation {
                Hidden::Relu => " ReLU",
                Hidden::Tanh => " tanh",
                Hidden::ScaledTanh => " 1.7159·tanh(2a/3)",
                Hidden::Sigmoid => " sigmoid",
            };
        }
        text += match self.kind {
            Kind::Classifier => ", softmax cross-entropy",
            Kind::Autoencoder => ", linear code, sigmoid cross-entropy",
        };
        for (name, value) in [
            ("input dropout", self.input_dropout),
            ("dropout", self.dropout),
            ("L2", self.l2),
        ] {
            if value > 0.0 {
                text += &format!(", {name} {value}");
            }
        }
        text
    }
}
