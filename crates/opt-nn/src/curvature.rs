//! The network's second derivatives, as opt-core's traits offer them.

use opt_core::{
    Error as CoreError, GaussNewton, HessianDiag, HessianProduct, Objective, PerSample, Scalar,
};

use crate::batch::{Batch, check};
use crate::linearize::{Curvature, Depth};
use crate::net::Net;
use crate::sparse::Inputs;
use crate::tangent::Matrix;
use crate::threads::pooled;
use crate::{Error, Mlp, Target};

impl<F: Scalar> Mlp<F> {
    /// Copies a minibatch for curvature alone: all second derivatives are then taken on it, while
    /// losses and gradients go on with that of [`load`](Mlp::load). Hessian-free takes products
    /// on fewer samples than gradients. It stays until another is loaded, or
    /// [`clear_curvature`](Self::clear_curvature).
    ///
    /// # Errors
    /// As [`load`](Mlp::load). The earlier minibatch then stays.
    pub fn load_curvature<'a>(
        &mut self,
        inputs: impl Into<Inputs<'a, F>>,
        target: Target<'_, F>,
        seed: u64,
    ) -> Result<(), Error>
    where
        F: 'a,
    {
        self.take_in_curvature(inputs.into(), target, None, seed)
    }

    /// [`load_curvature`](Self::load_curvature) of the chosen rows, as
    /// [`load_rows`](Mlp::load_rows) takes them.
    ///
    /// # Errors
    /// As [`load_rows`](Mlp::load_rows). The earlier minibatch then stays.
    pub fn load_curvature_rows<'a>(
        &mut self,
        inputs: impl Into<Inputs<'a, F>>,
        target: Target<'_, F>,
        rows: &[usize],
        seed: u64,
    ) -> Result<(), Error>
    where
        F: 'a,
    {
        self.take_in_curvature(inputs.into(), target, Some(rows), seed)
    }

    fn take_in_curvature(
        &mut self,
        inputs: Inputs<'_, F>,
        target: Target<'_, F>,
        chosen: Option<&[usize]>,
        seed: u64,
    ) -> Result<(), Error> {
        let Net { spec, shapes, .. } = &self.net;
        check(spec, &inputs, target, chosen)?;
        let mut batch = match self.curvature.batch.take() {
            Some(batch) => batch,
            None => Batch::new(spec),
        };
        let loaded = batch.load((spec, shapes), inputs, Some(target), chosen, Some(seed));
        if loaded.is_ok() {
            self.curvature.invalidate();
        }
        self.curvature.batch = (batch.rows > 0).then_some(batch);
        loaded
    }

    /// Takes curvature on the minibatch of [`load`](Mlp::load) again.
    pub fn clear_curvature(&mut self) {
        self.curvature.batch = None;
        self.curvature.invalidate();
    }

    /// Refuses layers whose second derivatives are not implemented.
    fn check_plain(&self) -> Result<(), CoreError> {
        let layers = self.net.places.iter().zip(&self.net.whitening);
        for (layer, (places, whitening)) in layers.enumerate() {
            let what = match (places.gamma, whitening) {
                (Some(_), _) => "batch normalization",
                (_, Some(_)) => "whitening",
                _ => continue,
            };
            return Err(CoreError::objective(Error::Curvature { layer, what }));
        }
        Ok(())
    }

    /// Runs `f` with the network, the minibatch of curvature and a pass of this depth at `x`.
    fn curve(
        &mut self,
        depth: Depth,
        x: &[F],
        f: impl FnOnce(&Net<F>, &Batch<F>, &mut Curvature<F>) -> Result<(), Error> + Send,
    ) -> Result<(), CoreError> {
        self.net.params.check_len("x", x.len())?;
        self.check_plain()?;
        let Self {
            net,
            batch,
            curvature,
            ..
        } = self;
        let own = curvature.batch.take();
        let batch = own.as_ref().unwrap_or(batch);
        let result = pooled(net, batch.rows, || {
            curvature.linearize(net, x, batch, depth)?;
            f(net, batch, curvature)
        });
        curvature.batch = own;
        result.map_err(CoreError::objective)
    }

    fn multiply(
        &mut self,
        (matrix, depth): (Matrix, Depth),
        (x, v): (&[F], &[F]),
        out: &mut [F],
    ) -> Result<(), CoreError> {
        self.net.params.check_len("vector", v.len())?;
        self.net.params.check_len("product", out.len())?;
        self.curve(depth, x, |net, batch, curvature| {
            let Curvature { pass, tangent, .. } = curvature;
            net.product(matrix, (x, v), batch, pass, tangent, out)
        })
    }
}

/// By the R-operator, exact: with L2, and with the minibatch's dropout masks. The first product at
/// an `x` runs forward and backward, at the price of ⅔ of a gradient; each product costs twice a
/// gradient. Where a ReLU has its kink, its second derivative counts as 0.
///
/// # Errors
/// [`Error::Curvature`] for batch normalization or whitening, inside [`CoreError::Objective`].
impl<F: Scalar> HessianProduct<F> for Mlp<F> {
    fn hessian_product(&mut self, x: &[F], v: &[F], out: &mut [F]) -> Result<(), CoreError> {
        self.multiply((Matrix::Hessian, Depth::Backward), (x, v), out)
    }
}

/// By the R-operator, exact, G = JᵀH_L J + l2 (on weights), where J is of the network's output and
/// H_L of the loss by that output. The first product at an `x` runs forward, at the price of a
/// third of a gradient; each product costs 4/3 of a gradient.
///
/// # Errors
/// As for [`HessianProduct`].
impl<F: Scalar> GaussNewton<F> for Mlp<F> {
    fn gauss_newton_product(&mut self, x: &[F], v: &[F], out: &mut [F]) -> Result<(), CoreError> {
        self.multiply((Matrix::GaussNewton, Depth::Forward), (x, v), out)
    }
}

/// The diagonal of Gauss–Newton as back-propagation approximates it (bbprop: Becker & LeCun 1988),
/// never negative:
///
/// ```text
/// h_z = diag H_L        h_a = h′(a)² h_out        h_out = (W∘W)ᵀ h_a of the layer above
/// h_W = mean over the batch of h_a (h∘h)ᵀ + l2     h_b = mean h_a
/// ```
///
/// It is exact for the last layer if that is linear, and leaves out how the units of a layer, and
/// of the output, act together. One pass forward and one backward, of one gradient's cost.
///
/// # Errors
/// As for [`HessianProduct`].
impl<F: Scalar> HessianDiag<F> for Mlp<F> {
    fn hessian_diag(&mut self, x: &[F], h: &mut [F]) -> Result<(), CoreError> {
        self.net.params.check_len("diagonal", h.len())?;
        self.curve(Depth::Forward, x, |net, batch, curvature| {
            let Curvature { pass, tangent, .. } = curvature;
            net.diagonal(x, batch, pass, tangent, h)
        })
    }
}

/// On the minibatch of [`load`](Mlp::load), at one matrix product a layer beyond the gradient.
///
/// # Errors
/// As for [`HessianProduct`]: with batch normalization a sample has no gradient of its own.
impl<F: Scalar> PerSample<F> for Mlp<F> {
    fn samples(&self) -> usize {
        self.batch.rows
    }

    fn grad_moments(&mut self, x: &[F], g: &mut [F], square: &mut [F]) -> Result<F, CoreError> {
        self.net.params.check_len("square", square.len())?;
        self.check_plain()?;
        let loss = self.grad(x, g)?;
        let Self {
            net,
            batch,
            trained,
            curvature,
            ..
        } = self;
        let buffers = &mut curvature.tangent.buffers;
        let done = pooled(net, batch.rows, || {
            net.squared_gradients(batch, trained, buffers, square)
        });
        done.map_err(CoreError::objective)?;
        Ok(loss)
    }

    fn penalty(&self, d: &mut [F]) {
        d.fill(F::zero());
        for places in &self.net.places {
            let weight = &self.net.params.segments()[places.weight];
            if let Some(d) = d.get_mut(weight.range.clone()) {
                d.fill(F::of(self.net.spec.l2));
            }
        }
    }
}
