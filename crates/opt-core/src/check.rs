use crate::error::Error;
use crate::kernel::norm;
use crate::objective::Objective;
use crate::params::ParamMap;
use crate::scalar::Scalar;

/// Where a gradient differs most from central differences.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GradientCheck {
    /// The segment of the worst coordinate.
    pub segment: String,
    /// Its index within the segment, row-major.
    pub index: usize,
    /// The derivative that the objective gives.
    pub analytic: f64,
    /// The central difference.
    pub numeric: f64,
    /// |analytic − numeric|, relative to the largest derivative of either kind that the whole
    /// gradient has: the same in any units of the loss. 0 where all of them are 0.
    pub error: f64,
}

/// Compares the objective's gradient at `x` with central differences,
/// (f(x + hᵢ·eᵢ) − f(x − hᵢ·eᵢ)) / 2hᵢ, for every coordinate, and reports the worst.
///
/// hᵢ is h times |xᵢ| or the root mean square of the segment, whichever is larger; of all of x
/// where the segment is 0, and h itself where x is. So h has no units, and neither has the error:
/// scaling the loss or x by powers of two changes nothing.
///
/// It takes 2·n evaluations. In double precision h = 1e-5 leaves an error near 1e-10 for a function
/// that bends over lengths like those of x; in single precision no h tells much. At a minimum there
/// is no gradient to be relative to: check elsewhere.
///
/// # Errors
/// [`Error::Argument`] unless `h` is finite and above 0, also after rounding beside every element;
/// [`Error::Length`], [`Error::NonFiniteLoss`], [`Error::NonFiniteGradient`], or what the objective
/// refuses.
pub fn check_gradient<F: Scalar, O: Objective<F> + ?Sized>(
    objective: &mut O,
    x: &[F],
    h: f64,
) -> Result<GradientCheck, Error> {
    if !(h.is_finite() && h > 0.0) {
        return Err(Error::Argument {
            name: "h",
            value: h,
        });
    }
    let params = objective.params().clone();
    params.check_len("x", x.len())?;
    let (mut g, mut at) = (vec![F::zero(); x.len()], x.to_vec());
    objective.grad(x, &mut g)?;
    // Of the whole gradient, and of the coordinate that is worst: (its place, both derivatives).
    let (mut scale, mut worst) = (0.0_f64, None);
    let mut largest = -1.0;
    for (i, unit) in units(&params, x).enumerate() {
        // The step that is really made, after rounding.
        let step = F::of(h * unit);
        let (hi, lo) = (x[i] + step, x[i] - step);
        at[i] = hi;
        let above = objective.value(&at)?.f64();
        at[i] = lo;
        let below = objective.value(&at)?.f64();
        at[i] = x[i];
        let numeric = (above - below) / (hi.f64() - lo.f64());
        let analytic = g[i].f64();
        let difference = (analytic - numeric).abs();
        if !difference.is_finite() {
            return Err(refusal(&params, i, analytic, [above, below], h));
        }
        scale = scale.max(analytic.abs()).max(numeric.abs());
        if difference > largest {
            largest = difference;
            worst = Some((i, analytic, numeric));
        }
    }
    let (i, analytic, numeric) = worst.ok_or(Error::NoParameters)?;
    let place = params.locate(i);
    Ok(GradientCheck {
        segment: place.map_or_else(String::new, |(segment, _)| segment.name.clone()),
        index: place.map_or(0, |(_, index)| index),
        analytic,
        numeric,
        error: if scale > 0.0 { largest / scale } else { 0.0 },
    })
}

/// What a step along each coordinate is relative to.
fn units<F: Scalar>(params: &ParamMap, x: &[F]) -> impl Iterator<Item = f64> {
    let typical = |x: &[F]| norm(x) / (x.len().max(1) as f64).sqrt();
    let positive = |unit: f64, other: f64| if unit > 0.0 { unit } else { other };
    let whole = positive(typical(x), 1.0);
    params.segments().iter().flat_map(move |segment| {
        let x = x.get(segment.range.clone()).unwrap_or_default();
        let least = positive(typical(x), whole);
        x.iter().map(move |x| x.f64().abs().max(least))
    })
}

/// Why coordinate `i` has no error that is finite.
fn refusal(params: &ParamMap, i: usize, analytic: f64, losses: [f64; 2], h: f64) -> Error {
    if let Some((segment, index)) = params.locate(i).filter(|_| !analytic.is_finite()) {
        return Error::NonFiniteGradient {
            segment: segment.name.clone(),
            index,
            value: analytic,
        };
    }
    match losses.iter().find(|loss| !loss.is_finite()) {
        Some(&loss) => Error::NonFiniteLoss(loss),
        None => Error::Argument {
            name: "h",
            value: h,
        },
    }
}
