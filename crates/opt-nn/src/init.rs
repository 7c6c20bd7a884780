use opt_core::Scalar;
use rand_distr::{Distribution, StandardNormal, StandardUniform};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use crate::Mlp;

/// The distribution that weights are drawn from, independently, with mean 0. Biases start at 0.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Init {
    /// Uniform in ±√(6/(fan_in + fan_out)): X. Glorot and Y. Bengio, 2010, "Understanding the
    /// difficulty of training deep feedforward neural networks". For tanh and sigmoid.
    Glorot,
    /// Normal with standard deviation √(2/fan_in): K. He et al., 2015, "Delving deep into
    /// rectifiers". For ReLU.
    He,
    /// Normal with standard deviation 1/√fan_in: Y. LeCun et al., 1998, "Efficient backprop".
    LeCun,
    /// Normal with the same standard deviation for all layers.
    Gaussian {
        /// Standard deviation. One that is not finite gives weights that are not, and an error
        /// from the first step.
        std: f64,
    },
}

impl<F: Scalar> Mlp<F> {
    /// Draws the parameters from Xoshiro256++: the same for the same seed, and in `f32` those of
    /// `f64`, rounded.
    pub fn init(&self, init: Init, seed: u64) -> Vec<F> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let params = &self.net.params;
        let mut x = vec![F::zero(); params.len()];
        for segment in params.segments() {
            let (fan_in, fan_out) = match segment.shape[..] {
                [units, fan_in] => (fan_in, units),
                // Each input of a convolution goes to as many places of each map.
                [units, height, width, channels] => {
                    (height * width * channels, height * width * units)
                }
                _ => continue, // a bias, γ or β
            };
            let (fan_out, fan_in) = (fan_out as f64, fan_in as f64);
            let limit = (6.0 / (fan_in + fan_out)).sqrt();
            for w in &mut x[segment.range.clone()] {
                let mut normal = |std: f64| -> f64 {
                    let z: f64 = StandardNormal.sample(&mut rng);
                    std * z
                };
                *w = F::of(match init {
                    Init::He => normal((2.0 / fan_in).sqrt()),
                    Init::LeCun => normal(fan_in.recip().sqrt()),
                    Init::Gaussian { std } => normal(std),
                    Init::Glorot => {
                        let u: f64 = StandardUniform.sample(&mut rng);
                        limit * (2.0 * u - 1.0)
                    }
                });
            }
        }
        for gamma in self.net.places.iter().filter_map(|places| places.gamma) {
            x[params.segments()[gamma].range.clone()].fill(F::one());
        }
        x
    }
}
