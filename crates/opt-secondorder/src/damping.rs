/// Least and greatest value of a [`LevenbergMarquardt`]: λ stays within 10¹⁰ times of where it
/// started, from where 57 steps lead back. At a minimum ρ is a ratio of rounding errors, and
/// without limits λ would wander to where it can no longer return from.
const LIMITS: (f64, f64) = (1e-10, 1e10);

/// The Levenberg–Marquardt rule for the damping λ of a quadratic model (Martens 2010, section 4.1).
///
/// ```text
/// ρ = (f(θ + x) − f(θ))/(q(x) − q(0))
/// λ ← 3/2·λ if ρ < ¼, 2/3·λ if ρ > ¾
/// ```
///
/// Where the model predicted the loss well, it is trusted farther, and where it did not, less far.
/// This is the factor on the λ at the start, within 10⁻¹⁰ and 10¹⁰.
///
/// ```
/// let mut damping = opt_secondorder::LevenbergMarquardt::default();
/// damping.adapt(0.1);
/// assert_eq!(damping.factor, 1.5);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LevenbergMarquardt {
    /// λ, as a multiple of the λ at the start.
    pub factor: f64,
}

impl Default for LevenbergMarquardt {
    fn default() -> Self {
        Self { factor: 1.0 }
    }
}

impl LevenbergMarquardt {
    /// Adapts λ to this ρ. One that is NaN says nothing good of the model, and raises λ.
    pub fn adapt(&mut self, rho: f64) {
        let change = match rho {
            rho if rho > 0.75 => 2.0 / 3.0,
            rho if rho >= 0.25 => 1.0,
            _ => 1.5,
        };
        self.factor = (self.factor * change).clamp(LIMITS.0, LIMITS.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factor(steps: usize, rho: f64) -> f64 {
        let mut damping = LevenbergMarquardt::default();
        (0..steps).for_each(|_| damping.adapt(rho));
        damping.factor
    }

    #[test]
    fn thresholds() {
        let raise = [f64::NEG_INFINITY, -1.0, 0.0, 0.2499, f64::NAN];
        assert!(raise.iter().all(|&rho| factor(1, rho) == 1.5));
        assert!([0.25, 0.5, 0.75].iter().all(|&rho| factor(1, rho) == 1.0));
        let lower = [0.7501, 1.0, 7.0, f64::INFINITY];
        assert!(lower.iter().all(|&rho| factor(1, rho) == 2.0 / 3.0));
    }

    #[test]
    fn limits() {
        // ln 10¹⁰/ln 1.5 = 56.8
        assert!(factor(56, 0.0) < 1e10 && factor(56, 1.0) > 1e-10);
        assert_eq!((factor(57, 0.0), factor(57, 1.0)), (1e10, 1e-10));
        assert_eq!((factor(999, 0.0), factor(999, 1.0)), (1e10, 1e-10));
    }
}
