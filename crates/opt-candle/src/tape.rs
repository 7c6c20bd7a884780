use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{CpuStorage, CustomOp3, DType, Layout, Module, Shape, Tensor, Var};
use candle_nn::{Conv1d, Conv2d, Linear};

use crate::Error;
use crate::window::{Maps, Window};

/// Wraps the layers of a candle model, so that they show what K-FAC and PRONG go by: the inputs and the
/// slopes of their pre-activations.
///
/// A wrapped layer is used as the layer is, and is one: outside of a [`LayeredModel`](crate::LayeredModel)
/// it does nothing else. Inside of one, its step in the graph is an operation that keeps the input, and the
/// slope when the backward pass comes by; it makes no gradient of the weight, which the methods make
/// themselves as they need it. Clones are handles on the same tape.
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
/// use candle_nn::{VarBuilder, VarMap};
/// use opt_candle::Tape;
///
/// let (map, tape) = (VarMap::new(), Tape::new());
/// let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
/// let net = candle_nn::seq()
///     .add(tape.linear(candle_nn::linear(4, 3, vb.pp("a"))?))
///     .add(candle_nn::Activation::Relu)
///     .add(tape.linear(candle_nn::linear(3, 2, vb.pp("b"))?));
/// assert_eq!(net.forward(&Tensor::zeros((5, 4), DType::F32, &Device::Cpu)?)?.dims(), [5, 2]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Tape(Arc<Mutex<Roll>>);

#[derive(Debug, Default)]
struct Roll {
    records: bool,
    layers: Vec<Taken>,
}

/// A layer, and what its last pass was.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) weight: Tensor,
    pub(crate) bias: Option<Tensor>,
    /// Of a convolution.
    pub(crate) window: Option<Window>,
    /// (rows…, `fan_in`), or maps (samples, channels, height, width).
    pub(crate) input: Option<Tensor>,
    /// Of the same rows, or the height and width of the output.
    pub(crate) delta: Option<Tensor>,
}

/// A layer on a [`Tape`], to be used as the layer is.
#[derive(Clone, Debug)]
pub struct Taped<M> {
    layer: M,
    tape: Tape,
    index: usize,
}

impl<M> Taped<M> {
    /// The layer itself.
    pub fn layer(&self) -> &M {
        &self.layer
    }
}

impl Tape {
    /// Without a layer yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A dense layer. Its input has samples as its first axis, or samples times positions, those of a sample
    /// side by side.
    pub fn linear(&self, layer: Linear) -> Taped<Linear> {
        let (weight, bias) = (layer.weight().clone(), layer.bias().cloned());
        self.wrap(layer, (weight, bias), None)
    }

    /// A convolution over (samples, channels, length).
    ///
    /// # Errors
    /// [`Error::Layer`] if it has groups.
    pub fn conv1d(&self, layer: Conv1d) -> Result<Taped<Conv1d>, Error> {
        let config = *layer.config();
        let (weight, bias) = (layer.weight().clone(), layer.bias().cloned());
        let kernel = [1, *weight.dims().last().unwrap_or(&1)];
        let window = Window {
            kernel,
            padding: [0, config.padding],
            stride: config.stride,
            dilation: config.dilation,
        };
        self.one_group(config.groups)?;
        Ok(self.wrap(layer, (weight, bias), Some(window)))
    }

    /// A convolution over (samples, channels, height, width).
    ///
    /// # Errors
    /// [`Error::Layer`] if it has groups.
    pub fn conv2d(&self, layer: Conv2d) -> Result<Taped<Conv2d>, Error> {
        let config = *layer.config();
        let (weight, bias) = (layer.weight().clone(), layer.bias().cloned());
        let kernel = match *weight.dims() {
            [.., height, width] => [height, width],
            _ => [1, 1],
        };
        let window = Window {
            kernel,
            padding: [config.padding; 2],
            stride: config.stride,
            dilation: config.dilation,
        };
        self.one_group(config.groups)?;
        Ok(self.wrap(layer, (weight, bias), Some(window)))
    }

    fn one_group(&self, groups: usize) -> Result<(), Error> {
        match groups {
            1 => Ok(()),
            _ => Err(Error::Layer {
                index: self.lock().layers.len(),
                why: format!("a convolution in {groups} groups is not one product of its patches"),
            }),
        }
    }

    fn wrap<M>(
        &self,
        layer: M,
        (weight, bias): (Tensor, Option<Tensor>),
        window: Option<Window>,
    ) -> Taped<M> {
        let mut roll = self.lock();
        let index = roll.layers.len();
        roll.layers.push(Taken {
            weight,
            bias,
            window,
            input: None,
            delta: None,
        });
        let tape = self.clone();
        Taped { layer, tape, index }
    }

    fn lock(&self) -> MutexGuard<'_, Roll> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The layers, with what they have kept.
    pub(crate) fn layers(&self) -> Vec<Taken> {
        self.lock().layers.clone()
    }

    /// The layers keep their inputs while `f` runs, and slopes from then on.
    pub(crate) fn record<R>(&self, f: impl FnOnce() -> R) -> R {
        let mut roll = self.lock();
        roll.records = true;
        for layer in &mut roll.layers {
            (layer.input, layer.delta) = (None, None);
        }
        drop(roll);
        let stop = Stop(self);
        let result = f();
        drop(stop);
        result
    }

    /// Forgets slopes, for a second backward pass.
    pub(crate) fn rewind(&self) {
        (self.lock().layers.iter_mut()).for_each(|layer| layer.delta = None);
    }

    /// Drops what the layers have kept.
    pub(crate) fn clear(&self) {
        for layer in &mut self.lock().layers {
            (layer.input, layer.delta) = (None, None);
        }
    }

    /// `out` in the place of what the layer would make of `input`.
    fn keep(&self, index: usize, input: &Tensor, out: &Tensor) -> candle_core::Result<Tensor> {
        let mut roll = self.lock();
        let layer = &mut roll.layers[index];
        if layer.input.is_some() {
            candle_core::bail!("layer {index} is used twice in one pass: wrap what is used once")
        }
        layer.input = Some(input.detach());
        drop(roll);
        let shown = Shown {
            tape: self.clone(),
            index,
            inward: input.track_op(),
        };
        // Before the first layer there is no variable: this one brings the backward pass by.
        let start = Var::zeros((), DType::F32, out.device())?;
        input.apply_op3(out, &start, shown)
    }
}

/// Also where a closure panics.
struct Stop<'a>(&'a Tape);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.lock().records = false;
    }
}

macro_rules! forward {
    ($($layer:ty),*) => {
        $(impl Module for Taped<$layer> {
            fn forward(&self, input: &Tensor) -> candle_core::Result<Tensor> {
                if !self.tape.lock().records {
                    return self.layer.forward(input);
                }
                let out = self.layer.forward(&input.detach())?.detach().contiguous()?;
                self.tape.keep(self.index, input, &out)
            }
        })*
    };
}
forward!(Linear, Conv1d, Conv2d);

impl Taken {
    /// The maps of an input, and of an output of this shape; of one dimension, with height 1.
    pub(crate) fn maps(&self, input: &[usize], out: &[usize]) -> Option<Maps> {
        let split = |dims: &[usize]| match *dims {
            [samples, channels, width] => Some((samples, channels, [1, width])),
            [samples, channels, height, width] => Some((samples, channels, [height, width])),
            _ => None,
        };
        let ((samples, channels, size), (_, _, out)) = (split(input)?, split(out)?);
        Some(Maps {
            samples,
            channels,
            size,
            out,
        })
    }

    /// The slope by the input of a layer, from that by its output.
    fn back(&self, input: &Tensor, delta: &Tensor) -> candle_core::Result<Tensor> {
        let fan_out = self.weight.dim(0)?;
        let weight = self.weight.detach();
        let Some(window) = &self.window else {
            let rows = delta.contiguous()?.reshape(((), fan_out))?;
            return rows.matmul(&weight)?.reshape(input.dims());
        };
        let Some(maps) = self.maps(input.dims(), delta.dims()) else {
            candle_core::bail!("a convolution of maps {:?}", input.dims())
        };
        let rows = rows(delta)?;
        let weight = rows_of_kernel(&weight)?;
        let patches = rows.matmul(&weight)?.flatten_all()?;
        let back = match patches.dtype() {
            DType::F64 => {
                let data = window.scatter(&maps, &patches.to_vec1::<f64>()?);
                Tensor::from_vec(data, input.dims(), input.device())?
            }
            _ => {
                let patches = patches.to_dtype(DType::F32)?.to_vec1::<f32>()?;
                let data = window.scatter(&maps, &patches);
                Tensor::from_vec(data, input.dims(), input.device())?.to_dtype(input.dtype())?
            }
        };
        Ok(back)
    }
}

/// Maps (samples, channels, …) as rows of channels.
pub(crate) fn rows(maps: &Tensor) -> candle_core::Result<Tensor> {
    let channels = maps.dim(1)?;
    let last = maps.flatten_from(2)?.transpose(1, 2)?.contiguous()?;
    last.reshape(((), channels))
}

/// (`fan_out`, pixels·channels) from (`fan_out`, channels, pixels…).
fn rows_of_kernel(weight: &Tensor) -> candle_core::Result<Tensor> {
    let fan_out = weight.dim(0)?;
    let last = weight.flatten_from(2)?.transpose(1, 2)?.contiguous()?;
    last.reshape((fan_out, ()))
}

/// An output that the layer has made already; backward, what keeps the slope.
struct Shown {
    tape: Tape,
    index: usize,
    /// Whether anything is below.
    inward: bool,
}

impl CustomOp3 for Shown {
    fn name(&self) -> &'static str {
        "opt-candle layer"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        out: &CpuStorage,
        layout: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        macro_rules! copy {
            ($($kind:ident),*) => {
                match (out, layout.contiguous_offsets()) {
                    $((CpuStorage::$kind(data), Some((start, end))) => {
                        CpuStorage::$kind(data[start..end].to_vec())
                    })*
                    _ => candle_core::bail!("a layer's output must be contiguous, of floats"),
                }
            };
        }
        let copy = copy!(F32, F64, BF16, F16);
        Ok((copy, layout.shape().clone()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        delta: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let mut roll = self.tape.lock();
        let layer = &mut roll.layers[self.index];
        layer.delta = Some(delta.detach());
        let layer = layer.clone();
        drop(roll);
        let inward = self.inward.then(|| layer.back(&input.detach(), delta));
        Ok((inward.transpose()?, None, None))
    }
}
