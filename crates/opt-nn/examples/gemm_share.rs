//! What a training step costs beside its matrix products: 784-1000-1000-10, ReLU, dropout, batch
//! of 128, f32. Run it as
//! `OPENBLAS_NUM_THREADS=1 cargo run --release -p opt-nn --example gemm_share [--features openblas]`.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::Instant;

use ndarray::Array2;
use opt_core::Objective;
use opt_nn::{Activation, Init, Mlp, Spec, Target, gemm};

const WIDTHS: [usize; 4] = [784, 1000, 1000, 10];
const BATCH: usize = 128;
const RUNS: usize = 200;

/// The 3 products forward, 3 for the weights' gradients, and 2 for the inner layers' deltas.
struct Products {
    activations: Vec<Array2<f32>>,
    weights: Vec<Array2<f32>>,
    gradients: Vec<Array2<f32>>,
}

impl Products {
    fn new() -> Self {
        let ones = |shape| Array2::from_elem(shape, 1e-3);
        let weights = || WIDTHS.windows(2).map(|w| ones((w[1], w[0]))).collect();
        Self {
            activations: WIDTHS.iter().map(|&w| ones((BATCH, w))).collect(),
            weights: weights(),
            gradients: weights(),
        }
    }

    fn run(&mut self) -> Result<(), opt_nn::Error> {
        let layers = self.weights.len();
        for l in 0..layers {
            let (below, above) = self.activations.split_at_mut(l + 1);
            let w = self.weights[l].t();
            gemm(1.0, below[l].view(), w, 0.0, above[0].view_mut())?;
        }
        for l in (0..layers).rev() {
            let (below, above) = self.activations.split_at_mut(l + 1);
            let g = self.gradients[l].view_mut();
            gemm(1.0, above[0].t(), below[l].view(), 0.0, g)?;
            if l > 0 {
                let w = self.weights[l].view();
                gemm(1.0, above[0].view(), w, 0.0, below[l].view_mut())?;
            }
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    // Inside the pool, so that the products alone do not pay for entering it eight times.
    rayon::join(measure, || ()).0
}

fn measure() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut spec = Spec::classifier(&WIDTHS, Activation::Relu);
    spec.input_dropout = 0.2;
    spec.layers[0].dropout = 0.5;
    spec.layers[1].dropout = 0.5;
    let mut net = Mlp::<f32>::new(spec)?;
    let x = net.init(Init::He, 1);
    let mut g = vec![0.0; x.len()];
    let inputs = Array2::from_shape_fn((BATCH, WIDTHS[0]), |(i, j)| ((i * j) % 17) as f32 / 17.0);
    let classes: Vec<u8> = (0..BATCH).map(|i| (i % 10) as u8).collect();

    let mut products = Products::new();
    let mut times = [const { Vec::new() }; 3];
    for run in 0..RUNS {
        let start = Instant::now();
        products.run()?;
        times[0].push(start.elapsed());
        let start = Instant::now();
        net.load(inputs.view(), Target::Classes(&classes), run as u64)?;
        times[1].push(start.elapsed());
        let start = Instant::now();
        net.grad(&x, &mut g)?;
        times[2].push(start.elapsed());
    }
    let [products, load, grad] = times.map(|mut times| {
        times.sort();
        times[RUNS / 2].as_secs_f64() * 1e3
    });
    println!(
        "{} threads, medians of {RUNS}:",
        rayon::current_num_threads()
    );
    println!("8 products           {products:7.3} ms");
    println!("load (copy, masks)   {load:7.3} ms");
    println!("grad                 {grad:7.3} ms");
    println!("(load + grad) / products = {:.3}", (load + grad) / products);
    Ok(())
}
