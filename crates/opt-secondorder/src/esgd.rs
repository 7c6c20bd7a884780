use opt_core::{
    Bound, Error as CoreError, FieldVisitor, HessianProduct, Hyper, Method, ParamMap, Report,
    Scalar, State, Visit, all_finite, each_parallel,
};
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::Error;
use crate::vectors::propose;

/// Draws in the first step. (Hv)ⱼ is about normal, so that a single one is below ‖Hⱼ‖/1,000 for one
/// parameter in a thousand, whose steps would be a thousand times too long; the mean square of ten
/// is below (‖Hⱼ‖/4)² for one in fifty thousand.
const FIRST: u64 = 10;

/// How the vectors that [`Esgd`] multiplies by the Hessian are drawn. Both give the same
/// expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Probe {
    /// N(0, 1), as in the paper.
    Gaussian,
    /// ±1 with equal probability: cheaper, and of less variance. Exact where a row of H has a
    /// single element.
    Rademacher,
}

/// Equilibrated stochastic gradient descent (Dauphin, de Vries & Bengio, Equilibrated adaptive
/// learning rates for non-convex optimization, 2015).
///
/// ```text
/// every K steps: i ← i + 1, D ← D + (Hv)², v random
/// θ ← θ − αg/(√(D/i) + λ)
/// ```
///
/// D/i estimates the squared norms of the rows of H, E(Hv)ⱼ² = ‖Hⱼ‖²: unlike the diagonal they do
/// not vanish at saddle points, where curvatures of both signs cancel. H is that of the point
/// before the step.
///
/// Needs [`HessianProduct`]. A step takes a gradient, every K-th one product, and the first ten.
///
/// v is drawn by xoshiro256++, seeded from `seed` and i: the same for any number of threads, and
/// after a restart.
///
/// Differs from the paper: the first step draws ten v, not one, which would leave some parameters
/// with next to no curvature until the second draw: on ½‖θ‖² of 200,000 parameters the default
/// learning rate then diverges.
#[derive(Clone, Debug, PartialEq)]
pub struct Esgd {
    /// α. With 0, `x` stays, and D moves on.
    pub lr: f64,
    /// λ, in units of H.
    pub damping: f64,
    /// K.
    pub period: f64,
    /// The distribution of v.
    pub probe: Probe,
    /// Of the draws.
    pub seed: u64,
}

impl Default for Esgd {
    fn default() -> Self {
        Self {
            lr: 0.01,
            damping: 1e-4,
            period: 20.0,
            probe: Probe::Gaussian,
            seed: 0,
        }
    }
}

impl Hyper for Esgd {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit("lr", &mut self.lr, Bound::NonNegative);
        visit("damping", &mut self.damping, Bound::Positive);
        visit("period", &mut self.period, Bound::Count);
    }
}

/// [`Esgd`] over an objective.
#[derive(Clone, Debug)]
pub struct EsgdMethod<F> {
    hyper: Esgd,
    params: ParamMap,
    /// D.
    squares: Vec<F>,
    /// i.
    draws: u64,
    t: u64,
    gradient: Vec<F>,
    probe: Vec<F>,
    product: Vec<F>,
    /// D after this step.
    next: Vec<F>,
}

impl Esgd {
    /// The method for these parameters.
    ///
    /// # Errors
    /// [`CoreError::Hyper`].
    pub fn method<F: Scalar>(self, params: &ParamMap) -> Result<EsgdMethod<F>, CoreError> {
        self.check()?;
        let zeros = || vec![F::zero(); params.len()];
        Ok(EsgdMethod {
            hyper: self,
            params: params.clone(),
            squares: zeros(),
            draws: 0,
            t: 0,
            gradient: zeros(),
            probe: zeros(),
            product: zeros(),
            next: zeros(),
        })
    }
}

impl<F: Scalar> EsgdMethod<F> {
    /// Writes D with the squares of `draws` more products over `next`.
    fn estimate<O>(&mut self, objective: &mut O, x: &[F], draws: u64) -> Result<(), CoreError>
    where
        O: HessianProduct<F> + ?Sized,
    {
        self.next.copy_from_slice(&self.squares);
        for draw in 0..draws {
            self.draw(self.draws.saturating_add(draw));
            objective.hessian_product(x, &self.probe, &mut self.product)?;
            each_parallel(&mut self.next, &self.product, [], |d, h, []| {
                (d + h * h, [])
            });
        }
        if !all_finite(&self.next) {
            return Err(Error::NonFinite("the squared Hessian–vector product").into());
        }
        Ok(())
    }

    fn draw(&mut self, index: u64) {
        let key = Xoshiro256PlusPlus::seed_from_u64(self.hyper.seed).next_u64();
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(key.wrapping_add(index));
        match self.hyper.probe {
            Probe::Gaussian => {
                for v in &mut self.probe {
                    let normal: f64 = StandardNormal.sample(&mut rng);
                    *v = F::of(normal);
                }
            }
            Probe::Rademacher => {
                for chunk in self.probe.chunks_mut(64) {
                    let bits = rng.next_u64();
                    for (k, v) in chunk.iter_mut().enumerate() {
                        let up = bits >> k & 1 == 1;
                        *v = if up { F::one() } else { -F::one() };
                    }
                }
            }
        }
    }
}

impl<F: Scalar, O: HessianProduct<F> + ?Sized> Method<F, O> for EsgdMethod<F> {
    fn step(&mut self, objective: &mut O, x: &mut [F]) -> Result<Report<F>, CoreError> {
        self.params.check_len("x", x.len())?;
        let report = Report::new(objective.grad(x, &mut self.gradient)?)?;
        self.params.check_gradient(&self.gradient)?;
        let fresh = match self.draws {
            0 => FIRST,
            _ if self.t.is_multiple_of(self.hyper.period as u64) => 1,
            _ => 0,
        };
        self.estimate(objective, x, fresh)?;
        let draws = self.draws.saturating_add(fresh);
        let (mean, lambda) = (F::of((draws as f64).recip()), F::of(self.hyper.damping));
        each_parallel(&mut self.gradient, &self.next, [], move |g, d, []| {
            (g / ((d * mean).sqrt() + lambda), [])
        });
        propose(&self.params, x, &mut self.gradient, self.hyper.lr)?;
        // Nothing can fail from here on.
        x.copy_from_slice(&self.gradient);
        std::mem::swap(&mut self.squares, &mut self.next);
        self.draws = draws;
        self.t = self.t.saturating_add(1);
        objective.accept();
        Ok(report)
    }

    fn set(&mut self, name: &str, value: f64) -> Result<(), CoreError> {
        self.hyper = self.hyper.with(name, value)?;
        Ok(())
    }
}

impl<F: Scalar> State<F> for EsgdMethod<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.count("t", &mut self.t);
        visitor.count("draws", &mut self.draws);
        self.params.visit("d", &mut self.squares, visitor);
    }
}
