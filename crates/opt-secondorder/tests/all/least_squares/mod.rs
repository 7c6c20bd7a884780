//! A small nonlinear regression with an explicit Jacobian.

use opt_core::{Error, GaussNewton, Objective, ParamMap, PerSample, dot};
use serde_json::Value;

/// f(x) = mean over the samples n of ½(tanh(aₙᵀx) − tₙ)².
#[derive(Clone)]
pub(crate) struct Tanh {
    inputs: Vec<Vec<f64>>,
    targets: Vec<f64>,
    params: ParamMap,
}

impl Tanh {
    /// From the file of the reference.
    pub(crate) fn of(value: &Value) -> Self {
        let numbers = |value: &Value| -> Vec<f64> {
            let all = value.as_array().unwrap().iter();
            all.map(|v| v.as_f64().unwrap()).collect()
        };
        let inputs: Vec<_> = value["inputs"]
            .as_array()
            .unwrap()
            .iter()
            .map(numbers)
            .collect();
        Self {
            params: ParamMap::flat(inputs[0].len()).unwrap(),
            inputs,
            targets: numbers(&value["targets"]),
        }
    }

    /// The residuals, each with its row of the Jacobian.
    fn residuals(&self, x: &[f64]) -> impl Iterator<Item = (f64, Vec<f64>)> {
        self.inputs.iter().zip(&self.targets).map(|(a, t)| {
            let h = dot(a, x).tanh();
            (h - t, a.iter().map(|a| (1.0 - h * h) * a).collect())
        })
    }

    fn share(&self) -> f64 {
        1.0 / self.targets.len() as f64
    }
}

impl Objective<f64> for Tanh {
    fn params(&self) -> &ParamMap {
        &self.params
    }

    fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
        Ok(self.residuals(x).map(|(r, _)| 0.5 * r * r).sum::<f64>() * self.share())
    }

    fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        let mut square = vec![0.0; g.len()];
        self.grad_moments(x, g, &mut square)
    }
}

impl PerSample<f64> for Tanh {
    fn samples(&self) -> usize {
        self.targets.len()
    }

    fn grad_moments(&mut self, x: &[f64], g: &mut [f64], square: &mut [f64]) -> Result<f64, Error> {
        g.fill(0.0);
        square.fill(0.0);
        for (r, row) in self.residuals(x) {
            for ((g, square), j) in g.iter_mut().zip(&mut *square).zip(row) {
                *g += r * j * self.share();
                *square += (r * j).powi(2) * self.share();
            }
        }
        self.value(x)
    }
}

impl GaussNewton<f64> for Tanh {
    fn gauss_newton_product(&mut self, x: &[f64], v: &[f64], out: &mut [f64]) -> Result<(), Error> {
        out.fill(0.0);
        for (_, row) in self.residuals(x) {
            let along = dot(&row, v) * self.share();
            out.iter_mut()
                .zip(&row)
                .for_each(|(out, j)| *out += along * j);
        }
        Ok(())
    }
}
