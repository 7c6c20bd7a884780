use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, s};
use opt_core::{Bound, State, Visit, dot, each};

use crate::decompose::copy_lower;
use crate::symmetric::{gram, zeros};
use crate::{Cholesky, Decompose, Eigh, Error, gemm};

/// Pivots between two looks at what is left: enough rows for a product at full speed.
const BLOCK: usize = 32;

/// Below this order a dense product costs no more than two thin ones.
const SMALL: usize = 128;

/// (A + dI)⁻¹ of a symmetric positive semidefinite A, dense, or of low rank beside a multiple of I
/// where most of A is small beside d.
///
/// ```text
/// A ≈ LLᵀ + R/2,  0 ⪯ A − LLᵀ ⪯ R
/// (A + dI)⁻¹ ≈ s⁻¹(I − L(sI + LᵀL)⁻¹Lᵀ),  s = d + R/2
/// ```
///
/// so that a product with it costs 2k/n of that with the dense inverse. With
/// θ = (R/2)/(d + R/2), the approximation P̃ of P has
///
/// ```text
/// (1 − θ)P ⪯ P̃ ⪯ (1 + θ)P,   ‖(P̃ − P)g‖ ≤ θ‖Pg‖ for every g
/// ```
///
/// and [`update`](Self::update) keeps θ within a tolerance. L is of pivots of A, whose remainder
/// A − LLᵀ is positive semidefinite and bounded by its Frobenius norm; or, where that takes too many,
/// of the eigenvectors, with R the greatest eigenvalue that is left out.
///
/// ```
/// use ndarray::{Array2, array};
/// use opt_linalg::{Accuracy, DampedInverse, InverseWork};
///
/// let mut inverse = DampedInverse::new(2);
/// let a = array![[0.0, 0.0], [0.0, 3.0]];
/// inverse.update(a.view(), 1.0, Accuracy::exact(), &mut InverseWork::default())?;
/// let mut out = Array2::zeros((1, 2));
/// inverse.product(array![[2.0, 2.0]].view(), out.view_mut(), &mut Vec::new())?;
/// assert_eq!(out, array![[2.0, 0.5]]);
/// # Ok::<(), opt_linalg::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DampedInverse<F> {
    /// k; or the order, if the inverse is dense.
    rank: u64,
    /// 1/s; unused by a dense inverse.
    scale: f64,
    /// The inverse; or Lᵀ in its first k rows and (sI + LᵀL)⁻¹Lᵀ in the next, then zeros.
    matrix: Array2<F>,
}

/// How near a [`DampedInverse`] is to the inverse, and what may be tried for a low rank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// Upper limit of θ, in [0, 1). With 0, or below an order of 128, the inverse is dense.
    pub tolerance: f64,
    /// Whether eigenvectors may be tried, at some three to four times the cost of a dense inverse:
    /// they need a third of the rank.
    pub eigenvectors: bool,
}

impl Accuracy {
    /// Dense.
    pub fn exact() -> Self {
        Self {
            tolerance: 0.0,
            eigenvectors: false,
        }
    }
}

/// What [`DampedInverse::update`] works in, kept from call to call.
#[derive(Clone, Debug)]
pub struct InverseWork<F> {
    cholesky: Cholesky<F>,
    eigh: Eigh<F>,
    /// A − LLᵀ in the lower triangle.
    remainder: Vec<F>,
    diagonal: Vec<F>,
    /// sI + LᵀL, and its inverse.
    small: Vec<F>,
    core: Vec<F>,
}

impl<F: Decompose> Default for InverseWork<F> {
    fn default() -> Self {
        Self {
            cholesky: Cholesky::empty(),
            eigh: Eigh::new(),
            remainder: Vec::new(),
            diagonal: Vec::new(),
            small: Vec::new(),
            core: Vec::new(),
        }
    }
}

impl<F: Decompose> DampedInverse<F> {
    /// The zero matrix of order n. One that does not fit into memory is refused by
    /// [`update`](Self::update).
    pub fn new(n: usize) -> Self {
        Self {
            rank: 0,
            scale: 0.0,
            matrix: zeros(n).unwrap_or_default(),
        }
    }

    /// The rank k beside the multiple of I, if it is not dense.
    pub fn rank(&self) -> Option<usize> {
        let k = usize::try_from(self.rank).ok()?;
        (2 * k <= self.matrix.nrows()).then_some(k)
    }

    /// The inverse of A + damping·I, where `a` has the lower triangle of A.
    ///
    /// # Errors
    /// As [`Cholesky::update`] and [`Cholesky::inverse`]; [`Error::Width`] for another order than
    /// before. It then holds nothing of use.
    pub fn update(
        &mut self,
        a: ArrayView2<'_, F>,
        damping: f64,
        accuracy: Accuracy,
        work: &mut InverseWork<F>,
    ) -> Result<(), Error> {
        opt_core::Error::bounded("damping", damping, Bound::NonNegative)?;
        let (n, tolerance) = (self.matrix.nrows(), accuracy.tolerance);
        if a.nrows() != n {
            return Err(Error::Width {
                what: "matrix",
                expected: n,
                found: a.nrows(),
            });
        }
        // Of θ = (R/2)/(d + R/2).
        let limit = 2.0 * tolerance * damping / (1.0 - tolerance);
        let trace: f64 = a.diag().iter().map(|v| v.f64()).sum();
        // What is left must be told from the rounding of the largest eigenvalue.
        let told = limit > 8.0 * F::epsilon().f64() * trace.abs();
        if n >= SMALL && a.ncols() == n && told && (limit / 2.0).is_normal() {
            if self.by_pivots(a, (damping, limit), accuracy, work)? {
                return Ok(());
            }
            if accuracy.eigenvectors && self.by_eigenvectors(a, (damping, limit), work)? {
                return Ok(());
            }
        }
        work.cholesky.update(a, damping)?;
        work.cholesky.inverse(&mut self.matrix)?;
        (self.rank, self.scale) = (n as u64, 1.0);
        Ok(())
    }

    /// By a Cholesky decomposition that takes the largest diagonal element that is left, until what
    /// is left is small. Gives whether that came within the ranks that are worth it.
    fn by_pivots(
        &mut self,
        a: ArrayView2<'_, F>,
        (damping, limit): (f64, f64),
        accuracy: Accuracy,
        work: &mut InverseWork<F>,
    ) -> Result<bool, Error> {
        let n = self.matrix.nrows();
        work.start(a, n)?;
        // Where eigenvectors come next, no more than what they would hardly save.
        let most = if accuracy.eigenvectors { n / 10 } else { n / 4 };
        let (mut k, mut last) = (0, f64::INFINITY);
        loop {
            let left = work.left(n);
            if left <= limit {
                return self.of_pivots(k, (damping, left.max(0.0)), work);
            }
            // As it fell so far, will it be small in time?
            let blocks = most.saturating_sub(k) as f64 / BLOCK as f64;
            if k > 0 && left * (left / last).powf(blocks) > limit || k >= most {
                return Ok(false);
            }
            last = left;
            let begin = k;
            while k < (begin + BLOCK).min(most) && work.trace() > limit {
                if !work.pivot(&mut self.matrix, begin, k) {
                    break;
                }
                k += 1;
            }
            if k == begin {
                return Ok(false);
            }
            let block = self.matrix.slice(s![begin..k, ..]);
            let remainder = ArrayViewMut2::from_shape((n, n), &mut work.remainder);
            let remainder = remainder.map_err(|_| Error::TooLarge { order: n })?;
            gram(-F::one(), block, F::one(), remainder)?;
        }
    }

    /// From Lᵀ in the first k rows, and a bound of what it leaves.
    fn of_pivots(
        &mut self,
        k: usize,
        (damping, left): (f64, f64),
        work: &mut InverseWork<F>,
    ) -> Result<bool, Error> {
        let s = damping + left / 2.0;
        if k > 0 {
            let (zero, one) = (F::zero(), F::one());
            let square = |buffer| {
                ArrayViewMut2::from_shape((k, k), buffer).map_err(|_| Error::TooLarge { order: k })
            };
            for buffer in [&mut work.small, &mut work.core] {
                buffer.clear();
                buffer.resize(k * k, zero);
            }
            let mut small = square(&mut work.small)?;
            let (l, mut rest) = self.matrix.view_mut().split_at(Axis(0), k);
            gemm(one, l.view(), l.t(), zero, small.view_mut())?;
            work.cholesky.update(small.view(), s)?;
            work.cholesky.inverse_over(&mut work.core)?;
            let to = rest.slice_mut(s![..k, ..]);
            gemm(one, square(&mut work.core)?.view(), l.view(), zero, to)?;
        }
        self.finish(k, s)
    }

    fn finish(&mut self, k: usize, s: f64) -> Result<bool, Error> {
        (self.rank, self.scale) = (k as u64, s.recip());
        self.matrix.slice_mut(s![2 * k.., ..]).fill(F::zero());
        let finite = self.matrix.as_slice().is_some_and(opt_core::all_finite);
        if !finite || !F::of(self.scale).is_finite() {
            return Err(Error::Overflow {
                what: "the inverse",
            });
        }
        Ok(true)
    }

    /// By the eigenvectors of what is not small. Gives whether those are few enough.
    fn by_eigenvectors(
        &mut self,
        a: ArrayView2<'_, F>,
        (damping, limit): (f64, f64),
        work: &mut InverseWork<F>,
    ) -> Result<bool, Error> {
        let n = self.matrix.nrows();
        let eigen = work.eigh.compute(a)?;
        let small = eigen.values.iter().take_while(|v| v.f64() <= limit).count();
        let k = n - small;
        // Two thin products are a little slower than their operations tell. What is not positive is
        // for the dense inverse to refuse.
        if 5 * k > 2 * n || eigen.values[0].f64() < -limit {
            return Ok(false);
        }
        let left = (small.checked_sub(1)).map_or(0.0, |last| eigen.values[last].f64().max(0.0));
        let s = damping + left / 2.0;
        let top = eigen.vectors.slice(s![small.., ..]);
        self.matrix.slice_mut(s![..k, ..]).assign(&top);
        for (row, value) in eigen.values.iter().skip(small).enumerate() {
            let share = F::of(1.0 - s / (value.f64() + damping));
            let mut to = self.matrix.row_mut(k + row);
            to.zip_mut_with(&top.row(row), |to, &v| *to = share * v);
        }
        self.finish(k, s)
    }

    /// Writes x·(A + dI)⁻¹ over `out`, both of shape (rows, n). `scratch` grows to rows·n/2.
    ///
    /// # Errors
    /// [`Error::Shape`]; `out` then is as it was.
    pub fn product(
        &self,
        x: ArrayView2<'_, F>,
        mut out: ArrayViewMut2<'_, F>,
        scratch: &mut Vec<F>,
    ) -> Result<(), Error> {
        let (zero, one) = (F::zero(), F::one());
        let (rows, n) = x.dim();
        if n != self.matrix.nrows() || out.dim() != (rows, n) {
            return Err(Error::Shape {
                a: x.dim(),
                b: self.matrix.dim(),
                c: out.dim(),
            });
        }
        let Some(k) = self.rank() else {
            return gemm(one, x, self.matrix.view(), zero, out);
        };
        let scale = F::of(self.scale);
        out.zip_mut_with(&x, |out, &x| *out = scale * x);
        if k == 0 {
            return Ok(());
        }
        if scratch.len() < rows * k {
            // At once, so that a rank that grows later does not allocate.
            scratch.reserve(rows * (n / 2) - scratch.len());
            scratch.resize(rows * k, zero);
        }
        let along = ArrayViewMut2::from_shape((rows, k), &mut scratch[..rows * k]);
        let mut along = along.map_err(|_| Error::TooLarge { order: n })?;
        let (l, w) = (
            self.matrix.slice(s![..k, ..]),
            self.matrix.slice(s![k..2 * k, ..]),
        );
        gemm(scale, x, l.t(), zero, along.view_mut())?;
        gemm(-one, along.view(), w, one, out)
    }

    /// How many multiplications a product with a row takes.
    pub fn cost(&self) -> usize {
        let n = self.matrix.nrows();
        n * self.rank().map_or(n, |k| 2 * k)
    }

    /// As [`State::visit`], under names that begin like this.
    pub fn visit_as(&mut self, name: &str, visitor: &mut dyn Visit<F>) {
        let (rows, columns) = self.matrix.dim();
        if let Some(data) = self.matrix.as_slice_mut() {
            visitor.buffer(name, &[rows, columns], data);
        }
        visitor.count(&format!("{name} rank"), &mut self.rank);
        visitor.number(&format!("{name} scale"), &mut self.scale);
    }
}

impl<F: Decompose> State<F> for DampedInverse<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        self.visit_as("matrix", visitor);
    }
}

impl<F: Decompose> InverseWork<F> {
    fn start(&mut self, a: ArrayView2<'_, F>, n: usize) -> Result<(), Error> {
        // At once, so that a rank that grows later does not allocate.
        let most = (n / 4).pow(2);
        for buffer in [&mut self.small, &mut self.core] {
            buffer.reserve(most.saturating_sub(buffer.len()));
        }
        self.cholesky.reserve(most);
        self.remainder.resize(n * n, F::zero());
        copy_lower(&a, &mut self.remainder, n)?;
        self.diagonal.clear();
        self.diagonal.extend(a.diag());
        Ok(())
    }

    /// The Frobenius norm of what is left, as of the last block.
    fn left(&self, n: usize) -> f64 {
        let rows = self.remainder.chunks_exact(n).enumerate();
        let squares = rows.map(|(i, row)| {
            let diagonal = row[i].f64();
            2.0 * dot(&row[..i], &row[..i]) + diagonal * diagonal
        });
        squares.sum::<f64>().sqrt()
    }

    /// The trace of what is left, as of the last pivot.
    fn trace(&self) -> f64 {
        self.diagonal.iter().map(|v| v.f64().max(0.0)).sum()
    }

    /// Writes column k of L over row k of `l`, of which the rows from `begin` on are not in the
    /// remainder yet. Gives whether there was a pivot.
    fn pivot(&mut self, l: &mut Array2<F>, begin: usize, k: usize) -> bool {
        let n = self.diagonal.len();
        let all = self.diagonal.iter().enumerate();
        let pivot = all.max_by(|a, b| a.1.f64().total_cmp(&b.1.f64()));
        let Some((p, largest)) = pivot.map(|(p, v)| (p, v.f64())).filter(|(_, v)| *v > 0.0) else {
            return false;
        };
        let Some(rows) = l.as_slice_mut() else {
            return false;
        };
        let (before, row) = rows[begin * n..(k + 1) * n].split_at_mut((k - begin) * n);
        row[..p].copy_from_slice(&self.remainder[p * n..p * n + p]);
        for (to, of) in row[p..].iter_mut().zip(self.remainder[p * n..].chunks(n)) {
            *to = of[p];
        }
        for earlier in before.chunks_exact(n) {
            let share = earlier[p];
            each(row, earlier, [], move |to, l, []| (to - share * l, []));
        }
        let root = F::of(largest.sqrt().recip());
        for (to, d) in row.iter_mut().zip(&mut self.diagonal) {
            *to *= root;
            *d -= *to * *to;
        }
        self.diagonal[p] = F::zero();
        true
    }
}
