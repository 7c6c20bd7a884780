//! K-FAC's quadratic model of the loss along its direction and its last step.

use opt_core::{Scalar, dot};
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
    /// Of vector number `which` that the layers were measured along, with what else the gradient has.
    pub(crate) fn gather<F: Decompose>(
        &mut self,
        which: usize,
        blocks: &Blocks<F>,
        (rest, v): (&[F], &[F]),
    ) {
        self.slope = match blocks.rest.is_none() {
            true => 0.0,
            false => dot(rest, v),
        };
        self.drawn.clear();
        for block in &blocks.all {
            self.slope += block.slope[which];
            self.drawn.resize(block.drawn[which].len(), 0.0);
            let all = self.drawn.iter_mut().zip(&block.drawn[which]);
            all.for_each(|(sum, drawn)| *sum += drawn);
        }
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
