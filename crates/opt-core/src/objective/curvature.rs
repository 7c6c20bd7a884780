use super::Objective;
use crate::error::Error;
use crate::scalar::Scalar;

/// An objective that knows the diagonal of its Hessian, or a non-negative approximation that it
/// names. Needed by diagonal Newton and vSGD.
pub trait HessianDiag<F: Scalar>: Objective<F> {
    /// Writes the diagonal at `x` over `h`.
    ///
    /// # Errors
    /// As [`Objective::value`].
    fn hessian_diag(&mut self, x: &[F], h: &mut [F]) -> Result<(), Error>;
}

/// An objective that multiplies vectors by its Hessian. Needed by ESGD and Newton-CG.
pub trait HessianProduct<F: Scalar>: Objective<F> {
    /// Writes H(x)·v over `out`.
    ///
    /// # Errors
    /// As [`Objective::value`].
    fn hessian_product(&mut self, x: &[F], v: &[F], out: &mut [F]) -> Result<(), Error>;
}

/// An objective that multiplies vectors by its Gauss–Newton matrix JᵀH_L J, which is positive
/// semidefinite where the loss is convex in the model's output. Needed by Hessian-free.
pub trait GaussNewton<F: Scalar>: Objective<F> {
    /// Writes G(x)·v over `out`.
    ///
    /// # Errors
    /// As [`Objective::value`].
    fn gauss_newton_product(&mut self, x: &[F], v: &[F], out: &mut [F]) -> Result<(), Error>;
}

/// An objective that is a mean over samples, and tells how their gradients scatter. Needed by vSGD
/// and, for its preconditioner, by Hessian-free.
pub trait PerSample<F: Scalar>: Objective<F> {
    /// Number of samples in the minibatch; 1 for a function without samples.
    fn samples(&self) -> usize;

    /// As [`Objective::grad`]; also writes the mean over the samples n of (∂lossₙ/∂x)², element by
    /// element, over `square`. A penalty, which depends on no sample, is in the loss and in `g`, but
    /// not in `square`.
    ///
    /// # Errors
    /// As [`Objective::grad`].
    fn grad_moments(&mut self, x: &[F], g: &mut [F], square: &mut [F]) -> Result<F, Error>;

    /// Writes d of the penalty ½Σdᵢxᵢ² that is a part of the loss over `d`: l2 where a weight is
    /// penalized, else 0, which it is everywhere by default.
    fn penalty(&self, d: &mut [F]) {
        d.fill(F::zero());
    }
}
