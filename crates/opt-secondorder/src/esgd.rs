use opt_core::{
    Bound, Choice, Direction, Error as CoreError, FieldVisitor, FirstOrder, HessianProduct, Hyper,
    ParamMap, Report, Scalar, Staged, State, Train, Tuned, Visit, all_finite, each_parallel,
};
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::descent::Descent;
use crate::error::Error;

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

impl Choice for Probe {
    const ALL: &'static [(&'static str, Self)] = &[
        ("gaussian", Self::Gaussian),
        ("rademacher", Self::Rademacher),
    ];
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
///
/// *Relatives:* [`NewtonDiagonal`](crate::NewtonDiagonal), [`Vsgd`](crate::Vsgd).
///
/// A long valley, whose curvatures are 1 and 100.
///
/// ```
/// use opt_core::{Method, Objective};
/// use opt_secondorder::Esgd;
///
/// let mut plane = opt_testkit::plane("valley").expect("it is one of them");
/// let settings = Esgd { lr: 0.5, ..Esgd::default() };
/// let mut method = settings.method(Objective::<f64>::params(&plane))?;
/// let mut x = plane.start;
/// for _ in 0..100 {
///     method.step(&mut plane, &mut x)?;
/// }
/// assert!((plane.value)(x) < 1e-3 * (plane.value)(plane.start));
/// # Ok::<(), opt_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Esgd {
    /// α. With 0, `x` stays, and D moves on.
    pub lr: f64,
    /// λ, in units of H.
    pub damping: f64,
    /// K.
    pub period: u64,
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
            period: 20,
            probe: Probe::Gaussian,
            seed: 0,
        }
    }
}

impl Hyper for Esgd {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
        visit.real("damping", &mut self.damping, Bound::Positive);
        visit.count("period", &mut self.period, 1);
        visit.choice("probe", &mut self.probe);
        visit.count("seed", &mut self.seed, 0);
    }
}

impl Esgd {
    /// The equilibrated gradient g/(√(D/i) + λ) alone, for any [`Update`](opt_core::Update): `lr` is
    /// not read.
    ///
    /// # Errors
    /// As [`Hyper::check`].
    pub fn direction<F: Scalar>(&self, params: &ParamMap) -> Result<EsgdDirection<F>, CoreError> {
        let zeros = || vec![F::zero(); params.len()];
        let settings = Draws {
            damping: self.damping,
            period: self.period,
            probe: self.probe,
            seed: self.seed,
        };
        Ok(EsgdDirection {
            settings: Tuned::new::<F>(settings)?,
            params: params.clone(),
            squares: zeros(),
            draws: 0,
            t: 0,
            probe: zeros(),
            product: zeros(),
            next: zeros(),
            next_draws: None,
        })
    }

    /// The method for these parameters, θ ← θ − αd.
    ///
    /// # Errors
    /// As [`direction`](Self::direction).
    pub fn method<F: Scalar>(&self, params: &ParamMap) -> Result<EsgdMethod<F>, CoreError> {
        let descent = FirstOrder::new(Descent { lr: self.lr }, params)?;
        Ok(Train::along(self.direction(params)?, descent))
    }
}

/// ESGD with plain descent.
pub type EsgdMethod<F> = Train<F, EsgdDirection<F>, FirstOrder<F, Descent, 0>>;

#[derive(Clone, Debug, PartialEq)]
struct Draws {
    damping: f64,
    period: u64,
    probe: Probe,
    seed: u64,
}

impl Hyper for Draws {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("damping", &mut self.damping, Bound::Positive);
        visit.count("period", &mut self.period, 1);
        visit.choice("probe", &mut self.probe);
        visit.count("seed", &mut self.seed, 0);
    }
}

/// The equilibrated gradient: made by [`Esgd::direction`].
#[derive(Clone, Debug)]
pub struct EsgdDirection<F: Scalar> {
    settings: Tuned<Draws>,
    params: ParamMap,
    /// D.
    squares: Vec<F>,
    /// i.
    draws: u64,
    t: u64,
    probe: Vec<F>,
    product: Vec<F>,
    /// D and i after the step that is proposed.
    next: Vec<F>,
    next_draws: Option<u64>,
}

opt_core::tune_by!(EsgdDirection, settings);

impl<F: Scalar> EsgdDirection<F> {
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
        let key = Xoshiro256PlusPlus::seed_from_u64(self.settings.seed).next_u64();
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(key.wrapping_add(index));
        match self.settings.probe {
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

impl<F: Scalar, O: HessianProduct<F> + ?Sized> Direction<F, O> for EsgdDirection<F> {
    fn propose(&mut self, objective: &mut O, x: &[F], d: &mut [F]) -> Result<Report<F>, CoreError> {
        self.next_draws = None;
        self.params.check_len("x", x.len())?;
        let report = Report::new(objective.grad(x, d)?)?;
        self.params.check_gradient(d)?;
        let fresh = match self.draws {
            0 => FIRST,
            _ if self.t.is_multiple_of(self.settings.period) => 1,
            _ => 0,
        };
        self.estimate(objective, x, fresh)?;
        let draws = self.draws.saturating_add(fresh);
        let (mean, lambda) = (F::of((draws as f64).recip()), F::of(self.settings.damping));
        each_parallel(d, &self.next, [], move |g, d, []| {
            (g / ((d * mean).sqrt() + lambda), [])
        });
        self.next_draws = Some(draws);
        Ok(report)
    }
}

impl<F: Scalar> Staged for EsgdDirection<F> {
    fn commit(&mut self) {
        if let Some(draws) = self.next_draws.take() {
            std::mem::swap(&mut self.squares, &mut self.next);
            self.draws = draws;
            self.t = self.t.saturating_add(1);
        }
    }
}

impl<F: Scalar> State<F> for EsgdDirection<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.count("t", &mut self.t);
        visitor.count("draws", &mut self.draws);
        self.params.visit("d", &mut self.squares, visitor);
    }
}
