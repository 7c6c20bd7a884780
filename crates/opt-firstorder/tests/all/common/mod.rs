//! The problem of the reference iterates, and short ways to run a registered method.
#![allow(dead_code)] // each test file uses some of it

use opt_core::{AnyMethod, Entry, Error, Objective, ParamMap, Value, find_entry};
use opt_firstorder::zoo;

/// f(x) = Σ (½aᵢxᵢ² + ¼xᵢ⁴) + ½ Σ xᵢxᵢ₊₁, as in reference/make.py.
pub(crate) struct Chain(pub(crate) ParamMap);

const A: [f64; 4] = [1.0, 10.0, 0.1, 3.0];

impl Objective<f64> for Chain {
    fn params(&self) -> &ParamMap {
        &self.0
    }

    fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
        let own = x
            .iter()
            .zip(A)
            .map(|(x, a)| 0.5 * a * x * x + 0.25 * x * x * x * x);
        let neighbours = x.windows(2).map(|w| 0.5 * w[0] * w[1]);
        Ok(own.sum::<f64>() + neighbours.sum::<f64>())
    }

    fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        for i in 0..4 {
            let left = if i > 0 { x[i - 1] } else { 0.0 };
            let right = x.get(i + 1).copied().unwrap_or(0.0);
            g[i] = A[i] * x[i] + x[i] * x[i] * x[i] + 0.5 * (left + right);
        }
        self.value(x)
    }
}

/// f(x) = Σ fᵢ(xᵢ), by the derivative of one coordinate: `slope(t, i, x)`, where t counts the
/// evaluations from 1. The loss is a constant.
pub(crate) struct Slopes<S> {
    params: ParamMap,
    slope: S,
    t: u64,
}

impl<S: Fn(u64, usize, f64) -> f64> Slopes<S> {
    pub(crate) fn new(n: usize, slope: S) -> Self {
        let params = ParamMap::flat(n).unwrap();
        Self {
            params,
            slope,
            t: 0,
        }
    }
}

impl<S: Fn(u64, usize, f64) -> f64> Objective<f64> for Slopes<S> {
    fn params(&self) -> &ParamMap {
        &self.params
    }

    fn value(&mut self, _: &[f64]) -> Result<f64, Error> {
        Ok(0.0)
    }

    fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        self.t += 1;
        for (i, (g, &x)) in g.iter_mut().zip(x).enumerate() {
            *g = (self.slope)(self.t, i, x);
        }
        Ok(0.0)
    }
}

/// All iterates, the start included.
pub(crate) fn iterates<O: Objective<f64> + 'static>(
    method: &str,
    set: &[(&str, f64)],
    objective: &mut O,
    start: &[f64],
    steps: usize,
) -> Vec<Vec<f64>> {
    let entries: Vec<Entry<f64, O>> = zoo();
    let entry = find_entry(&entries, method).unwrap();
    let set: Vec<_> = set
        .iter()
        .map(|&(name, value)| (name, Value::Real(value)))
        .collect();
    let mut method: AnyMethod<f64, O> = entry.build(&set, objective).unwrap();
    let mut all = vec![start.to_vec()];
    for _ in 0..steps {
        let mut x = all.last().unwrap().clone();
        method.step(objective, &mut x).unwrap();
        all.push(x);
    }
    all
}

/// The moves of one coordinate whose gradient is `slope(t, i, x)`, from 0.
pub(crate) fn moves(
    method: &str,
    set: &[(&str, f64)],
    slope: impl Fn(u64) -> f64 + 'static,
    steps: usize,
) -> Vec<f64> {
    let mut objective = Slopes::new(1, move |t, _, _| slope(t));
    let all = iterates(method, set, &mut objective, &[0.0], steps);
    all.windows(2).map(|w| w[1][0] - w[0][0]).collect()
}
