use opt_core::{Scalar, each};

use crate::elementary::{exp_m1, sigmoid, softplus, tanh};

/// Of [`Activation::ScaledTanh`]: its limit, and the slope inside of tanh.
const HEIGHT: f64 = 1.7159;
const PACE: f64 = 2.0 / 3.0;

/// An elementwise non-linearity h(a).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activation {
    /// max(a, 0).
    Relu,
    /// tanh(a).
    Tanh,
    /// 1.7159·tanh(2a/3), of "Efficient BackProp" (LeCun, Bottou, Orr & Müller 1998): ±1 at ±1, so that
    /// inputs and units of variance 1 stay where it is steep, and targets of ±1 are no asymptotes.
    ScaledTanh,
    /// 1/(1 + e⁻ᵃ).
    Sigmoid,
    /// ln(1 + eᵃ).
    Softplus,
    /// a.
    Identity,
}

impl Activation {
    /// `out ← h(out + bias) ⊙ mask` for one sample.
    pub(crate) fn forward<F: Scalar>(self, out: &mut [F], bias: &[F], mask: Option<&[F]>) {
        // Written so that a NaN stays one, where `max` would hide it.
        let relu = |a| if a < F::zero() { F::zero() } else { a };
        match self {
            Self::Relu => forward(out, bias, mask, relu),
            Self::Tanh => forward(out, bias, mask, tanh),
            Self::ScaledTanh => {
                let (height, pace) = (F::of(HEIGHT), F::of(PACE));
                forward(out, bias, mask, move |a| height * tanh(pace * a));
            }
            Self::Sigmoid => forward(out, bias, mask, sigmoid),
            Self::Softplus => forward(out, bias, mask, softplus),
            Self::Identity => forward(out, bias, mask, |a| a),
        }
    }

    /// `delta ← delta ⊙ h′ ⊙ mask` for one sample, where h′ follows from the output h, so that no
    /// pre-activation is kept. `keep` is the reciprocal of the mask's scale, which is in `out`.
    pub(crate) fn backward<F: Scalar>(
        self,
        delta: &mut [F],
        out: &[F],
        mask: Option<&[F]>,
        keep: F,
    ) {
        let relu = |h| if h > F::zero() { F::one() } else { F::zero() };
        match self {
            Self::Relu => backward(delta, out, mask, keep, relu),
            Self::Tanh => backward(delta, out, mask, keep, |h| F::one() - h * h),
            Self::ScaledTanh => {
                let (top, per) = (F::of(HEIGHT * PACE), F::of(PACE / HEIGHT));
                backward(delta, out, mask, keep, move |h| top - per * h * h);
            }
            Self::Sigmoid => backward(delta, out, mask, keep, |h| h * (F::one() - h)),
            // 1 − e⁻ʰ is the sigmoid of a.
            Self::Softplus => backward(delta, out, mask, keep, |h: F| -exp_m1(-h)),
            Self::Identity => backward(delta, out, mask, keep, |_| F::one()),
        }
    }
}

impl Activation {
    /// `along ← along ⊙ h″/h′` for one sample, where both follow from the output h, as in
    /// [`backward`](Self::backward). A dropped unit gets some finite number.
    pub(crate) fn bend<F: Scalar>(self, along: &mut [F], out: &[F], keep: F) {
        let two = F::one() + F::one();
        match self {
            Self::Relu | Self::Identity => along.fill(F::zero()),
            Self::Tanh => scale(along, out, move |h| -two * h * keep),
            Self::ScaledTanh => {
                let per = F::of(2.0 * PACE / HEIGHT);
                scale(along, out, move |h| -per * h * keep);
            }
            Self::Sigmoid => scale(along, out, move |h| F::one() - two * h * keep),
            // 1 − sigmoid(a).
            Self::Softplus => scale(along, out, move |h: F| F::one() + exp_m1(-h * keep)),
        }
    }
}

#[inline(always)]
fn scale<F: Scalar>(along: &mut [F], out: &[F], f: impl Fn(F) -> F + 'static) {
    each(along, out, [], move |a, h, []| (a * f(h), []));
}

#[inline(always)]
fn forward<F: Scalar>(out: &mut [F], bias: &[F], mask: Option<&[F]>, f: impl Fn(F) -> F + 'static) {
    each(out, bias, [], move |a, b, []| (f(a + b), []));
    if let Some(mask) = mask {
        each(out, mask, [], |h, m, []| (h * m, []));
    }
}

#[inline(always)]
fn backward<F: Scalar>(
    delta: &mut [F],
    out: &[F],
    mask: Option<&[F]>,
    keep: F,
    slope: impl Fn(F) -> F + 'static,
) {
    let Some(mask) = mask else {
        each(delta, out, [], move |d, h, []| (d * slope(h), []));
        return;
    };
    each(delta, out, [], move |d, h, []| (d * slope(h * keep), []));
    each(delta, mask, [], |d, m, []| (d * m, []));
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Activation; 6] = [
        Activation::Relu,
        Activation::Tanh,
        Activation::ScaledTanh,
        Activation::Sigmoid,
        Activation::Softplus,
        Activation::Identity,
    ];

    #[test]
    fn closed_forms_and_slopes_far_from_zero() {
        for a in [-1e4, -800.0, -40.0, -0.5, 0.25, 3.0, 40.0, 800.0, 1e4_f64] {
            // The naive formulas, which are exact where they don't overflow.
            let expected = [
                (a.max(0.0), if a > 0.0 { 1.0 } else { 0.0 }),
                (a.tanh(), 1.0 - a.tanh().powi(2)),
                (
                    1.7159 * (2.0 * a / 3.0).tanh(),
                    1.7159 * 2.0 / 3.0 * (1.0 - (2.0 * a / 3.0).tanh().powi(2)),
                ),
                (
                    1.0 / (1.0 + (-a).exp()),
                    (-a.abs()).exp() / (1.0 + (-a.abs()).exp()).powi(2),
                ),
                (
                    if a > 40.0 { a } else { a.exp().ln_1p() },
                    1.0 / (1.0 + (-a).exp()),
                ),
                (a, 1.0),
            ];
            for (activation, (h, slope)) in ALL.into_iter().zip(expected) {
                let (mut out, mut delta) = ([a - 1.0], [1.0]);
                activation.forward(&mut out, &[1.0], None);
                activation.backward(&mut delta, &out, None, 1.0);
                let near = |x: f64, y: f64| (x - y).abs() <= 1e-15 * y.abs().max(1.0);
                assert!(near(out[0], h), "{activation:?}({a}) = {} not {h}", out[0]);
                assert!(near(delta[0], slope), "{activation:?}'({a}) = {}", delta[0]);
            }
        }
        // Relative precision where the result is tiny.
        let tiny = (-700.0_f64).exp();
        assert!((softplus(-700.0_f64) / tiny - 1.0).abs() < 1e-15);
        assert!((sigmoid(-700.0_f64) / tiny - 1.0).abs() < 1e-15);
    }

    #[test]
    fn a_nan_is_not_hidden() {
        for activation in ALL {
            let mut out = [f32::NAN];
            activation.forward(&mut out, &[0.0], None);
            assert!(out[0].is_nan(), "{activation:?}");
        }
    }
}
