//! K-FAC's quadratic model of the loss along its direction and its last step.

use opt_core::{Error, Scalar, dot};
use opt_linalg::Decompose;

use crate::blocks::Blocks;
use crate::team::{Others, sum_numbers};

/// Elements that one thread takes at a time.
const GRAIN: usize = 1 << 15;

/// How the loss changes along a vector v, by the rows of this process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Along {
    /// gᵀv, but for what the gradient has beside the layers' rows.
    slope: f64,
    /// gₙᵀv of every sample n for a drawn label, divided by the batch, as the deltas are.
    drawn: Vec<f64>,
}

impl Along {
    /// Of vector number `which` that the layers were measured along.
    fn gather<F: Decompose>(&mut self, which: usize, blocks: &Blocks<F>) {
        self.slope = 0.0;
        self.drawn.clear();
        for block in &blocks.all {
            self.slope += block.slope[which];
            self.drawn.resize(block.drawn[which].len(), 0.0);
            let all = self.drawn.iter_mut().zip(&block.drawn[which]);
            all.for_each(|(sum, drawn)| *sum += drawn);
        }
    }
}

/// What the rows of all processes say of the two vectors that the layers were measured along.
pub(crate) struct Measured {
    /// gᵀΔ, gᵀv, but for what the gradient has beside the rows.
    pub(crate) slope: [f64; 2],
    /// ΔᵀFΔ, ΔᵀFv, vᵀFv: the mean over the samples of gₙᵀv·gₙᵀw.
    pub(crate) curvature: [f64; 3],
}

impl Measured {
    pub(crate) fn of<F: Decompose>(
        blocks: &Blocks<F>,
        along: &mut [Along; 2],
        others: Others<'_, F>,
    ) -> Result<Self, Error> {
        for (which, along) in along.iter_mut().enumerate() {
            along.gather(which, blocks);
        }
        let [d, v] = &*along;
        let squares = [(d, d), (d, v), (v, v)].map(|(a, b)| dot(&a.drawn, &b.drawn));
        let [dd, dv, vv] = squares;
        let mut sums = [d.slope, v.slope, dd, dv, vv];
        sum_numbers(others, Ok(()), &mut sums)?;
        let [d, v, curvature @ ..] = sums;
        let samples = blocks.all.first().map_or(0.0, |block| block.total[1]);
        Ok(Self {
            slope: [d, v],
            curvature: curvature.map(|sum| sum * samples),
        })
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
