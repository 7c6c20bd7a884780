//! The network in inference mode, which leaves the loaded minibatch alone.

use ndarray::Array2;
use opt_core::{Scalar, dot};

use crate::batch::{check, check_inputs};
use crate::buffer::{grow, take, view};
use crate::loss::misclassified;
use crate::sparse::Inputs;
use crate::threads::{chunk, pooled};
use crate::{Error, Mlp, Target};

/// How good a network is on a data set, in inference mode.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Evaluation {
    /// Mean loss per sample, without L2.
    pub loss: f64,
    /// Fraction of misclassified samples, if the target is class labels.
    pub error: Option<f64>,
    /// Squared difference between prediction and target, summed over outputs and averaged over
    /// samples, unless the target is class labels. The prediction is that of [`Mlp::predict`].
    pub squared_error: Option<f64>,
}

impl<F: Scalar> Mlp<F> {
    /// Loss and error at `x` in inference mode, without dropout, on any number of rows, at most 1,000
    /// at a time. The loaded minibatch stays.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`Error::Params`] if `x` is of the wrong length.
    pub fn evaluate<'a>(
        &mut self,
        x: &[F],
        inputs: impl Into<Inputs<'a, F>>,
        target: Target<'_, F>,
    ) -> Result<Evaluation, Error>
    where
        F: 'a,
    {
        let inputs = inputs.into();
        self.net.params.check_len("x", x.len())?;
        check(&self.net.spec, &inputs, target, None)?;
        let (rows, outputs) = (inputs.dim().0, self.net.spec.outputs());
        let layers = self.net.spec.layers.len();
        let (mut loss, mut wrong, mut squared) = (0.0, 0_usize, 0.0);
        let most = chunk(&self.net, false);
        for start in (0..rows).step_by(most) {
            let end = rows.min(start + most);
            let part = match target {
                Target::Classes(classes) => Target::Classes(&classes[start..end]),
                Target::Values(values) => Target::Values(take(values, start, end)),
                Target::Inputs => Target::Inputs,
            };
            self.infer(x, inputs.take(start, end), Some(part), layers)?;
            loss += self.net.loss(&self.chunk, &mut self.scratch, F::one())?;
            let len = (end - start) * outputs;
            if let (Target::Classes(classes), Some(z)) = (part, self.scratch.outputs.last()) {
                let rows = z[..len].chunks_exact(outputs).zip(classes);
                wrong += rows.filter(|&(z, &c)| misclassified(z, c.into())).count();
            } else if let Some(residual) = self.scratch.deltas.last() {
                // For both losses that take values, ∂loss/∂z is prediction − target.
                squared += dot(&residual[..len], &residual[..len]);
            }
        }
        let (classes, rows) = (matches!(target, Target::Classes(_)), rows as f64);
        Ok(Evaluation {
            loss: loss / rows,
            error: classes.then_some(wrong as f64 / rows),
            squared_error: (!classes).then_some(squared / rows),
        })
    }

    /// The network's output at `x` in inference mode, of shape (rows, outputs); probabilities
    /// where the loss is a cross-entropy. The loaded minibatch stays.
    ///
    /// # Errors
    /// [`Error::EmptyBatch`], [`Error::Width`], [`Error::BatchTooLarge`], and [`Error::Params`]
    /// if `x` is of the wrong length.
    pub fn predict<'a>(
        &mut self,
        x: &[F],
        inputs: impl Into<Inputs<'a, F>>,
    ) -> Result<Array2<F>, Error>
    where
        F: 'a,
    {
        let inputs = inputs.into();
        self.net.params.check_len("x", x.len())?;
        check_inputs(&self.net.spec, &inputs)?;
        let (rows, outputs) = (inputs.dim().0, self.net.spec.outputs());
        let most = chunk(&self.net, false);
        let (mut predictions, layers) = (Vec::new(), self.net.spec.layers.len());
        grow(&mut predictions, rows, outputs)?;
        for start in (0..rows).step_by(most) {
            let end = rows.min(start + most);
            self.infer(x, inputs.take(start, end), None, layers)?;
            if let Some(z) = self.scratch.outputs.last() {
                let to = &mut predictions[start * outputs..end * outputs];
                to.copy_from_slice(&z[..(end - start) * outputs]);
            }
        }
        self.net.spec.loss.predict(&mut predictions, outputs);
        Array2::from_shape_vec((rows, outputs), predictions)
            .map_err(|_| Error::BatchTooLarge { rows })
    }

    /// The output of the first `layers` layers at `x` in inference mode, of shape (rows, outputs),
    /// before pooling; of a convolution its maps side by side, channels last. The loaded minibatch
    /// stays.
    ///
    /// # Errors
    /// As [`predict`](Self::predict); [`Error::NoLayers`] for no layers, or more than there are.
    pub fn hidden<'a>(
        &mut self,
        x: &[F],
        inputs: impl Into<Inputs<'a, F>>,
        layers: usize,
    ) -> Result<Array2<F>, Error>
    where
        F: 'a,
    {
        let inputs = inputs.into();
        self.net.params.check_len("x", x.len())?;
        check_inputs(&self.net.spec, &inputs)?;
        let last = layers.checked_sub(1).ok_or(Error::NoLayers)?;
        let width = (self.net.shapes.get(last).ok_or(Error::NoLayers)?.output).len();
        let rows = inputs.dim().0;
        self.infer(x, inputs, None, layers)?;
        view(&self.scratch.outputs[last], rows, width).map(|out| out.to_owned())
    }

    /// Loads a chunk without dropout and runs it forward through the first layers.
    pub(crate) fn infer(
        &mut self,
        x: &[F],
        inputs: Inputs<'_, F>,
        target: Option<Target<'_, F>>,
        layers: usize,
    ) -> Result<(), Error> {
        let Self {
            net,
            chunk,
            scratch,
            ..
        } = self;
        chunk.load((&net.spec, &net.shapes), inputs, target, None, None)?;
        pooled(net, chunk.rows, || net.forward(x, chunk, scratch, layers))
    }
}
