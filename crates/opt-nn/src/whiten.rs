//! Whitening of a layer's input, forward and backward.

use ndarray::{ArrayView1, ArrayView2};
use opt_core::{Scalar, all_finite, each};
use opt_linalg::gemm;

use crate::Error;
use crate::buffer::{grow, view, view_mut};
use crate::rows::each_row;

/// ĥ = U·(h − c) for every row h of a layer's input.
#[derive(Clone)]
pub(crate) struct Whitening<F> {
    /// U, of shape (fan_in, fan_in).
    pub(crate) u: Vec<F>,
    /// c, of shape (fan_in).
    pub(crate) c: Vec<F>,
}

impl<F: Scalar> Whitening<F> {
    /// Copies U and c, whose shapes the caller has checked, for layer `index`.
    pub(crate) fn new(
        index: usize,
        u: ArrayView2<'_, F>,
        c: ArrayView1<'_, F>,
    ) -> Result<Self, Error> {
        let (mut matrix, mut mean, fan_in) = (Vec::new(), Vec::new(), c.len());
        grow(&mut matrix, fan_in, fan_in)
            .and_then(|()| grow(&mut mean, fan_in, 1))
            .map_err(|_| opt_core::Error::SegmentTooLarge(format!("layer{index}.whiten_u")))?;
        view_mut(&mut matrix, fan_in, fan_in)?.assign(&u);
        mean.iter_mut().zip(c).for_each(|(to, &c)| *to = c);
        if !(all_finite(&matrix) && all_finite(&mean)) {
            return Err(Error::NonFiniteWhitening { layer: index });
        }
        Ok(Self { u: matrix, c: mean })
    }

    pub(crate) fn matrix(&self) -> Result<ArrayView2<'_, F>, Error> {
        view(&self.u, self.c.len(), self.c.len())
    }

    /// ĥ of `input`, of the same shape, in `whitened`. h − c goes through `work`: in one product
    /// with h, the digits that a large U needs would already be lost.
    pub(crate) fn forward<'a>(
        &self,
        input: ArrayView2<'_, F>,
        work: &mut Vec<F>,
        whitened: &'a mut Vec<F>,
    ) -> Result<ArrayView2<'a, F>, Error> {
        let (rows, fan_in) = input.dim();
        grow(work, rows, fan_in)?;
        grow(whitened, rows, fan_in)?;
        each_row(&mut work[..rows * fan_in], fan_in, |row, work| {
            if let Some(h) = input.row(row).as_slice() {
                work.copy_from_slice(h);
            }
            each(work, &self.c, [], |h, c, []| (h - c, []));
        });
        let output = view_mut(whitened, rows, fan_in)?;
        let centred = view(work, rows, fan_in)?;
        gemm(F::one(), centred, self.matrix()?.t(), F::zero(), output)?;
        view(whitened, rows, fan_in)
    }

    /// From ∂loss/∂ĥ, of shape (rows, fan_in), to ∂loss/∂h.
    pub(crate) fn backward(
        &self,
        rows: usize,
        whitened: &[F],
        under: &mut [F],
    ) -> Result<(), Error> {
        let fan_in = self.c.len();
        let (delta, output) = (
            view(whitened, rows, fan_in)?,
            view_mut(under, rows, fan_in)?,
        );
        Ok(gemm(F::one(), delta, self.matrix()?, F::zero(), output)?)
    }
}
