use crate::{Error, Objective, ParamMap, Scalar};

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
    /// |analytic − numeric| / max(1, |analytic|, |numeric|).
    pub error: f64,
}

/// Compares the objective's gradient at `x` with central differences,
/// (f(x + h·eᵢ) − f(x − h·eᵢ)) / 2h, for every coordinate, and reports the worst.
///
/// It takes 2·n evaluations. In double precision h = 1e-5 leaves an error near 1e-10 where the
/// third derivative is near 1; in single precision no h tells much.
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
    objective.params().check_len("x", x.len())?;
    let (mut g, mut at) = (vec![F::zero(); x.len()], x.to_vec());
    objective.grad(x, &mut g)?;
    let mut worst: Option<(usize, GradientCheck)> = None;
    for i in 0..x.len() {
        // The step that is really made, after rounding.
        let (hi, lo) = (x[i] + F::of(h), x[i] - F::of(h));
        at[i] = hi;
        let above = objective.value(&at)?.f64();
        at[i] = lo;
        let below = objective.value(&at)?.f64();
        at[i] = x[i];
        let numeric = (above - below) / (hi.f64() - lo.f64());
        let analytic = g[i].f64();
        let scale = analytic.abs().max(numeric.abs()).max(1.0);
        let error = (analytic - numeric).abs() / scale;
        if !error.is_finite() {
            return Err(refusal(objective.params(), i, analytic, [above, below], h));
        }
        if worst.as_ref().is_none_or(|(_, w)| error > w.error) {
            let check = GradientCheck {
                segment: String::new(),
                index: 0,
                analytic,
                numeric,
                error,
            };
            worst = Some((i, check));
        }
    }
    let (i, mut check) = worst.ok_or(Error::NoParameters)?;
    if let Some((segment, index)) = objective.params().locate(i) {
        check.segment.clone_from(&segment.name);
        check.index = index;
    }
    Ok(check)
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
