//! K-FAC's quadratic model of the loss along its direction and its last step.

use opt_core::{Error, Scalar, dot};
use opt_linalg::Decompose;

use crate::blocks::Blocks;

/// Elements that one thread takes at a time.
const GRAIN: usize = 1 << 15;

/// How the loss changes along a vector v.
#[derive(Clone, Debug, Default)]
pub(crate) struct Along {
    /// gᵀv.
    pub(crate) slope: f64,
    /// gₙᵀv of every sample n for a drawn label, divided by the batch, as the deltas are.
    drawn: Vec<f64>,
}

impl Along {
    /// From the layers' rows, and what else the gradient has. `own` says that v is the direction that
    /// was preconditioned last.
    pub(crate) fn measure<F: Decompose>(
        &mut self,
        blocks: &mut Blocks<F>,
        rest: &[F],
        v: &[F],
        own: bool,
    ) -> Result<(), Error> {
        self.slope = match blocks.rest.is_none() {
            true => 0.0,
            false => dot(rest, v),
        };
        self.drawn.clear();
        let samples = blocks.all.first().map_or(0, |block| block.rows);
        self.drawn.resize(samples, 0.0);
        for block in &mut blocks.all {
            self.slope += block.along(v, own, &mut self.drawn)?;
        }
        Ok(())
    }

    /// vᵀFw: the mean over the samples of gₙᵀv·gₙᵀw.
    pub(crate) fn curvature(&self, other: &Self) -> f64 {
        dot(&self.drawn, &other.drawn) * self.drawn.len() as f64
    }
}

/// aᵀa, aᵀb and bᵀb in one pass, in an order that the length fixes.
pub(crate) fn products<F: Scalar>(a: &[F], b: &[F]) -> [f64; 3] {
    let n = a.len().min(b.len());
    if n <= GRAIN {
        return [dot(a, a), dot(a, b), dot(b, b)];
    }
    let ((a_lo, a_hi), (b_lo, b_hi)) = (a[..n].split_at(n / 2), b[..n].split_at(n / 2));
    let (lo, hi) = rayon::join(|| products(a_lo, b_lo), || products(a_hi, b_hi));
    std::array::from_fn(|k| lo[k] + hi[k])
}

/// gᵀδ + ½δᵀCδ for δ = αΔ + μv.
pub(crate) struct Quadratic {
    /// gᵀΔ, gᵀv.
    pub(crate) slope: [f64; 2],
    /// ΔᵀCΔ, ΔᵀCv, vᵀCv.
    pub(crate) curvature: [f64; 3],
}

impl Quadratic {
    pub(crate) fn at(&self, alpha: f64, mu: f64) -> f64 {
        let ([d, v], [dd, dv, vv]) = (self.slope, self.curvature);
        alpha * d + mu * v + 0.5 * (alpha * alpha * dd + 2.0 * alpha * mu * dv + mu * mu * vv)
    }

    /// α and μ of the minimum; with μ = 0 if v is 0, or so near to Δ's direction that rounding
    /// would decide.
    pub(crate) fn minimum(&self) -> (f64, f64) {
        let ([d, v], [dd, dv, vv]) = (self.slope, self.curvature);
        let determinant = dd * vv - dv * dv;
        if determinant > 1e-8 * dd * vv {
            return (
                (dv * v - vv * d) / determinant,
                (dv * d - dd * v) / determinant,
            );
        }
        (if dd > 0.0 { -d / dd } else { 0.0 }, 0.0)
    }
}
