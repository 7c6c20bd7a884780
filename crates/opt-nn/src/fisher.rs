//! The Fisher matrix of the network as a distribution of its output.

use opt_core::{Error as CoreError, Fisher, SampledFisher, Scalar};
use rand_distr::{Distribution, StandardNormal, StandardUniform};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::elementary::sigmoid;
use crate::loss::{exponentials, subtract_label};
use crate::rows::each_row;
use crate::{Error, Loss, Mlp};

/// The model's own labels are classes drawn from softmax(z), a Bernoulli variable of probability
/// sigmoid(zₖ) for each output, or a Gaussian of mean z and variance 1, according to its [`Loss`].
/// Forward and backward use the minibatch's dropout masks, and leave out the gradient of the
/// parameters; its targets are not read.
impl<F: Scalar> SampledFisher<F> for Mlp<F> {
    fn sample(&mut self, x: &[F], seed: u64) -> Result<(), CoreError> {
        self.draw(x, seed, false)
    }

    fn resample(&mut self, x: &[F], seed: u64) -> Result<(), CoreError> {
        let shows =
            self.trained.keep || self.net.spec.layers.iter().all(|l| l.convolution.is_none());
        self.draw(x, seed, self.kept && shows)
    }
}

impl<F: Scalar> Mlp<F> {
    fn draw(&mut self, x: &[F], seed: u64, kept: bool) -> Result<(), CoreError> {
        // From far beyond where `load` draws dropout masks of the same seed.
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        rng.jump();
        let (key, loss) = (rng.next_u64(), self.net.spec.loss);
        self.backward_from_output(x, kept, move |row, z, scale| {
            // As for masks, a stream of its own for each row.
            let seed = key.wrapping_add(row as u64);
            loss.sample(z, scale, &mut Xoshiro256PlusPlus::seed_from_u64(seed));
        })
    }
}

impl<F: Scalar> Fisher<F> for Mlp<F> {
    fn outputs(&self) -> usize {
        self.net.spec.outputs()
    }

    /// Column k of the factor is √pₖ·(eₖ − p) for p = softmax(z), √(pₖ(1 − pₖ))·eₖ for
    /// p = sigmoid(z), and eₖ for a squared error.
    fn factor(&mut self, x: &[F], index: usize) -> Result<(), CoreError> {
        let (loss, outputs) = (self.net.spec.loss, self.outputs());
        if index >= outputs {
            return Err(CoreError::objective(Error::Factor { index, outputs }));
        }
        self.backward_from_output(x, false, move |_, z, scale| loss.factor(z, scale, index))
    }
}

impl<F: Scalar> Mlp<F> {
    /// Runs forward, unless the last pass is to be `kept`; turns each row of the output into a slope
    /// by `f(row, z, scale)`, in place, and runs backward from that.
    fn backward_from_output(
        &mut self,
        x: &[F],
        kept: bool,
        f: impl Fn(usize, &mut [F], F) + Send + Sync,
    ) -> Result<(), CoreError> {
        self.differentiate(x, None, true, |net, batch, pass| {
            if !kept {
                net.forward(x, batch, pass, net.spec.layers.len())?;
            }
            let (outputs, scale) = (net.spec.outputs(), F::of((batch.rows as f64).recip()));
            let (z, slope) = net.ends(batch.rows, pass)?;
            each_row(slope, outputs, |row, slope| {
                slope.copy_from_slice(&z[row * outputs..(row + 1) * outputs]);
                f(row, slope, scale);
            });
            Ok(())
        })
    }
}

impl Loss {
    /// `z ← scale·∂loss/∂z` for a label drawn from the model.
    fn sample<F: Scalar>(self, z: &mut [F], scale: F, rng: &mut Xoshiro256PlusPlus) {
        let uniform = |rng: &mut _| -> f64 { StandardUniform.sample(rng) };
        match self {
            Self::SoftmaxCrossEntropy => {
                let (_, sum) = exponentials(z);
                let (level, mut below) = (sum * uniform(rng), 0.0);
                // Ends at `sum` exactly, and so above `level`, unless that is a NaN.
                let class = z.iter().position(|e| {
                    below += e.f64();
                    below > level
                });
                subtract_label(z, class.unwrap_or(0), sum, scale);
            }
            Self::SigmoidCrossEntropy => {
                for z in z {
                    let p = sigmoid(*z);
                    let label = uniform(rng) < p.f64();
                    *z = scale * if label { p - F::one() } else { p };
                }
            }
            Self::SquaredError => {
                for z in z {
                    let noise: f64 = StandardNormal.sample(rng);
                    *z = scale * F::of(noise);
                }
            }
        }
    }

    /// `z ← scale`·column `index` of a factor of the Fisher matrix of the output.
    fn factor<F: Scalar>(self, z: &mut [F], scale: F, index: usize) {
        let only = match self {
            Self::SoftmaxCrossEntropy => {
                let (_, sum) = exponentials(z);
                let root = F::of((z[index].f64() / sum).sqrt());
                return subtract_label(z, index, sum, -(scale * root));
            }
            // 1 − p, without cancellation.
            Self::SigmoidCrossEntropy => (sigmoid(z[index]) * sigmoid(-z[index])).sqrt(),
            Self::SquaredError => F::one(),
        };
        z.fill(F::zero());
        z[index] = scale * only;
    }
}
