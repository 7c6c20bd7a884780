//! Whether a rule can take a direction.

use super::rule::Takes;
use crate::error::Error;
use crate::kernel::greatest;
use crate::scalar::Scalar;

/// Whether a rule can take the direction. One pass, unless small magnitudes are excluded.
pub(super) fn fits<F: Scalar>(d: &[F], takes: Takes) -> bool {
    let greatest = greatest(d);
    greatest.is_finite()
        && greatest.f64() <= takes.most
        && (takes.least == 0.0 || d.iter().all(|&v| takes.contains(v)))
}

/// Why a rule cannot.
pub(super) fn refusal<F: Scalar>(segment: &str, d: &[F], takes: Takes) -> Error {
    let found = d.iter().position(|&v| !takes.contains(v));
    let (index, value) = found.map_or((0, f64::NAN), |at| (at, d[at].f64()));
    let segment = segment.to_owned();
    if !value.is_finite() {
        return Error::NonFiniteGradient {
            segment,
            index,
            value,
        };
    }
    Error::GradientRange {
        segment,
        index,
        value,
        least: takes.least,
        most: takes.most,
        dtype: F::DTYPE,
    }
}
