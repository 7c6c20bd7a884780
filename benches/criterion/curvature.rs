//! What a Gauss–Newton product and the other curvature of the network cost beside a gradient, on the
//! auto-encoder of `prong-autoencoder`, at the same minibatch, in the same run and in turns.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::time::{Duration, Instant};

use criterion::Criterion;
use ndarray::s;
use opt_core::{GaussNewton, HessianDiag, HessianProduct, Objective, PerSample};
use opt_nn::{Activation, Init, Mlp, Spec, Target};

const BATCH: usize = 1_000;

type Kernel = fn(&mut Mlp<f32>, &[f32], &mut [f32], &mut [f32]);

/// A gradient; then what is compared with it. The last two start from a minibatch that the network
/// has not been run on, as at a new point.
const KERNELS: [(&str, bool, Kernel); 7] = [
    ("gradient", false, |net, x, g, _| {
        net.grad(x, g).unwrap();
    }),
    ("Gauss-Newton product", false, |net, x, g, out| {
        net.gauss_newton_product(x, g, out).unwrap();
    }),
    ("Hessian product", false, |net, x, g, out| {
        net.hessian_product(x, g, out).unwrap();
    }),
    ("gradient with squares", false, |net, x, g, out| {
        net.grad_moments(x, g, out).unwrap();
    }),
    ("value", false, |net, x, _, _| {
        net.value(x).unwrap();
    }),
    ("first Gauss-Newton product", true, |net, x, g, out| {
        net.gauss_newton_product(x, g, out).unwrap();
    }),
    ("bbprop diagonal", true, |net, x, _, out| {
        net.hessian_diag(x, out).unwrap();
    }),
];

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(1))
        .measurement_time(Duration::from_secs(8))
        .configure_from_args();
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/mnist");
    let train = opt_data::mnist(data).unwrap().train;
    let inputs = train.inputs.slice(s![..BATCH, ..]);
    let widths = [784, 1000, 500, 250, 30];
    let mut net = Mlp::<f32>::new(Spec::autoencoder(&widths, Activation::Sigmoid)).unwrap();
    let x = net.init(Init::LeCun, 0);
    let (mut g, mut out) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    let mut times = KERNELS.map(|_| Vec::new());
    criterion.bench_function("curvature/auto-encoder", |b| {
        b.iter_custom(|iterations| {
            let mut total = Duration::ZERO;
            for _ in 0..iterations {
                net.load(inputs, Target::Inputs, 0).unwrap();
                // The pass that every product at this point shares.
                net.hessian_product(&x, &g, &mut out).unwrap();
                for ((_, anew, kernel), times) in KERNELS.iter().zip(&mut times) {
                    if *anew {
                        net.load(inputs, Target::Inputs, 0).unwrap();
                    }
                    let begin = Instant::now();
                    kernel(&mut net, &x, &mut g, &mut out);
                    times.push(begin.elapsed().as_secs_f64());
                }
                total += Duration::from_secs_f64(times[1].last().copied().unwrap());
            }
            total
        });
    });
    let medians = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
    });
    for ((name, ..), median) in KERNELS.iter().zip(medians) {
        println!("{name}: {:.2} of a gradient", median / medians[0]);
    }
    criterion.final_summary();
}
