//! What is summed over samples element by element: the diagonal of the Gauss–Newton matrix by
//! back-propagation, and squared gradients.

use opt_core::{Scalar, each_parallel};
use opt_linalg::gemm;

use crate::Error;
use crate::batch::{Batch, grow, keep, view, view_mut};
use crate::net::{Net, sum_columns};
use crate::pass::Pass;
use crate::rows::each_row;

impl<F: Scalar> Net<F> {
    /// Writes the bbprop diagonal (Becker & LeCun 1988) over `h`, from the outputs of `pass`, and
    /// leaves that of the pre-activations in `curvatures`.
    pub(crate) fn diagonal(
        &self,
        x: &[F],
        batch: &Batch<F>,
        pass: &Pass<F>,
        curvatures: &mut [Vec<F>],
        [square, work]: [&mut Vec<F>; 2],
        h: &mut [F],
    ) -> Result<(), Error> {
        let (rows, outputs) = (batch.rows, self.spec.outputs());
        let (Some(z), Some(last)) = (pass.outputs.last(), curvatures.last_mut()) else {
            return Err(Error::NoLayers);
        };
        grow(last, rows, outputs)?;
        let (loss, scale) = (self.spec.loss, F::of((rows as f64).recip()));
        each_row(&mut last[..rows * outputs], outputs, |row, last| {
            last.copy_from_slice(&z[row * outputs..(row + 1) * outputs]);
            loss.diagonal(scale, last);
        });
        for (index, layer) in self.spec.layers.iter().enumerate().rev() {
            let (units, fan_in) = (layer.units, self.spec.fan_in(index));
            let (below, own) = curvatures.split_at_mut(index);
            let (own, kept) = (&mut own[0][..rows * units], F::of(keep(layer.dropout)));
            let out = &pass.outputs[index];
            each_row(own, units, |row, own| {
                let out = &out[row * units..(row + 1) * units];
                let mask = batch.mask(index, row, units);
                // h′ once for each of the two derivatives.
                layer.activation.backward(own, out, mask, kept);
                layer.activation.backward(own, out, mask, kept);
            });
            let input = self.input(index, batch, &pass.outputs);
            self.outer(index, F::one(), own, &input[..rows * fan_in], square, h)?;
            if self.spec.l2 > 0.0 {
                let weight = self.params.segments()[self.places[index].weight]
                    .range
                    .clone();
                let l2 = F::of(self.spec.l2);
                h[weight].iter_mut().for_each(|h| *h += l2);
            }
            if let Some(under) = below.last_mut() {
                grow(under, rows, fan_in)?;
                squares(self.weight(index, x), work)?;
                let (weight, to) = (view(work, units, fan_in)?, view_mut(under, rows, fan_in)?);
                gemm(F::one(), view(own, rows, units)?, weight, F::zero(), to)?;
            }
        }
        Ok(())
    }

    /// Writes the mean over the samples of their squared gradients, without the penalty's, over
    /// `square`, given the backward pass.
    pub(crate) fn squared_gradients(
        &self,
        batch: &Batch<F>,
        pass: &Pass<F>,
        [inputs, deltas]: [&mut Vec<F>; 2],
        square: &mut [F],
    ) -> Result<(), Error> {
        let rows = batch.rows;
        for (index, layer) in self.spec.layers.iter().enumerate() {
            let (units, fan_in) = (layer.units, self.spec.fan_in(index));
            squares(&pass.deltas[index][..rows * units], deltas)?;
            let input = &self.input(index, batch, &pass.outputs)[..rows * fan_in];
            // The deltas are those of the mean: δₙ/rows.
            let scale = F::of(rows as f64);
            self.outer(index, scale, &deltas[..rows * units], input, inputs, square)?;
        }
        Ok(())
    }

    /// Σ over the samples of δ·(h∘h)ᵀ, times `scale`, for the weight of layer `index`, and Σδ for
    /// its bias.
    fn outer(
        &self,
        index: usize,
        scale: F,
        delta: &[F],
        input: &[F],
        work: &mut Vec<F>,
        out: &mut [F],
    ) -> Result<(), Error> {
        let (units, fan_in) = (self.spec.layers[index].units, self.spec.fan_in(index));
        let (rows, places) = (delta.len() / units, self.places[index]);
        let segments = self.params.segments();
        squares(input, work)?;
        let weight = &mut out[segments[places.weight].range.clone()];
        let (delta_rows, input) = (view(delta, rows, units)?, view(work, rows, fan_in)?);
        let to = view_mut(weight, units, fan_in)?;
        gemm(scale, delta_rows.t(), input, F::zero(), to)?;
        let bias = &mut out[segments[places.bias].range.clone()];
        sum_columns(delta, bias);
        bias.iter_mut().for_each(|b| *b *= scale);
        Ok(())
    }
}

/// `to ← from ∘ from`, in as much of the buffer as that takes.
fn squares<F: Scalar>(from: &[F], to: &mut Vec<F>) -> Result<(), Error> {
    grow(to, from.len(), 1)?;
    each_parallel(&mut to[..from.len()], from, [], |_, v, []| (v * v, []));
    Ok(())
}
