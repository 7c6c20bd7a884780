//! The direction of one dense layer from its inverse, by the side that takes fewer products: the
//! rows of the minibatch, or those of the gradient.

use ndarray::{Array1, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Zip};
use opt_core::{Error, Layer, Scalar, all_finite, dot, each, greatest};
use opt_linalg::{Decompose, gemm};
use rayon::prelude::*;

use crate::FisherError;
use crate::dense::Dense;
use crate::factor::{Factor, Inverse};
use crate::team::{Others, sum};

/// Which rows are multiplied by the inverse P.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Those of the minibatch: δᵀ((h − c)P). Not for a gradient that has a rest.
    Batch,
    /// Those of the gradient: (δᵀ(h − c) + R)P, with the gradient R of a penalty.
    Gradient,
}

impl Side {
    /// With a penalty the rows of R are multiplied in any case; without one, there are fan_out rows
    /// in the gradient, and those of the minibatch in the other.
    pub(crate) fn cheaper(rows: usize, fan_out: usize, rest: bool) -> Self {
        if rest || fan_out < rows {
            Self::Gradient
        } else {
            Self::Batch
        }
    }
}

/// What a layer's direction depends on, beside its factor.
#[derive(Clone, Copy)]
pub(crate) struct How<'a, F> {
    pub(crate) eps: f64,
    /// Of the running variances, with the diagonal correction.
    pub(crate) decay: Option<f64>,
    pub(crate) side: Side,
    /// Whether the gradient of the weight has a part beside δᵀh, which is in `d`.
    pub(crate) rest: bool,
    /// Those that have the other rows, for [`Side::Gradient`].
    pub(crate) others: Others<'a, F>,
    /// Rows over all of them.
    pub(crate) rows: f64,
}

/// Buffers of a preconditioning, shared by the layers; they grow to the largest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffers<F> {
    /// h − c.
    centred: Vec<F>,
    rows: Vec<F>,
    /// Of a product of low rank.
    thin: Vec<F>,
    along: Vec<F>,
    /// As many as the weight has.
    wide: Vec<F>,
    scales: Vec<F>,
}

impl<F: Decompose> Factor<F> {
    /// Writes ΔW = (δᵀ(h − c) + R)(Σ + εI)⁻¹ and Δb = Σδ − ΔW·c over the layer's part of `d`, which
    /// holds R; stages the running variances. Gives what no element of it is greater than; `None`
    /// if the running variances overflow.
    pub(crate) fn precondition(
        &mut self,
        dense: &Dense,
        layer: &Layer<'_, F>,
        how: How<'_, F>,
        buffers: &mut Buffers<F>,
        d: &mut [F],
    ) -> Result<Option<f64>, Error> {
        let (inverse, followed) = self.halves();
        let n = inverse.c.len();
        // A patch is as many pixels one after another as are whitened by themselves.
        let rows = layer.input.len() / n.max(1);
        let input = layer.input.into_shape_with_order((rows, n));
        let input = input.map_err(|_| FisherError::LayerShape(dense.index))?;
        let centred = shaped(&mut buffers.centred, rows, n)?;
        let mut centred = centre(input, &inverse.c, centred);
        let needed = how.side == Side::Batch || how.decay.is_some();
        let mut whitened = shaped(&mut buffers.rows, if needed { rows } else { 0 }, n)?;
        if let Some(decay) = how.decay {
            let (zero, one) = (F::zero(), F::one());
            let axes = inverse.axes.t();
            gemm(one, centred.view(), axes, zero, whitened.view_mut())?;
            // As many pixels in each row.
            let pixels = rows as f64 / layer.input.nrows().max(1) as f64;
            let fresh = (1.0 - decay) / (how.rows * pixels);
            let sums = squares(whitened.view(), F::of(fresh), &mut buffers.along);
            sum(how.others, Ok(()), sums)?;
            let keep = F::of(decay);
            Zip::from(&mut *followed)
                .and(&inverse.variance)
                .and(&ArrayView1::from(&*sums))
                .for_each(|to, &v, &new| *to = keep * v + new);
            if !followed.as_slice().is_some_and(all_finite) {
                return Ok(None);
            }
            scales(followed, how.eps, &mut buffers.scales);
            // What is centred has served: now it is what goes by the axes.
            if how.side == Side::Batch {
                scale_columns(whitened.view(), &buffers.scales, centred.view_mut());
            } else {
                std::mem::swap(&mut centred, &mut whitened);
            }
        }
        let thin = &mut buffers.thin;
        if how.side == Side::Gradient {
            let wide = shaped(&mut buffers.wide, dense.weight.len() / n.max(1), n)?;
            let side = (centred.view(), wide, &*buffers.scales);
            let work = (thin, &mut buffers.along);
            return by_gradient(inverse, (dense, layer), how, side, work, d).map(Some);
        }
        inverse.product(how, centred.view(), whitened.view_mut(), thin)?;
        buffers
            .along
            .resize(buffers.along.len().max(rows), F::zero());
        let along = &mut buffers.along[..rows];
        by_batch(inverse, (dense, layer), (whitened.view(), along), d).map(Some)
    }
}

impl<F: Decompose> Inverse<F> {
    /// What is centred, or scaled along the axes, times the inverse, or the axes.
    fn product(
        &self,
        how: How<'_, F>,
        x: ArrayView2<'_, F>,
        out: ArrayViewMut2<'_, F>,
        thin: &mut Vec<F>,
    ) -> Result<(), Error> {
        let done = match how.decay {
            None if !self.scales.is_empty() => {
                scale_columns(x, &self.scales, out);
                Ok(())
            }
            None => self.plain.product(x, out, thin),
            Some(_) => gemm(F::one(), x, self.axes.view(), F::zero(), out),
        };
        Ok(done?)
    }
}

/// From the whitened rows.
fn by_batch<F: Decompose>(
    inverse: &Inverse<F>,
    (dense, layer): (&Dense, &Layer<'_, F>),
    (whitened, along): (ArrayView2<'_, F>, &mut [F]),
    d: &mut [F],
) -> Result<f64, Error> {
    let (rows, n) = whitened.dim();
    let weight = dense.weight_mut(d)?;
    gemm(F::one(), layer.delta.t(), whitened, F::zero(), weight)?;
    if let Some(bias) = dense.bias.clone() {
        let all = along.par_iter_mut().with_min_len(few_rows(n)).enumerate();
        all.for_each(|(index, along)| *along = inner(whitened.row(index), &inverse.c));
        let bias = &mut d[bias];
        for (delta, &along) in layer.delta.rows().into_iter().zip(&*along) {
            let share = F::one() - along;
            match delta.as_slice() {
                Some(delta) => {
                    each(bias, delta, [], move |b, d, []| (b + share * d, []));
                }
                None => (bias.iter_mut().zip(delta)).for_each(|(b, &d)| *b += share * d),
            }
        }
    }
    let most = |of: ArrayView2<'_, F>| of.as_slice().map_or(f64::INFINITY, |of| greatest(of).f64());
    // Each element is a sum over the rows.
    let bound = rows as f64 * most(layer.delta) * most(whitened);
    Ok(bound.max(of_bias(dense, d)))
}

/// From the gradient δᵀ(h − c), or with the diagonal correction that along the axes, over `wide`.
fn by_gradient<F: Decompose>(
    inverse: &Inverse<F>,
    (dense, layer): (&Dense, &Layer<'_, F>),
    how: How<'_, F>,
    (rows, mut wide, scales): (ArrayView2<'_, F>, ArrayViewMut2<'_, F>, &[F]),
    (thin, sums): (&mut Vec<F>, &mut Vec<F>),
    d: &mut [F],
) -> Result<f64, Error> {
    let (zero, one) = (F::zero(), F::one());
    let shape = (layer.delta.nrows(), dense.fan_in);
    let rows = rows
        .into_shape_with_order(shape)
        .map_err(Error::objective)?;
    let shape = (dense.fan_out, dense.fan_in);
    let whole = wide.view_mut().into_shape_with_order(shape);
    gemm(
        one,
        layer.delta.t(),
        rows,
        zero,
        whole.map_err(Error::objective)?,
    )?;
    let all = wide.as_slice_mut().unwrap_or_default();
    sum(how.others, Ok(()), all)?;
    let pixels = wide.dim();
    let rest =
        ArrayView2::from_shape(pixels, &d[dense.weight.clone()]).map_err(Error::objective)?;
    match how.decay {
        None if how.rest => wide += &rest,
        None => {}
        Some(_) => {
            if how.rest {
                let axes = inverse.axes.t();
                gemm(one, rest, axes, one, wide.view_mut())?;
            }
            for mut row in wide.rows_mut() {
                (row.iter_mut().zip(scales)).for_each(|(g, &s)| *g *= s);
            }
        }
    }
    let to = ArrayViewMut2::from_shape(pixels, &mut d[dense.weight.clone()]);
    inverse.product(how, wide.view(), to.map_err(Error::objective)?, thin)?;
    if let Some(bias) = dense.bias.clone() {
        sums.clear();
        sums.resize(dense.fan_out, F::zero());
        for delta in layer.delta.rows() {
            (sums.iter_mut().zip(delta)).for_each(|(sum, &d)| *sum += d);
        }
        sum(how.others, Ok(()), sums)?;
        (d[bias].iter_mut().zip(&*sums)).for_each(|(b, &sum)| *b += sum);
        for (unit, index) in dense.bias.clone().into_iter().flatten().enumerate() {
            let row = dense.weight.start + unit * dense.fan_in;
            let pixels = d[row..row + dense.fan_in].chunks_exact(inverse.c.len().max(1));
            let along = pixels.map(|pixel| inner(pixel.into(), &inverse.c));
            let along = along.fold(F::zero(), |sum, along| sum + along);
            d[index] -= along;
        }
    }
    let most = greatest(&d[dense.weight.clone()]).f64();
    Ok(most.max(of_bias(dense, d)))
}

fn of_bias<F: Scalar>(dense: &Dense, d: &[F]) -> f64 {
    let bias = dense.bias.clone();
    bias.map_or(0.0, |bias| greatest(&d[bias]).f64())
}

fn inner<F: Scalar>(row: ndarray::ArrayView1<'_, F>, c: &Array1<F>) -> F {
    match (row.as_slice(), c.as_slice()) {
        (Some(row), Some(c)) => F::of(dot(row, c)),
        _ => row.dot(c),
    }
}

fn shaped<F: Scalar>(
    buffer: &mut Vec<F>,
    rows: usize,
    n: usize,
) -> Result<ArrayViewMut2<'_, F>, Error> {
    buffer.resize(buffer.len().max(rows * n), F::zero());
    ArrayViewMut2::from_shape((rows, n), &mut buffer[..rows * n]).map_err(Error::objective)
}

/// 1/(variance + ε).
fn scales<F: Scalar>(variance: &Array1<F>, eps: f64, out: &mut Vec<F>) {
    let eps = F::of(eps);
    out.clear();
    out.extend(variance.iter().map(|&v| F::one() / (v + eps)));
}

fn scale_columns<F: Scalar>(from: ArrayView2<'_, F>, scales: &[F], mut to: ArrayViewMut2<'_, F>) {
    for (mut to, from) in to.rows_mut().into_iter().zip(from.rows()) {
        let all = to.iter_mut().zip(from).zip(scales);
        all.for_each(|((to, &v), &s)| *to = s * v);
    }
}

/// h − c for every row h: as many numbers as all activations.
fn centre<'a, F: Scalar>(
    input: ArrayView2<'_, F>,
    c: &Array1<F>,
    mut out: ArrayViewMut2<'a, F>,
) -> ArrayViewMut2<'a, F> {
    let n = input.ncols();
    let rows = out.as_slice_mut().unwrap_or_default();
    let rows = rows
        .par_chunks_exact_mut(n.max(1))
        .with_min_len(few_rows(n));
    rows.enumerate().for_each(|(index, out)| {
        let rows = Zip::from(ArrayViewMut1::from(out)).and(input.row(index));
        rows.and(c).for_each(|out, &x, &c| *out = x - c);
    });
    out
}

/// The sums of squares along the axes, times a weight.
fn squares<'a, F: Scalar>(
    projected: ArrayView2<'_, F>,
    weight: F,
    sums: &'a mut Vec<F>,
) -> &'a mut [F] {
    sums.clear();
    sums.resize(projected.ncols(), F::zero());
    for row in projected.rows() {
        (sums.iter_mut().zip(row)).for_each(|(sum, &p)| *sum += weight * p * p);
    }
    sums
}

/// Rows of `n` elements that are not worth a second thread.
fn few_rows(n: usize) -> usize {
    (1 << 13) / n.max(1) + 1
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use opt_core::{LayerPlace, ParamMap};

    use super::*;
    use crate::factor::Kept;

    fn wave<F: Scalar>(rows: usize, columns: usize, salt: f64) -> Array2<F> {
        Array2::from_shape_fn((rows, columns), |(i, j)| {
            F::of((1.7 * i as f64 + 2.3 * j as f64 + salt).sin() + 0.1 * ((i * j) as f64).cos())
        })
    }

    /// (n, fan_out, rows, with a bias, what is kept).
    type Case = (usize, usize, usize, bool, Kept);

    fn compare<F: Decompose>(case: Case, tolerance: f64) {
        let (n, fan_out, rows, biased, kept) = case;
        let shapes = [("w", vec![fan_out, n]), ("b", vec![fan_out])];
        let params = ParamMap::new(shapes).unwrap();
        let places = [LayerPlace::dense(0, biased.then_some(1))];
        let dense = Dense::all(&params, &places).unwrap().remove(0);
        let mut factor = Factor::<F>::new(n, kept);
        let statistics = wave::<F>(3 * n, n, 0.4);
        factor.begin().update(statistics.view()).unwrap();
        factor.prepare(0.3, 0).unwrap();
        factor.staged = true;
        let (input, delta) = (wave::<F>(rows, n, 0.9), wave::<F>(rows, fan_out, 1.3));
        let layer = Layer::new(input.view(), delta.view());
        let both = [Side::Batch, Side::Gradient].map(|side| {
            let how = How {
                eps: 0.3,
                decay: (kept == Kept::Axes).then_some(0.9),
                side,
                rest: false,
                others: None,
                rows: rows as f64,
            };
            let mut d = vec![F::zero(); params.len()];
            let mut buffers = Buffers::default();
            let done = factor.precondition(&dense, &layer, how, &mut buffers, &mut d);
            let bound = done.unwrap().unwrap();
            assert!(greatest(&d).f64() <= bound * 1.001, "{case:?}, {side:?}");
            d
        });
        let scale = greatest(&both[0]).f64();
        assert!(scale > 0.0);
        for (a, b) in both[0].iter().zip(&both[1]) {
            let error = (a.f64() - b.f64()).abs();
            assert!(error <= tolerance * scale, "{case:?}: {error:e}");
        }
    }

    #[test]
    fn both_sides_give_the_same() {
        for (n, fan_out, rows) in [(5, 3, 8), (9, 20, 4), (1, 1, 1), (150, 7, 20), (150, 30, 9)] {
            for kept in [Kept::Inverse, Kept::Scales, Kept::Axes] {
                for biased in [false, true] {
                    compare::<f64>((n, fan_out, rows, biased, kept), 1e-12);
                    compare::<f32>((n, fan_out, rows, biased, kept), 1e-4);
                }
            }
        }
    }

    #[test]
    fn the_side_with_fewer_rows_is_taken() {
        assert_eq!(Side::cheaper(128, 30, false), Side::Gradient);
        assert_eq!(Side::cheaper(128, 128, false), Side::Batch);
        assert_eq!(Side::cheaper(128, 1000, false), Side::Batch);
        assert_eq!(Side::cheaper(128, 1000, true), Side::Gradient);
    }
}
