//! Forward and backward over buffers that belong to the caller.

use opt_core::{ParamMap, Scalar, dot, each};

use crate::batch::{Batch, grow, keep, view, view_mut};
use crate::gemm::gemm;
use crate::rows::each_row;
use crate::{Error, Spec};

/// The network without data: layer `index` has its weight in segment 2·index of the parameter
/// map, and its bias in the next.
#[derive(Clone)]
pub(crate) struct Net {
    pub(crate) spec: Spec,
    pub(crate) params: ParamMap,
}

/// What one forward pass computes.
#[derive(Clone)]
pub(crate) struct Pass<F> {
    /// Output of each layer after dropout, of shape (batch, units).
    pub(crate) outputs: Vec<Vec<F>>,
    /// Of each layer ∂loss/∂output, then ∂loss/∂a, where a is the pre-activation. Of the same
    /// shapes; without a backward pass only the last is in use.
    pub(crate) deltas: Vec<Vec<F>>,
}

impl<F: Scalar> Pass<F> {
    pub(crate) fn new(spec: &Spec) -> Self {
        Self {
            outputs: vec![Vec::new(); spec.layers.len()],
            deltas: vec![Vec::new(); spec.layers.len()],
        }
    }
}

impl Net {
    pub(crate) fn new(spec: Spec) -> Result<Self, Error> {
        spec.check()?;
        let layers = spec.layers.iter().enumerate();
        let params = ParamMap::new(layers.flat_map(|(index, layer)| {
            let weight = vec![layer.units, spec.fan_in(index)];
            [
                (format!("layer{index}.weight"), weight),
                (format!("layer{index}.bias"), vec![layer.units]),
            ]
        }))?;
        Ok(Self { spec, params })
    }

    pub(crate) fn weight<'a, F>(&self, index: usize, x: &'a [F]) -> &'a [F] {
        &x[self.params.segments()[2 * index].range.clone()]
    }

    fn bias<'a, F>(&self, index: usize, x: &'a [F]) -> &'a [F] {
        &x[self.params.segments()[2 * index + 1].range.clone()]
    }

    /// Shape (batch, fan_in) of what goes into layer `index`.
    pub(crate) fn input<'a, F>(
        &self,
        index: usize,
        batch: &'a Batch<F>,
        outputs: &'a [Vec<F>],
    ) -> &'a [F] {
        match index {
            0 => &batch.input,
            _ => &outputs[index - 1],
        }
    }

    /// The outputs of all layers, with dropout if the batch has masks.
    pub(crate) fn forward<F: Scalar>(
        &self,
        x: &[F],
        batch: &Batch<F>,
        pass: &mut Pass<F>,
    ) -> Result<(), Error> {
        let rows = batch.rows;
        for (index, layer) in self.spec.layers.iter().enumerate() {
            let (units, fan_in) = (layer.units, self.spec.fan_in(index));
            let (below, out) = pass.outputs.split_at_mut(index);
            let out = &mut out[0];
            grow(out, rows, units)?;
            let input = view(self.input(index, batch, below), rows, fan_in)?;
            let weight = view(self.weight(index, x), units, fan_in)?;
            let (zero, one) = (F::zero(), F::one());
            gemm(one, input, weight.t(), zero, view_mut(out, rows, units)?)?;
            let bias = self.bias(index, x);
            each_row(&mut out[..rows * units], units, |row, out| {
                layer
                    .activation
                    .forward(out, bias, batch.mask(index, row, units));
            });
        }
        Ok(())
    }

    /// Σ loss over the batch, from the outputs of `forward`. Leaves `scale`·∂loss/∂output in the
    /// last delta.
    pub(crate) fn loss<F: Scalar>(
        &self,
        batch: &Batch<F>,
        pass: &mut Pass<F>,
        scale: F,
    ) -> Result<f64, Error> {
        let outputs = self.spec.outputs();
        let (Some(z), Some(slope)) = (pass.outputs.last(), pass.deltas.last_mut()) else {
            return Err(Error::NoLayers);
        };
        grow(slope, batch.rows, outputs)?;
        let len = batch.rows * outputs;
        let loss = self.spec.loss;
        Ok(loss.sum(batch, &z[..len], outputs, scale, &mut slope[..len]))
    }

    /// Mean loss and L2 penalty; leaves the slope of the mean in the last delta.
    pub(crate) fn objective<F: Scalar>(
        &self,
        x: &[F],
        batch: &Batch<F>,
        pass: &mut Pass<F>,
    ) -> Result<F, Error> {
        if batch.rows == 0 {
            return Err(Error::NotLoaded);
        }
        self.forward(x, batch, pass)?;
        let rows = batch.rows as f64;
        let mean = self.loss(batch, pass, F::of(rows.recip()))? / rows;
        let mut penalty = 0.0;
        if self.spec.l2 > 0.0 {
            let weights = (0..self.spec.layers.len()).map(|index| self.weight(index, x));
            penalty = 0.5 * self.spec.l2 * weights.map(|w| dot(w, w)).sum::<f64>();
        }
        Ok(F::of(mean + penalty))
    }

    /// From the last layer's ∂loss/∂output to the gradient of every parameter.
    pub(crate) fn backward<F: Scalar>(
        &self,
        x: &[F],
        batch: &Batch<F>,
        pass: &mut Pass<F>,
        g: &mut [F],
    ) -> Result<(), Error> {
        let (rows, zero, one) = (batch.rows, F::zero(), F::one());
        let Pass { outputs, deltas } = pass;
        for (index, layer) in self.spec.layers.iter().enumerate().rev() {
            let (units, fan_in) = (layer.units, self.spec.fan_in(index));
            let (below, delta) = deltas.split_at_mut(index);
            let delta = &mut delta[0][..rows * units];
            let (out, kept) = (&outputs[index], F::of(keep(layer.dropout)));
            each_row(delta, units, |row, delta| {
                let out = &out[row * units..(row + 1) * units];
                let mask = batch.mask(index, row, units);
                layer.activation.backward(delta, out, mask, kept);
            });

            let weight = self.weight(index, x);
            let segments = self.params.segments();
            let (_, gradient) = g.split_at_mut(segments[2 * index].range.start);
            let (gradient, rest) = gradient.split_at_mut(units * fan_in);
            let input = view(self.input(index, batch, outputs), rows, fan_in)?;
            let output = view_mut(gradient, units, fan_in)?;
            gemm(one, view(delta, rows, units)?.t(), input, zero, output)?;
            if self.spec.l2 > 0.0 {
                let l2 = F::of(self.spec.l2);
                each_row(gradient, fan_in, |row, g| {
                    let w = &weight[row * fan_in..(row + 1) * fan_in];
                    each(g, w, [], move |g, w, []| (g + l2 * w, []));
                });
            }
            let bias = &mut rest[..units];
            bias.fill(zero);
            for delta in delta.chunks_exact(units) {
                each(bias, delta, [], move |sum, d, []| (sum + d, []));
            }

            // Nobody needs the derivative by the network's input.
            if let Some(under) = below.last_mut() {
                grow(under, rows, fan_in)?;
                let (delta, weight) = (view(delta, rows, units)?, view(weight, units, fan_in)?);
                gemm(one, delta, weight, zero, view_mut(under, rows, fan_in)?)?;
            }
        }
        Ok(())
    }
}
