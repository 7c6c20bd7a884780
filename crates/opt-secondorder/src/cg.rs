use opt_core::{Error, Scalar, dot, each_parallel, norm};

use crate::vectors::add;

/// Ratio of the numbers of two kept iterates: γ of the paper's section 4.6.
const SPACING: f64 = 1.3;

/// When [`Cg::solve`] ends, and which iterates it keeps. The default is that of Martens (2010).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CgStop {
    /// The most iterations, each of one product.
    pub iterations: usize,
    /// ε of Martens' rule: ends after iteration i if i > k, φᵢ < 0 and (φᵢ − φᵢ₋ₖ)/φᵢ < kε, where
    /// k = max(10, ⌈i/10⌉). 0 for never.
    pub progress: f64,
    /// Ends where |r| ≤ this·|b|, for r = b − Bx as the iteration carries it along. With 0, only
    /// where r is 0.
    pub residual: f64,
    /// Whether the iterates with the numbers ⌈1.3ʲ⌉, j = 0, 1, 2, …, are kept.
    pub keep: bool,
}

impl Default for CgStop {
    fn default() -> Self {
        Self {
            iterations: 250,
            progress: 5e-4,
            residual: 0.0,
            keep: true,
        }
    }
}

/// Why [`Cg::solve`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CgEnd {
    /// φ no longer fell by enough: [`CgStop::progress`].
    Progress,
    /// The residual is small: [`CgStop::residual`].
    Residual,
    /// [`CgStop::iterations`] are used up.
    Iterations,
    /// A direction p with pᵀBp ≤ 0: B is not positive definite there. x is the iterate before.
    Curvature,
    /// A product, or what was made of it, was NaN or infinite. x is the iterate before.
    NonFinite,
}

/// What [`Cg::solve`] went through.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CgRun<'a, F> {
    /// Number of the last iterate, which is in x. At 0 that is still x₀.
    pub iterations: usize,
    /// Why it ended.
    pub end: CgEnd,
    /// φ(xᵢ) = ½xᵢᵀBxᵢ − bᵀxᵢ from x₀ to the last iterate.
    pub phi: &'a [f64],
    /// The kept iterates, in order.
    pub kept: &'a [CgIterate<F>],
}

/// An iterate that was kept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CgIterate<F> {
    /// i, from 1.
    pub number: usize,
    /// xᵢ.
    pub x: Vec<F>,
}

/// Preconditioned conjugate gradients on Bx = b (Hestenes & Stiefel 1952), with the stopping rule
/// and the kept iterates of Martens (2010), "Deep learning via Hessian-free optimization".
///
/// ```text
/// r ← b − Bx        y ← M⁻¹r        p ← y
/// α = rᵀy/pᵀBp      x ← x + αp      r ← r − αBp
/// y ← M⁻¹r          β = rᵀy/(rᵀy of before)      p ← y + βp
/// ```
///
/// B is symmetric and positive definite, given by its products with vectors; M is a diagonal. In
/// exact arithmetic n iterations solve n equations, and φ(x) = ½xᵀBx − bᵀx falls in each.
///
/// This is the workspace: three vectors and the kept iterates, 20 for 250 iterations, which are
/// allocated when first needed and used again in the next call.
///
/// Plain conjugate gradients to a residual, which stop for nothing else and keep nothing:
///
/// ```
/// use opt_secondorder::{Cg, CgEnd, CgStop};
///
/// let stop = CgStop { iterations: 100, progress: 0.0, residual: 1e-12, keep: false };
/// let product = |v: &[f64], out: &mut [f64]| {
///     out.copy_from_slice(&[4.0 * v[0] + v[1], v[0] + 3.0 * v[1]]);
///     Ok(())
/// };
/// let mut x = [0.0; 2];
/// let mut cg = Cg::default();
/// let run = cg.solve(product, &[1.0, 2.0], None, &mut x, &stop)?;
/// assert_eq!(run.end, CgEnd::Residual);
/// assert!((x[0] - 1.0 / 11.0).abs() < 1e-12 && (x[1] - 7.0 / 11.0).abs() < 1e-12);
/// # Ok::<(), opt_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Cg<F> {
    /// r, p, and the vector that is first Bp and then M⁻¹r.
    r: Vec<F>,
    p: Vec<F>,
    w: Vec<F>,
    phi: Vec<f64>,
    kept: Vec<CgIterate<F>>,
}

impl<F: Scalar> Cg<F> {
    /// Solves Bx = b from the x₀ in `x`, where the last iterate is left. `product` writes Bv over
    /// its second argument. `diagonal` is M, all of it positive; without one M is the identity.
    ///
    /// Takes a product per iteration, and one more unless x₀ is 0.
    ///
    /// # Errors
    /// [`Error::Length`] for vectors that are not as long as b, or what `product` refuses; `x` is
    /// then undefined.
    pub fn solve(
        &mut self,
        mut product: impl FnMut(&[F], &mut [F]) -> Result<(), Error>,
        b: &[F],
        diagonal: Option<&[F]>,
        x: &mut [F],
        stop: &CgStop,
    ) -> Result<CgRun<'_, F>, Error> {
        check_len("x", b, x)?;
        check_len("diagonal", b, diagonal.unwrap_or(b))?;
        self.start(&mut product, b, x)?;
        let target = stop.residual * norm(b);
        let (mut kept, mut power) = (0, 1.0);
        let mut slope = self.precondition(diagonal);
        self.p.copy_from_slice(&self.w);
        let end = loop {
            if !slope.is_finite() {
                break CgEnd::NonFinite;
            } else if norm(&self.r) <= target {
                break CgEnd::Residual;
            } else if stalled(&self.phi, stop.progress) {
                break CgEnd::Progress;
            } else if self.phi.len() > stop.iterations {
                break CgEnd::Iterations;
            }
            product(&self.p, &mut self.w)?;
            if let Err(end) = self.advance(slope, b, x) {
                break end;
            }
            let number = self.phi.len() - 1;
            if stop.keep && number as f64 >= power {
                self.keep(kept, number, x);
                kept += 1;
                // Small powers share their ceilings.
                while power <= number as f64 {
                    power *= SPACING;
                }
            }
            let before = std::mem::replace(&mut slope, self.precondition(diagonal));
            let beta = slope / before;
            let Self { p, w, .. } = self;
            each_parallel(p, w, [], move |p, y, []| {
                (F::of(y.f64() + beta * p.f64()), [])
            });
        };
        Ok(CgRun {
            iterations: self.phi.len() - 1,
            end,
            phi: &self.phi,
            kept: self.kept.get(..kept).unwrap_or_default(),
        })
    }

    /// r ← b − Bx, and φ(x₀).
    fn start(
        &mut self,
        product: &mut impl FnMut(&[F], &mut [F]) -> Result<(), Error>,
        b: &[F],
        x: &[F],
    ) -> Result<(), Error> {
        let Self { r, p, w, phi, .. } = self;
        for vector in [&mut *r, p, &mut *w] {
            vector.resize(b.len(), F::zero());
        }
        r.copy_from_slice(b);
        if x.iter().any(|x| !x.is_zero()) {
            product(x, w)?;
            each_parallel(r, w, [], move |r, bx, []| (r - bx, []));
        }
        phi.clear();
        phi.push(model(x, r, b));
        Ok(())
    }

    /// w ← M⁻¹r; gives rᵀM⁻¹r.
    fn precondition(&mut self, diagonal: Option<&[F]>) -> f64 {
        let Self { r, w, .. } = self;
        match diagonal {
            Some(m) => {
                each_parallel(w, m, [&mut *r], move |_, m, [r]| (r / m, [r]));
            }
            None => w.copy_from_slice(r),
        }
        dot(r, w)
    }

    /// x ← x + αp, with Bp in w; or says why not, with x as it was.
    fn advance(&mut self, slope: f64, b: &[F], x: &mut [F]) -> Result<(), CgEnd> {
        let Self { r, p, w, phi, .. } = self;
        let curvature = dot(p, w);
        let alpha = slope / curvature;
        if curvature <= 0.0 {
            return Err(CgEnd::Curvature);
        } else if !curvature.is_finite() || !alpha.is_finite() {
            return Err(CgEnd::NonFinite);
        }
        add(r, -alpha, w);
        w.copy_from_slice(x);
        add(x, alpha, p);
        let value = model(x, r, b);
        if !value.is_finite() {
            x.copy_from_slice(w);
            return Err(CgEnd::NonFinite);
        }
        phi.push(value);
        Ok(())
    }

    /// Keeps x in buffer `index`, which is made if it isn't there yet.
    fn keep(&mut self, index: usize, number: usize, x: &[F]) {
        match self.kept.get_mut(index) {
            Some(iterate) => {
                iterate.number = number;
                iterate.x.resize(x.len(), F::zero());
                iterate.x.copy_from_slice(x);
            }
            None => {
                let x = x.to_vec();
                self.kept.push(CgIterate { number, x });
            }
        }
    }
}

/// φ(x) = −½xᵀ(r + b), for r = b − Bx.
fn model<F: Scalar>(x: &[F], r: &[F], b: &[F]) -> f64 {
    -0.5 * (dot(x, r) + dot(x, b))
}

/// Martens' rule for the last of these φ.
fn stalled(phi: &[f64], epsilon: f64) -> bool {
    let i = phi.len().saturating_sub(1);
    let k = i.div_ceil(10).max(10);
    let (Some(now), Some(before)) = (phi.get(i), i.checked_sub(k).and_then(|j| phi.get(j))) else {
        return false;
    };
    epsilon > 0.0 && i > k && *now < 0.0 && (now - before) / now < k as f64 * epsilon
}

fn check_len<F>(what: &str, b: &[F], found: &[F]) -> Result<(), Error> {
    let (expected, found) = (b.len(), found.len());
    if expected == found {
        return Ok(());
    }
    let what = what.to_owned();
    Err(Error::Length {
        what,
        expected,
        found,
    })
}
