//! The same problem in other units: C times the loss, and parameters u = U·x.

use ndarray::{Array2, ArrayView2};
use opt_core::{
    Error, Fisher, GaussNewton, HessianDiag, HessianProduct, Layer, LayerPlace, Layered, Objective,
    ObserveInputs, ParamMap, PerSample, SampledFisher,
};
use opt_nn::Mlp;
use opt_testkit::Plane;

/// C and U: what the loss and the parameters are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Units {
    pub(crate) loss: f64,
    pub(crate) parameter: f64,
}

impl Units {
    /// The problem as it is.
    pub(crate) const OWN: Self = Self {
        loss: 1.0,
        parameter: 1.0,
    };

    /// U·x.
    pub(crate) fn scale(self, x: &[f64]) -> Vec<f64> {
        x.iter().map(|x| self.parameter * x).collect()
    }

    /// x of u = U·x.
    pub(crate) fn restore<const N: usize>(self, u: [f64; N]) -> [f64; N] {
        u.map(|u| u / self.parameter)
    }
}

/// What has layers to show after a gradient, or has not.
pub(crate) trait Deltas: Objective<f64> {
    /// The deltas of layer `index`, as [`Layered::layer`] has them; `None` where there is no more.
    fn delta(&self, _index: usize) -> Option<ArrayView2<'_, f64>> {
        None
    }
}

impl Deltas for Plane {}

impl Deltas for Mlp<f64> {
    fn delta(&self, index: usize) -> Option<ArrayView2<'_, f64>> {
        self.layer(index).map(|layer| layer.delta)
    }
}

/// C·f as a function of u = U·x:
///
/// ```text
/// ∂(C·f)/∂u = C/U·f′(x),  ∂²(C·f)/∂u² = C/U²·f″(x)
/// ```
///
/// Where it is a distribution, that of its output stays what it is: the deltas of −ln p are divided
/// by U alone, and Fisher's matrix by U².
#[derive(Clone, Debug)]
pub(crate) struct Scaled<O> {
    inner: O,
    units: Units,
    /// u/U.
    x: Vec<f64>,
    /// Deltas of the layers, if there are any, in these units.
    deltas: Vec<Array2<f64>>,
}

impl<O: Deltas> Scaled<O> {
    pub(crate) fn new(inner: O, units: Units) -> Self {
        let (x, deltas) = (Vec::new(), Vec::new());
        Self {
            inner,
            units,
            x,
            deltas,
        }
    }

    fn at(&mut self, u: &[f64]) {
        self.x.clear();
        self.x.extend(u.iter().map(|u| u / self.units.parameter));
    }

    /// C/U.
    fn slope(&self) -> f64 {
        self.units.loss / self.units.parameter
    }

    /// C/U².
    fn bend(&self) -> f64 {
        self.slope() / self.units.parameter
    }

    /// Copies the layers' deltas, times `factor`.
    fn keep_deltas(&mut self, factor: f64) {
        self.deltas.clear();
        let all = (0..).map_while(|index| self.inner.delta(index));
        self.deltas.extend(all.map(|delta| factor * &delta));
    }
}

fn multiply(v: &mut [f64], factor: f64) {
    v.iter_mut().for_each(|v| *v *= factor);
}

impl<O: Deltas> Objective<f64> for Scaled<O> {
    fn params(&self) -> &ParamMap {
        self.inner.params()
    }

    fn value(&mut self, u: &[f64]) -> Result<f64, Error> {
        self.at(u);
        Ok(self.units.loss * self.inner.value(&self.x)?)
    }

    fn grad(&mut self, u: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        self.at(u);
        let value = self.inner.grad(&self.x, g)?;
        multiply(g, self.slope());
        self.keep_deltas(self.slope());
        Ok(self.units.loss * value)
    }

    fn accept(&mut self) {
        self.inner.accept();
    }
}

impl<O: Deltas + HessianDiag<f64>> HessianDiag<f64> for Scaled<O> {
    fn hessian_diag(&mut self, u: &[f64], h: &mut [f64]) -> Result<(), Error> {
        self.at(u);
        self.inner.hessian_diag(&self.x, h)?;
        multiply(h, self.bend());
        Ok(())
    }
}

impl<O: Deltas + HessianProduct<f64>> HessianProduct<f64> for Scaled<O> {
    fn hessian_product(&mut self, u: &[f64], v: &[f64], out: &mut [f64]) -> Result<(), Error> {
        self.at(u);
        self.inner.hessian_product(&self.x, v, out)?;
        multiply(out, self.bend());
        Ok(())
    }
}

impl<O: Deltas + GaussNewton<f64>> GaussNewton<f64> for Scaled<O> {
    fn gauss_newton_product(&mut self, u: &[f64], v: &[f64], out: &mut [f64]) -> Result<(), Error> {
        self.at(u);
        self.inner.gauss_newton_product(&self.x, v, out)?;
        multiply(out, self.bend());
        Ok(())
    }
}

impl<O: Deltas + PerSample<f64>> PerSample<f64> for Scaled<O> {
    fn samples(&self) -> usize {
        self.inner.samples()
    }

    fn grad_moments(&mut self, u: &[f64], g: &mut [f64], square: &mut [f64]) -> Result<f64, Error> {
        self.at(u);
        let value = self.inner.grad_moments(&self.x, g, square)?;
        let slope = self.slope();
        multiply(g, slope);
        // Twice: the square of a slope may leave the range where its product with the moment does not.
        multiply(square, slope);
        multiply(square, slope);
        self.keep_deltas(slope);
        Ok(self.units.loss * value)
    }

    /// ½Σd·x² is ½Σ(d/U²)·u².
    fn penalty(&self, d: &mut [f64]) {
        self.inner.penalty(d);
        multiply(d, self.bend());
    }
}

impl<O: Deltas + Layered<f64>> Layered<f64> for Scaled<O> {
    fn places(&self) -> &[LayerPlace] {
        self.inner.places()
    }

    fn observe(
        &mut self,
        u: &[f64],
        samples: usize,
        visit: &mut ObserveInputs<'_, f64>,
    ) -> Result<usize, Error> {
        self.at(u);
        self.inner.observe(&self.x, samples, visit)
    }

    fn deltas(&mut self, u: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        self.at(u);
        let value = self.inner.deltas(&self.x, g)?;
        multiply(g, self.slope());
        self.keep_deltas(self.slope());
        Ok(self.units.loss * value)
    }

    fn layer(&self, index: usize) -> Option<Layer<'_, f64>> {
        let input = self.inner.layer(index)?.input;
        Some(Layer::new(input, self.deltas.get(index)?.view()))
    }
}

impl<O: Deltas + SampledFisher<f64>> SampledFisher<f64> for Scaled<O> {
    fn sample(&mut self, u: &[f64], seed: u64) -> Result<(), Error> {
        self.at(u);
        self.inner.sample(&self.x, seed)?;
        self.keep_deltas(1.0 / self.units.parameter);
        Ok(())
    }
}

impl<O: Deltas + Fisher<f64>> Fisher<f64> for Scaled<O> {
    fn outputs(&self) -> usize {
        self.inner.outputs()
    }

    fn factor(&mut self, u: &[f64], index: usize) -> Result<(), Error> {
        self.at(u);
        self.inner.factor(&self.x, index)?;
        self.keep_deltas(1.0 / self.units.parameter);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
