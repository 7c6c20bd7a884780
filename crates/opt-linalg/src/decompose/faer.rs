//! Decompositions in pure Rust, by faer: the only file that calls it.
//!
//! faer is fast on column-major matrices. A row-major buffer read by columns is the transpose,
//! which for a symmetric matrix is itself, once both triangles are there; the eigenvectors that it
//! writes into columns are the rows of our matrix. A Cholesky factor is kept column-major.

use std::mem::MaybeUninit;

use faer::diag::DiagMut;
use faer::dyn_stack::{MemStack, StackReq};
use faer::linalg::cholesky::llt::factor::{
    LltError, LltRegularization, cholesky_in_place, cholesky_in_place_scratch,
};
use faer::linalg::cholesky::llt::inverse::{inverse, inverse_scratch};
use faer::linalg::cholesky::llt::solve::{solve_in_place, solve_in_place_scratch};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::prelude::default;
use faer::{MatMut, MatRef, Par};
use ndarray::ArrayViewMut2;
use opt_core::Scalar;

use super::{resize, sealed};
use crate::Error;
use crate::symmetric::mirror;

/// What the eigensolver works in. Not to be named outside, as the trait that takes it.
#[allow(unnameable_types)]
#[derive(Clone, Debug, Default)]
pub struct Work<F> {
    /// The rows and columns that have an element beside the diagonal, and their eigenpairs.
    coupled: Vec<usize>,
    matrix: Vec<F>,
    values: Vec<F>,
    vectors: Vec<F>,
    scratch: Vec<MaybeUninit<u8>>,
}

/// As with LAPACK: whole layers run in parallel, not what is inside of one.
const PAR: Par = Par::Seq;

macro_rules! faer {
    ($f:ty) => {
        impl sealed::Backend for $f {
            fn eigh(a: &mut [Self], w: &mut [Self], work: &mut Work<Self>) -> Result<(), Error> {
                let unscale = work.gather(a, w.len())?;
                let m = work.coupled.len();
                if m > 0 {
                    let vectors = ComputeEigenvectors::Yes;
                    let needs = self_adjoint_evd_scratch::<Self>(m, vectors, PAR, default());
                    let stack = stack(&mut work.scratch, needs, m)?;
                    let matrix = MatRef::from_row_major_slice(&work.matrix, m, m);
                    let vectors = MatMut::from_column_major_slice_mut(&mut work.vectors, m, m);
                    let values = DiagMut::from_slice_mut(&mut work.values);
                    self_adjoint_evd(matrix, values, Some(vectors), PAR, stack, default())
                        .map_err(|_| Error::NotConverged)?;
                }
                work.scatter(unscale, a, w);
                Ok(())
            }

            fn factorize(n: usize, a: &mut [Self]) -> Result<(), Error> {
                let both = ArrayViewMut2::from_shape((n, n), &mut *a);
                mirror(both.map_err(|_| Error::TooLarge { order: n })?);
                let mut scratch = Vec::new();
                let needs = cholesky_in_place_scratch::<Self>(n, PAR, default());
                let stack = stack(&mut scratch, needs, n)?;
                let a = MatMut::from_column_major_slice_mut(a, n, n);
                match cholesky_in_place(a, LltRegularization::default(), PAR, stack, default()) {
                    Ok(_) => Ok(()),
                    Err(LltError::NonPositivePivot { index }) => {
                        Err(Error::NotPositiveDefinite { minor: index + 1 })
                    }
                }
            }

            fn invert(n: usize, factor: &[Self], out: &mut [Self]) -> Result<(), Error> {
                let mut scratch = Vec::new();
                let stack = stack(&mut scratch, inverse_scratch::<Self>(n, PAR), n)?;
                let factor = MatRef::from_column_major_slice(factor, n, n);
                let out = MatMut::from_row_major_slice_mut(out, n, n);
                inverse(out, factor, PAR, stack);
                Ok(())
            }

            fn solve(n: usize, factor: &[Self], b: &mut [Self]) -> Result<(), Error> {
                let columns = b.len() / n;
                let mut scratch = Vec::new();
                let needs = solve_in_place_scratch::<Self>(n, columns, PAR);
                let stack = stack(&mut scratch, needs, n)?;
                let factor = MatRef::from_column_major_slice(factor, n, n);
                let b = MatMut::from_column_major_slice_mut(b, n, columns);
                solve_in_place(factor, b, PAR, stack);
                Ok(())
            }
        }
    };
}

faer!(f32);
faer!(f64);

/// An eigenpair: the one of this index in `Work`, or a row that has its diagonal element alone.
#[derive(Clone, Copy)]
enum Pair {
    Coupled(usize),
    Alone(usize),
}

impl<F: Scalar> Work<F> {
    /// Copies what is coupled, scaled; returns what undoes that. A row with nothing beside its
    /// diagonal, as a dead unit has, is an eigenpair already: faer would round it as if it were of
    /// the size of the largest eigenvalue.
    fn gather(&mut self, a: &[F], n: usize) -> Result<F, Error> {
        let apart = |i: usize, j: usize| a[i.max(j) * n + i.min(j)] == F::zero();
        let coupled = |i: &usize| (0..n).any(|j| j != *i && !apart(*i, j));
        self.coupled.clear();
        self.coupled.extend((0..n).filter(coupled));
        let m = self.coupled.len();
        resize(&mut self.matrix, m * m, F::zero(), n)?;
        resize(&mut self.vectors, m * m, F::zero(), n)?;
        resize(&mut self.values, m, F::zero(), n)?;
        let (scale, unscale) = scales(a, n);
        for (row, &i) in self.matrix.chunks_mut(m.max(1)).zip(&self.coupled) {
            for (to, &j) in row
                .iter_mut()
                .zip(&self.coupled)
                .take_while(|(_, j)| **j <= i)
            {
                *to = scale * a[i * n + j];
            }
        }
        Ok(unscale)
    }

    /// All eigenpairs in ascending order into the rows of `a` and into `w`.
    fn scatter(&self, unscale: F, a: &mut [F], w: &mut [F]) {
        let n = w.len();
        let coupled = self.values.iter().enumerate();
        let coupled = coupled.map(|(k, &value)| (unscale * value, Pair::Coupled(k)));
        let alone = (0..n).filter(|i| self.coupled.binary_search(i).is_err());
        let alone = alone.map(|i| (a[i * n + i], Pair::Alone(i)));
        let mut pairs: Vec<_> = coupled.chain(alone).collect();
        pairs.sort_by(|(left, _), (right, _)| left.f64().total_cmp(&right.f64()));
        a.fill(F::zero());
        for ((row, w), (value, pair)) in a.chunks_mut(n.max(1)).zip(w).zip(pairs) {
            *w = value;
            match pair {
                Pair::Alone(i) => row[i] = F::one(),
                Pair::Coupled(k) => {
                    let vector = &self.vectors[k * self.coupled.len()..];
                    let places = self.coupled.iter().zip(vector);
                    places.for_each(|(&i, &element)| row[i] = element);
                }
            }
        }
    }
}

/// Memory for what a routine says that it needs.
fn stack(
    scratch: &mut Vec<MaybeUninit<u8>>,
    needs: StackReq,
    order: usize,
) -> Result<&mut MemStack, Error> {
    let len = needs.unaligned_bytes_required();
    resize(scratch, len, MaybeUninit::uninit(), order)?;
    Ok(MemStack::new(scratch))
}

/// The power of two that brings the largest element of the lower triangle near 1, and its inverse:
/// no square of an element overflows then, nor do all of them vanish, and nothing is rounded.
fn scales<F: Scalar>(a: &[F], n: usize) -> (F, F) {
    let lower = a.chunks(n.max(1)).enumerate();
    let lower = lower.flat_map(|(row, elements)| elements.iter().take(row + 1));
    let largest = lower.fold(F::zero(), |largest, v| largest.max(v.abs()));
    if largest == F::zero() {
        return (F::one(), F::one());
    }
    let limit = -F::min_positive_value().f64().log2();
    let exponent = largest.f64().log2().floor().clamp(-limit, limit) as i32;
    (
        F::of(2.0_f64.powi(-exponent)),
        F::of(2.0_f64.powi(exponent)),
    )
}
