//! The network without data: its shapes, its parameters, and the pass forward.

use ndarray::ArrayView2;
use opt_core::{LayerPlace, ParamMap, Scalar, dot};
use opt_norm::Running;

use crate::batch::{Batch, keep};
use crate::buffer::{grow, view};
use crate::conv::Patches;
use crate::error::Error;
use crate::linear::{Dense, Input, Linear};
use crate::pass::Pass;
use crate::pool::Pooling;
use crate::rows::each_row;
use crate::shape::{Shape, shapes};
use crate::spec::Spec;
use crate::whiten::Whitening;

/// The network without data.
#[derive(Clone)]
pub(crate) struct Net<F> {
    pub(crate) spec: Spec,
    pub(crate) shapes: Vec<Shape>,
    pub(crate) params: ParamMap,
    /// Of each layer's input, unless it goes in as it is.
    pub(crate) whitening: Vec<Option<Whitening<F>>>,
    /// Where the parameters of each layer are.
    pub(crate) places: Vec<Places>,
    /// The same, as methods see it: γ and β are outside of the layers.
    pub(crate) layers: Vec<LayerPlace>,
    /// Running statistics of each layer that is normalized.
    pub(crate) running: Vec<Option<Running<F>>>,
}

/// Positions of a layer's parameters among the segments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    pub(crate) weight: usize,
    /// b, or β where there is γ.
    pub(crate) bias: usize,
    pub(crate) gamma: Option<usize>,
}

impl<F: Scalar> Net<F> {
    pub(crate) fn new(spec: Spec) -> Result<Self, Error> {
        spec.check::<F>()?;
        let shapes = shapes(&spec)?;
        let (mut tensors, mut places, mut running) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (layer, of)) in spec.layers.iter().zip(&shapes).enumerate() {
            let mut tensor = |name: &str, shape: Vec<usize>| {
                tensors.push((format!("layer{index}.{name}"), shape));
                tensors.len() - 1
            };
            let units = layer.units;
            let shape = match layer.convolution {
                None => vec![units, of.fan_in],
                Some(conv) => vec![units, conv.kernel, conv.kernel, of.input.channels],
            };
            let weight = tensor("weight", shape);
            let gamma = layer.norm.map(|_| tensor("gamma", vec![units]));
            let bias = tensor(if gamma.is_some() { "beta" } else { "bias" }, vec![units]);
            places.push(Places {
                weight,
                bias,
                gamma,
            });
            running.push(layer.norm.map(|_| Running::new(units)));
        }
        let params = ParamMap::new(tensors)?;
        let layers = places.iter().zip(&spec.layers).map(|(place, layer)| {
            let bias = place.gamma.is_none().then_some(place.bias);
            match layer.convolution {
                None => LayerPlace::dense(place.weight, bias),
                Some(_) => LayerPlace::convolution(place.weight, bias),
            }
        });
        Ok(Self {
            layers: layers.collect(),
            whitening: vec![None; spec.layers.len()],
            spec,
            shapes,
            params,
            places,
            running,
        })
    }

    /// A segment of `x`.
    pub(crate) fn part<'a>(&self, segment: usize, x: &'a [F]) -> &'a [F] {
        &x[self.params.segments()[segment].range.clone()]
    }

    pub(crate) fn weight<'a>(&self, index: usize, x: &'a [F]) -> &'a [F] {
        self.part(self.places[index].weight, x)
    }

    /// V of shape (units, fan_in).
    pub(crate) fn matrix<'a>(&self, index: usize, x: &'a [F]) -> Result<ArrayView2<'a, F>, Error> {
        let (units, fan_in) = (self.spec.layers[index].units, self.shapes[index].fan_in);
        view(self.weight(index, x), units, fan_in)
    }

    pub(crate) fn bias<'a>(&self, index: usize, x: &'a [F]) -> &'a [F] {
        self.part(self.places[index].bias, x)
    }

    pub(crate) fn gamma<'a>(&self, index: usize, x: &'a [F]) -> Option<&'a [F]> {
        Some(self.part(self.places[index].gamma?, x))
    }

    /// Rows of a = h·Wᵀ of layer `index`: samples, or their positions.
    pub(crate) fn rows(&self, index: usize, batch: &Batch<F>) -> usize {
        batch.rows * self.shapes[index].positions()
    }

    /// Multiplications of a forward pass over so many samples.
    pub(crate) fn operations(&self, rows: usize) -> usize {
        let layers = self.spec.layers.iter().zip(&self.shapes);
        let each = layers.map(|(layer, shape)| {
            let matrix = layer.units.saturating_mul(shape.fan_in);
            matrix.saturating_mul(shape.positions())
        });
        rows.saturating_mul(each.fold(0, usize::saturating_add))
    }

    /// The dense layer on the rows of `patches`, or on the input itself if that is all there is.
    pub(crate) fn dense(&self, index: usize) -> Dense {
        Dense {
            units: self.spec.layers[index].units,
            fan_in: self.shapes[index].fan_in,
        }
    }

    pub(crate) fn patches(&self, index: usize) -> Option<Patches> {
        let convolution = self.spec.layers[index].convolution?;
        let shape = self.shapes[index];
        Some(Patches { convolution, shape })
    }

    /// Calls `f` with what layer `index` does to its input.
    pub(crate) fn linear<R>(&self, index: usize, f: impl FnOnce(&dyn Linear<F>) -> R) -> R {
        match self.patches(index) {
            None => f(&self.dense(index)),
            Some(patches) => f(&patches),
        }
    }

    pub(crate) fn pooling(&self, index: usize) -> Option<Pooling> {
        let pool = self.spec.layers[index].pool?;
        let Shape { output, above, .. } = self.shapes[index];
        Some(Pooling {
            pool,
            from: output,
            to: above,
        })
    }

    /// The mask of sample `row` of layer `index`, if dropout comes right after the activation.
    pub(crate) fn mask<'a>(
        &self,
        index: usize,
        row: usize,
        batch: &'a Batch<F>,
    ) -> Option<&'a [F]> {
        let layer = &self.spec.layers[index];
        let width = self.shapes[index].output.len();
        let at = row * width..(row + 1) * width;
        batch.masks[index].get(at).filter(|_| layer.pool.is_none())
    }

    /// The reciprocal of the scale of such a mask.
    pub(crate) fn kept(&self, index: usize) -> F {
        let layer = &self.spec.layers[index];
        match layer.pool {
            None => F::of(keep(layer.dropout)),
            Some(_) => F::one(),
        }
    }

    /// What goes into layer `index`, before patches are made of it, and before whitening.
    pub(crate) fn input<'a>(
        &self,
        index: usize,
        batch: &'a Batch<F>,
        [outputs, pooled]: [&'a [Vec<F>]; 2],
    ) -> Input<'a, F> {
        let handed = self.handed(index, [outputs, pooled]);
        handed.unwrap_or_else(|| batch.input())
    }

    /// What the layer below `index` hands up, of its outputs and of what they are pooled to; none below
    /// the first.
    pub(crate) fn handed<'a>(
        &self,
        index: usize,
        [outputs, pooled]: [&'a [Vec<F>]; 2],
    ) -> Option<Input<'a, F>> {
        let below = index.checked_sub(1)?;
        Some(Input::Dense(match self.spec.layers[below].pool {
            Some(_) => &pooled[below],
            None => &outputs[below],
        }))
    }

    /// The rows of h of layer `index` after `forward`, of shape (rows, fan_in), before whitening: its
    /// patches, if it is a convolution that has kept them. None for sparse inputs.
    pub(crate) fn shown<'a>(
        &self,
        index: usize,
        batch: &'a Batch<F>,
        pass: &'a Pass<F>,
    ) -> Option<ArrayView2<'a, F>> {
        let (rows, fan_in) = (self.rows(index, batch), self.shapes[index].fan_in);
        let buffer = match self.input(index, batch, [&pass.outputs, &pass.pooled]) {
            _ if self.spec.layers[index].convolution.is_some() => &pass.patches[index],
            Input::Dense(input) => input,
            Input::Sparse(_) => return None,
        };
        view(buffer.get(..rows * fan_in)?, rows, fan_in).ok()
    }

    /// The outputs of the first `layers` layers, with dropout if the batch has masks.
    pub(crate) fn forward(
        &self,
        x: &[F],
        batch: &Batch<F>,
        pass: &mut Pass<F>,
        layers: usize,
    ) -> Result<(), Error> {
        if batch.rows == 0 {
            return Err(Error::NotLoaded);
        }
        for (index, layer) in self.spec.layers[..layers].iter().enumerate() {
            let (units, rows) = (layer.units, self.rows(index, batch));
            // Out of the pass, from which the layers below are read.
            let mut out = std::mem::take(&mut pass.outputs[index]);
            let done = self.activations(index, x, batch, pass, &mut out);
            pass.outputs[index] = out;
            done?;
            let out = &mut pass.outputs[index][..rows * units];
            if let (Some(norm), Some(gamma)) = (&layer.norm, self.gamma(index, x)) {
                let running = self.running[index].as_ref().filter(|_| !batch.training);
                pass.norms.forward(index, norm, running, gamma, out)?;
            }
            let (bias, width) = (self.bias(index, x), self.shapes[index].output.len());
            // One for each unit: maps are gone through sample by sample, not pixel by pixel.
            let bias = repeated(bias, width, &mut pass.spread)?;
            each_row(out, width, |row, out| {
                let mask = self.mask(index, row, batch);
                layer.activation.forward(out, bias, mask);
            });
            if let Some(pooling) = self.pooling(index) {
                let (pooled, chosen) = (&mut pass.pooled[index], &mut pass.chosen[index]);
                grow(pooled, batch.rows, pooling.to.len())?;
                pooling.forward(
                    batch.rows,
                    out,
                    chosen,
                    &mut pooled[..batch.rows * pooling.to.len()],
                )?;
                batch.drop_pooled(index, pooling.to.len(), pooled);
            }
        }
        Ok(())
    }

    /// a = h·Wᵀ of layer `index`, or V·U(h − c).
    fn activations(
        &self,
        index: usize,
        x: &[F],
        batch: &Batch<F>,
        pass: &mut Pass<F>,
        out: &mut Vec<F>,
    ) -> Result<(), Error> {
        let (units, rows, fan_in) = (
            self.spec.layers[index].units,
            self.rows(index, batch),
            self.shapes[index].fan_in,
        );
        grow(out, rows, units)?;
        let (weight, a) = (self.weight(index, x), &mut out[..rows * units]);
        let whitening = self.whitening[index].as_ref();
        let kept = self
            .patches(index)
            .filter(|_| pass.keep || whitening.is_some());
        let Pass {
            outputs,
            pooled,
            whitened,
            patches,
            work,
            buffers,
            ..
        } = pass;
        let mut input = self.input(index, batch, [outputs, pooled]);
        if let (Some(convolution), Input::Dense(maps)) = (&kept, input) {
            grow(&mut patches[index], rows, fan_in)?;
            convolution.fill_all(maps, &mut patches[index][..rows * fan_in]);
            input = Input::Dense(&patches[index]);
        }
        if let (Some(whitening), Input::Dense(h)) = (whitening, input) {
            whitening.forward(view(h, rows, fan_in)?, work, &mut whitened[index])?;
            input = Input::Dense(&whitened[index]);
        }
        if kept.is_some() || whitening.is_some() {
            return self
                .dense(index)
                .forward(weight, input, F::zero(), a, buffers);
        }
        self.linear(index, |linear| {
            linear.forward(weight, input, F::zero(), a, buffers)
        })
    }

    /// The network's output z, from `forward`, and the buffer for `scale`·∂loss/∂z, both of shape
    /// (batch, outputs).
    pub(crate) fn ends<'a>(
        &self,
        rows: usize,
        pass: &'a mut Pass<F>,
    ) -> Result<(&'a [F], &'a mut [F]), Error> {
        let outputs = self.spec.outputs();
        let (Some(z), Some(slope)) = (pass.outputs.last(), pass.deltas.last_mut()) else {
            return Err(Error::NoLayers);
        };
        grow(slope, rows, outputs)?;
        let len = rows * outputs;
        Ok((&z[..len], &mut slope[..len]))
    }

    /// Σ loss over the batch, from the outputs of `forward`. Leaves `scale`·∂loss/∂output in the
    /// last delta.
    pub(crate) fn loss(
        &self,
        batch: &Batch<F>,
        pass: &mut Pass<F>,
        scale: F,
    ) -> Result<f64, Error> {
        let (z, slope) = self.ends(batch.rows, pass)?;
        let (loss, outputs) = (self.spec.loss, self.spec.outputs());
        Ok(loss.sum(batch, z, outputs, scale, slope))
    }

    /// Mean loss and L2 penalty; leaves the slope of the mean in the last delta.
    pub(crate) fn objective(
        &self,
        x: &[F],
        batch: &Batch<F>,
        pass: &mut Pass<F>,
    ) -> Result<F, Error> {
        let layers = self.spec.layers.len();
        self.forward(x, batch, pass, layers)?;
        let rows = batch.rows as f64;
        let mean = self.loss(batch, pass, F::of(rows.recip()))? / rows;
        let mut penalty = 0.0;
        if self.spec.l2 > 0.0 {
            for index in 0..layers {
                let w = match &self.whitening[index] {
                    Some(u) => self.canonical(index, x, u, &mut pass.canonical[index])?,
                    None => self.weight(index, x),
                };
                penalty += dot(w, w);
            }
            penalty *= 0.5 * self.spec.l2;
        }
        pass.penalty = penalty;
        Ok(F::of(mean + penalty))
    }
}

/// `values` again and again, `width` in all: themselves if that is how many they are.
fn repeated<'a, F: Scalar>(
    values: &'a [F],
    width: usize,
    to: &'a mut Vec<F>,
) -> Result<&'a [F], Error> {
    if values.len() == width {
        return Ok(values);
    }
    grow(to, width, 1)?;
    let rows = to[..width].chunks_exact_mut(values.len());
    rows.for_each(|row| row.copy_from_slice(values));
    Ok(&to[..width])
}
