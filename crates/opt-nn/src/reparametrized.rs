//! Whitened layers, the statistics that whitening needs, and what of both survives a restart.

use ndarray::{ArcArray2, ArrayView1, ArrayView2};
use opt_core::{Error as CoreError, ObserveInputs, Reparametrized, Scalar, State, Visit};
use opt_norm::Running;

use crate::batch::check_width;
use crate::buffer::{take, view};
use crate::sparse::Inputs;
use crate::threads::chunk;
use crate::whiten::Whitening;
use crate::{Error, Mlp};

impl<F: Scalar> Mlp<F> {
    /// Sets the samples that [`observe`](opt_core::Layered::observe) runs through the network, of
    /// shape (samples, inputs); shared, not copied. It begins with the first row.
    ///
    /// # Errors
    /// [`Error::EmptyBatch`], [`Error::Width`]. The earlier samples then stay.
    pub fn set_statistics(&mut self, inputs: ArcArray2<F>) -> Result<(), Error> {
        if inputs.nrows() == 0 {
            return Err(Error::EmptyBatch);
        }
        check_width("statistics", self.net.spec.inputs, inputs.ncols())?;
        (self.statistics, self.cursor, self.observed) = (Some(inputs), 0, None);
        Ok(())
    }

    /// U and c of layer `index`, if its input is whitened.
    pub fn whitening(&self, index: usize) -> Option<(ArrayView2<'_, F>, ArrayView1<'_, F>)> {
        let whitening = self.net.whitening.get(index)?.as_ref()?;
        let u = view(&whitening.u, whitening.c.len(), whitening.c.len());
        Some((u.ok()?, ArrayView1::from(&whitening.c)))
    }
}

impl<F: Scalar> Mlp<F> {
    /// What [`Layered::observe`](opt_core::Layered::observe) does.
    ///
    /// A call goes on where the last one ended whose step was accepted, and from the last row of
    /// the statistics set to the first. More samples than there are rows count as one pass over all
    /// of them: to see a row twice tells nothing.
    pub(crate) fn observe_inputs(
        &mut self,
        x: &[F],
        samples: usize,
        visit: &mut ObserveInputs<'_, F>,
    ) -> Result<usize, CoreError> {
        self.net.params.check_len("x", x.len())?;
        let Some(set) = self.statistics.clone() else {
            return Ok(0);
        };
        let rows = set.nrows();
        let mut left = samples.min(rows);
        // A restored cursor may be that of a larger set.
        let mut at = (self.cursor % rows as u64) as usize;
        let most = chunk(&self.net, true);
        self.scratch.keep = true;
        while left > 0 {
            let count = left.min(most).min(rows - at);
            let piece = take(set.view(), at, at + count);
            let piece = piece.into();
            let shown = self.show_inputs(x, piece, visit);
            if shown.is_err() {
                self.scratch.keep = false;
            }
            shown?;
            (left, at) = (left - count, (at + count) % rows);
        }
        self.scratch.keep = false;
        self.observed = Some(at as u64);
        Ok(samples.min(rows))
    }

    fn show_inputs(
        &mut self,
        x: &[F],
        piece: Inputs<'_, F>,
        visit: &mut ObserveInputs<'_, F>,
    ) -> Result<(), CoreError> {
        let layers = self.net.spec.layers.len();
        // The last layer's output is nobody's input.
        self.infer(x, piece, None, layers - 1)
            .map_err(CoreError::objective)?;
        for index in 0..layers {
            let input = self.net.shown(index, &self.chunk, &self.scratch);
            visit(
                index,
                input.ok_or_else(|| CoreError::objective(Error::NotLoaded))?,
            )?;
        }
        Ok(())
    }
}

impl<F: Scalar> Reparametrized<F> for Mlp<F> {
    /// # Errors
    /// [`opt_core::Error::Length`], [`opt_core::Error::SegmentTooLarge`], or
    /// [`Error::NonFiniteWhitening`] inside an [`opt_core::Error::Objective`].
    fn set_whitening(
        &mut self,
        index: usize,
        u: ArrayView2<'_, F>,
        c: ArrayView1<'_, F>,
    ) -> Result<(), CoreError> {
        let layers = self.net.whitening.len();
        if index >= layers {
            let what = format!("layer {index} is asked for: the list of layers");
            return length(&what, index.saturating_add(1), layers);
        }
        let fan_in = self.net.shapes[index].fan_in;
        length(&format!("U of layer {index}, by rows,"), fan_in, u.nrows())?;
        length(
            &format!("U of layer {index}, by columns,"),
            fan_in,
            u.ncols(),
        )?;
        length(&format!("c of layer {index}"), fan_in, c.len())?;
        let whitening = Whitening::new(index, u, c).map_err(|error| match error {
            Error::Params(error) => error,
            error => CoreError::objective(error),
        })?;
        self.net.whitening[index] = Some(whitening);
        self.kept = false;
        Ok(())
    }

    fn clear_whitening(&mut self) {
        self.net.whitening.fill(None);
        self.kept = false;
    }
}

fn length(what: &str, expected: usize, found: usize) -> Result<(), CoreError> {
    if expected == found {
        return Ok(());
    }
    Err(CoreError::Length {
        what: what.to_owned(),
        expected,
        found,
    })
}

/// U and c of each whitened layer as `layer{i}.whiten_u` and `layer{i}.whiten_c`, and where
/// observation goes on as `statistics_cursor`, if there is a statistics set; and the running
/// statistics of each normalized layer as `layer{i}.running_mean` and `layer{i}.running_variance`.
///
/// A snapshot fits a network of which the same layers are whitened: before it is restored into a
/// new one, set U and c of those to anything, such as the identity and 0.
impl<F: Scalar> State<F> for Mlp<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        for (index, running) in self.net.running.iter_mut().enumerate() {
            if let Some(Running { mean, variance }) = running {
                let units = mean.len();
                visitor.buffer(&format!("layer{index}.running_mean"), &[units], mean);
                visitor.buffer(
                    &format!("layer{index}.running_variance"),
                    &[units],
                    variance,
                );
            }
        }
        for (index, whitening) in self.net.whitening.iter_mut().enumerate() {
            if let Some(Whitening { u, c }) = whitening {
                let fan_in = c.len();
                visitor.buffer(&format!("layer{index}.whiten_u"), &[fan_in, fan_in], u);
                visitor.buffer(&format!("layer{index}.whiten_c"), &[fan_in], c);
            }
        }
        if self.statistics.is_some() {
            visitor.count("statistics_cursor", &mut self.cursor);
        }
    }
}
