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

use super::apart::Part;
use super::{resize, sealed};
use crate::Error;
use crate::symmetric::mirror;

/// What the eigensolver works in. Not to be named outside, as the trait that takes it.
#[allow(unnameable_types)]
#[derive(Clone, Debug, Default)]
pub struct Work<F> {
    part: Part<F>,
    matrix: Vec<F>,
    scratch: Vec<MaybeUninit<u8>>,
}

/// As with LAPACK: whole layers run in parallel, not what is inside of one.
const PAR: Par = Par::Seq;

macro_rules! faer {
    ($f:ty) => {
        impl sealed::Backend for $f {
            fn eigh(a: &mut [Self], w: &mut [Self], work: &mut Work<Self>) -> Result<(), Error> {
                let part = &mut work.part;
                part.gather(a, w.len())?;
                let n = part.rows.len();
                if n > 0 {
                    let (scale, unscale) = scales(&part.vectors, n);
                    resize(&mut work.matrix, n * n, 0.0, n)?;
                    let pairs = work.matrix.iter_mut().zip(&part.vectors);
                    pairs.for_each(|(to, from)| *to = scale * from);
                    let vectors = ComputeEigenvectors::Yes;
                    let needs = self_adjoint_evd_scratch::<Self>(n, vectors, PAR, default());
                    let stack = stack(&mut work.scratch, needs, n)?;
                    let matrix = MatRef::from_row_major_slice(&work.matrix, n, n);
                    let vectors = MatMut::from_column_major_slice_mut(&mut part.vectors, n, n);
                    let values = DiagMut::from_slice_mut(&mut part.values);
                    self_adjoint_evd(matrix, values, Some(vectors), PAR, stack, default())
                        .map_err(|_| Error::NotConverged)?;
                    part.values.iter_mut().for_each(|value| *value *= unscale);
                }
                part.scatter(a, w);
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
