use opt_core::{Error as CoreError, HessianDiag, Objective, Scalar, all_finite, each_parallel};

use crate::error::Error;

/// Curvature for [`VsgdMethod`](crate::VsgdMethod) from the diagonal of the Hessian: of a network,
/// the Gauss–Newton diagonal that its backward pass gives. Where it is negative, its size counts.
///
/// Needs [`HessianDiag`].
#[derive(Clone, Copy, Debug)]
pub struct Bbprop;

/// Curvature for [`VsgdMethod`](crate::VsgdMethod) from the gradient at a second point, on the same
/// minibatch (Schaul & LeCun 2013).
///
/// ```text
/// h = |(g(θ + ḡ) − g(θ))/ḡ|
/// ```
///
/// Needs nothing but gradients. All parameters are shifted at once, so h holds what the others
/// contribute too, and is large where ḡ is near 0: hence v̄ₕ, which makes such a parameter careful.
/// Where ḡ is lost in the rounding of θ + ḡ, h is the average so far. h² is kept within the
/// range of the type.
///
/// A gradient is no length: that θ is shifted by ḡ is the paper's, and makes h depend on the units of
/// both. With the loss times c² and θ times c, the path is the same times c.
///
/// Differs from the paper: for more than one sample, h is that of the minibatch's gradient, and
/// not the mean of each sample's. For one sample they are the same.
#[derive(Clone, Copy, Debug)]
pub struct FiniteDifferences;

/// Where the curvature of [`Vsgd`](crate::Vsgd) comes from: [`Bbprop`] or [`FiniteDifferences`].
pub trait Curvature: sealed::Kind {
    /// Whether its noise is averaged too, as v̄ₕ.
    const NOISY: bool;
}

mod sealed {
    /// Not to be named outside: that seals `Curvature`.
    #[allow(unnameable_types)]
    pub trait Kind {}
    impl Kind for super::Bbprop {}
    impl Kind for super::FiniteDifferences {}
}

impl Curvature for Bbprop {
    const NOISY: bool = false;
}

impl Curvature for FiniteDifferences {
    const NOISY: bool = true;
}

impl Bbprop {
    pub(crate) fn measure<F: Scalar, O: HessianDiag<F> + ?Sized>(
        objective: &mut O,
        x: &[F],
        h: &mut [F],
    ) -> Result<(), CoreError> {
        objective.hessian_diag(x, h)?;
        if !all_finite(h) {
            return Err(Error::NonFinite("the Hessian's diagonal").into());
        }
        Ok(())
    }
}

/// What finite differences start from.
pub(crate) struct Known<'a, F> {
    /// g, at θ.
    pub(crate) gradient: &'a [F],
    /// ḡ. Only read, as `h_mean`, which [`each_parallel`] takes as slots.
    pub(crate) g_mean: &'a mut [F],
    /// h̄.
    pub(crate) h_mean: &'a mut [F],
    /// Of g in the ḡ that θ is shifted by: not 0 while there is no average of old.
    pub(crate) weight: F,
}

impl FiniteDifferences {
    /// Writes h; leaves θ + ḡ in `shifted`. `x` is only read.
    pub(crate) fn measure<F: Scalar, O: Objective<F> + ?Sized>(
        objective: &mut O,
        x: &mut [F],
        known: Known<'_, F>,
        shifted: &mut [F],
        h: &mut [F],
    ) -> Result<(), CoreError> {
        let (w, g) = (known.weight, known.gradient);
        let slots = [&mut *known.g_mean, &mut *x];
        each_parallel(shifted, g, slots, move |_, g, [mean, x]| {
            (x + (mean + w * (g - mean)), [mean, x])
        });
        objective.grad(shifted, h)?;
        if !all_finite(h) {
            return Err(Error::NonFinite("the gradient at θ + ḡ").into());
        }
        let limit = F::max_value().sqrt();
        let slots = [shifted, x, known.h_mean];
        each_parallel(h, g, slots, move |there, g, [shifted, x, mean]| {
            // The shift as it came out of rounding.
            let shift = shifted - x;
            let h = if shift.is_zero() {
                mean
            } else {
                ((there - g) / shift).abs().min(limit)
            };
            (h, [shifted, x, mean])
        });
        Ok(())
    }
}
