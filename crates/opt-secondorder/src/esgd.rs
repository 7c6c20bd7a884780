use opt_core::{
    Bound, Error as CoreError, FieldVisitor, HessianProduct, Hyper, Method, ParamMap, Report,
    Scalar, State, Visit, all_finite, each_parallel,
};
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::Error;

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
    /// α.
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
        visit("lr", &mut self.lr, Bound::Positive);
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
    /// What this step adds to D.
    fresh: Vec<F>,
}

impl<F: Scalar> EsgdMethod<F> {
    /// # Errors
    /// [`CoreError::Hyper`].
    pub fn new(hyper: Esgd, params: &ParamMap) -> Result<Self, CoreError> {
        hyper.check()?;
        let zeros = || vec![F::zero(); params.len()];
        Ok(Self {
            hyper,
            params: params.clone(),
            squares: zeros(),
            draws: 0,
            t: 0,
            gradient: zeros(),
            probe: zeros(),
            product: zeros(),
            fresh: zeros(),
        })
    }

    /// Adds the squares of `draws` products to D.
    fn estimate<O>(&mut self, objective: &mut O, x: &[F], draws: u64) -> Result<(), CoreError>
    where
        O: HessianProduct<F> + ?Sized,
    {
        self.fresh.fill(F::zero());
        for draw in 0..draws {
            self.draw(self.draws.saturating_add(draw));
            objective.hessian_product(x, &self.probe, &mut self.product)?;
            let (fresh, product) = (&mut self.fresh, &self.product);
            each_parallel(fresh, product, [], |sum, h, []| (sum + h * h, []));
        }
        if !all_finite(&self.fresh) {
            return Err(Error::NonFinite("the squared Hessian–vector product").into());
        }
        let squares = &mut self.squares;
        each_parallel(squares, &self.fresh, [], |d, fresh, []| (d + fresh, []));
        self.draws = self.draws.saturating_add(draws);
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
        if self.draws == 0 {
            self.estimate(objective, x, FIRST)?;
        } else if self.t.is_multiple_of(self.hyper.period as u64) {
            self.estimate(objective, x, 1)?;
        }
        self.t = self.t.saturating_add(1);
        let (lr, lambda) = (F::of(self.hyper.lr), F::of(self.hyper.damping));
        let mean = F::of((self.draws as f64).recip());
        let squares = &mut self.squares[..];
        each_parallel(x, &self.gradient, [squares], move |x, g, [d]| {
            (x - lr * g / ((d * mean).sqrt() + lambda), [d])
        });
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
