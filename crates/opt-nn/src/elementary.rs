//! The exponential and its kin, written so that a loop over them vectorizes: the system's are a
//! call for each element. Without branches, tables or fused operations, the same on every machine.
//!
//! Errors are below 2 units in the last place for the exponentials and the logarithm, and below 3
//! for sigmoid, tanh and softplus.

use opt_core::Scalar;

/// ln 2 rounded to `f64`, and what the rounding left.
const LN_2: (f64, f64) = (std::f64::consts::LN_2, 2.319_046_813_846_299_6e-17);

/// 1/k! for k = 2, 3, …: e^r − 1 − r is off by less than a fourth of the last place for |r| ≤
/// ln(2)/2, after [`TERMS`] of them.
const TAYLOR: [f64; 12] = {
    let (mut inverse, mut k) = ([0.0; 12], 0);
    let mut factorial = 1.0;
    while k < 12 {
        factorial *= (k + 2) as f64;
        inverse[k] = 1.0 / factorial;
        k += 1;
    }
    inverse
};

/// 1/(2k + 3) for k = 0, 1, …: artanh(s)/s − 1 = s²/3 + s⁴/5 + …, where s ≤ 1/3.
const ARTANH: [f64; 16] = {
    let (mut inverse, mut k) = ([0.0; 16], 0);
    while k < 16 {
        inverse[k] = 1.0 / (2 * k + 3) as f64;
        k += 1;
    }
    inverse
};

/// What differs between the precisions. It is all known at compile time.
struct Constants<F> {
    /// The logarithm of the smallest normal number.
    lowest: F,
    /// 1.5 times the power of two from which on a number has no fraction.
    round: F,
    /// ln 2 in two parts. The product of the first and an exponent is exact.
    ln_2: (F, F),
    /// Terms of [`TAYLOR`].
    taylor: usize,
    /// Terms of [`ARTANH`].
    artanh: usize,
}

#[inline(always)]
fn is_single<F: Scalar>() -> bool {
    size_of::<F>() == size_of::<f32>()
}

#[inline(always)]
fn constants<F: Scalar>() -> Constants<F> {
    let (lowest, digits, dropped, taylor, artanh) = if is_single::<F>() {
        (-87.336_544_750_553_1, f32::MANTISSA_DIGITS, 41, 6, 7)
    } else {
        (-708.396_418_532_264_1, f64::MANTISSA_DIGITS, 21, 12, 16)
    };
    let high = f64::from_bits(LN_2.0.to_bits() >> dropped << dropped);
    Constants {
        lowest: F::of(lowest),
        round: F::of(1.5 * (1_u64 << (digits - 1)) as f64),
        ln_2: (F::of(high), F::of((LN_2.0 - high) + LN_2.1)),
        taylor,
        artanh,
    }
}

/// 2ⁿ, where t = [`Constants::round`] + n: the last bits of t are n, which become the exponent.
#[inline(always)]
fn power_of_2<F: Scalar>(t: F) -> F {
    // For the F that it is, the conversion is none.
    if is_single::<F>() {
        let bits = (t.f64() as f32).to_bits() << (f32::MANTISSA_DIGITS - 1);
        F::of(f32::from_bits(bits.wrapping_add(1_f32.to_bits())).into())
    } else {
        let bits = t.f64().to_bits() << (f64::MANTISSA_DIGITS - 1);
        F::of(f64::from_bits(bits.wrapping_add(1_f64.to_bits())))
    }
}

/// Σ aₖ·xᵏ.
#[inline(always)]
fn polynomial<F: Scalar>(coefficients: &[f64], x: F) -> F {
    let rev = coefficients.iter().rev();
    rev.fold(F::zero(), |sum, &a| sum * x + F::of(a))
}

/// s and p of e^x = s·(1 + p) for x ≤ 0, where s is a power of two and p = e^r − 1 for a small r;
/// s = 0 where e^x is not a normal number.
#[inline(always)]
fn exponential<F: Scalar>(x: F) -> (F, F) {
    let c = constants::<F>();
    let vanishes = x < c.lowest;
    let x = if vanishes { c.lowest } else { x };
    let t = x * F::of(std::f64::consts::LOG2_E) + c.round;
    let n = t - c.round;
    let r = (x - n * c.ln_2.0) - n * c.ln_2.1;
    let p = r + r * r * polynomial(&TAYLOR[..c.taylor], r);
    let s = if vanishes { F::zero() } else { power_of_2(t) };
    (s, p)
}

/// e^x for x ≤ 0; 0 where that is not a normal number.
#[inline(always)]
fn exp<F: Scalar>(x: F) -> F {
    let (s, p) = exponential(x);
    s + s * p
}

/// e^x − 1 for x ≤ 0, with all digits where x is near 0.
#[inline(always)]
pub(crate) fn exp_m1<F: Scalar>(x: F) -> F {
    let (s, p) = exponential(x);
    s * p + (s - F::one())
}

/// ln(1 + e) for e in [0, 1], with all digits where e is near 0.
#[inline(always)]
fn ln_1p<F: Scalar>(e: F) -> F {
    let terms = constants::<F>().artanh;
    let s = e / (F::of(2.0) + e);
    let square = s * s;
    let twice = s + s;
    twice + twice * (square * polynomial(&ARTANH[..terms], square))
}

/// 1/(1 + e⁻ᵃ), without overflow.
#[inline(always)]
pub(crate) fn sigmoid<F: Scalar>(a: F) -> F {
    let e = exp(-a.abs());
    let above = if a < F::zero() { e } else { F::one() };
    above / (F::one() + e)
}

/// tanh(a), with all digits where a is near 0.
#[inline(always)]
pub(crate) fn tanh<F: Scalar>(a: F) -> F {
    let m = exp_m1(-(a.abs() + a.abs()));
    (-m / (F::of(2.0) + m)).copysign(a)
}

/// ln(1 + eᵃ), without overflow, and with all digits for very negative a.
#[inline(always)]
pub(crate) fn softplus<F: Scalar>(a: F) -> F {
    // Selected, as `max` would hide a NaN.
    let above = if a < F::zero() { F::zero() } else { a };
    above + ln_1p(exp(-a.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dense grid on both scales: 2¹⁶ points from −limit to limit, and all powers of 2^¼.
    fn grid(limit: f64) -> impl Iterator<Item = f64> {
        let even = (0..1 << 16).map(move |i| limit * (f64::from(i) / 32768.0 - 1.0));
        let powers = (-240..40).map(|i| (f64::from(i) / 4.0).exp2());
        even.chain(
            powers
                .flat_map(|a| [a, -a])
                .filter(move |a| a.abs() < limit),
        )
    }

    /// The largest error over the grid in units of the last place of `F`, of results that are
    /// normal numbers. `expected` is the system's, in double precision.
    fn worst<F: Scalar>(limit: f64, f: fn(F) -> F, expected: fn(f64) -> f64) -> f64 {
        let mut worst = 0.0_f64;
        for a in grid(limit).map(F::of) {
            let (found, expected) = (f(a).f64(), expected(a.f64()));
            if expected.abs() >= F::min_positive_value().f64() {
                let unit = expected.abs().log2().floor().exp2() * F::epsilon().f64();
                worst = worst.max((found - expected).abs() / unit);
            }
        }
        worst
    }

    fn check<F: Scalar>(limit: f64) {
        // In double precision the system's own error, of up to 1, comes on top.
        let system = if is_single::<F>() { 0.0 } else { 1.0 };
        type Case<F> = (&'static str, f64, fn(F) -> F, fn(f64) -> f64);
        let functions: [Case<F>; 6] = [
            ("exp", 2.0, |x| exp(-x.abs()), |x| (-x.abs()).exp()),
            ("exp_m1", 2.0, |x| exp_m1(-x.abs()), |x| (-x.abs()).exp_m1()),
            ("sigmoid", 3.0, sigmoid, |a| 1.0 / (1.0 + (-a).exp())),
            ("tanh", 3.0, tanh, f64::tanh),
            ("softplus", 3.0, softplus, |a| {
                a.max(0.0) + (-a.abs()).exp().ln_1p()
            }),
            (
                "ln_1p",
                2.0,
                |e| ln_1p(e.abs().min(F::one())),
                |e| e.abs().min(1.0).ln_1p(),
            ),
        ];
        for (name, bound, f, expected) in functions {
            let error = worst(limit, f, expected);
            assert!(error <= bound + system, "{} {name}: {error}", F::DTYPE);
        }
    }

    #[test]
    fn against_the_system_on_a_dense_grid() {
        for limit in [1.0, 30.0, 700.0] {
            check::<f64>(limit);
        }
        for limit in [1.0, 30.0, 87.0] {
            check::<f32>(limit);
        }
    }
}
