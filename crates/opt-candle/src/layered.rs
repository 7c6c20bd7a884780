use std::fmt;

use candle_core::Tensor;
use opt_core::{
    Error as CoreError, Fisher, Layer, LayerPlace, Layered, Method, Objective, ParamMap, Report,
    SampledFisher,
};

use crate::flat::{Flat, Steps, lengths, number};
use crate::rows::{Rows, numbers};
use crate::{Element, Error, Likelihood, Tape, Vars};

/// A candle model whose layers are on a [`Tape`]: what K-FAC, PRONG, PRONG+ and the natural gradient step.
///
/// It is a [`Model`](crate::Model) whose closure gives the loss and the output z that it was made of, of shape
/// (samples, …, outputs). Everything said there holds here.
///
#[cfg_attr(any(feature = "faer", feature = "lapack"), doc = "```")]
#[cfg_attr(not(any(feature = "faer", feature = "lapack")), doc = "```ignore")]
/// use candle_core::{DType, Device, Module, Tensor};
/// use candle_nn::{VarBuilder, VarMap, loss::cross_entropy};
/// use opt_candle::{LayeredModel, Likelihood, Tape, Vars, natural::Kfac};
///
/// let (map, tape) = (VarMap::new(), Tape::new());
/// let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
/// let first = tape.linear(candle_nn::linear(2, 8, vb.pp("first"))?);
/// let last = tape.linear(candle_nn::linear(8, 2, vb.pp("last"))?);
/// # for (i, var) in Vars::from_varmap(&map)?.vars().iter().enumerate() {
/// #     // The same start in every run, which candle's numbers can't give.
/// #     let at = Tensor::arange(0.0_f32, var.elem_count() as f32, &Device::Cpu)?;
/// #     var.set(&at.affine(1.7, i as f64)?.sin()?.reshape(var.dims())?)?;
/// # }
/// let mut model = LayeredModel::new(
///     Vars::from_varmap(&map)?,
///     &tape,
///     Likelihood::Softmax(2),
///     |(x, y): &(Tensor, Tensor)| {
///         let z = last.forward(&first.forward(x)?.tanh()?)?;
///         Ok((cross_entropy(&z, y)?, z))
///     },
/// )?;
/// let mut kfac = Kfac::default().method(model.params(), model.places())?;
/// let x = Tensor::new(&[[0.0_f32, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], &Device::Cpu)?;
/// model.load((x, Tensor::new(&[0_u32, 1, 1, 0], &Device::Cpu)?));
/// for _ in 0..60 {
///     model.step(&mut kfac)?;
/// }
/// assert!(model.loss()? < 0.1);
/// # Ok::<(), opt_candle::Error>(())
/// ```
///
/// Layers are in the order in which the tape wrapped them. Every one must be used exactly once in a pass, with rows
/// that are the samples of the output, or as many positions of each: a dense layer over (samples, positions, inputs), as
/// in a transformer, has the positions as rows, like a convolution. Parameters outside of layers (embeddings, γ
/// and β of a normalization) follow the update that a direction is joined to; [`in_layers`](Self::in_layers)
/// tells groups apart.
///
/// In a method's vector, and so in its state, the weight of a convolution has its channels last: (out, height, width, in),
/// as [`LayerKind::Convolution`](opt_core::LayerKind::Convolution) has it, where candle has (out, in, height, width).
///
/// There is no statistics set ([`Layered::observe`]): PRONG collects from its first minibatches, as it says by
/// [`Fallback::Collecting`](opt_core::Fallback::Collecting), and x stays for them. Layers don't whiten their inputs themselves
/// ([`Reparametrized`](opt_core::Reparametrized)), so that PRONG in its own coordinates does not compile here.
pub struct LayeredModel<B, L, F = f32> {
    flat: Flat<F>,
    tape: Tape,
    places: Vec<LayerPlace>,
    likelihood: Likelihood,
    pass: L,
    batch: Option<B>,
    /// Of the last pass that the tape has seen, where the graph is still good.
    output: Option<Tensor>,
    samples: usize,
    /// Rows of inputs and slopes, layer by layer; shown while `fresh`.
    shown: Vec<Rows<F>>,
    fresh: bool,
}

/// A loss and the output that it was made of.
type Pass = candle_core::Result<(Tensor, Tensor)>;

impl<B, L: FnMut(&B) -> Pass> LayeredModel<B, L, f32> {
    /// A model whose methods compute in `f32`, with variables of `f32`, `bf16` or `f16`.
    ///
    /// # Errors
    /// [`Error::VarDType`]; [`Error::Layer`] for a layer whose weight or bias is not among the variables.
    pub fn new(vars: Vars, tape: &Tape, likelihood: Likelihood, pass: L) -> Result<Self, Error> {
        Self::typed(vars, tape, likelihood, pass)
    }
}

impl<B, L: FnMut(&B) -> Pass> LayeredModel<B, L, f64> {
    /// A model of `f64`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn double(vars: Vars, tape: &Tape, likelihood: Likelihood, pass: L) -> Result<Self, Error> {
        Self::typed(vars, tape, likelihood, pass)
    }
}

impl<F: Element, B, L: FnMut(&B) -> Pass> LayeredModel<B, L, F> {
    fn typed(vars: Vars, tape: &Tape, likelihood: Likelihood, pass: L) -> Result<Self, Error> {
        let (mut places, mut shown) = (Vec::new(), Vec::new());
        let mut kernels = vec![None; vars.vars().len()];
        for (index, layer) in tape.layers().iter().enumerate() {
            let find = |tensor: &Tensor, what: &str| {
                vars.position(tensor).ok_or_else(|| Error::Layer {
                    index,
                    why: format!("its {what} is not one of the variables"),
                })
            };
            let weight = find(&layer.weight, "weight")?;
            let bias = layer.bias.as_ref().map(|bias| find(bias, "bias"));
            let bias = bias.transpose()?;
            let (fan_out, channels) = (layer.weight.dim(0)?, layer.weight.dim(1)?);
            let pixels = layer.window.map_or(1, |window| window.pixels());
            if layer.window.is_some() {
                kernels[weight] = Some((channels, pixels));
            }
            places.push(match layer.window {
                None => LayerPlace::dense(weight, bias),
                Some(_) => LayerPlace::convolution(weight, bias),
            });
            shown.push(Rows {
                input: Vec::new(),
                delta: Vec::new(),
                fan_in: channels * pixels,
                fan_out,
            });
        }
        Ok(Self {
            flat: Flat::new(vars, kernels)?,
            tape: tape.clone(),
            places,
            likelihood,
            pass,
            batch: None,
            output: None,
            samples: 0,
            shown,
            fresh: false,
        })
    }

    /// The batch of all evaluations until the next.
    pub fn load(&mut self, batch: B) {
        (self.batch, self.output, self.fresh) = (Some(batch), None, false);
        self.tape.clear();
    }

    /// As [`Model::step`](crate::Model::step).
    ///
    /// # Errors
    /// As there.
    pub fn step<M: Method<F, Self>>(&mut self, method: &mut M) -> Result<Report<F>, Error> {
        self.step_by(method)
    }

    /// As [`Model::loss`](crate::Model::loss).
    ///
    /// # Errors
    /// As there.
    pub fn loss(&mut self) -> Result<f64, Error> {
        let batch = self.batch.as_ref().ok_or(Error::NotLoaded)?;
        number::<f64>(&(self.pass)(batch)?.0)
    }

    /// Names and places in a method's vector.
    pub fn params(&self) -> &ParamMap {
        &self.flat.params
    }

    /// Where the layers are in it.
    pub fn places(&self) -> &[LayerPlace] {
        &self.places
    }

    /// Whether the segment of this name is the weight or bias of a layer.
    pub fn in_layers(&self, name: &str) -> bool {
        let all = self.places.iter();
        let mut all = all.flat_map(|place| std::iter::once(place.weight).chain(place.bias));
        all.any(|index| self.flat.vars.name(index) == name)
    }

    /// A pass that the tape keeps, at `x`.
    fn record(&mut self, x: &[F]) -> Result<Tensor, Error> {
        (self.output, self.fresh) = (None, false);
        self.flat.push(x)?;
        let batch = self.batch.as_ref().ok_or(Error::NotLoaded)?;
        let (tape, pass) = (&self.tape, &mut self.pass);
        let (loss, output) = tape.record(|| pass(batch))?;
        let outputs = self.likelihood.outputs();
        match *output.dims() {
            [samples, .., last] if samples > 0 && last == outputs && outputs > 0 => {
                self.samples = samples;
            }
            ref found => {
                return Err(Error::Output {
                    outputs,
                    found: found.to_vec(),
                });
            }
        }
        self.output = Some(output);
        Ok(loss)
    }

    fn differentiate(&mut self, x: &[F], g: &mut [F]) -> Result<F, Error> {
        let loss = self.record(x)?;
        let value = number(&loss)?;
        self.flat.gradient(&loss.backward()?, g)?;
        self.take(true)?;
        Ok(value)
    }

    /// Rows from what the tape has kept; inputs only if there are others than before.
    fn take(&mut self, inputs: bool) -> Result<(), Error> {
        self.fresh = false;
        let layers = self.tape.layers();
        for (index, (layer, shown)) in layers.iter().zip(&mut self.shown).enumerate() {
            let refuse = |why: String| Error::Layer { index, why };
            let (Some(input), Some(delta)) = (&layer.input, &layer.delta) else {
                return Err(refuse(
                    "the loss does not depend on it in this pass".to_owned(),
                ));
            };
            shown.take(layer, input, delta, inputs)?;
            let rows = shown.delta.len() / shown.fan_out.max(1);
            let fits = shown.input.len() == rows * shown.fan_in;
            if !fits || rows == 0 || !rows.is_multiple_of(self.samples) {
                let why = format!("it has {rows} rows for {} samples", self.samples);
                return Err(refuse(why));
            }
        }
        self.fresh = true;
        Ok(())
    }

    /// Backward from slopes that `f` makes of the output, in place, by a scale for each row.
    fn backward(
        &mut self,
        x: &[F],
        kept: bool,
        f: impl FnOnce(&mut [F], f64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let inputs = !(kept && self.fresh && self.output.is_some());
        if inputs {
            self.record(x)?;
        }
        let output = self.output.clone().ok_or(Error::NotLoaded)?;
        let mut z = numbers::<F>(&output)?;
        let (rows, samples) = (z.len() / self.likelihood.outputs(), self.samples as f64);
        // A sample's loss is the mean over its rows.
        f(&mut z, 1.0 / (samples * rows as f64).sqrt())?;
        let slope = Tensor::from_vec(z, output.dims(), output.device())?;
        let slope = slope.to_dtype(output.dtype())?;
        self.tape.rewind();
        (output * slope)?.sum_all()?.backward()?;
        self.take(inputs)
    }
}

impl<F: Element, B, L: FnMut(&B) -> Pass> Steps<F> for LayeredModel<B, L, F> {
    fn flat(&mut self) -> &mut Flat<F> {
        &mut self.flat
    }
}

impl<F: Element, B, L: FnMut(&B) -> Pass> Objective<F> for LayeredModel<B, L, F> {
    fn params(&self) -> &ParamMap {
        &self.flat.params
    }

    fn value(&mut self, x: &[F]) -> Result<F, CoreError> {
        // The graph's weights are the variables.
        self.output = None;
        self.flat.push(x)?;
        let batch = self.batch.as_ref().ok_or(Error::NotLoaded)?;
        let (loss, _) = (self.pass)(batch).map_err(Error::from)?;
        Ok(number(&loss)?)
    }

    fn grad(&mut self, x: &[F], g: &mut [F]) -> Result<F, CoreError> {
        let value = self.deltas(x, g)?;
        for (shown, place) in self.shown.iter().zip(&self.places) {
            shown.add(place, &self.flat.params, g)?;
        }
        Ok(value)
    }
}

impl<F: Element, B, L: FnMut(&B) -> Pass> Layered<F> for LayeredModel<B, L, F> {
    fn places(&self) -> &[LayerPlace] {
        &self.places
    }

    fn deltas(&mut self, x: &[F], g: &mut [F]) -> Result<F, CoreError> {
        lengths(&self.flat.params, x, g)?;
        Ok(self.differentiate(x, g)?)
    }

    fn layer(&self, index: usize) -> Option<Layer<'_, F>> {
        let [input, delta] = self.shown.get(index).filter(|_| self.fresh)?.view()?;
        Some(Layer::positions(input, delta, self.samples))
    }
}

/// Labels are drawn row by row of the output, by the seed. A second backward pass of the same graph takes one
/// more of the output's slopes, and no forward pass.
impl<F: Element, B, L: FnMut(&B) -> Pass> SampledFisher<F> for LayeredModel<B, L, F> {
    fn sample(&mut self, x: &[F], seed: u64) -> Result<(), CoreError> {
        let likelihood = self.likelihood;
        let draw = |z: &mut [F], scale| {
            likelihood.sample(z, scale, seed);
            Ok(())
        };
        Ok(self.backward(x, false, draw)?)
    }

    fn resample(&mut self, x: &[F], seed: u64) -> Result<(), CoreError> {
        let likelihood = self.likelihood;
        let draw = |z: &mut [F], scale| {
            likelihood.sample(z, scale, seed);
            Ok(())
        };
        Ok(self.backward(x, true, draw)?)
    }
}

impl<F: Element, B, L: FnMut(&B) -> Pass> Fisher<F> for LayeredModel<B, L, F> {
    fn outputs(&self) -> usize {
        self.likelihood.outputs()
    }

    fn factor(&mut self, x: &[F], index: usize) -> Result<(), CoreError> {
        let (likelihood, outputs) = (self.likelihood, self.likelihood.outputs());
        if index >= outputs {
            return Err(Error::Factor { index, outputs }.into());
        }
        let column = |z: &mut [F], scale: f64| {
            // 1/rows then, and else more.
            let rows = z.len() / outputs;
            if scale * rows as f64 > 1.5 {
                return Err(Error::Positions);
            }
            likelihood.factor(z, scale, index);
            Ok(())
        };
        Ok(self.backward(x, false, column)?)
    }
}

impl<B, L, F: fmt::Debug> fmt::Debug for LayeredModel<B, L, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayeredModel")
            .field("params", &self.flat.params)
            .field("places", &self.places)
            .field("likelihood", &self.likelihood)
            .finish_non_exhaustive()
    }
}
