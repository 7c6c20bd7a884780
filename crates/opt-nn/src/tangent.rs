//! Directional derivatives: what a move of the parameters along v does to the outputs, and to the
//! gradient (the R-operator: Pearlmutter 1994; Schraudolph 2002 for Gauss–Newton).

use opt_core::{Scalar, each};
use opt_linalg::gemm;

use crate::Error;
use crate::batch::{Batch, grow, keep, view, view_mut};
use crate::net::{Net, sum_columns};
use crate::pass::Pass;
use crate::rows::each_row;

/// Derivatives along v of what a [`Pass`] computes, of the same shapes.
#[derive(Clone)]
pub(crate) struct Tangent<F> {
    /// R{a}.
    activations: Vec<Vec<F>>,
    /// R{h}, after dropout.
    outputs: Vec<Vec<F>>,
    /// Of each layer R{∂loss/∂output}, then R{∂loss/∂a}; for a Gauss–Newton product without what
    /// the bend of the network itself adds.
    pub(crate) deltas: Vec<Vec<F>>,
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
            deltas: empty,
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
        self.forward_along((x, v), batch, pass, tangent)?;
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
        self.backward_along(matrix, (x, v), batch, pass, tangent, out)
    }

    /// R{a} = h·Vᵀ + R{h below}·Wᵀ + v_b and R{h} = h′ ⊙ R{a}, layer by layer.
    fn forward_along(
        &self,
        (x, v): (&[F], &[F]),
        batch: &Batch<F>,
        pass: &Pass<F>,
        tangent: &mut Tangent<F>,
    ) -> Result<(), Error> {
        let rows = batch.rows;
        for (index, layer) in self.spec.layers.iter().enumerate() {
            let (units, fan_in) = (layer.units, self.spec.fan_in(index));
            let (below, output) = tangent.outputs.split_at_mut(index);
            let (a, output) = (&mut tangent.activations[index], &mut output[0]);
            grow(a, rows, units)?;
            grow(output, rows, units)?;
            let input = view(self.input(index, batch, &pass.outputs), rows, fan_in)?;
            let (along, to) = (self.matrix(index, v)?, view_mut(a, rows, units)?);
            gemm(F::one(), input, along.t(), F::zero(), to)?;
            if let Some(below) = below.last() {
                let (weight, to) = (self.matrix(index, x)?, view_mut(a, rows, units)?);
                let below = view(below, rows, fan_in)?;
                gemm(F::one(), below, weight.t(), F::one(), to)?;
            }
            let (bias, out) = (self.bias(index, v), &pass.outputs[index]);
            each_row(&mut a[..rows * units], units, |_, a| {
                each(a, bias, [], |a, b, []| (a + b, []));
            });
            let (a, kept) = (&*a, F::of(keep(layer.dropout)));
            each_row(&mut output[..rows * units], units, |row, output| {
                let at = row * units..(row + 1) * units;
                output.copy_from_slice(&a[at.clone()]);
                let mask = batch.mask(index, row, units);
                layer.activation.backward(output, &out[at], mask, kept);
            });
        }
        Ok(())
    }

    /// From the last layer's R{∂loss/∂output} to every layer's R{∂loss/∂a}, and to the product.
    fn backward_along(
        &self,
        matrix: Matrix,
        (x, v): (&[F], &[F]),
        batch: &Batch<F>,
        pass: &Pass<F>,
        tangent: &mut Tangent<F>,
        out: &mut [F],
    ) -> Result<(), Error> {
        let (rows, hessian) = (batch.rows, matrix == Matrix::Hessian);
        for (index, layer) in self.spec.layers.iter().enumerate().rev() {
            let (units, fan_in) = (layer.units, self.spec.fan_in(index));
            self.bend(hessian, index, batch, pass, tangent);
            let (below, deltas) = tangent.deltas.split_at_mut(index);
            let (delta, places) = (view(&deltas[0], rows, units)?, self.places[index]);
            let along = match index.checked_sub(1).filter(|_| hessian) {
                Some(under) => Some(view(&tangent.outputs[under], rows, fan_in)?),
                None => None,
            };
            let slope = match hessian {
                true => Some(view(&pass.deltas[index], rows, units)?),
                false => None,
            };
            let segments = self.params.segments();
            let weights = &mut out[segments[places.weight].range.clone()];
            let input = view(self.input(index, batch, &pass.outputs), rows, fan_in)?;
            let to = view_mut(weights, units, fan_in)?;
            gemm(F::one(), delta.t(), input, F::zero(), to)?;
            if let (Some(slope), Some(along)) = (slope, along) {
                let to = view_mut(weights, units, fan_in)?;
                gemm(F::one(), slope.t(), along, F::one(), to)?;
            }
            self.penalize(index, v, pass, out)?;
            let bias = &mut out[segments[places.bias].range.clone()];
            sum_columns(&deltas[0][..rows * units], bias);
            let Some(under) = below.last_mut() else {
                continue;
            };
            grow(under, rows, fan_in)?;
            let (weight, to) = (self.matrix(index, x)?, view_mut(under, rows, fan_in)?);
            gemm(F::one(), delta, weight, F::zero(), to)?;
            if let Some(slope) = slope {
                let (along, to) = (self.matrix(index, v)?, view_mut(under, rows, fan_in)?);
                gemm(F::one(), slope, along, F::one(), to)?;
            }
        }
        Ok(())
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
        let (rows, units, kept) = (batch.rows, layer.units, F::of(keep(layer.dropout)));
        let (out, slope) = (&pass.outputs[index], &pass.deltas[index]);
        let delta = &mut tangent.deltas[index][..rows * units];
        each_row(delta, units, |row, delta| {
            let mask = batch.mask(index, row, units);
            let out = &out[row * units..(row + 1) * units];
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
