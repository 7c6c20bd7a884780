use opt_core::Scalar;
use rand_distr::{Distribution, StandardNormal, StandardUniform};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

/// What the output z of a model says of its labels, with the number of outputs, the last axis of z: whose
/// Fisher matrix K-FAC goes by.
///
/// Each has the units of one of candle's losses: F is the generalized Gauss-Newton matrix of that loss, Jᵀ H J with
/// H its second derivative by z. For another scale of the loss, scale the damping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Likelihood {
    /// Classes, by softmax(z): `candle_nn::loss::cross_entropy`, a mean over rows. H = diag p − ppᵀ.
    Softmax(usize),
    /// Yes or no for each output, by sigmoid(z): `candle_nn::loss::binary_cross_entropy_with_logit`, a mean over
    /// rows and outputs. H = diag(p(1 − p))/outputs.
    Sigmoid(usize),
    /// Numbers, Gaussian about z: `candle_nn::loss::mse`, a mean over rows and outputs. H = 2/outputs·I.
    Gaussian(usize),
}

impl Likelihood {
    pub(crate) fn outputs(self) -> usize {
        match self {
            Self::Softmax(outputs) | Self::Sigmoid(outputs) | Self::Gaussian(outputs) => outputs,
        }
    }

    /// Slopes of the rows of z for labels that are drawn: of mean 0 and covariance `scale`²·H.
    pub(crate) fn sample<F: Scalar>(self, z: &mut [F], scale: f64, seed: u64) {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let outputs = self.outputs().max(1);
        for z in z.chunks_exact_mut(outputs) {
            match self {
                Self::Softmax(_) => {
                    softmax(z);
                    let mut left: f64 = StandardUniform.sample(&mut rng);
                    // Rounding may leave some beyond the last.
                    let class = z.iter().position(|p| {
                        left -= p.f64();
                        left < 0.0
                    });
                    if let Some(p) = z.get_mut(class.unwrap_or(outputs - 1)) {
                        *p -= F::one();
                    }
                    z.iter_mut().for_each(|p| *p *= F::of(scale));
                }
                Self::Sigmoid(_) => {
                    let scale = scale / (outputs as f64).sqrt();
                    for z in z {
                        let (p, u): (f64, f64) = (sigmoid(*z), StandardUniform.sample(&mut rng));
                        *z = F::of(scale * (p - if u < p { 1.0 } else { 0.0 }));
                    }
                }
                Self::Gaussian(_) => {
                    let scale = scale * (2.0 / outputs as f64).sqrt();
                    for z in z {
                        let noise: f64 = StandardNormal.sample(&mut rng);
                        *z = F::of(scale * noise);
                    }
                }
            }
        }
    }

    /// Slopes of the rows of z: column `index` of a factor L with LLᵀ = `scale`²·H.
    pub(crate) fn factor<F: Scalar>(self, z: &mut [F], scale: f64, index: usize) {
        let outputs = self.outputs().max(1);
        for z in z.chunks_exact_mut(outputs) {
            if let Self::Softmax(_) = self {
                softmax(z);
                let root = z[index].sqrt() * F::of(scale);
                z[index] -= F::one();
                z.iter_mut().for_each(|p| *p *= -root);
                continue;
            }
            let bend = match self {
                Self::Gaussian(_) => 2.0,
                _ => sigmoid(z[index]) * sigmoid(-z[index]),
            };
            z.fill(F::zero());
            z[index] = F::of(scale * (bend / outputs as f64).sqrt());
        }
    }
}

fn softmax<F: Scalar>(z: &mut [F]) {
    let most = z.iter().fold(F::neg_infinity(), |most, &z| most.max(z));
    let mut sum = F::zero();
    for z in z.iter_mut() {
        *z = (*z - most).exp();
        sum += *z;
    }
    z.iter_mut().for_each(|p| *p /= sum);
}

fn sigmoid<F: Scalar>(z: F) -> f64 {
    1.0 / (1.0 + (-z.f64()).exp())
}
