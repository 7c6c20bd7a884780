//! A model on which all that K-FAC approximates is exact.

use ndarray::{Array2, ArrayView1, Axis, concatenate, s};
use opt_core::{Error, Fisher, Layer, LayerPlace, Layered, Objective, ParamMap, SampledFisher};

use crate::solve::solve;

/// ½‖W·h + b − y‖², with one output after the other as the drawn label's error: every sample is
/// there once for each output k, with the delta √K·eₖ. So E[δδᵀ] = I, independent of h, and the
/// drawn Fisher matrix is the exact one, I ⊗ E[h̄h̄ᵀ].
pub(crate) struct Linear {
    params: ParamMap,
    places: Vec<LayerPlace>,
    pub(crate) inputs: Array2<f64>,
    targets: Array2<f64>,
    deltas: Array2<f64>,
    /// What the loss is after a step, instead of the truth.
    pub(crate) lie: Option<f64>,
}

impl Linear {
    /// Of `distinct` samples, each as often as there are outputs.
    pub(crate) fn new(distinct: usize, inputs: usize, outputs: usize) -> Self {
        let rows = distinct * outputs;
        // A frequency for each column: of one frequency they would be dependent.
        let value = |a: usize, b: usize, salt: f64| {
            ((a * a + 1) as f64 * (0.7 + 0.37 * b as f64) + salt).sin()
        };
        let shapes = [("weight", vec![outputs, inputs]), ("bias", vec![outputs])];
        Self {
            params: ParamMap::new(shapes).unwrap(),
            places: vec![LayerPlace::dense(0, Some(1))],
            inputs: Array2::from_shape_fn((rows, inputs), |(n, j)| value(n / outputs, j, 0.0)),
            targets: Array2::from_shape_fn((rows, outputs), |(n, k)| value(n, k, 4.0)),
            deltas: Array2::zeros((rows, outputs)),
            lie: None,
        }
    }

    fn outputs_of(&self, x: &[f64]) -> Array2<f64> {
        let (k, n) = (self.targets.ncols(), self.inputs.ncols());
        let w = Array2::from_shape_vec((k, n), x[..k * n].to_vec()).unwrap();
        self.inputs.dot(&w.t()) + ArrayView1::from(&x[k * n..])
    }

    /// W and b of the normal equations, in the parameters' order.
    pub(crate) fn least_squares(&self) -> Vec<f64> {
        let h = concatenate![Axis(1), self.inputs, Array2::ones((self.inputs.nrows(), 1))];
        let (n, k) = (self.inputs.ncols(), self.targets.ncols());
        let best = solve(h.t().dot(&h), h.t().dot(&self.targets));
        let weights = best
            .slice(s![..n, ..])
            .t()
            .iter()
            .copied()
            .collect::<Vec<_>>();
        assert_eq!(weights.len(), n * k);
        weights.into_iter().chain(best.row(n).to_vec()).collect()
    }
}

impl Objective<f64> for Linear {
    fn params(&self) -> &ParamMap {
        &self.params
    }

    fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
        let error = self.outputs_of(x) - &self.targets;
        let loss = 0.5 * (&error * &error).sum() / self.inputs.nrows() as f64;
        Ok(self.lie.unwrap_or(loss))
    }

    fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        let loss = self.deltas(x, g)?;
        let w = self.deltas.t().dot(&self.inputs);
        let all = w.into_iter().chain(self.deltas.sum_axis(Axis(0)));
        g.iter_mut().zip(all).for_each(|(to, g)| *to = g);
        Ok(loss)
    }
}

impl Layered<f64> for Linear {
    fn places(&self) -> &[LayerPlace] {
        &self.places
    }

    fn deltas(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        let lie = self.lie.take();
        let loss = self.value(x)?;
        self.lie = lie;
        self.deltas = (self.outputs_of(x) - &self.targets) / self.inputs.nrows() as f64;
        g.fill(0.0);
        Ok(loss)
    }

    fn layer(&self, index: usize) -> Option<Layer<'_, f64>> {
        (index == 0).then(|| Layer::new(self.inputs.view(), self.deltas.view()))
    }
}

impl SampledFisher<f64> for Linear {
    fn sample(&mut self, _: &[f64], _: u64) -> Result<(), Error> {
        let (rows, k) = self.targets.dim();
        let one = (k as f64).sqrt() / rows as f64;
        self.deltas = Array2::from_shape_fn((rows, k), |(n, j)| if n % k == j { one } else { 0.0 });
        Ok(())
    }
}

impl Fisher<f64> for Linear {
    fn outputs(&self) -> usize {
        self.targets.ncols()
    }

    fn factor(&mut self, _: &[f64], index: usize) -> Result<(), Error> {
        let one = 1.0 / self.targets.nrows() as f64;
        self.deltas.fill(0.0);
        self.deltas.column_mut(index).fill(one);
        Ok(())
    }
}
