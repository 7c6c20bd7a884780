//! Forward and backward over buffers that belong to the caller.

use ndarray::ArrayView2;
use opt_core::{LayerPlace, ParamMap, Scalar, dot, each};
use opt_linalg::gemm;
use opt_norm::Running;

use crate::batch::{Batch, grow, keep, view, view_mut};
use crate::error::Error;
use crate::norm::Norms;
use crate::pass::Pass;
use crate::rows::each_row;
use crate::spec::Spec;
use crate::whiten::Whitening;

/// The network without data.
#[derive(Clone)]
pub(crate) struct Net<F> {
    pub(crate) spec: Spec,
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
        let (mut tensors, mut places, mut running) = (Vec::new(), Vec::new(), Vec::new());
        for (index, layer) in spec.layers.iter().enumerate() {
            let mut tensor = |name: &str, shape: Vec<usize>| {
                tensors.push((format!("layer{index}.{name}"), shape));
                tensors.len() - 1
            };
            let units = layer.units;
            let weight = tensor("weight", vec![units, spec.fan_in(index)]);
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
        let layers = places.iter().map(|place: &Places| {
            let bias = place.gamma.is_none().then_some(place.bias);
            LayerPlace::dense(place.weight, bias)
        });
        let layers = layers.collect();
        let whitening = vec![None; spec.layers.len()];
        Ok(Self {
            spec,
            params,
            whitening,
            places,
            layers,
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
        let (units, fan_in) = (self.spec.layers[index].units, self.spec.fan_in(index));
        view(self.weight(index, x), units, fan_in)
    }

    pub(crate) fn bias<'a>(&self, index: usize, x: &'a [F]) -> &'a [F] {
        self.part(self.places[index].bias, x)
    }

    fn gamma<'a>(&self, index: usize, x: &'a [F]) -> Option<&'a [F]> {
        Some(self.part(self.places[index].gamma?, x))
    }

    /// Writes the gradient of γ and β of a layer that is normalized.
    pub(crate) fn normalized(&self, index: usize, norms: &Norms<F>, g: &mut [F]) {
        let (places, segments) = (self.places[index], self.params.segments());
        let Some(gamma) = places.gamma else {
            return;
        };
        for (segment, slopes) in [gamma, places.bias].into_iter().zip(norms.slopes(index)) {
            let range = segments[segment].range.clone();
            if slopes.len() == range.len() {
                g[range].copy_from_slice(slopes);
            }
        }
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
            norms,
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
            if let (Some(norm), Some(gamma)) = (&layer.norm, self.gamma(index, x)) {
                let (running, a) = (self.running[index].as_ref(), &mut out[..rows * units]);
                norms.forward(index, norm, running, gamma, batch, a)?;
            }
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
            if let Some(gamma) = self.gamma(index, x) {
                pass.norms.backward(index, gamma, delta)?;
            }
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
        let (fan_in, places) = (self.spec.fan_in(index), self.places[index]);
        let segments = self.params.segments();
        let input = match self.whitening[index] {
            Some(_) => &pass.whitened[index],
            None => self.input(index, batch, &pass.outputs),
        };
        let delta = view(&pass.deltas[index], rows, units)?;
        let gradient = &mut g[segments[places.weight].range.clone()];
        let (input, output) = (
            view(input, rows, fan_in)?,
            view_mut(gradient, units, fan_in)?,
        );
        gemm(F::one(), delta.t(), input, F::zero(), output)?;
        self.penalize(index, x, pass, g)?;
        if places.gamma.is_some() {
            self.normalized(index, &pass.norms, g);
            return Ok(());
        }
        let bias = &mut g[segments[places.bias].range.clone()];
        sum_columns(&pass.deltas[index][..rows * units], bias);
        Ok(())
    }

    /// W = V·U of a whitened layer.
    fn canonical<'a>(
        &self,
        index: usize,
        x: &[F],
        whitening: &Whitening<F>,
        to: &'a mut Vec<F>,
    ) -> Result<&'a [F], Error> {
        let (units, fan_in) = (self.spec.layers[index].units, self.spec.fan_in(index));
        grow(to, units, fan_in)?;
        let (v, w) = (self.matrix(index, x)?, view_mut(to, units, fan_in)?);
        gemm(F::one(), v, whitening.matrix()?, F::zero(), w)?;
        Ok(to)
    }

    /// Adds the gradient of the L2 penalty on the weights of layer `index`: l2·W, or, as the
    /// penalty is on W = V·U wherever the coordinates are, l2·W·Uᵀ by V. W is that of the pass,
    /// which [`objective`](Self::objective) has left there.
    pub(crate) fn penalize(
        &self,
        index: usize,
        x: &[F],
        pass: &Pass<F>,
        g: &mut [F],
    ) -> Result<(), Error> {
        if self.spec.l2 > 0.0 {
            let (l2, fan_in) = (F::of(self.spec.l2), self.spec.fan_in(index));
            let weight = self.places[index].weight;
            let range = self.params.segments()[weight].range.clone();
            if let Some(whitening) = &self.whitening[index] {
                let units = self.spec.layers[index].units;
                let w = view(&pass.canonical[index], units, fan_in)?;
                let g = view_mut(&mut g[range], units, fan_in)?;
                return Ok(gemm(l2, w, whitening.matrix()?.t(), F::one(), g)?);
            }
            let weight = &x[range.clone()];
            each_row(&mut g[range], fan_in, |row, g| {
                let w = &weight[row * fan_in..(row + 1) * fan_in];
                each(g, w, [], move |g, w, []| (g + l2 * w, []));
            });
        }
        Ok(())
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

/// The sum of the rows, each as long as `sum`.
pub(crate) fn sum_columns<F: Scalar>(rows: &[F], sum: &mut [F]) {
    sum.fill(F::zero());
    for row in rows.chunks_exact(sum.len()) {
        each(sum, row, [], |sum, v, []| (sum + v, []));
    }
}
