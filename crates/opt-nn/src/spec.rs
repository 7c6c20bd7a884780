use opt_core::{Hyper, Scalar};
use opt_norm::BatchNorm;

use crate::{Activation, Error, Loss};

/// What a network is: widths, activations, dropout and loss. Plain fields; [`Mlp::new`] checks
/// them.
///
/// [`Mlp::new`]: crate::Mlp::new
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Width of the input.
    pub inputs: usize,
    /// The dense layers, from the input to the output.
    pub layers: Vec<Dense>,
    /// Rate of inputs that are dropped in training, in [0, 1); see [`Dense::dropout`].
    pub input_dropout: f64,
    /// What the last layer's output is compared by.
    pub loss: Loss,
    /// Adds ½·l2·Σ‖W‖² over all weights, but not biases, to the loss.
    pub l2: f64,
}

/// One dense layer, activation(h·Wᵀ + b), or activation(γ·x̂ + β) where x̂ is h·Wᵀ normalized over
/// the batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dense {
    /// Number of outputs.
    pub units: usize,
    /// Applied to each output.
    pub activation: Activation,
    /// Rate of this layer's outputs that are dropped in training, in [0, 1). The others are
    /// scaled by 1/(1 − rate) (inverted dropout), so that inference needs no change.
    ///
    /// The rate is rounded to a multiple of 1/65536, because a mask is drawn from 16 random bits
    /// a unit; the scale belongs to the rounded rate, so that the expectation is exact.
    pub dropout: f64,
    /// Batch normalization of h·Wᵀ, before the activation. The layer then has no bias, which
    /// would have no effect, but γ and β.
    pub norm: Option<BatchNorm>,
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
        let layers = widths.iter().skip(1).map(|&units| Dense {
            units,
            activation,
            dropout: 0.0,
            norm: None,
        });
        Self {
            inputs: widths.first().copied().unwrap_or(0),
            layers: layers.collect(),
            input_dropout: 0.0,
            loss,
            l2: 0.0,
        }
    }

    /// Number of inputs of layer `index`.
    pub(crate) fn fan_in(&self, index: usize) -> usize {
        match index {
            0 => self.inputs,
            _ => self.layers[index - 1].units,
        }
    }

    /// Width of the last layer; 0 if there is none.
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
        if !(self.l2.is_finite() && self.l2 >= 0.0) {
            return Err(Error::L2(self.l2));
        }
        Ok(())
    }
}
