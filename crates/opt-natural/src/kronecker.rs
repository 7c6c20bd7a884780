//! The Kronecker factors of one dense layer's block of the Fisher matrix.

use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis, s};
use opt_core::{Error as CoreError, Layer, Scalar, dot};
use opt_linalg::{Cholesky, Decompose, Error, gemm, gram};
use rayon::prelude::*;

use crate::dense::Dense;

/// A over the layer's inputs and G over its deltas, of shapes (fan_in (+ 1 with a bias), …) and
/// (fan_out, fan_out); or the inverses of both.
#[derive(Clone, Debug)]
pub(crate) struct Factors<F> {
    /// Of moments, only the lower triangle counts.
    pub(crate) a: Array2<F>,
    pub(crate) g: Array2<F>,
}

impl<F: Decompose> Factors<F> {
    pub(crate) fn zeros(dense: &Dense) -> Self {
        let inputs = dense.fan_in + usize::from(dense.bias.is_some());
        Self {
            a: Array2::zeros((inputs, inputs)),
            g: Array2::zeros((dense.fan_out, dense.fan_out)),
        }
    }

    /// self ← keep·old + (1 − keep)·(E[h̄h̄ᵀ], E[δδᵀ]), with h̄ = (h, 1) if there is a bias.
    pub(crate) fn blend(
        &mut self,
        old: &Self,
        layer: &Layer<'_, F>,
        keep: f64,
    ) -> Result<(), Error> {
        let (samples, fan_in) = layer.input.dim();
        let (n, new) = (samples as f64, F::of(1.0 - keep));
        self.a.assign(&old.a);
        self.g.assign(&old.g);
        let inputs = self.a.slice_mut(s![..fan_in, ..fan_in]);
        gram(F::of((1.0 - keep) / n), layer.input, F::of(keep), inputs)?;
        // One more column than inputs, if there is a bias.
        if self.a.ncols() > fan_in {
            let mut ones = self.a.row_mut(fan_in);
            ones *= F::of(keep);
            let mean = layer.input.sum_axis(Axis(0)) / F::of(n);
            ones.slice_mut(s![..fan_in]).scaled_add(new, &mean);
            ones[fan_in] += new;
        }
        // A delta is that of the sample, divided by the batch.
        gram(
            F::of((1.0 - keep) * n),
            layer.delta,
            F::of(keep),
            self.g.view_mut(),
        )
    }

    /// Whether the diagonals are, which bound all other elements.
    pub(crate) fn is_finite(&self) -> bool {
        self.a
            .diag()
            .iter()
            .chain(self.g.diag())
            .all(|v| v.is_finite())
    }

    /// self ← ((A + πγI)⁻¹, (G + γ/π·I)⁻¹), where π² is the ratio of their mean eigenvalues.
    fn invert(&mut self, moments: &Self, gamma: f64) -> Result<(), Error> {
        let mean = |m: &Array2<F>| m.diag().iter().map(|d| d.f64()).sum::<f64>() / m.nrows() as f64;
        let pi = (mean(&moments.a) / mean(&moments.g)).sqrt();
        // Without any input or delta there is nothing to balance.
        let pi = if pi.is_normal() { pi } else { 1.0 };
        Cholesky::new(moments.a.view(), pi * gamma)?.inverse(&mut self.a)?;
        Cholesky::new(moments.g.view(), gamma / pi)?.inverse(&mut self.g)
    }

    /// Inverts the factors of all layers, each on one thread.
    pub(crate) fn invert_all(all: &mut [Self], moments: &[Self], gamma: f64) -> Result<(), Error> {
        let pairs = all.par_iter_mut().zip(moments);
        let results: Vec<_> = pairs.map(|(to, from)| to.invert(from, gamma)).collect();
        results.into_iter().collect()
    }

    /// Writes G⁻¹·∇·A⁻¹ over the layer's part of `out`, where self are inverses and
    /// ∇ = δᵀh̄ + rest: by (δG⁻¹)ᵀ(h̄A⁻¹), which is cheaper than forming ∇ where there are fewer
    /// samples than inputs and outputs.
    pub(crate) fn precondition(
        &self,
        dense: &Dense,
        (input, delta): (ArrayView2<'_, F>, ArrayView2<'_, F>),
        rest: &[F],
        out: &mut [F],
    ) -> Result<(), CoreError> {
        let (zero, one, fan_in) = (F::zero(), F::one(), dense.fan_in);
        let (samples, inputs) = (input.nrows(), self.a.ncols());
        let mut left = Array2::zeros(delta.dim());
        gemm(one, delta, self.g.view(), zero, left.view_mut())?;
        let mut right = Array2::zeros((samples, inputs));
        gemm(
            one,
            input,
            self.a.slice(s![..fan_in, ..]),
            zero,
            right.view_mut(),
        )?;
        if dense.bias.is_some() {
            right += &self.a.row(fan_in);
        }
        let (weights, bias) = right.view().split_at(Axis(1), fan_in);
        gemm(one, left.t(), weights, zero, dense.weight_mut(out)?)?;
        if let Some(b) = dense.bias.clone() {
            let column = ArrayViewMut2::from_shape((dense.fan_out, 1), &mut out[b]);
            gemm(
                one,
                left.t(),
                bias,
                zero,
                column.map_err(CoreError::objective)?,
            )?;
        }
        if dense
            .ranges()
            .any(|range| rest[range].iter().any(|&r| r != zero))
        {
            self.precondition_rest(dense, rest, out)?;
        }
        Ok(())
    }

    /// Adds G⁻¹·rest·A⁻¹ to the layer's part of `out`.
    fn precondition_rest(&self, dense: &Dense, rest: &[F], out: &mut [F]) -> Result<(), CoreError> {
        let (zero, one, fan_in) = (F::zero(), F::one(), dense.fan_in);
        let mut wide = Array2::zeros((dense.fan_out, self.a.ncols()));
        wide.slice_mut(s![.., ..fan_in])
            .assign(&dense.weight(rest)?);
        if let Some(bias) = dense.bias.clone() {
            wide.column_mut(fan_in)
                .assign(&ArrayView1::from(&rest[bias]));
        }
        let mut left = Array2::zeros(wide.dim());
        gemm(one, self.g.view(), wide.view(), zero, left.view_mut())?;
        gemm(one, left.view(), self.a.view(), zero, wide.view_mut())?;
        let mut weight = dense.weight_mut(out)?;
        weight += &wide.slice(s![.., ..fan_in]);
        if let Some(bias) = dense.bias.clone() {
            let column = wide.column(fan_in);
            out[bias]
                .iter_mut()
                .zip(column)
                .for_each(|(to, &d)| *to += d);
        }
        Ok(())
    }
}

/// V·hₙ + v_b for every sample n, of shape (batch, fan_out): what a step v of the parameters adds
/// to the layer's output, but for what it adds to the layer's input.
pub(crate) fn forward<F: Scalar>(
    dense: &Dense,
    input: ArrayView2<'_, F>,
    v: &[F],
) -> Result<Array2<F>, CoreError> {
    let mut out = Array2::zeros((input.nrows(), dense.fan_out));
    gemm(
        F::one(),
        input,
        dense.weight(v)?.t(),
        F::zero(),
        out.view_mut(),
    )?;
    if let Some(bias) = dense.bias.clone() {
        out += &ArrayView1::from(&v[bias]);
    }
    Ok(out)
}

/// How the loss changes along a vector v.
pub(crate) struct Along {
    /// gᵀv.
    pub(crate) slope: f64,
    /// gₙᵀv of every sample n for a drawn label, divided by the batch, as the deltas are.
    drawn: Vec<f64>,
}

impl Along {
    /// From the layers with the deltas of drawn labels, those of the loss, and what else its
    /// gradient has.
    pub(crate) fn new<F: Scalar>(
        layers: &[Dense],
        shown: &[Layer<'_, F>],
        deltas: &[Array2<F>],
        rest: &[F],
        v: &[F],
    ) -> Result<Self, CoreError> {
        let inner = |a: ArrayView1<'_, F>, b: ArrayView1<'_, F>| -> f64 {
            a.iter().zip(b).map(|(&a, &b)| a.f64() * b.f64()).sum()
        };
        let (mut slope, mut drawn) = (dot(rest, v), Vec::new());
        for ((dense, layer), delta) in layers.iter().zip(shown).zip(deltas) {
            let out = forward(dense, layer.input, v)?;
            drawn.resize(out.nrows(), 0.0);
            let rows = out.rows().into_iter().zip(layer.delta.rows());
            for (((out, sampled), delta), drawn) in rows.zip(delta.rows()).zip(&mut drawn) {
                *drawn += inner(out, sampled);
                slope += inner(out, delta);
            }
        }
        Ok(Self { slope, drawn })
    }

    /// vᵀFw: the mean over the samples of gₙᵀv·gₙᵀw.
    pub(crate) fn curvature(&self, other: &Self) -> f64 {
        dot(&self.drawn, &other.drawn) * self.drawn.len() as f64
    }
}

/// gᵀδ + ½δᵀCδ for δ = αΔ + μv.
pub(crate) struct Quadratic {
    /// gᵀΔ, gᵀv.
    pub(crate) slope: [f64; 2],
    /// ΔᵀCΔ, ΔᵀCv, vᵀCv.
    pub(crate) curvature: [f64; 3],
}

impl Quadratic {
    pub(crate) fn at(&self, alpha: f64, mu: f64) -> f64 {
        let ([d, v], [dd, dv, vv]) = (self.slope, self.curvature);
        alpha * d + mu * v + 0.5 * (alpha * alpha * dd + 2.0 * alpha * mu * dv + mu * mu * vv)
    }

    /// α and μ of the minimum; with μ = 0 if v is 0, or so near to Δ's direction that rounding
    /// would decide.
    pub(crate) fn minimum(&self) -> (f64, f64) {
        let ([d, v], [dd, dv, vv]) = (self.slope, self.curvature);
        let determinant = dd * vv - dv * dv;
        if determinant > 1e-8 * dd * vv {
            return (
                (dv * v - vv * d) / determinant,
                (dv * d - dd * v) / determinant,
            );
        }
        (if dd > 0.0 { -d / dd } else { 0.0 }, 0.0)
    }
}
