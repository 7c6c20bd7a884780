//! Forward and backward over buffers that belong to the caller.

use ndarray::ArrayView2;
use opt_core::{ParamMap, Scalar, dot, each, gemm};

use crate::batch::{Batch, grow, keep, view, view_mut};
use crate::rows::each_row;
use crate::whiten::Whitening;
use crate::{Error, Spec};

/// The network without data.
#[derive(Clone)]
pub(crate) struct Net<F> {
    pub(crate) spec: Spec,
    pub(crate) params: ParamMap,
    /// Of each layer's input, unless it goes in as it is.
    pub(crate) whitening: Vec<Option<Whitening<F>>>,
}

/// What one forward pass computes.
#[derive(Clone)]
pub(crate) struct Pass<F> {
    /// Output of each layer after dropout, of shape (batch, units).
    pub(crate) outputs: Vec<Vec<F>>,
    /// Of each layer ∂loss/∂output, then ∂loss/∂a, where a is the pre-activation. Of the same
    /// shapes; without a backward pass only the last is in use.
    pub(crate) deltas: Vec<Vec<F>>,
    /// What goes into each whitened layer, of shape (batch, fan_in); empty for the others.
    pub(crate) whitened: Vec<Vec<F>>,
    /// Of the same shape, for what is needed no longer than a layer's turn.
    pub(crate) work: Vec<F>,
}

impl<F: Scalar> Pass<F> {
    pub(crate) fn new(spec: &Spec) -> Self {
        Self {
            outputs: vec![Vec::new(); spec.layers.len()],
            deltas: vec![Vec::new(); spec.layers.len()],
            whitened: vec![Vec::new(); spec.layers.len()],
            work: Vec::new(),
        }
    }
}

impl<F: Scalar> Net<F> {
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
        let whitening = vec![None; spec.layers.len()];
        Ok(Self {
            spec,
            params,
            whitening,
        })
    }

    /// Positions of a layer's weight and bias among the segments.
    pub(crate) fn segments(index: usize) -> (usize, usize) {
        (2 * index, 2 * index + 1)
    }

    fn weight<'a>(&self, index: usize, x: &'a [F]) -> &'a [F] {
        let (weight, _) = Self::segments(index);
        &x[self.params.segments()[weight].range.clone()]
    }

    /// V of shape (units, fan_in).
    fn matrix<'a>(&self, index: usize, x: &'a [F]) -> Result<ArrayView2<'a, F>, Error> {
        let (units, fan_in) = (self.spec.layers[index].units, self.spec.fan_in(index));
        view(self.weight(index, x), units, fan_in)
    }

    fn bias<'a>(&self, index: usize, x: &'a [F]) -> &'a [F] {
        let (_, bias) = Self::segments(index);
        &x[self.params.segments()[bias].range.clone()]
    }

    /// What goes into layer `index`, before whitening, of shape (batch, fan_in).
    pub(crate) fn input<'a>(
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

    /// The outputs of the first `layers` layers, with dropout if the batch has masks.
    pub(crate) fn forward(
        &self,
        x: &[F],
        batch: &Batch<F>,
        pass: &mut Pass<F>,
        layers: usize,
    ) -> Result<(), Error> {
        let rows = batch.rows;
        if rows == 0 {
            return Err(Error::NotLoaded);
        }
        let Pass {
            outputs,
            whitened,
            work,
            ..
        } = pass;
        for (index, layer) in self.spec.layers[..layers].iter().enumerate() {
            let (units, fan_in) = (layer.units, self.spec.fan_in(index));
            let (below, out) = outputs.split_at_mut(index);
            let out = &mut out[0];
            grow(out, rows, units)?;
            let mut input = view(self.input(index, batch, below), rows, fan_in)?;
            if let Some(whitening) = &self.whitening[index] {
                input = whitening.forward(input, work, &mut whitened[index])?;
            }
            let (weight, a) = (self.matrix(index, x)?, view_mut(out, rows, units)?);
            gemm(F::one(), input, weight.t(), F::zero(), a)?;
            let bias = self.bias(index, x);
            each_row(&mut out[..rows * units], units, |row, out| {
                layer
                    .activation
                    .forward(out, bias, batch.mask(index, row, units));
            });
        }
        Ok(())
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
            let weights = (0..layers).map(|index| self.weight(index, x));
            penalty = 0.5 * self.spec.l2 * weights.map(|w| dot(w, w)).sum::<f64>();
        }
        Ok(F::of(mean + penalty))
    }

    /// From the last layer's ∂loss/∂output to every layer's ∂loss/∂a, and, if there is a `g`, to
    /// the gradient of every parameter.
    pub(crate) fn backward(
        &self,
        x: &[F],
        batch: &Batch<F>,
        pass: &mut Pass<F>,
        mut g: Option<&mut [F]>,
    ) -> Result<(), Error> {
        for (index, layer) in self.spec.layers.iter().enumerate().rev() {
            let (units, kept) = (layer.units, F::of(keep(layer.dropout)));
            let out = &pass.outputs[index];
            let delta = &mut pass.deltas[index][..batch.rows * units];
            each_row(delta, units, |row, delta| {
                let out = &out[row * units..(row + 1) * units];
                let mask = batch.mask(index, row, units);
                layer.activation.backward(delta, out, mask, kept);
            });
            if let Some(g) = g.as_deref_mut() {
                self.gradient(index, x, batch, pass, g)?;
            }
            self.below(index, x, batch.rows, pass)?;
        }
        Ok(())
    }

    /// The gradient of the parameters of layer `index`, from its ∂loss/∂a.
    fn gradient(
        &self,
        index: usize,
        x: &[F],
        batch: &Batch<F>,
        pass: &Pass<F>,
        g: &mut [F],
    ) -> Result<(), Error> {
        let (rows, units) = (batch.rows, self.spec.layers[index].units);
        let (fan_in, (weight, bias)) = (self.spec.fan_in(index), Self::segments(index));
        let segments = self.params.segments();
        let input = match self.whitening[index] {
            Some(_) => &pass.whitened[index],
            None => self.input(index, batch, &pass.outputs),
        };
        let delta = view(&pass.deltas[index], rows, units)?;
        let gradient = &mut g[segments[weight].range.clone()];
        let (input, output) = (
            view(input, rows, fan_in)?,
            view_mut(gradient, units, fan_in)?,
        );
        gemm(F::one(), delta.t(), input, F::zero(), output)?;
        self.penalize(index, x, g);
        let bias = &mut g[segments[bias].range.clone()];
        bias.fill(F::zero());
        for delta in pass.deltas[index][..rows * units].chunks_exact(units) {
            each(bias, delta, [], move |sum, d, []| (sum + d, []));
        }
        Ok(())
    }

    /// Adds the gradient of the L2 penalty on the weights of layer `index`.
    pub(crate) fn penalize(&self, index: usize, x: &[F], g: &mut [F]) {
        if self.spec.l2 > 0.0 {
            let (l2, fan_in) = (F::of(self.spec.l2), self.spec.fan_in(index));
            let (weight, _) = Self::segments(index);
            let range = self.params.segments()[weight].range.clone();
            let weight = &x[range.clone()];
            each_row(&mut g[range], fan_in, |row, g| {
                let w = &weight[row * fan_in..(row + 1) * fan_in];
                each(g, w, [], move |g, w, []| (g + l2 * w, []));
            });
        }
    }

    /// From ∂loss/∂a of layer `index` to ∂loss/∂output of the layer below. Nobody needs the
    /// derivative by the network's input.
    fn below(&self, index: usize, x: &[F], rows: usize, pass: &mut Pass<F>) -> Result<(), Error> {
        let Pass { deltas, work, .. } = pass;
        let (below, delta) = deltas.split_at_mut(index);
        let Some(under) = below.last_mut() else {
            return Ok(());
        };
        let (units, fan_in) = (self.spec.layers[index].units, self.spec.fan_in(index));
        grow(under, rows, fan_in)?;
        let (delta, weight) = (view(&delta[0], rows, units)?, self.matrix(index, x)?);
        let product = |to: &mut Vec<F>| {
            let to = view_mut(to, rows, fan_in)?;
            Ok(gemm(F::one(), delta, weight, F::zero(), to)?)
        };
        match &self.whitening[index] {
            None => product(under),
            Some(whitening) => {
                product(work)?;
                whitening.backward(rows, work, under)
            }
        }
    }
}
