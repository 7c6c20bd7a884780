//! The network of a training experiment.

use opt_nn::{Activation, BatchNorm, Convolution, Init, Layer, Pool, Spec};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    #[serde(default)]
    pub(crate) kind: Kind,
    /// Convolutions below the hidden layers, of images.
    #[serde(default)]
    pub(crate) maps: Vec<Maps>,
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

impl Model {
    /// Multiplications of one example on its way forward, roughly: of an image of 28² pixels.
    pub(crate) fn price(&self) -> f64 {
        let (mut inputs, mut side, mut price) = (1, 28_usize, 0);
        for maps in &self.maps {
            side = side.div_ceil(maps.stride);
            price += side * side * maps.kernel * maps.kernel * inputs * maps.channels;
            (inputs, side) = (maps.channels, side.div_ceil(maps.pool.map_or(1, |_| 2)));
        }
        inputs *= side * side;
        for &units in self.hidden.iter().chain([&10]) {
            price += inputs * units;
            inputs = units;
        }
        price as f64
    }
}

/// A convolution, and the pooling of its maps.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Maps {
    pub(crate) channels: usize,
    pub(crate) kernel: usize,
    #[serde(default = "one")]
    stride: usize,
    #[serde(default)]
    padding: usize,
    /// Height and width of a window.
    pool: Option<usize>,
    /// That of the windows if absent.
    pool_stride: Option<usize>,
    /// Instead of the greatest.
    #[serde(default)]
    average: bool,
}

fn one() -> usize {
    1
}

impl Maps {
    fn layer(&self, activation: Activation) -> Layer {
        let convolution = Convolution {
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding,
        };
        let mut layer = Layer::convolution(self.channels, convolution, activation);
        layer.pool = self.pool.map(|size| {
            let stride = self.pool_stride.unwrap_or(size);
            match self.average {
                true => Pool::average(size, stride),
                false => Pool::max(size, stride),
            }
        });
        layer
    }
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
    pub(crate) fn spec(
        &self,
        (inputs, image): (usize, Option<[usize; 3]>),
        classes: usize,
        norm: bool,
    ) -> Spec {
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
            hidden
                .iter_mut()
                .for_each(|layer| layer.dropout = self.dropout);
        }
        if !self.maps.is_empty() {
            spec.image = image;
            let maps = self.maps.iter().map(|maps| maps.layer(activation));
            spec.layers.splice(..0, maps);
        }
        if let Some((_, hidden)) = spec.layers.split_last_mut() {
            for layer in hidden {
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
    pub(crate) fn describe(
        &self,
        (inputs, image): (usize, Option<[usize; 3]>),
        classes: usize,
    ) -> String {
        let spec = self.spec((inputs, image), classes, false);
        let mut widths = vec![match spec.image {
            Some([height, width, channels]) => format!("{height}x{width}x{channels}"),
            None => inputs.to_string(),
        }];
        widths.extend(spec.layers.iter().map(|layer| {
            let Some(filters) = layer.convolution else {
                return layer.units.to_string();
            };
            let pool = layer
                .pool
                .map(|pool| format!(" pool {}/{}", pool.size, pool.stride));
            let (kernel, pool) = (filters.kernel, pool.unwrap_or_default());
            format!("{} maps by {kernel}x{kernel}{pool}", layer.units)
        }));
        let mut text = widths.join("-");
        if spec.layers.len() > 1 {
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
