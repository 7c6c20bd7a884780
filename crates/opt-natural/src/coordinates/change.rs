//! Whitenings of a layer, and its parameters from one to another.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, s};
use opt_core::Error;
use opt_linalg::{Decompose, Whitening, gemm};

use crate::dense::Dense;

/// The whitening of each pixel of a patch by itself; of a dense layer there is one.
pub(super) fn repeat<F: Decompose>(pixel: &Whitening<F>, to: &mut Whitening<F>) {
    let n = pixel.c.len();
    to.u.fill(F::zero());
    to.u_inv.fill(F::zero());
    for start in (0..to.c.len()).step_by(n.max(1)) {
        let block = s![start..start + n, start..start + n];
        to.u.slice_mut(block).assign(&pixel.u);
        to.u_inv.slice_mut(block).assign(&pixel.u_inv);
        to.c.slice_mut(s![start..start + n]).assign(&pixel.c);
    }
}

/// Takes all layers from the old coordinates to the new.
pub(super) fn reparametrize<F: Decompose>(
    x: &mut [F],
    layers: &[Dense],
    old: &[Whitening<F>],
    new: &[Whitening<F>],
) -> Result<(), Error> {
    for (dense, (old, new)) in layers.iter().zip(old.iter().zip(new)) {
        layer(
            x,
            (dense.weight.clone(), dense.bias.clone()),
            dense,
            old,
            new,
        )?;
    }
    Ok(())
}

/// V ← V·U_old·U_new⁻¹ and d ← d + W·(c_new − c_old) with W = V·U_old, where V and d are in `x`.
pub(super) fn layer<F: Decompose>(
    x: &mut [F],
    (weight, bias): (Range<usize>, Option<Range<usize>>),
    dense: &Dense,
    old: &Whitening<F>,
    new: &Whitening<F>,
) -> Result<(), Error> {
    let (shape, zero, one) = ((dense.fan_out, dense.fan_in), F::zero(), F::one());
    let v = ArrayView2::from_shape(shape, &x[weight.clone()]).map_err(Error::objective)?;
    let mut w = Array2::zeros(shape);
    gemm(one, v, old.u.view(), zero, w.view_mut())?;
    let v = ArrayViewMut2::from_shape(shape, &mut x[weight]).map_err(Error::objective)?;
    gemm(one, w.view(), new.u_inv.view(), zero, v)?;
    if let Some(bias) = bias {
        let change: Array1<F> = w.dot(&(&new.c - &old.c));
        for (d, &change) in x[bias].iter_mut().zip(&change) {
            *d += change;
        }
    }
    Ok(())
}
