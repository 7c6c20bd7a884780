//! What several methods do with vectors, in double precision and rounded once: a scalar in units of
//! its own, such as a step in x per unit of gradient, need not be in the range of the vectors' type.

use opt_core::{Error as CoreError, Fallback, ParamMap, Scalar, each_parallel};

use crate::error::Error;

/// a ← a + c·b.
pub(crate) fn add<F: Scalar>(a: &mut [F], c: f64, b: &[F]) {
    each_parallel(a, b, [], move |a, b, []| (F::of(a.f64() + c * b.f64()), []));
}

/// a ← −g.
pub(crate) fn negate<F: Scalar>(a: &mut [F], g: &[F]) {
    each_parallel(a, g, [], |_, g, []| (-g, []));
}

/// The first of these that is a length: neither 0 nor out of range. 1 if none is, as then nothing
/// tells what is long.
pub(crate) fn length(candidates: impl IntoIterator<Item = f64>) -> f64 {
    let mut candidates = candidates.into_iter();
    candidates.find(|c| c.is_normal()).unwrap_or(1.0)
}

/// What to tell where a gradient of this norm and this square leads nowhere, as its square is 0 or
/// loses digits.
///
/// # Errors
/// [`Error::NonFinite`] if it overflows.
pub(crate) fn square_is_zero(norm: f64, square: f64) -> Result<Option<Fallback>, Error> {
    if !square.is_finite() {
        return Err(Error::NonFinite("the squared norm of the gradient"));
    }
    let nothing = if norm == 0.0 {
        Fallback::ZeroGradient
    } else {
        Fallback::Vanishing
    };
    Ok((!square.is_normal()).then_some(nothing))
}

/// # Errors
/// [`Error::Range`] with the first element that is not finite.
pub(crate) fn check_range<F: Scalar>(params: &ParamMap, next: &[F]) -> Result<(), CoreError> {
    if opt_core::all_finite(next) {
        return Ok(());
    }
    let bad = next.iter().position(|v| !v.is_finite()).unwrap_or(0);
    let place = params.locate(bad);
    Err(Error::Range {
        segment: place.map_or_else(String::new, |(segment, _)| segment.name.clone()),
        index: place.map_or(0, |(_, index)| index),
    }
    .into())
}
