use opt_core::{Scalar, dot, each};

use crate::batch::Batch;
use crate::elementary::{sigmoid, softplus};
use crate::rows::{each_row, sum_rows};

/// What is minimized: the mean over the batch of a function of the last layer's output z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// −ln softmax(z) of the true class, where z are logits. Takes class labels only.
    SoftmaxCrossEntropy,
    /// Σ ln(1 + eᶻ) − y·z over the outputs, where z are logits and y is in [0, 1]. Class labels
    /// count as one-hot.
    SigmoidCrossEntropy,
    /// ½‖z − y‖². Class labels count as one-hot.
    SquaredError,
}

impl Loss {
    /// Σ loss over the samples of `batch` at outputs `z` of shape (batch, outputs); writes
    /// `scale`·∂loss/∂z over `slope`, of the same shape.
    pub(crate) fn sum<F: Scalar>(
        self,
        batch: &Batch<F>,
        z: &[F],
        outputs: usize,
        scale: F,
        slope: &mut [F],
    ) -> f64 {
        sum_rows(slope, outputs, |row, slope| {
            let at = row * outputs..(row + 1) * outputs;
            let z = &z[at.clone()];
            match self {
                Self::SoftmaxCrossEntropy => {
                    softmax_cross_entropy(z, batch.classes[row].into(), scale, slope)
                }
                Self::SigmoidCrossEntropy => {
                    elementwise(z, &batch.values[at], scale, slope, |z, y| {
                        (softplus(z) - y * z, sigmoid(z) - y)
                    })
                }
                Self::SquaredError => elementwise(z, &batch.values[at], scale, slope, |z, y| {
                    (F::of(0.5) * (z - y) * (z - y), z - y)
                }),
            }
        })
    }

    /// `u ← scale`·H·u, where H is the second derivative of the loss by the output `z`, of one
    /// sample. It does not depend on the target.
    pub(crate) fn bend<F: Scalar>(self, z: &[F], scale: F, u: &mut [F]) {
        match self {
            Self::SoftmaxCrossEntropy => {
                // p∘u − p(pᵀu) = p∘(u − pᵀu), without a buffer for p.
                let max = z.iter().fold(F::neg_infinity(), |m, &z| m.max(z));
                let (mut sum, mut mean) = (0.0, 0.0);
                for (&z, &u) in z.iter().zip(&*u) {
                    let e = (z - max).exp().f64();
                    sum += e;
                    mean += e * u.f64();
                }
                let (mean, scale) = (F::of(mean / sum), scale * F::of(sum.recip()));
                for (u, &z) in u.iter_mut().zip(z) {
                    *u = scale * (z - max).exp() * (*u - mean);
                }
            }
            Self::SigmoidCrossEntropy => {
                each(u, z, [], move |u, z, []| {
                    (scale * u * sigmoid(z) * sigmoid(-z), [])
                });
            }
            Self::SquaredError => u.iter_mut().for_each(|u| *u *= scale),
        }
    }

    /// `z ← scale`·diagonal of the second derivative of the loss by the output `z`, of one sample.
    pub(crate) fn diagonal<F: Scalar>(self, scale: F, z: &mut [F]) {
        match self {
            Self::SoftmaxCrossEntropy => {
                let (_, sum) = exponentials(z);
                for e in z {
                    *e = scale * F::of(e.f64() * (sum - e.f64()) / (sum * sum));
                }
            }
            Self::SigmoidCrossEntropy => z
                .iter_mut()
                .for_each(|z| *z = scale * sigmoid(*z) * sigmoid(-*z)),
            Self::SquaredError => z.fill(scale),
        }
    }

    /// Turns outputs into predictions: probabilities where the outputs are logits.
    pub(crate) fn predict<F: Scalar>(self, z: &mut [F], outputs: usize) {
        each_row(z, outputs, |_, z| match self {
            Self::SoftmaxCrossEntropy => {
                let (_, sum) = exponentials(z);
                let scale = F::of(sum.recip());
                z.iter_mut().for_each(|e| *e *= scale);
            }
            Self::SigmoidCrossEntropy => z.iter_mut().for_each(|z| *z = sigmoid(*z)),
            Self::SquaredError => {}
        });
    }
}

/// `z ← exp(z − max z)`; the maximum, and the sum of the result.
pub(crate) fn exponentials<F: Scalar>(z: &mut [F]) -> (F, f64) {
    let max = z.iter().fold(F::neg_infinity(), |m, &z| m.max(z));
    let mut sum = 0.0;
    for z in z {
        *z = (*z - max).exp();
        sum += z.f64();
    }
    (max, sum)
}

/// `e ← scale·(e/sum − one-hot of class)`.
pub(crate) fn subtract_label<F: Scalar>(e: &mut [F], class: usize, sum: f64, scale: F) {
    let normalize = scale * F::of(sum.recip());
    e.iter_mut().for_each(|e| *e *= normalize);
    e[class] -= scale;
}

fn softmax_cross_entropy<F: Scalar>(z: &[F], class: usize, scale: F, slope: &mut [F]) -> f64 {
    slope.copy_from_slice(z);
    let (max, sum) = exponentials(slope);
    subtract_label(slope, class, sum, scale);
    sum.ln() - (z[class] - max).f64()
}

/// Sums the losses that `f` gives with the residuals.
#[inline(always)]
fn elementwise<F: Scalar>(
    z: &[F],
    y: &[F],
    scale: F,
    slope: &mut [F],
    f: impl Fn(F, F) -> (F, F) + Copy + 'static,
) -> f64 {
    // Some at a time, so that neither the pass nor the sum waits for the other.
    const PART: usize = 128;
    let (mut losses, ones, mut sum) = ([F::zero(); PART], [F::one(); PART], 0.0);
    slope.copy_from_slice(y);
    for (slope, z) in slope.chunks_mut(PART).zip(z.chunks(PART)) {
        let losses = &mut losses[..z.len()];
        each(slope, z, [&mut *losses], move |y, z, [_]| {
            let (loss, residual) = f(z, y);
            (scale * residual, [loss])
        });
        sum += dot(losses, &ones);
    }
    sum
}

/// Whether `class` is not the largest of `z`; of equals the first wins. A NaN is never right.
pub(crate) fn misclassified<F: Scalar>(z: &[F], class: usize) -> bool {
    let best = z[class];
    let right = |(j, &z): (usize, &F)| if j < class { z < best } else { z <= best };
    !z.iter().enumerate().all(right)
}
