use opt_core::{Error, HessianDiag, HessianProduct, Objective, ParamMap, PerSample, Scalar};

/// An objective with the exact diagonal of its Hessian, taken out of one product for each
/// parameter.
///
/// For small problems, and to see what an approximate diagonal costs: with n parameters it is the
/// price of n products, where the network's own backward pass takes one.
///
/// ```
/// use opt_core::{HessianDiag, ParamMap};
/// use opt_secondorder::ExactDiagonal;
/// use opt_testkit::Quadratic;
///
/// let quadratic = Quadratic::new(ParamMap::flat(3)?, |i| 1.0 + i as f64, |_| 0.0);
/// let mut h = [0.0_f64; 3];
/// ExactDiagonal { inner: quadratic }.hessian_diag(&[0.5; 3], &mut h)?;
/// assert_eq!(h, [1.0, 2.0, 3.0]);
/// # Ok::<(), opt_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ExactDiagonal<O> {
    /// The objective itself.
    pub inner: O,
}

impl<F: Scalar, O: Objective<F>> Objective<F> for ExactDiagonal<O> {
    fn params(&self) -> &ParamMap {
        self.inner.params()
    }

    fn value(&mut self, x: &[F]) -> Result<F, Error> {
        self.inner.value(x)
    }

    fn grad(&mut self, x: &[F], g: &mut [F]) -> Result<F, Error> {
        self.inner.grad(x, g)
    }

    fn accept(&mut self) {
        self.inner.accept();
    }
}

impl<F: Scalar, O: HessianProduct<F>> HessianDiag<F> for ExactDiagonal<O> {
    fn hessian_diag(&mut self, x: &[F], h: &mut [F]) -> Result<(), Error> {
        let n = self.inner.params().len();
        self.inner.params().check_len("diagonal", h.len())?;
        let (mut unit, mut column) = (vec![F::zero(); n], vec![F::zero(); n]);
        for (i, h) in h.iter_mut().enumerate() {
            unit[i] = F::one();
            self.inner.hessian_product(x, &unit, &mut column)?;
            unit[i] = F::zero();
            *h = column[i];
        }
        Ok(())
    }
}

impl<F: Scalar, O: PerSample<F>> PerSample<F> for ExactDiagonal<O> {
    fn samples(&self) -> usize {
        self.inner.samples()
    }

    fn grad_moments(&mut self, x: &[F], g: &mut [F], square: &mut [F]) -> Result<F, Error> {
        self.inner.grad_moments(x, g, square)
    }

    fn penalty(&self, d: &mut [F]) {
        self.inner.penalty(d);
    }
}
