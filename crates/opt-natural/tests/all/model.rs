//! The curvature in K-FAC's model of the loss: unbiased, also in a step whose labels are in its
//! inverses.

use ndarray::Array1;
use opt_core::{
    Direction, Error, Layer, LayerPlace, Layered, Method, Objective, ParamMap, SampledFisher,
};
use opt_natural::{Kfac, StepSize, fisher, sampled_fisher};
use opt_nn::Mlp;

use crate::common::classifier;

/// A network whose labels are others for every salt.
struct Salted(Mlp<f64>, u64);

impl Objective<f64> for Salted {
    fn params(&self) -> &ParamMap {
        self.0.params()
    }
    fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
        self.0.value(x)
    }
    fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        self.0.grad(x, g)
    }
}

impl Layered<f64> for Salted {
    fn places(&self) -> &[LayerPlace] {
        self.0.places()
    }
    fn deltas(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        self.0.deltas(x, g)
    }
    fn layer(&self, index: usize) -> Option<Layer<'_, f64>> {
        self.0.layer(index)
    }
}

impl SampledFisher<f64> for Salted {
    fn sample(&mut self, x: &[f64], seed: u64) -> Result<(), Error> {
        self.0.sample(x, seed.wrapping_add(self.1 << 20))
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Over many draws of the first step's labels the ratio of the mean curvature along the step, as the
/// model had it, to that by the exact Fisher matrix, with its standard error; and the same ratio by
/// the labels that are in the inverses.
fn ratios(rows: usize, draws: u64) -> (f64, f64, f64) {
    let (mlp, x) = classifier(&[3, 4, 3], rows);
    let damping = 0.02;
    let kfac = Kfac {
        damping,
        lr: 1.0,
        damping_decay: 1.0,
        step_size: StepSize::Model,
        ..Kfac::default()
    };
    let mut model = Salted(mlp, 0);
    let exact = fisher(&mut model.0, &x, None).unwrap();
    let mut g = vec![0.0; x.len()];
    model.grad(&x, &mut g).unwrap();
    let (mut by_model, mut by_exact, mut by_same) = (Vec::new(), Vec::new(), 0.0);
    for salt in 0..draws {
        model.1 = salt;
        let (params, places) = (model.params().clone(), model.places().to_vec());
        let mut direction = kfac.direction::<f64>(&params, &places).unwrap();
        let mut d = vec![0.0; x.len()];
        direction.propose(&mut model, &x, &mut d).unwrap();
        let mut method = kfac.method::<f64>(&params, &places).unwrap();
        let mut y = x.clone();
        method.step(&mut model, &mut y).unwrap();
        // y = x − αd, where α = gᵀd/(dᵀFd + λdᵀd).
        let step: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x - y).collect();
        let alpha = dot(&step, &d) / dot(&d, &d);
        by_model.push(dot(&g, &d) / alpha - damping * dot(&d, &d));
        let v = Array1::from(d);
        by_exact.push(v.dot(&exact.dot(&v)));
        let same = sampled_fisher(&mut model, &x, 1, None).unwrap();
        by_same += v.dot(&same.dot(&v));
    }
    let n = draws as f64;
    let truth = by_exact.iter().sum::<f64>();
    let mean = by_model.iter().sum::<f64>() / truth;
    // Of the ratio, by the differences of each draw.
    let differences = by_model.iter().zip(&by_exact).map(|(m, e)| m - mean * e);
    let variance = differences.map(|d| d * d).sum::<f64>() / (n - 1.0);
    (mean, (n * variance).sqrt() / truth, by_same / truth)
}

#[test]
fn the_curvature_of_the_step_is_unbiased() {
    for (rows, draws) in [(7, 3_000), (50, 1_000)] {
        let (mean, error, same) = ratios(rows, draws);
        assert!(error < 0.03, "{rows} rows: {mean} ± {error}");
        assert!((mean - 1.0).abs() < 3.0 * error, "{rows}: {mean} ± {error}");
        // What the test is there to find: labels that are in the inverses make it too small.
        assert!(same < 1.0 - 5.0 * error, "{rows} rows: {same}, {error}");
    }
}
