//! Directional derivatives: what a move of the parameters along v does to the outputs, and to the
//! gradient (the R-operator: Pearlmutter 1994; Schraudolph 2002 for Gauss–Newton).

use opt_core::{Scalar, each};

use crate::Error;
use crate::backward::sum_columns;
use crate::batch::Batch;
use crate::buffer::grow;
use crate::linear::Work;
use crate::net::Net;
use crate::pass::Pass;
use crate::rows::each_row;

/// Derivatives along v of what a [`Pass`] computes, of the same shapes.
#[derive(Clone)]
pub(crate) struct Tangent<F> {
    /// R{a}.
    activations: Vec<Vec<F>>,
    /// R{h}, after dropout.
    outputs: Vec<Vec<F>>,
    /// R{pooled}, after dropout.
    pooled: Vec<Vec<F>>,
    /// Of each layer R{∂loss/∂output}, then R{∂loss/∂a}; for a Gauss–Newton product without what
    /// the bend of the network itself adds.
    pub(crate) deltas: Vec<Vec<F>>,
    /// R{∂loss/∂pooled}, of one layer at a time.
    pub(crate) lifted: Vec<F>,
    pub(crate) squared: Vec<F>,
    pub(crate) buffers: Work<F>,
}

/// Which matrix a vector is multiplied by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matrix {
    /// Needs a pass that has been run backward.
    Hessian,
    /// Needs a pass that has been run forward.
    GaussNewton,
}

impl<F: Scalar> Tangent<F> {
    pub(crate) fn new(layers: usize) -> Self {
        let empty = vec![Vec::new(); layers];
        Self {
            activations: empty.clone(),
            outputs: empty.clone(),
            pooled: empty.clone(),
            deltas: empty,
            lifted: Vec::new(),
            squared: Vec::new(),
            buffers: Work::default(),
        }
    }
}

impl<F: Scalar> Net<F> {
    /// Writes H·v or G·v over `out`, at the `x` that `pass` belongs to.
    pub(crate) fn product(
        &self,
        matrix: Matrix,
        (x, v): (&[F], &[F]),
        batch: &Batch<F>,
        pass: &Pass<F>,
        tangent: &mut Tangent<F>,
        out: &mut [F],
    ) -> Result<(), Error> {
        for index in 0..self.spec.layers.len() {
            self.forward_along(index, (x, v), batch, pass, tangent)?;
        }
        let (rows, outputs) = (batch.rows, self.spec.outputs());
        let (Some(z), Some(along), Some(slope)) = (
            pass.outputs.last(),
            tangent.outputs.last(),
            tangent.deltas.last_mut(),
        ) else {
            return Err(Error::NoLayers);
        };
        grow(slope, rows, outputs)?;
        let (loss, scale) = (self.spec.loss, F::of((rows as f64).recip()));
        each_row(&mut slope[..rows * outputs], outputs, |row, slope| {
            let at = row * outputs..(row + 1) * outputs;
            slope.copy_from_slice(&along[at.clone()]);
            loss.bend(&z[at], scale, slope);
        });
        for index in (0..self.spec.layers.len()).rev() {
            let lifted = (&mut *tangent.lifted, &*pass.chosen[index]);
            self.lower(index, false, batch, lifted, &mut tangent.deltas[index])?;
            let hessian = matrix == Matrix::Hessian;
            self.bend(hessian, index, batch, pass, tangent);
            self.gradient_along(hessian, index, batch, pass, tangent, out)?;
            self.penalize(index, v, pass, out)?;
            self.backward_along(hessian, index, (x, v), batch, pass, tangent)?;
        }
        Ok(())
    }

    /// R{a} = L(V, h) + L(W, R{h below}) + v_b and R{h} = h′ ⊙ R{a} of layer `index`.
    fn forward_along(
        &self,
        index: usize,
        (x, v): (&[F], &[F]),
        batch: &Batch<F>,
        pass: &Pass<F>,
        tangent: &mut Tangent<F>,
    ) -> Result<(), Error> {
        let layer = &self.spec.layers[index];
        let (units, rows) = (layer.units, self.rows(index, batch));
        let (below, output) = tangent.outputs.split_at_mut(index);
        let (under, pooled) = tangent.pooled.split_at_mut(index);
        let (a, output) = (&mut tangent.activations[index], &mut output[0]);
        grow(a, rows, units)?;
        grow(output, rows, units)?;
        let (a, buffers) = (&mut a[..rows * units], &mut tangent.buffers);
        let input = self.input(index, batch, [&pass.outputs, &pass.pooled]);
        let along = self.handed(index, [below, under]);
        let (weight, velocity) = (self.weight(index, x), self.weight(index, v));
        self.linear(index, |linear| {
            linear.forward(velocity, input, F::zero(), a, buffers)?;
            match along {
                Some(along) => linear.forward(weight, along, F::one(), a, buffers),
                None => Ok(()),
            }
        })?;
        let (bias, out) = (self.bias(index, v), &pass.outputs[index]);
        each_row(a, units, |_, a| {
            each(a, bias, [], |a, b, []| (a + b, []));
        });
        let (a, kept) = (&*a, self.kept(index));
        let width = self.shapes[index].output.len();
        each_row(&mut output[..rows * units], width, |row, output| {
            let at = row * width..(row + 1) * width;
            output.copy_from_slice(&a[at.clone()]);
            let mask = self.mask(index, row, batch);
            layer.activation.backward(output, &out[at], mask, kept);
        });
        if let Some(pooling) = self.pooling(index) {
            let (width, pooled) = (pooling.to.len(), &mut pooled[0]);
            grow(pooled, batch.rows, width)?;
            pooling.along(
                output,
                &pass.chosen[index],
                &mut pooled[..batch.rows * width],
            );
            batch.drop_pooled(index, width, pooled);
        }
        Ok(())
    }

    /// The product's part of the parameters of layer `index`, from its R{∂loss/∂a}.
    fn gradient_along(
        &self,
        hessian: bool,
        index: usize,
        batch: &Batch<F>,
        pass: &Pass<F>,
        tangent: &mut Tangent<F>,
        out: &mut [F],
    ) -> Result<(), Error> {
        let (rows, places) = (self.rows(index, batch), self.places[index]);
        let len = rows * self.spec.layers[index].units;
        let segments = self.params.segments();
        let weights = &mut out[segments[places.weight].range.clone()];
        let input = self.input(index, batch, [&pass.outputs, &pass.pooled]);
        let along = self.handed(index, [&tangent.outputs, &tangent.pooled]);
        let along = along.filter(|_| hessian);
        let (delta, buffers) = (&tangent.deltas[index][..len], &mut tangent.buffers);
        self.linear(index, |linear| {
            linear.gradient(delta, input, F::zero(), weights, buffers)?;
            match along {
                Some(along) => {
                    let slope = &pass.deltas[index][..len];
                    linear.gradient(slope, along, F::one(), weights, buffers)
                }
                None => Ok(()),
            }
        })?;
        let (bias, width) = (
            &mut out[segments[places.bias].range.clone()],
            self.shapes[index].output.len(),
        );
        sum_columns(delta, width, &mut tangent.squared, bias)
    }

    /// From R{∂loss/∂a} of layer `index` to R{∂loss/∂output} of the layer below.
    fn backward_along(
        &self,
        hessian: bool,
        index: usize,
        (x, v): (&[F], &[F]),
        batch: &Batch<F>,
        pass: &Pass<F>,
        tangent: &mut Tangent<F>,
    ) -> Result<(), Error> {
        let slopes = (&mut *tangent.deltas, &mut tangent.lifted);
        let Some((delta, under)) = self.slopes(index, batch, slopes)? else {
            return Ok(());
        };
        let len = delta.len();
        let (weight, velocity) = (self.weight(index, x), self.weight(index, v));
        let buffers = &mut tangent.buffers;
        self.linear(index, |linear| {
            linear.backward(weight, delta, F::zero(), under, buffers)?;
            if !hessian {
                return Ok(());
            }
            let slope = &pass.deltas[index][..len];
            linear.backward(velocity, slope, F::one(), under, buffers)
        })
    }

    /// From R{∂loss/∂output} to R{∂loss/∂a} = R{∂loss/∂output} ⊙ h′ + ∂loss/∂a ⊙ (h″/h′) ⊙ R{a} of
    /// layer `index`, of which Gauss–Newton has the first part alone.
    fn bend(
        &self,
        hessian: bool,
        index: usize,
        batch: &Batch<F>,
        pass: &Pass<F>,
        tangent: &mut Tangent<F>,
    ) {
        let layer = &self.spec.layers[index];
        let (rows, units, kept) = (self.rows(index, batch), layer.units, self.kept(index));
        let (out, slope) = (&pass.outputs[index], &pass.deltas[index]);
        let delta = &mut tangent.deltas[index][..rows * units];
        let width = self.shapes[index].output.len();
        each_row(delta, width, |row, delta| {
            let mask = self.mask(index, row, batch);
            let out = &out[row * width..(row + 1) * width];
            layer.activation.backward(delta, out, mask, kept);
        });
        if !hessian {
            return;
        }
        let along = &mut tangent.activations[index][..rows * units];
        each_row(along, units, |row, along| {
            let at = row * units..(row + 1) * units;
            layer.activation.bend(along, &out[at], kept);
        });
        each_row(delta, units, |row, delta| {
            let at = row * units..(row + 1) * units;
            for ((delta, &slope), &along) in
                delta.iter_mut().zip(&slope[at.clone()]).zip(&along[at])
            {
                *delta += slope * along;
            }
        });
    }
}
