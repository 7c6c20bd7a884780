//! What PRONG keeps of one layer's input: statistics, and how to whiten by them.

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut1, ArrayViewMut2, Zip};
use opt_core::{Scalar, State, Visit, dot};
use opt_linalg::{Cholesky, Decompose, Eigh, Error, Moments, gemm};
use rayon::prelude::*;

/// (Σ + εI)⁻¹, from the inputs of a dense layer.
#[derive(Clone, Debug)]
pub(crate) struct Factor<F> {
    pub(crate) moments: Moments<F>,
    /// (Σ + εI)⁻¹; with the diagonal correction Eᵀ, whose rows are the principal axes.
    matrix: Array2<F>,
    c: Array1<F>,
    /// With the diagonal correction the variance along every axis, running; else empty.
    variance: Array1<F>,
    /// 1 once there was a refresh.
    ready: u64,
    /// The next `matrix`, `c` and `variance`, until all layers have theirs.
    next: Option<(Array2<F>, Array1<F>, Array1<F>)>,
}

impl<F: Decompose> Factor<F> {
    /// Of a layer of `n` inputs; `diagonal` says whether it will have the correction.
    pub(crate) fn new(n: usize, diagonal: bool) -> Self {
        Self {
            moments: Moments::new(n),
            matrix: Array2::zeros((n, n)),
            c: Array1::zeros(n),
            variance: Array1::zeros(if diagonal { n } else { 0 }),
            ready: 0,
            next: None,
        }
    }

    /// Computes the next factor; [`commit`](Self::commit) puts it into use.
    pub(crate) fn prepare(&mut self, eps: f64, eigh: &mut Eigh<F>) -> Result<(), Error> {
        let mean = self.moments.mean().to_owned();
        self.next = Some(if self.variance.is_empty() {
            let mut inverse = Array2::zeros((0, 0));
            Cholesky::new(self.moments.lower(), eps)?.inverse(&mut inverse)?;
            (inverse, mean, Array1::zeros(0))
        } else {
            let eigen = eigh.compute(self.moments.lower())?;
            let variance = eigen.values.mapv(|v| v.max(F::zero()));
            (eigen.vectors.to_owned(), mean, variance)
        });
        Ok(())
    }

    pub(crate) fn commit(&mut self) {
        if let Some((matrix, c, variance)) = self.next.take() {
            (self.matrix, self.c, self.variance) = (matrix, c, variance);
            self.ready = 1;
        }
    }

    pub(crate) fn abandon(&mut self) {
        self.next = None;
    }

    /// The input's rows times (Σ + εI)⁻¹, about the mean; writes them over `out`, of the same
    /// shape, and what each of them gives with c over `along`. Before the first refresh they are
    /// the rows themselves, and `along` is 0.
    pub(crate) fn precondition(
        &mut self,
        input: ArrayView2<'_, F>,
        settings: Settings,
        scratch: &mut Vec<F>,
        mut out: ArrayViewMut2<'_, F>,
        along: &mut [F],
    ) -> Result<(), opt_core::Error> {
        if self.ready == 0 {
            out.assign(&input);
            along.fill(F::zero());
            return Ok(());
        }
        let (rows, n) = input.dim();
        let (zero, one) = (F::zero(), F::one());
        scratch.resize(rows * n, zero);
        self.centre(input, &mut scratch[..rows * n]);
        let Ok(mut centred) = ArrayViewMut2::from_shape((rows, n), &mut scratch[..rows * n]) else {
            return Ok(()); // the length is right
        };
        match settings.decay {
            None => gemm(
                one,
                centred.view(),
                self.matrix.view(),
                zero,
                out.view_mut(),
            )?,
            Some(decay) => {
                gemm(one, centred.view(), self.matrix.t(), zero, out.view_mut())?;
                self.follow(out.view(), decay);
                let eps = F::of(settings.eps);
                let scale = self.variance.mapv(|v| one / (v + eps));
                centred.assign(&out);
                centred *= &scale;
                gemm(
                    one,
                    centred.view(),
                    self.matrix.view(),
                    zero,
                    out.view_mut(),
                )?;
            }
        }
        let all = along.par_iter_mut().with_min_len(few_rows(n)).enumerate();
        all.for_each(|(index, along)| {
            let row = out.row(index);
            *along = match (row.as_slice(), self.c.as_slice()) {
                (Some(row), Some(c)) => F::of(dot(row, c)),
                _ => row.dot(&self.c),
            };
        });
        Ok(())
    }

    /// h − c for every row h: as many numbers as all activations.
    fn centre(&self, input: ArrayView2<'_, F>, out: &mut [F]) {
        let n = input.ncols();
        let rows = out.par_chunks_exact_mut(n).with_min_len(few_rows(n));
        rows.enumerate().for_each(|(index, out)| {
            let rows = Zip::from(ArrayViewMut1::from(out)).and(input.row(index));
            rows.and(&self.c).for_each(|out, &x, &c| *out = x - c);
        });
    }

    /// Variances of the minibatch along the axes, into the running ones.
    fn follow(&mut self, projected: ArrayView2<'_, F>, decay: f64) {
        let rows = projected.nrows() as f64;
        let (keep, fresh) = (F::of(decay), F::of((1.0 - decay) / rows));
        self.variance *= keep;
        for row in projected.rows() {
            self.variance
                .zip_mut_with(&row, |v, &p| *v += fresh * p * p);
        }
    }
}

/// Rows of `n` elements that are not worth a second thread.
fn few_rows(n: usize) -> usize {
    (1 << 13) / n.max(1) + 1
}

/// The hyper-parameters that a factor goes by. Not to be named outside, nor is the trait: that
/// seals what a preconditioner takes.
#[allow(unnameable_types)]
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub(crate) eps: f64,
    pub(crate) period: f64,
    pub(crate) samples: f64,
    /// Of the running variances, if there is the diagonal correction.
    pub(crate) decay: Option<f64>,
}

/// What the variants of PRONG tell the preconditioner.
#[allow(unnameable_types)]
pub trait Whitens {
    /// All but the step itself.
    fn settings(&self) -> Settings;
}

impl<F: Scalar> State<F> for Factor<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        self.moments.visit(visitor);
        visitor.count("ready", &mut self.ready);
        let (rows, columns) = self.matrix.dim();
        if let Some(data) = self.matrix.as_slice_mut() {
            visitor.buffer("matrix", &[rows, columns], data);
        }
        for (name, vector) in [("c", &mut self.c), ("variance", &mut self.variance)] {
            let n = vector.len();
            if let Some(data) = vector.as_slice_mut() {
                visitor.buffer(name, &[n], data);
            }
        }
    }
}

/// A visitor that puts a prefix before every name.
pub(crate) struct Prefixed<'a, F> {
    pub(crate) prefix: String,
    pub(crate) visitor: &'a mut dyn Visit<F>,
}

impl<F> Visit<F> for Prefixed<'_, F> {
    fn buffer(&mut self, name: &str, shape: &[usize], data: &mut [F]) {
        self.visitor
            .buffer(&format!("{}/{name}", self.prefix), shape, data);
    }

    fn count(&mut self, name: &str, value: &mut u64) {
        self.visitor
            .count(&format!("{}/{name}", self.prefix), value);
    }

    fn number(&mut self, name: &str, value: &mut f64) {
        self.visitor
            .number(&format!("{}/{name}", self.prefix), value);
    }
}
