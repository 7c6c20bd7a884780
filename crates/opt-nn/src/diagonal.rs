//! What is summed over samples element by element: the diagonal of the Gauss–Newton matrix by
//! back-propagation, and squared gradients.

use opt_core::Scalar;

use crate::Error;
use crate::backward::sum_columns;
use crate::batch::Batch;
use crate::buffer::{grow, square};
use crate::linear::{Input, Work};
use crate::net::Net;
use crate::pass::Pass;
use crate::rows::each_row;
use crate::tangent::Tangent;

impl<F: Scalar> Net<F> {
    /// Writes the bbprop diagonal (Becker & LeCun 1988) over `h`, from the outputs of `pass`, and
    /// leaves that of the pre-activations in the tangent's deltas.
    pub(crate) fn diagonal(
        &self,
        x: &[F],
        batch: &Batch<F>,
        pass: &Pass<F>,
        tangent: &mut Tangent<F>,
        h: &mut [F],
    ) -> Result<(), Error> {
        let outputs = self.spec.outputs();
        let (Some(z), Some(last)) = (pass.outputs.last(), tangent.deltas.last_mut()) else {
            return Err(Error::NoLayers);
        };
        grow(last, batch.rows, outputs)?;
        let (loss, scale) = (self.spec.loss, F::of((batch.rows as f64).recip()));
        each_row(&mut last[..batch.rows * outputs], outputs, |row, last| {
            last.copy_from_slice(&z[row * outputs..(row + 1) * outputs]);
            loss.diagonal(scale, last);
        });
        for (index, layer) in self.spec.layers.iter().enumerate().rev() {
            let (units, rows) = (layer.units, self.rows(index, batch));
            let lifted = (&mut *tangent.lifted, &*pass.chosen[index]);
            self.lower(index, true, batch, lifted, &mut tangent.deltas[index])?;
            let (out, kept) = (&pass.outputs[index], self.kept(index));
            let own = &mut tangent.deltas[index][..rows * units];
            let width = self.shapes[index].output.len();
            each_row(own, width, |row, own| {
                let out = &out[row * width..(row + 1) * width];
                let mask = self.mask(index, row, batch);
                // h′ once for each of the two derivatives.
                layer.activation.backward(own, out, mask, kept);
                layer.activation.backward(own, out, mask, kept);
            });
            self.diagonal_of(index, batch, pass, tangent, h)?;
            self.diagonal_below(index, x, batch, tangent)?;
        }
        Ok(())
    }

    /// Of the parameters of layer `index`, from that of its pre-activation.
    fn diagonal_of(
        &self,
        index: usize,
        batch: &Batch<F>,
        pass: &Pass<F>,
        tangent: &mut Tangent<F>,
        h: &mut [F],
    ) -> Result<(), Error> {
        let (rows, places) = (self.rows(index, batch), self.places[index]);
        let own = &tangent.deltas[index][..rows * self.spec.layers[index].units];
        let segments = self.params.segments();
        let to = &mut h[segments[places.weight].range.clone()];
        let squared;
        let input = match self.input(index, batch, [&pass.outputs, &pass.pooled]) {
            Input::Dense(input) => {
                let input = &input[..batch.rows * self.shapes[index].input.len()];
                square(input, &mut tangent.squared)?;
                Input::Dense(&tangent.squared)
            }
            Input::Sparse(words) => {
                squared = words.squared();
                Input::Sparse(&squared)
            }
        };
        let buffers = &mut tangent.buffers;
        self.linear(index, |linear| {
            linear.gradient(own, input, F::zero(), to, buffers)
        })?;
        if self.spec.l2 > 0.0 {
            let l2 = F::of(self.spec.l2);
            to.iter_mut().for_each(|h| *h += l2);
        }
        let (bias, width) = (
            &mut h[segments[places.bias].range.clone()],
            self.shapes[index].output.len(),
        );
        sum_columns(own, width, &mut tangent.squared, bias)
    }

    /// Of what goes into layer `index`.
    fn diagonal_below(
        &self,
        index: usize,
        x: &[F],
        batch: &Batch<F>,
        tangent: &mut Tangent<F>,
    ) -> Result<(), Error> {
        let slopes = (&mut *tangent.deltas, &mut tangent.lifted);
        let Some((own, under)) = self.slopes(index, batch, slopes)? else {
            return Ok(());
        };
        let weight = self.weight(index, x);
        square(weight, &mut tangent.squared)?;
        let weight = &tangent.squared[..weight.len()];
        let buffers = &mut tangent.buffers;
        self.linear(index, |linear| {
            linear.backward(weight, own, F::zero(), under, buffers)
        })
    }

    /// Writes the mean over the samples of their squared gradients, without the penalty's, over
    /// `to`, given the backward pass.
    pub(crate) fn squared_gradients(
        &self,
        batch: &Batch<F>,
        pass: &Pass<F>,
        buffers: &mut Work<F>,
        to: &mut [F],
    ) -> Result<(), Error> {
        // The deltas are those of the mean: δₙ/rows.
        let scale = F::of(batch.rows as f64);
        for (index, layer) in self.spec.layers.iter().enumerate() {
            let (units, rows) = (layer.units, self.rows(index, batch));
            let delta = &pass.deltas[index][..rows * units];
            let input = self.input(index, batch, [&pass.outputs, &pass.pooled]);
            let (places, segments) = (self.places[index], self.params.segments());
            let weight = &mut to[segments[places.weight].range.clone()];
            self.linear(index, |linear| {
                linear.squares(delta, input, weight, buffers)
            })?;
            weight.iter_mut().for_each(|g| *g *= scale);
            let bias = &mut to[segments[places.bias].range.clone()];
            bias.fill(F::zero());
            for sample in delta.chunks_exact(self.shapes[index].output.len()) {
                for (unit, sum) in bias.iter_mut().enumerate() {
                    let all = sample.iter().skip(unit).step_by(units);
                    let slope = all.fold(F::zero(), |sum, &delta| sum + delta);
                    *sum += scale * slope * slope;
                }
            }
        }
        Ok(())
    }
}
