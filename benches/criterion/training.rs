//! The training loop of `mnist-mlp` with Adam (a minibatch's rows, dropout masks, forward,
//! backward, update) against its matrix products alone, both in the same run and in turns.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::time::{Duration, Instant};

use criterion::Criterion;
use ndarray::Array2;
use opt_core::{Objective, Rule};
use opt_firstorder::Adam;
use opt_nn::{Activation, Init, Mlp, Spec, Target, gemm};

const WIDTHS: [usize; 4] = [784, 1000, 1000, 10];
const BATCH: usize = 128;

/// The 3 products forward, 3 for the weights' gradients, and 2 for the inner layers' deltas.
struct Products {
    activations: Vec<Array2<f32>>,
    weights: Vec<Array2<f32>>,
    gradients: Vec<Array2<f32>>,
}

impl Products {
    fn new() -> Self {
        let filled = |shape| Array2::from_elem(shape, 1e-3);
        let weights = || WIDTHS.windows(2).map(|w| filled((w[1], w[0]))).collect();
        Self {
            activations: WIDTHS.iter().map(|&w| filled((BATCH, w))).collect(),
            weights: weights(),
            gradients: weights(),
        }
    }

    fn run(&mut self) {
        let layers = self.weights.len();
        for l in 0..layers {
            let (below, above) = self.activations.split_at_mut(l + 1);
            let (w, out) = (self.weights[l].t(), above[0].view_mut());
            gemm(1.0, below[l].view(), w, 0.0, out).unwrap();
        }
        for l in (0..layers).rev() {
            let (below, above) = self.activations.split_at_mut(l + 1);
            let g = self.gradients[l].view_mut();
            gemm(1.0, above[0].t(), below[l].view(), 0.0, g).unwrap();
            if l > 0 {
                let (w, out) = (self.weights[l].view(), below[l].view_mut());
                gemm(1.0, above[0].view(), w, 0.0, out).unwrap();
            }
        }
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .measurement_time(Duration::from_secs(4))
        .configure_from_args();
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/mnist");
    let train = opt_data::mnist(data).unwrap().train;
    let mut spec = Spec::classifier(&WIDTHS, Activation::Relu);
    spec.layers[0].dropout = 0.5;
    spec.layers[1].dropout = 0.5;
    let mut mlp = Mlp::<f32>::new(spec).unwrap();
    let mut x = mlp.init(Init::He, 0);
    let mut adam = Adam::default().method(mlp.params()).unwrap();
    let mut products = Products::new();
    let (mut ratios, mut t) = (Vec::new(), 0_usize);
    criterion.bench_function("training/mnist-mlp adam", |b| {
        b.iter_custom(|iterations| {
            let mut total = Duration::ZERO;
            for _ in 0..iterations {
                let begin = Instant::now();
                products.run();
                let alone = begin.elapsed();
                let first = t * 7919 % (train.labels.len() - BATCH);
                let rows: Vec<usize> = (first..first + BATCH).collect();
                t += 1;
                let begin = Instant::now();
                let target = Target::Classes(&train.labels);
                mlp.load_rows(train.inputs.view(), target, &rows, t as u64)
                    .unwrap();
                adam.step(&mut mlp, &mut x).unwrap();
                let step = begin.elapsed();
                total += step;
                ratios.push(step.as_secs_f64() / alone.as_secs_f64());
            }
            total
        });
    });
    ratios.sort_by(f64::total_cmp);
    if let Some(ratio) = ratios.get(ratios.len() / 2) {
        println!("one update to its matrix products alone: {ratio:.2}");
    }
    criterion.final_summary();
}
