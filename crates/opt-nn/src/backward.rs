//! The pass backward.

use opt_core::{Scalar, each};

use crate::batch::Batch;
use crate::buffer::grow;
use crate::error::Error;
use crate::linear::{Input, Linear};
use crate::net::Net;
use crate::norm::Norms;
use crate::pass::Pass;
use crate::rows::each_row;

/// Of a layer, and of the one below.
type Slopes<'a, F> = (&'a [F], &'a mut [F]);

impl<F: Scalar> Net<F> {
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
            let (units, rows) = (layer.units, self.rows(index, batch));
            let Pass {
                outputs,
                deltas,
                chosen,
                lifted,
                norms,
                ..
            } = &mut *pass;
            self.lower(
                index,
                false,
                batch,
                (lifted, &chosen[index]),
                &mut deltas[index],
            )?;
            let (out, kept) = (&outputs[index], self.kept(index));
            let (delta, width) = (
                &mut deltas[index][..rows * units],
                self.shapes[index].output.len(),
            );
            each_row(delta, width, |row, delta| {
                let out = &out[row * width..(row + 1) * width];
                let mask = self.mask(index, row, batch);
                layer.activation.backward(delta, out, mask, kept);
            });
            if let Some(gamma) = self.gamma(index, x) {
                norms.backward(index, gamma, delta)?;
            }
            if let Some(g) = g.as_deref_mut() {
                self.gradient(index, x, batch, pass, g)?;
            }
            self.below(index, x, batch, pass)?;
        }
        Ok(())
    }

    /// From the slope by what layer `index` hands up, in `lifted`, to that by what it pooled; nothing
    /// if it does not pool. Of second derivatives (`square`) both are squared on the way.
    pub(crate) fn lower(
        &self,
        index: usize,
        square: bool,
        batch: &Batch<F>,
        (lifted, chosen): (&mut [F], &[u16]),
        delta: &mut Vec<F>,
    ) -> Result<(), Error> {
        let Some(pooling) = self.pooling(index) else {
            return Ok(());
        };
        grow(delta, batch.rows, pooling.from.len())?;
        for _ in 0..=usize::from(square) {
            batch.drop_pooled(index, pooling.to.len(), lifted);
        }
        let delta = &mut delta[..batch.rows * pooling.from.len()];
        pooling.backward(lifted, chosen, square, delta);
        Ok(())
    }

    /// The slope by a of layer `index`, and room for that by what the layer below hands up; none below
    /// the first.
    pub(crate) fn slopes<'a>(
        &self,
        index: usize,
        batch: &Batch<F>,
        (deltas, lifted): (&'a mut [Vec<F>], &'a mut Vec<F>),
    ) -> Result<Option<Slopes<'a, F>>, Error> {
        let Some(under) = index.checked_sub(1) else {
            return Ok(None);
        };
        let len = self.rows(index, batch) * self.spec.layers[index].units;
        let long = self.shapes[index].input.len();
        let (below, own) = deltas.split_at_mut(index);
        let under = match self.spec.layers[under].pool {
            Some(_) => lifted,
            None => &mut below[under],
        };
        grow(under, batch.rows, long)?;
        Ok(Some((&own[0][..len], &mut under[..batch.rows * long])))
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

    /// The gradient of the parameters of layer `index`, from its ∂loss/∂a.
    fn gradient(
        &self,
        index: usize,
        x: &[F],
        batch: &Batch<F>,
        pass: &mut Pass<F>,
        g: &mut [F],
    ) -> Result<(), Error> {
        let (rows, units, places) = (
            self.rows(index, batch),
            self.spec.layers[index].units,
            self.places[index],
        );
        let segments = self.params.segments();
        let to = &mut g[segments[places.weight].range.clone()];
        let delta = &pass.deltas[index][..rows * units];
        let (zero, buffers) = (F::zero(), &mut pass.buffers);
        // Rows of h that are there are those of a dense layer.
        let kept = match self.whitening[index] {
            Some(_) => Some(&pass.whitened[index]),
            None => (self.patches(index).filter(|_| pass.keep)).map(|_| &pass.patches[index]),
        };
        if let Some(rows) = kept {
            let rows = Input::Dense(rows);
            (self.dense(index)).gradient(delta, rows, zero, to, buffers)?;
        } else {
            let input = self.input(index, batch, [&pass.outputs, &pass.pooled]);
            self.linear(index, |linear| {
                linear.gradient(delta, input, zero, to, buffers)
            })?;
        }
        self.penalize(index, x, pass, g)?;
        if places.gamma.is_some() {
            self.normalized(index, &pass.norms, g);
            return Ok(());
        }
        let bias = &mut g[segments[places.bias].range.clone()];
        let (delta, width) = (&pass.deltas[index], self.shapes[index].output.len());
        sum_columns(&delta[..rows * units], width, &mut pass.work, bias)
    }

    /// From ∂loss/∂a of layer `index` to ∂loss/∂output of the layer below. Nobody needs the
    /// derivative by the network's input.
    fn below(
        &self,
        index: usize,
        x: &[F],
        batch: &Batch<F>,
        pass: &mut Pass<F>,
    ) -> Result<(), Error> {
        let slopes = (&mut *pass.deltas, &mut pass.lifted);
        let Some((delta, under)) = self.slopes(index, batch, slopes)? else {
            return Ok(());
        };
        let (rows, fan_in) = (self.rows(index, batch), self.shapes[index].fan_in);
        let (weight, zero) = (self.weight(index, x), F::zero());
        let Some(whitening) = &self.whitening[index] else {
            let buffers = &mut pass.buffers;
            return self.linear(index, |linear| {
                linear.backward(weight, delta, zero, under, buffers)
            });
        };
        let (work, spread) = (&mut pass.work, &mut pass.spread);
        grow(work, rows, fan_in)?;
        let to = &mut work[..rows * fan_in];
        (self.dense(index)).backward(weight, delta, zero, to, &mut pass.buffers)?;
        match self.patches(index) {
            None => whitening.backward(rows, work, under),
            Some(convolution) => {
                grow(spread, rows, fan_in)?;
                whitening.backward(rows, work, spread)?;
                convolution.fold_all(spread, under);
                Ok(())
            }
        }
    }
}

/// The sum of the rows, each as long as `sum`, of which a sample has `width` elements. `work` is for the
/// sum of the samples, where that is longer: many short rows would take a call each.
pub(crate) fn sum_columns<F: Scalar>(
    rows: &[F],
    width: usize,
    work: &mut Vec<F>,
    sum: &mut [F],
) -> Result<(), Error> {
    let add = |to: &mut [F], rows: &[F]| {
        to.fill(F::zero());
        for row in rows.chunks_exact(to.len()) {
            each(to, row, [], |sum, v, []| (sum + v, []));
        }
    };
    if width == sum.len() {
        add(sum, rows);
        return Ok(());
    }
    grow(work, width, 1)?;
    add(&mut work[..width], rows);
    add(sum, &work[..width]);
    Ok(())
}
