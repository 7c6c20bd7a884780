//! One layer's block of the Fisher matrix in K-FAC.

use ndarray::{ArrayView1, ArrayView2, ArrayViewMut2, Axis, s};
use opt_core::{Error, Layer, Scalar, Visit};
use opt_linalg::{Decompose, InverseWork, gemm};

use crate::FisherError;
use crate::dense::Dense;
use crate::kronecker::{Factors, Inverses, Rows, weights};

/// A layer's factors and their inverses, its rows of this minibatch, and what a step works in.
#[derive(Clone, Debug)]
pub(crate) struct Block<F> {
    pub(crate) dense: Dense,
    moments: Factors<F>,
    /// As `moments`, where a step takes inverses of them before they count.
    pub(crate) fresh: Factors<F>,
    inverses: Inverses<F>,
    pub(crate) next: Inverses<F>,
    work: Box<[InverseWork<F>; 2]>,
    /// Of this process's part of the minibatch; a sample of a convolution has one for each position.
    pub(crate) rows: usize,
    pub(crate) samples: usize,
    /// Both over all processes.
    pub(crate) total: [f64; 2],
    /// h̄ = (h, 1), or h without a bias.
    inputs: Vec<F>,
    /// Of the loss.
    deltas: Vec<F>,
    /// Of drawn labels.
    sampled: Vec<F>,
    /// δG⁻¹ and h̄A⁻¹; whether (δG⁻¹)ᵀ(h̄A⁻¹) makes the direction, and its sign.
    left: Vec<F>,
    right: Vec<F>,
    by_rows: bool,
    sign: F,
    /// Of shape (fan_out, inputs), twice; (batch, batch); (batch, fan_out).
    wide: [Vec<F>; 2],
    square: Vec<F>,
    out: Vec<F>,
    thin: [Vec<F>; 2],
    squares: Vec<f64>,
    /// gₙᵀv of every sample n along two vectors v, for a drawn label, divided by the batch.
    pub(crate) drawn: [Vec<f64>; 2],
    /// gᵀv but for the rest.
    pub(crate) slope: [f64; 2],
}

impl<F: Decompose> Block<F> {
    pub(crate) fn new(dense: &Dense) -> Self {
        let (moments, inverses) = (Factors::zeros(dense), Inverses::zeros(dense));
        Self {
            dense: dense.clone(),
            fresh: moments.clone(),
            moments,
            next: inverses.clone(),
            inverses,
            work: Box::default(),
            rows: 0,
            samples: 0,
            total: [0.0; 2],
            inputs: Vec::new(),
            deltas: Vec::new(),
            sampled: Vec::new(),
            left: Vec::new(),
            right: Vec::new(),
            by_rows: false,
            sign: F::one(),
            wide: [Vec::new(), Vec::new()],
            square: Vec::new(),
            out: Vec::new(),
            thin: Default::default(),
            squares: Vec::new(),
            drawn: Default::default(),
            slope: [0.0; 2],
        }
    }

    /// Keeps inputs, and the deltas of the loss.
    pub(crate) fn keep(&mut self, layer: &Layer<'_, F>) {
        (self.rows, self.samples) = (layer.input.nrows(), layer.samples);
        self.total = [self.rows as f64, self.samples as f64];
        self.inputs.clear();
        for row in layer.input.rows() {
            match row.as_slice() {
                Some(row) => self.inputs.extend_from_slice(row),
                None => self.inputs.extend(row),
            }
            if self.dense.bias.is_some() {
                self.inputs.push(F::one());
            }
        }
        copy(layer.delta, &mut self.deltas);
    }

    /// Keeps the deltas of drawn labels.
    pub(crate) fn keep_sampled(&mut self, layer: &Layer<'_, F>) {
        copy(layer.delta, &mut self.sampled);
    }

    /// Stages statistics: themselves, if they are to be inverted, else that they can be had.
    pub(crate) fn stage(&mut self, keep: f64, invert: bool) -> Result<(), Error> {
        let rows = shown(&self.dense, self.rows, &self.inputs, &self.sampled)?;
        let weights = weights(self.total, keep);
        if !(self.moments).fits(rows, weights, keep, &mut self.squares) {
            return Err(self.overflow());
        }
        if invert {
            self.fresh.assign(&self.moments);
            self.fresh.blend(rows, weights, keep)?;
        }
        Ok(())
    }

    /// Begins to stage statistics, with what the rows of this process bring.
    pub(crate) fn stage_own(&mut self, keep: f64) -> Result<(), Error> {
        let rows = shown(&self.dense, self.rows, &self.inputs, &self.sampled)?;
        Ok(self.fresh.blend(rows, weights(self.total, keep), 0.0)?)
    }

    /// Ends it, when that is the sum over all processes.
    pub(crate) fn stage_summed(&mut self, keep: f64) -> Result<(), Error> {
        match self.fresh.add(keep, &self.moments) {
            true => Ok(()),
            false => Err(self.overflow()),
        }
    }

    fn overflow(&self) -> Error {
        FisherError::Overflow {
            what: "the Kronecker factors",
            layer: self.dense.name.clone(),
        }
        .into()
    }

    /// Stages the inverses of the statistics that are staged: see [`Inverses::update`].
    pub(crate) fn invert(&mut self, gamma: f64, again: bool) -> Result<(), opt_linalg::Error> {
        let last = (&self.inverses, again);
        self.next.update(&self.fresh, gamma, last, &mut self.work)
    }

    /// Makes what is staged count: statistics, or else their rows, and inverses, if there are any.
    pub(crate) fn commit(&mut self, keep: f64, staged: bool, inverted: bool) {
        if inverted {
            std::mem::swap(&mut self.inverses, &mut self.next);
        }
        if staged {
            std::mem::swap(&mut self.moments, &mut self.fresh);
        } else if let Ok(rows) = shown(&self.dense, self.rows, &self.inputs, &self.sampled) {
            // The shapes are those of `stage`, which has not refused them.
            let _ = (self.moments).blend(rows, weights(self.total, keep), keep);
        }
    }

    /// Multiplies by the inverses on the cheaper side: δG⁻¹ and h̄A⁻¹, or G⁻¹(δᵀh̄ + rest)A⁻¹, where
    /// `rest` is a vector of the parameters, if the layer has a rest in it.
    pub(crate) fn multiply(&mut self, inverted: bool, rest: Option<&[F]>) -> Result<(), Error> {
        let (rows, inputs, outputs) = (self.rows, self.dense.inputs(), self.dense.fan_out);
        let inverses = if inverted { &self.next } else { &self.inverses };
        let (a, g) = (inverses.a.cost(), inverses.g.cost());
        let cheaper = rows * (a + g) <= outputs * a + inputs * g;
        if rest.is_none() && cheaper {
            return self.multiply_rows(inverted);
        }
        self.gradient()?;
        self.multiply_gradient(inverted, rest)
    }

    fn multiply_rows(&mut self, inverted: bool) -> Result<(), Error> {
        let (rows, inputs, outputs) = (self.rows, self.dense.inputs(), self.dense.fan_out);
        let inverses = if inverted { &self.next } else { &self.inverses };
        self.by_rows = true;
        let delta = view(&self.deltas, rows, outputs)?;
        let h = view(&self.inputs, rows, inputs)?;
        let left = view_mut(&mut self.left, rows, outputs)?;
        let right = view_mut(&mut self.right, rows, inputs)?;
        let [thin, other] = &mut self.thin;
        let (of_a, of_g) = rayon::join(
            || inverses.a.product(h, right, thin),
            || inverses.g.product(delta, left, other),
        );
        Ok(of_a.and(of_g)?)
    }

    /// Makes δᵀh̄, of shape (fan_out, inputs).
    pub(crate) fn gradient(&mut self) -> Result<(), Error> {
        let (rows, inputs, outputs) = (self.rows, self.dense.inputs(), self.dense.fan_out);
        let delta = view(&self.deltas, rows, outputs)?;
        let h = view(&self.inputs, rows, inputs)?;
        let to = view_mut(&mut self.wide[0], outputs, inputs)?;
        Ok(gemm(F::one(), delta.t(), h, F::zero(), to)?)
    }

    /// What [`gradient`](Self::gradient) has made.
    pub(crate) fn made(&mut self) -> &mut [F] {
        let len = self.dense.inputs() * self.dense.fan_out;
        self.wide[0].resize(len, F::zero());
        &mut self.wide[0]
    }

    /// Multiplies what [`gradient`](Self::gradient) has made, and the rest, from both sides.
    pub(crate) fn multiply_gradient(
        &mut self,
        inverted: bool,
        rest: Option<&[F]>,
    ) -> Result<(), Error> {
        let (inputs, outputs) = (self.dense.inputs(), self.dense.fan_out);
        let inverses = if inverted { &self.next } else { &self.inverses };
        self.by_rows = false;
        let [first, second] = &mut self.wide;
        let mut first = view_mut(first, outputs, inputs)?;
        let mut second = view_mut(second, outputs, inputs)?;
        let thin = &mut self.thin[0];
        if let Some(rest) = rest {
            let mut weights = first.slice_mut(s![.., ..self.dense.fan_in]);
            weights += &self.dense.weight(rest)?;
            if let Some(bias) = self.dense.bias.clone() {
                let mut column = first.column_mut(self.dense.fan_in);
                column += &ArrayView1::from(&rest[bias]);
            }
        }
        inverses.a.product(first.view(), second.view_mut(), thin)?;
        // G⁻¹ is symmetric: from the left as from the right of the transpose.
        let to = first.view_mut().reversed_axes();
        Ok(inverses.g.product(second.t(), to, thin)?)
    }

    /// Writes ± what was multiplied over the layer's part of `out`.
    pub(crate) fn write(&mut self, sign: F, out: &mut [F]) -> Result<(), Error> {
        let (rows, inputs, outputs) = (self.rows, self.dense.inputs(), self.dense.fan_out);
        self.sign = sign;
        if !self.by_rows {
            let from = view_mut(&mut self.wide[0], outputs, inputs)?;
            let weights = from.slice(s![.., ..self.dense.fan_in]);
            let mut weight = self.dense.weight_mut(out)?;
            weight.zip_mut_with(&weights, |to, &d| *to = sign * d);
            if let Some(bias) = self.dense.bias.clone() {
                let column = from.column(self.dense.fan_in);
                (out[bias].iter_mut().zip(column)).for_each(|(to, &d)| *to = sign * d);
            }
            return Ok(());
        }
        let left = view_mut(&mut self.left, rows, outputs)?;
        let right = view_mut(&mut self.right, rows, inputs)?;
        let (weights, ones) = right.view().split_at(Axis(1), self.dense.fan_in);
        let weight = self.dense.weight_mut(out)?;
        gemm(sign, left.t(), weights, F::zero(), weight)?;
        if let Some(bias) = self.dense.bias.clone() {
            let column = ArrayViewMut2::from_shape((outputs, 1), &mut out[bias]);
            let column = column.map_err(Error::objective)?;
            gemm(sign, left.t(), ones, F::zero(), column)?;
        }
        Ok(())
    }

    /// Leaves gₙᵀv in `drawn[which]` and gᵀv in `slope[which]`. `own` says that v is the direction that
    /// was written last.
    pub(crate) fn along(&mut self, v: &[F], own: bool, which: usize) -> Result<(), Error> {
        let (rows, inputs, outputs) = (self.rows, self.dense.inputs(), self.dense.fan_out);
        let (zero, one) = (F::zero(), F::one());
        let h = view(&self.inputs, rows, inputs)?;
        let mut out = view_mut(&mut self.out, rows, outputs)?;
        if own && self.by_rows && rows * (inputs + outputs) < inputs * outputs {
            // V·h̄ₙ for V = (δG⁻¹)ᵀ(h̄A⁻¹) by products of samples with samples.
            let mut square = view_mut(&mut self.square, rows, rows)?;
            let right = view_mut(&mut self.right, rows, inputs)?;
            let left = view_mut(&mut self.left, rows, outputs)?;
            gemm(self.sign, h, right.t(), zero, square.view_mut())?;
            gemm(one, square.view(), left.view(), zero, out.view_mut())?;
        } else {
            let h = h.slice(s![.., ..self.dense.fan_in]);
            gemm(one, h, self.dense.weight(v)?.t(), zero, out.view_mut())?;
            if let Some(bias) = self.dense.bias.clone() {
                out += &ArrayView1::from(&v[bias]);
            }
        }
        let width = outputs.max(1);
        let drawn = &mut self.drawn[which];
        drawn.resize(self.samples, 0.0);
        // All positions of a sample.
        let width = (rows / self.samples.max(1) * width).max(1);
        let all = self.out[..rows * outputs].chunks_exact(width);
        let all = all.zip(self.sampled.chunks_exact(width));
        let all = all.zip(self.deltas.chunks_exact(width)).zip(drawn);
        let slopes = all.map(|(((out, sampled), delta), drawn)| {
            *drawn = opt_core::dot(out, sampled);
            opt_core::dot(out, delta)
        });
        self.slope[which] = slopes.sum();
        Ok(())
    }

    pub(crate) fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        let Factors { a, g } = &mut self.moments;
        for (letter, matrix) in [("A", a), ("G", g)] {
            let shape = [matrix.nrows(), matrix.ncols()];
            if let Some(data) = matrix.as_slice_mut() {
                visitor.buffer(&format!("{letter}/{}", self.dense.name), &shape, data);
            }
        }
        self.inverses.visit(&self.dense.name, visitor);
    }
}

/// Inputs h̄, and deltas of drawn labels.
fn shown<'a, F: Scalar>(
    dense: &Dense,
    rows: usize,
    inputs: &'a [F],
    sampled: &'a [F],
) -> Result<Rows<'a, F>, Error> {
    let h = view(inputs, rows, dense.inputs())?;
    Ok((h, view(sampled, rows, dense.fan_out)?))
}

fn copy<F: Scalar>(from: ArrayView2<'_, F>, to: &mut Vec<F>) {
    to.clear();
    match from.as_slice() {
        Some(from) => to.extend_from_slice(from),
        None => to.extend(from.iter()),
    }
}

fn view<F: Scalar>(of: &[F], rows: usize, columns: usize) -> Result<ArrayView2<'_, F>, Error> {
    ArrayView2::from_shape((rows, columns), of).map_err(Error::objective)
}

fn view_mut<F: Scalar>(
    buffer: &mut Vec<F>,
    rows: usize,
    columns: usize,
) -> Result<ArrayViewMut2<'_, F>, Error> {
    let len = rows * columns;
    buffer.resize(buffer.len().max(len), F::zero());
    ArrayViewMut2::from_shape((rows, columns), &mut buffer[..len]).map_err(Error::objective)
}

#[cfg(test)]
mod tests;
