//! Gradient clipping: functions on `g`, called before a step.

use crate::error::Error;
use crate::kernel::{all_finite, norm};
use crate::scalar::Scalar;

/// Limits every element to [−limit, limit]. NaN elements stay NaN, for the step to refuse.
///
/// # Errors
/// [`Error::Argument`] unless the limit is finite and above 0, in `F` too.
pub fn clip_value<F: Scalar>(g: &mut [F], limit: f64) -> Result<(), Error> {
    let bound = F::of(limit);
    check(
        "limit",
        limit,
        limit.is_finite() && bound.is_finite() && bound > F::zero(),
    )?;
    for g in g {
        *g = if *g > bound {
            bound
        } else if *g < -bound {
            -bound
        } else {
            *g
        };
    }
    Ok(())
}

/// Scales `g` so that its Euclidean norm is at most `max_norm`, up to the rounding of its
/// elements: g ← g·min(1, max_norm/‖g‖) (Pascanu, Mikolov & Bengio 2013, "On the difficulty of
/// training recurrent neural networks"). Returns ‖g‖ before, in `g`'s units; it may be infinite
/// in double precision, where no element is: `g` is scaled rightly then too.
///
/// Differs from PyTorch, which divides by ‖g‖ + 1e-6.
///
/// # Errors
/// [`Error::Argument`] unless `max_norm` is finite and above 0, in `F` too; [`Error::NonFiniteNorm`]
/// if an element is NaN or infinite. `g` is then untouched.
pub fn clip_global_norm<F: Scalar>(g: &mut [F], max_norm: f64) -> Result<f64, Error> {
    clip_global_norm_parts(&mut [g], max_norm)
}

/// [`clip_global_norm`] of a gradient in several slices: one norm over all, one scale for all.
///
/// # Errors
/// As [`clip_global_norm`]; all parts are then untouched.
pub fn clip_global_norm_parts<F: Scalar>(g: &mut [&mut [F]], max_norm: f64) -> Result<f64, Error> {
    // A norm beyond F's range is a limit like any other; one that F has as 0 would leave nothing.
    let usable = max_norm.is_finite() && F::of(max_norm) > F::zero();
    check("max_norm", max_norm, usable)?;
    let norms: Vec<f64> = g.iter().map(|g| norm(g)).collect();
    let whole = norm(&norms);
    if whole.is_finite() {
        if whole > max_norm {
            scale(g, max_norm, whole, 1.0);
        }
        return Ok(whole);
    }
    if !g.iter().all(|g| all_finite(g)) {
        return Err(Error::NonFiniteNorm(whole));
    }
    // The norm is beyond f64: taken in units of 2⁶⁰⁰, in which no square overflows. What is lost
    // below them is nothing beside it. A copy, for once, to sum as carefully as ever.
    let in_units = |g: &[F]| norm(&g.iter().map(|g| g.f64() / UNIT).collect::<Vec<_>>());
    let norms: Vec<f64> = g.iter().map(|g| in_units(g)).collect();
    let in_units = norm(&norms);
    scale(g, max_norm, in_units, UNIT);
    Ok(whole)
}

/// 2⁶⁰⁰.
const UNIT: f64 = f64::from_bits((1023 + 600) << 52);

/// g ← g·max_norm/(norm·unit), in double precision, for a unit of 1 or [`UNIT`].
fn scale<F: Scalar>(g: &mut [&mut [F]], max_norm: f64, norm: f64, unit: f64) {
    let factor = max_norm / norm / unit;
    // Below, it has lost digits, or is 0.
    let normal = factor >= f64::MIN_POSITIVE;
    for g in g.iter_mut().flat_map(|g| g.iter_mut()) {
        *g = F::of(if normal {
            g.f64() * factor
        } else {
            g.f64() / unit / norm * max_norm
        });
    }
}

fn check(name: &'static str, value: f64, usable: bool) -> Result<(), Error> {
    if usable {
        Ok(())
    } else {
        Err(Error::Argument { name, value })
    }
}
