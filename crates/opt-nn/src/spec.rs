use opt_core::{Hyper, Scalar};
use opt_norm::BatchNorm;

use crate::{Activation, Error, Loss, Pool};

/// What a network is: a list of layers, dropout and loss. Plain fields; [`Mlp::new`] checks them.
///
/// ```
/// use opt_nn::{Activation, Convolution, Layer, Pool, Spec};
///
/// // 28×28 grey images; 5×5 convolutions into 16 maps, which 2×2 pooling halves; 10 classes.
/// let mut spec = Spec::classifier(&[784, 10], Activation::Relu);
/// spec.image = Some([28, 28, 1]);
/// let filters = Convolution { kernel: 5, stride: 1, padding: 2 };
/// let mut maps = Layer::convolution(16, filters, Activation::Relu);
/// maps.pool = Some(Pool::max(2, 2));
/// spec.layers.insert(0, maps);
/// assert_eq!(opt_nn::Mlp::<f32>::new(spec)?.init(opt_nn::Init::He, 0).len(), 16 * 26 + 10 * 3137);
/// # Ok::<(), opt_nn::Error>(())
/// ```
///
/// [`Mlp::new`]: crate::Mlp::new
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Width of the input.
    pub inputs: usize,
    /// (height, width, channels) of the input, whose product is `inputs`, for convolutions and
    /// pooling; channels last: the channels of a pixel lie side by side. Without it the input is of
    /// shape (1, 1, inputs).
    pub image: Option<[usize; 3]>,
    /// From the input to the output. The last is dense, and not pooled.
    pub layers: Vec<Layer>,
    /// Rate of inputs that are dropped in training, in [0, 1); see [`Layer::dropout`].
    pub input_dropout: f64,
    /// What the last layer's output is compared by.
    pub loss: Loss,
    /// Adds ½·l2·Σ‖W‖² over all weights, but not biases, to the loss.
    pub l2: f64,
}

/// One layer: dropout(pool(activation(h·Wᵀ + b))), or activation(γ·x̂ + β) inside, where x̂ is h·Wᵀ
/// normalized over the batch.
///
/// A dense layer takes all that is below, maps flattened; of a convolution, h is the patch of each
/// position, and normalization is over the positions too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layer {
    /// Number of outputs; of a convolution, its channels.
    pub units: usize,
    /// How a convolution slides over the maps below; `None` for a dense layer.
    pub convolution: Option<Convolution>,
    /// Applied to each output.
    pub activation: Activation,
    /// Batch normalization of h·Wᵀ, before the activation. The layer then has no bias, which
    /// would have no effect, but γ and β.
    pub norm: Option<BatchNorm>,
    /// Pooling of the maps, after the activation.
    pub pool: Option<Pool>,
    /// Rate of this layer's outputs that are dropped in training, in [0, 1). The others are
    /// scaled by 1/(1 − rate) (inverted dropout), so that inference needs no change.
    ///
    /// The rate is rounded to a multiple of 1/65536, because a mask is drawn from 16 random bits
    /// a unit; the scale belongs to the rounded rate, so that the expectation is exact.
    pub dropout: f64,
}

/// A square kernel over maps that are surrounded by zeros. The weight is of shape (channels, kernel,
/// kernel, channels below); there are ⌊(height + 2·padding − kernel)/stride⌋ + 1 positions from top
/// to bottom, as many across as the width gives. As in deep learning everywhere, the kernel is not
/// turned around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Height and width, pixels.
    pub kernel: usize,
    /// From one position to the next, pixels.
    pub stride: usize,
    /// Rows and columns of zeros on each side.
    pub padding: usize,
}

impl Layer {
    /// A dense layer, without normalization and dropout.
    pub fn dense(units: usize, activation: Activation) -> Self {
        Self {
            units,
            convolution: None,
            activation,
            norm: None,
            pool: None,
            dropout: 0.0,
        }
    }

    /// A convolution, without normalization, pooling and dropout.
    pub fn convolution(channels: usize, convolution: Convolution, activation: Activation) -> Self {
        Self {
            convolution: Some(convolution),
            ..Self::dense(channels, activation)
        }
    }
}

impl Spec {
    /// A classifier by softmax cross-entropy, of the widths (inputs, hidden …, classes), without
    /// dropout and L2.
    pub fn classifier(widths: &[usize], hidden: Activation) -> Self {
        let mut spec = Self::stack(widths, hidden, Loss::SoftmaxCrossEntropy);
        if let Some(output) = spec.layers.last_mut() {
            output.activation = Activation::Identity;
        }
        spec
    }

    /// An auto-encoder for data in [0, 1], by sigmoid cross-entropy, without dropout and L2.
    ///
    /// `widths` are the encoder's (inputs, hidden …, code); the decoder mirrors them. The code
    /// is linear.
    ///
    /// ```
    /// use opt_nn::{Activation, Spec};
    ///
    /// let spec = Spec::autoencoder(&[784, 100, 6], Activation::Sigmoid);
    /// let units: Vec<_> = spec.layers.iter().map(|layer| layer.units).collect();
    /// assert_eq!(units, [100, 6, 100, 784]);
    /// assert_eq!(spec.layers[1].activation, Activation::Identity);
    /// ```
    pub fn autoencoder(widths: &[usize], hidden: Activation) -> Self {
        let mirrored = widths.iter().rev().skip(1);
        let widths: Vec<usize> = widths.iter().chain(mirrored).copied().collect();
        let mut spec = Self::stack(&widths, hidden, Loss::SigmoidCrossEntropy);
        let layers = spec.layers.len();
        for linear in [layers / 2, layers] {
            if let Some(layer) = spec.layers.get_mut(linear.wrapping_sub(1)) {
                layer.activation = Activation::Identity;
            }
        }
        spec
    }

    fn stack(widths: &[usize], activation: Activation, loss: Loss) -> Self {
        let layers = widths.iter().skip(1);
        Self {
            inputs: widths.first().copied().unwrap_or(0),
            image: None,
            layers: layers
                .map(|&units| Layer::dense(units, activation))
                .collect(),
            input_dropout: 0.0,
            loss,
            l2: 0.0,
        }
    }

    /// Width of the last layer, which is dense; 0 if there is none.
    pub(crate) fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.units)
    }

    pub(crate) fn check<F: Scalar>(&self) -> Result<(), Error> {
        let output = self.layers.last().ok_or(Error::NoLayers)?;
        let hidden = self.layers.iter().enumerate();
        let all = std::iter::once(("inputs".to_owned(), self.inputs, self.input_dropout)).chain(
            hidden.map(|(index, layer)| (format!("layer{index}"), layer.units, layer.dropout)),
        );
        for (what, width, rate) in all {
            if width == 0 {
                return Err(Error::ZeroWidth { what });
            }
            if !(0.0..1.0).contains(&rate) {
                return Err(Error::Dropout { what, rate });
            }
        }
        for norm in self.layers.iter().filter_map(|layer| layer.norm) {
            norm.check::<F>()?;
        }
        if output.dropout != 0.0 {
            return Err(Error::OutputDropout(output.dropout));
        }
        if output.pool.is_some() || output.convolution.is_some() {
            return Err(Error::OutputLayer);
        }
        if !(self.l2.is_finite() && self.l2 >= 0.0) {
            return Err(Error::L2(self.l2));
        }
        Ok(())
    }
}
