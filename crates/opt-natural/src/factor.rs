//! What PRONG keeps of one layer's input: statistics, and how to whiten by them.

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut1, ArrayViewMut2, Zip};
use opt_core::{Scalar, State, Visit, all_finite, dot};
use opt_linalg::{Cholesky, Decompose, Eigh, Error, Moments, gemm};
use rayon::prelude::*;

/// (Σ + εI)⁻¹, from the inputs of a dense layer.
#[derive(Clone, Debug)]
pub(crate) struct Factor<F> {
    pub(crate) moments: Moments<F>,
    current: Inverse<F>,
    /// What counts from the next commit on, if there is one.
    next: Option<Inverse<F>>,
    /// Rows that the moments take in at the next commit, of this width.
    pending: Vec<F>,
    /// The running variances after the step that was proposed.
    followed: Array1<F>,
}

#[derive(Clone, Debug)]
struct Inverse<F> {
    /// (Σ + εI)⁻¹; with the diagonal correction Eᵀ, whose rows are the principal axes.
    matrix: Array2<F>,
    c: Array1<F>,
    /// With the diagonal correction the variance along every axis, running; else empty.
    variance: Array1<F>,
}

/// Buffers of a preconditioning, shared by the layers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffers<F> {
    scratch: Vec<F>,
    rows: Vec<F>,
    along: Vec<F>,
}

/// The input's rows, preconditioned: what makes ΔW with the deltas.
pub(crate) struct Whitened<'a, F> {
    /// (h − c)(Σ + εI)⁻¹, of shape (rows, fan_in).
    pub(crate) rows: ArrayView2<'a, F>,
    /// What each of them gives with c.
    pub(crate) along: &'a [F],
}

impl<F: Decompose> Factor<F> {
    /// Of a layer of `n` inputs; `diagonal` says whether it will have the correction.
    pub(crate) fn new(n: usize, diagonal: bool) -> Self {
        let variance = Array1::zeros(if diagonal { n } else { 0 });
        Self {
            moments: Moments::new(n),
            followed: variance.clone(),
            current: Inverse {
                matrix: Array2::zeros((n, n)),
                c: Array1::zeros(n),
                variance,
            },
            next: None,
            pending: Vec::new(),
        }
    }

    /// Forgets what an earlier proposal staged.
    pub(crate) fn unstage(&mut self) {
        self.next = None;
        self.pending.clear();
    }

    /// Stages rows for the moments.
    pub(crate) fn stage(&mut self, input: ArrayView2<'_, F>) {
        self.pending.clear();
        match input.as_slice() {
            Some(rows) => self.pending.extend_from_slice(rows),
            None => self.pending.extend(input.iter().copied()),
        }
    }

    /// Stages the inverse by these moments.
    pub(crate) fn prepare(
        &mut self,
        moments: &Moments<F>,
        eps: f64,
        eigh: &mut Eigh<F>,
    ) -> Result<(), Error> {
        let c = moments.mean().to_owned();
        self.next = Some(if self.followed.is_empty() {
            let mut matrix = Array2::zeros((0, 0));
            Cholesky::new(moments.lower(), eps)?.inverse(&mut matrix)?;
            Inverse {
                matrix,
                c,
                variance: Array1::zeros(0),
            }
        } else {
            let eigen = eigh.compute(moments.lower())?;
            Inverse {
                matrix: eigen.vectors.to_owned(),
                c,
                variance: eigen.values.mapv(|v| v.max(F::zero())),
            }
        });
        Ok(())
    }

    /// Makes what is staged count. Without `keep` the moments begin anew. Gives whether the moments
    /// could take the rows in.
    pub(crate) fn commit(&mut self, keep: bool) -> bool {
        if let Some(next) = self.next.take() {
            self.current = next;
        }
        if !self.current.variance.is_empty() {
            self.current.variance.assign(&self.followed);
        }
        let n = self.current.c.len();
        let rows = ArrayView2::from_shape((self.pending.len() / n.max(1), n), &self.pending);
        let fits = keep
            && match rows {
                Ok(rows) if rows.nrows() > 0 => self.moments.update(rows).is_ok(),
                _ => true,
            };
        self.pending.clear();
        if !fits {
            self.forget();
        }
        fits || !keep
    }

    pub(crate) fn forget(&mut self) {
        // 0 is a right factor.
        let _ = self.moments.discount(0.0);
    }

    fn inverse(&self) -> &Inverse<F> {
        self.next.as_ref().unwrap_or(&self.current)
    }

    /// The input's rows times (Σ + εI)⁻¹, about the mean; stages the running variances. `None` if
    /// those overflow.
    pub(crate) fn precondition<'b>(
        &mut self,
        input: ArrayView2<'_, F>,
        (eps, decay): (f64, Option<f64>),
        buffers: &'b mut Buffers<F>,
    ) -> Result<Option<Whitened<'b, F>>, opt_core::Error> {
        let ((rows, n), zero, one) = (input.dim(), F::zero(), F::one());
        let inverse = self.next.as_ref().unwrap_or(&self.current);
        let Buffers {
            scratch,
            rows: out,
            along,
        } = buffers;
        for buffer in [&mut *scratch, &mut *out] {
            buffer.resize(buffer.len().max(rows * n), zero);
        }
        along.resize(along.len().max(rows), zero);
        centre(input, &inverse.c, &mut scratch[..rows * n]);
        let shaped = |buffer: &'b mut Vec<F>| {
            let view = ArrayViewMut2::from_shape((rows, n), &mut buffer[..rows * n]);
            view.map_err(opt_core::Error::objective)
        };
        let (mut centred, mut out) = (shaped(scratch)?, shaped(out)?);
        match decay {
            None => gemm(
                one,
                centred.view(),
                inverse.matrix.view(),
                zero,
                out.view_mut(),
            )?,
            Some(decay) => {
                gemm(
                    one,
                    centred.view(),
                    inverse.matrix.t(),
                    zero,
                    out.view_mut(),
                )?;
                self.followed.assign(&inverse.variance);
                follow(&mut self.followed, out.view(), decay);
                if !self.followed.as_slice().is_some_and(all_finite) {
                    return Ok(None);
                }
                centred.assign(&out);
                centred *= &scales(&self.followed, eps);
                gemm(
                    one,
                    centred.view(),
                    inverse.matrix.view(),
                    zero,
                    out.view_mut(),
                )?;
            }
        }
        let along = &mut along[..rows];
        let all = along.par_iter_mut().with_min_len(few_rows(n)).enumerate();
        all.for_each(|(index, along)| {
            let row = out.row(index);
            *along = match (row.as_slice(), inverse.c.as_slice()) {
                (Some(row), Some(c)) => F::of(dot(row, c)),
                _ => row.dot(&inverse.c),
            };
        });
        // A view for as long as the buffers.
        let rows = ArrayView2::from_shape((rows, n), out.into_slice().unwrap_or_default());
        let rows = rows.map_err(opt_core::Error::objective)?;
        Ok(Some(Whitened { rows, along }))
    }

    /// R·(Σ + εI)⁻¹, of R's shape (fan_out, fan_in), and its product with c. After
    /// [`precondition`](Self::precondition), whose running variances it goes by.
    pub(crate) fn precondition_rest(
        &self,
        rest: ArrayView2<'_, F>,
        (eps, decay): (f64, Option<f64>),
    ) -> Result<(Array2<F>, Array1<F>), opt_core::Error> {
        let (zero, one, inverse) = (F::zero(), F::one(), self.inverse());
        let mut out = Array2::zeros(rest.dim());
        if decay.is_some() {
            let mut projected = Array2::zeros(rest.dim());
            gemm(one, rest, inverse.matrix.t(), zero, projected.view_mut())?;
            projected *= &scales(&self.followed, eps);
            gemm(
                one,
                projected.view(),
                inverse.matrix.view(),
                zero,
                out.view_mut(),
            )?;
        } else {
            gemm(one, rest, inverse.matrix.view(), zero, out.view_mut())?;
        }
        let along = out.dot(&inverse.c);
        Ok((out, along))
    }
}

fn scales<F: Scalar>(variance: &Array1<F>, eps: f64) -> Array1<F> {
    let eps = F::of(eps);
    variance.mapv(|v| F::one() / (v + eps))
}

/// h − c for every row h: as many numbers as all activations.
fn centre<F: Scalar>(input: ArrayView2<'_, F>, c: &Array1<F>, out: &mut [F]) {
    let n = input.ncols();
    let rows = out.par_chunks_exact_mut(n.max(1)).with_min_len(few_rows(n));
    rows.enumerate().for_each(|(index, out)| {
        let rows = Zip::from(ArrayViewMut1::from(out)).and(input.row(index));
        rows.and(c).for_each(|out, &x, &c| *out = x - c);
    });
}

/// Variances of the minibatch along the axes, into the running ones.
fn follow<F: Scalar>(variance: &mut Array1<F>, projected: ArrayView2<'_, F>, decay: f64) {
    let rows = projected.nrows() as f64;
    let (keep, fresh) = (F::of(decay), F::of((1.0 - decay) / rows));
    *variance *= keep;
    for row in projected.rows() {
        variance.zip_mut_with(&row, |v, &p| *v += fresh * p * p);
    }
}

/// Rows of `n` elements that are not worth a second thread.
fn few_rows(n: usize) -> usize {
    (1 << 13) / n.max(1) + 1
}

impl<F: Scalar> State<F> for Factor<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        self.moments.visit(visitor);
        let Inverse {
            matrix,
            c,
            variance,
        } = &mut self.current;
        let (rows, columns) = matrix.dim();
        if let Some(data) = matrix.as_slice_mut() {
            visitor.buffer("matrix", &[rows, columns], data);
        }
        for (name, vector) in [("c", c), ("variance", variance)] {
            let n = vector.len();
            if let Some(data) = vector.as_slice_mut() {
                visitor.buffer(name, &[n], data);
            }
        }
    }
}
