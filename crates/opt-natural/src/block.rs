//! One dense layer's block of the Fisher matrix in K-FAC.

use ndarray::{ArrayView1, ArrayView2, ArrayViewMut2, Axis, s};
use opt_core::{Error, Layer, Scalar, Visit};
use opt_linalg::{Decompose, InverseWork, gemm};

use crate::FisherError;
use crate::dense::Dense;
use crate::kronecker::{Factors, Inverses};

/// A layer's factors and their inverses, its rows of this minibatch, and what a step works in.
#[derive(Clone, Debug)]
pub(crate) struct Block<F> {
    pub(crate) dense: Dense,
    moments: Factors<F>,
    /// As `moments`, where a step takes inverses of them before they count.
    fresh: Factors<F>,
    inverses: Inverses<F>,
    next: Inverses<F>,
    work: Box<[InverseWork<F>; 2]>,
    /// Of the minibatch.
    pub(crate) rows: usize,
    /// h̄ = (h, 1), or h without a bias.
    inputs: Vec<F>,
    /// Of the loss.
    deltas: Vec<F>,
    /// Of drawn labels.
    sampled: Vec<F>,
    /// δG⁻¹ and h̄A⁻¹, and the sign with which (δG⁻¹)ᵀ(h̄A⁻¹) made the direction, if they did.
    left: Vec<F>,
    right: Vec<F>,
    product: Option<F>,
    /// Of shape (fan_out, inputs), twice; (batch, batch); (batch, fan_out).
    wide: [Vec<F>; 2],
    square: Vec<F>,
    out: Vec<F>,
    thin: Vec<F>,
    squares: Vec<f64>,
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
            inputs: Vec::new(),
            deltas: Vec::new(),
            sampled: Vec::new(),
            left: Vec::new(),
            right: Vec::new(),
            product: None,
            wide: [Vec::new(), Vec::new()],
            square: Vec::new(),
            out: Vec::new(),
            thin: Vec::new(),
            squares: Vec::new(),
        }
    }

    /// Keeps inputs, and the deltas of the loss.
    pub(crate) fn keep(&mut self, layer: &Layer<'_, F>) {
        self.rows = layer.input.nrows();
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
        let (rows, inputs, outputs) = (self.rows, self.dense.inputs(), self.dense.fan_out);
        let (h, delta) = (
            view(&self.inputs, rows, inputs)?,
            view(&self.sampled, rows, outputs)?,
        );
        if !self.moments.fits(h, delta, keep, &mut self.squares) {
            return Err(FisherError::Overflow {
                what: "the Kronecker factors",
                layer: self.dense.name.clone(),
            }
            .into());
        }
        if invert {
            self.fresh.assign(&self.moments);
            self.fresh.blend(h, delta, keep)?;
        }
        Ok(())
    }

    /// Stages the inverses of the statistics that are staged.
    pub(crate) fn invert(&mut self, gamma: f64) -> Result<(), opt_linalg::Error> {
        self.next.update(&self.fresh, gamma, &mut self.work)
    }

    pub(crate) fn commit(&mut self, keep: f64, inverted: bool) {
        if inverted {
            std::mem::swap(&mut self.moments, &mut self.fresh);
            std::mem::swap(&mut self.inverses, &mut self.next);
            return;
        }
        let h = view(&self.inputs, self.rows, self.dense.inputs());
        let delta = view(&self.sampled, self.rows, self.dense.fan_out);
        if let (Ok(h), Ok(delta)) = (h, delta) {
            // The shapes are those of `stage`, which has not refused them.
            let _ = self.moments.blend(h, delta, keep);
        }
    }

    /// Writes ±G⁻¹(δᵀh̄ + rest)A⁻¹ over the layer's part of `out`, which holds the rest if there is
    /// one: by the cheaper side, (δG⁻¹)ᵀ(h̄A⁻¹) or from the gradient.
    pub(crate) fn precondition(
        &mut self,
        inverted: bool,
        rest: bool,
        sign: F,
        out: &mut [F],
    ) -> Result<(), Error> {
        let (inputs, outputs) = (self.dense.inputs(), self.dense.fan_out);
        let inverses = if inverted { &self.next } else { &self.inverses };
        let (a, g) = (inverses.a.cost(), inverses.g.cost());
        let by_rows = !rest && self.rows * (a + g) <= outputs * a + inputs * g;
        self.product = by_rows.then_some(sign);
        if !by_rows {
            return self.precondition_gradient(inverted, rest, sign, out);
        }
        let (zero, rows) = (F::zero(), self.rows);
        let mut left = view_mut(&mut self.left, rows, outputs)?;
        let mut right = view_mut(&mut self.right, rows, inputs)?;
        let (h, delta) = (
            view(&self.inputs, rows, inputs)?,
            view(&self.deltas, rows, outputs)?,
        );
        inverses.g.product(delta, left.view_mut(), &mut self.thin)?;
        inverses.a.product(h, right.view_mut(), &mut self.thin)?;
        let (weights, ones) = right.view().split_at(Axis(1), self.dense.fan_in);
        let weight = self.dense.weight_mut(out)?;
        gemm(sign, left.t(), weights, zero, weight)?;
        if let Some(bias) = self.dense.bias.clone() {
            let column = ArrayViewMut2::from_shape((outputs, 1), &mut out[bias]);
            let column = column.map_err(Error::objective)?;
            gemm(sign, left.t(), ones, zero, column)?;
        }
        Ok(())
    }

    fn precondition_gradient(
        &mut self,
        inverted: bool,
        rest: bool,
        sign: F,
        out: &mut [F],
    ) -> Result<(), Error> {
        let (inputs, outputs, fan_in) = (self.dense.inputs(), self.dense.fan_out, self.dense.fan_in);
        let inverses = if inverted { &self.next } else { &self.inverses };
        let [first, second] = &mut self.wide;
        let mut first = view_mut(first, outputs, inputs)?;
        let mut second = view_mut(second, outputs, inputs)?;
        let delta = view(&self.deltas, self.rows, outputs)?;
        let h = view(&self.inputs, self.rows, inputs)?;
        gemm(sign, delta.t(), h, F::zero(), first.view_mut())?;
        if rest {
            let mut weights = first.slice_mut(s![.., ..fan_in]);
            weights.scaled_add(sign, &self.dense.weight(out)?);
            if let Some(bias) = self.dense.bias.clone() {
                let bias = ArrayView1::from(&out[bias]);
                first.column_mut(fan_in).scaled_add(sign, &bias);
            }
        }
        inverses.a.product(first.view(), second.view_mut(), &mut self.thin)?;
        // G⁻¹ is symmetric: from the left as from the right of the transpose.
        let to = first.view_mut().reversed_axes();
        inverses.g.product(second.t(), to, &mut self.thin)?;
        let mut weight = self.dense.weight_mut(out)?;
        weight.assign(&first.slice(s![.., ..fan_in]));
        if let Some(bias) = self.dense.bias.clone() {
            let column = first.column(fan_in);
            (out[bias].iter_mut().zip(column)).for_each(|(to, &d)| *to = d);
        }
        Ok(())
    }

    /// Adds gₙᵀv of every sample n for a drawn label, divided by the batch, to `drawn`; gives gᵀv but
    /// for the rest. `own` says that v is the direction that was preconditioned last.
    pub(crate) fn along(&mut self, v: &[F], own: bool, drawn: &mut [f64]) -> Result<f64, Error> {
        let (rows, inputs, outputs) = (self.rows, self.dense.inputs(), self.dense.fan_out);
        let (zero, one) = (F::zero(), F::one());
        let h = view(&self.inputs, rows, inputs)?;
        let mut out = view_mut(&mut self.out, rows, outputs)?;
        let product = self.product.filter(|_| own);
        match product.filter(|_| rows * (inputs + outputs) < inputs * outputs) {
            // V·h̄ₙ for V = (δG⁻¹)ᵀ(h̄A⁻¹) by products of samples with samples.
            Some(sign) => {
                let mut square = view_mut(&mut self.square, rows, rows)?;
                let right = view(&self.right, rows, inputs)?;
                let left = view(&self.left, rows, outputs)?;
                gemm(sign, h, right.t(), zero, square.view_mut())?;
                gemm(one, square.view(), left, zero, out.view_mut())?;
            }
            None => {
                let h = h.slice(s![.., ..self.dense.fan_in]);
                gemm(one, h, self.dense.weight(v)?.t(), zero, out.view_mut())?;
                if let Some(bias) = self.dense.bias.clone() {
                    out += &ArrayView1::from(&v[bias]);
                }
            }
        }
        let width = outputs.max(1);
        let all = self.out[..rows * outputs].chunks_exact(width);
        let all = all.zip(self.sampled.chunks_exact(width));
        let all = all.zip(self.deltas.chunks_exact(width)).zip(drawn);
        let slopes = all.map(|(((out, sampled), delta), drawn)| {
            *drawn += opt_core::dot(out, sampled);
            opt_core::dot(out, delta)
        });
        Ok(slopes.sum())
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
