//! An objective in other units.

#![allow(dead_code)] // not every file uses all of it

use opt_core::{Error, GaussNewton, HessianDiag, HessianProduct, Objective, ParamMap, PerSample};

/// C·f(x/U): the loss times `loss`, parameters times `unit`.
#[derive(Clone)]
pub(crate) struct Scaled<O> {
    pub(crate) inner: O,
    pub(crate) loss: f64,
    pub(crate) unit: f64,
}

impl<O> Scaled<O> {
    fn point(&self, x: &[f64]) -> Vec<f64> {
        x.iter().map(|x| x / self.unit).collect()
    }

    fn scale(&self, out: &mut [f64], by: f64) {
        out.iter_mut().for_each(|v| *v *= by);
    }

    fn slope(&self) -> f64 {
        self.loss / self.unit
    }

    fn bend(&self) -> f64 {
        self.loss / self.unit / self.unit
    }
}

impl<O: Objective<f64>> Objective<f64> for Scaled<O> {
    fn params(&self) -> &ParamMap {
        self.inner.params()
    }

    fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
        let x = self.point(x);
        Ok(self.loss * self.inner.value(&x)?)
    }

    fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        let x = self.point(x);
        let loss = self.inner.grad(&x, g)?;
        self.scale(g, self.slope());
        Ok(self.loss * loss)
    }
}

impl<O: HessianDiag<f64>> HessianDiag<f64> for Scaled<O> {
    fn hessian_diag(&mut self, x: &[f64], h: &mut [f64]) -> Result<(), Error> {
        let x = self.point(x);
        self.inner.hessian_diag(&x, h)?;
        self.scale(h, self.bend());
        Ok(())
    }
}

impl<O: HessianProduct<f64>> HessianProduct<f64> for Scaled<O> {
    fn hessian_product(&mut self, x: &[f64], v: &[f64], out: &mut [f64]) -> Result<(), Error> {
        let x = self.point(x);
        self.inner.hessian_product(&x, v, out)?;
        self.scale(out, self.bend());
        Ok(())
    }
}

impl<O: GaussNewton<f64>> GaussNewton<f64> for Scaled<O> {
    fn gauss_newton_product(&mut self, x: &[f64], v: &[f64], out: &mut [f64]) -> Result<(), Error> {
        let x = self.point(x);
        self.inner.gauss_newton_product(&x, v, out)?;
        self.scale(out, self.bend());
        Ok(())
    }
}

impl<O: PerSample<f64>> PerSample<f64> for Scaled<O> {
    fn samples(&self) -> usize {
        self.inner.samples()
    }

    fn grad_moments(&mut self, x: &[f64], g: &mut [f64], s: &mut [f64]) -> Result<f64, Error> {
        let x = self.point(x);
        let loss = self.inner.grad_moments(&x, g, s)?;
        self.scale(g, self.slope());
        self.scale(s, self.slope() * self.slope());
        Ok(self.loss * loss)
    }
}
