//! The L2 penalty on the weights, whatever their coordinates.

use opt_core::{Scalar, each};
use opt_linalg::gemm;

use crate::Error;
use crate::buffer::{grow, view, view_mut};
use crate::linear::Dense;
use crate::net::Net;
use crate::pass::Pass;
use crate::rows::each_row;
use crate::whiten::Whitening;

impl<F: Scalar> Net<F> {
    /// W = V·U of a whitened layer.
    pub(crate) fn canonical<'a>(
        &self,
        index: usize,
        x: &[F],
        whitening: &Whitening<F>,
        to: &'a mut Vec<F>,
    ) -> Result<&'a [F], Error> {
        let Dense { units, fan_in } = self.dense(index);
        grow(to, units, fan_in)?;
        let (v, w) = (self.matrix(index, x)?, view_mut(to, units, fan_in)?);
        gemm(F::one(), v, whitening.matrix()?, F::zero(), w)?;
        Ok(&to[..units * fan_in])
    }

    /// Adds the gradient of the L2 penalty on the weights of layer `index`: l2·W, or, as the
    /// penalty is on W = V·U wherever the coordinates are, l2·W·Uᵀ by V. W is that of the pass,
    /// which [`objective`](Self::objective) has left there.
    pub(crate) fn penalize(
        &self,
        index: usize,
        x: &[F],
        pass: &Pass<F>,
        g: &mut [F],
    ) -> Result<(), Error> {
        if self.spec.l2 > 0.0 {
            let (l2, Dense { units, fan_in }) = (F::of(self.spec.l2), self.dense(index));
            let weight = self.places[index].weight;
            let range = self.params.segments()[weight].range.clone();
            if let Some(whitening) = &self.whitening[index] {
                let w = view(&pass.canonical[index], units, fan_in)?;
                let g = view_mut(&mut g[range], units, fan_in)?;
                return Ok(gemm(l2, w, whitening.matrix()?.t(), F::one(), g)?);
            }
            let weight = &x[range.clone()];
            each_row(&mut g[range], fan_in, |row, g| {
                let w = &weight[row * fan_in..(row + 1) * fan_in];
                each(g, w, [], move |g, w, []| (g + l2 * w, []));
            });
        }
        Ok(())
    }
}
