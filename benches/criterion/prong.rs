//! What an update of PRONG costs beside one of momentum, on the auto-encoder of `prong-autoencoder`:
//! a hundred updates of each in turns of one, so that one refresh of the factors (T = 100) is among
//! them, in the same run.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::time::{Duration, Instant};

use criterion::Criterion;
use ndarray::{Array2, s};
use opt_core::{Layered, Method, Objective, Rule};
use opt_firstorder::Momentum;
use opt_natural::{Prong, ProngPlus};
use opt_nn::{Activation, Init, Mlp, Spec, Target};

const BATCH: usize = 128;
const PERIOD: usize = 100;

struct Runner {
    mlp: Mlp<f32>,
    x: Vec<f32>,
    method: Box<dyn Method<f32, Mlp<f32>>>,
    spent: Duration,
}

impl Runner {
    fn new(build: impl Fn(&Mlp<f32>) -> Box<dyn Method<f32, Mlp<f32>>>) -> Self {
        let widths = [784, 1000, 500, 250, 30];
        let mlp = Mlp::new(Spec::autoencoder(&widths, Activation::Sigmoid)).unwrap();
        Self {
            x: mlp.init(Init::LeCun, 0),
            method: build(&mlp),
            mlp,
            spent: Duration::ZERO,
        }
    }

    fn update(&mut self, inputs: &Array2<f32>) {
        let begin = Instant::now();
        self.mlp.load(inputs.view(), Target::Inputs, 0).unwrap();
        self.method.step(&mut self.mlp, &mut self.x).unwrap();
        self.spent += begin.elapsed();
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(1))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/mnist");
    let train = opt_data::mnist(data).unwrap().train;
    let mut ratios = [Vec::new(), Vec::new()];
    criterion.bench_function("prong/100 updates", |b| {
        b.iter_custom(|iterations| {
            let mut total = Duration::ZERO;
            for _ in 0..iterations {
                let mut all = [
                    Runner::new(|mlp| {
                        let rule = Momentum {
                            lr: 1e-3,
                            ..Momentum::default()
                        };
                        Box::new(rule.method(mlp.params()).unwrap())
                    }),
                    Runner::new(|mlp| {
                        let rule = Prong {
                            lr: 1e-3,
                            ..Prong::default()
                        };
                        Box::new(rule.method(mlp.params(), mlp.places()).unwrap())
                    }),
                    Runner::new(|mlp| {
                        let rule = ProngPlus {
                            lr: 1e-3,
                            ..ProngPlus::default()
                        };
                        Box::new(rule.method(mlp.params(), mlp.places()).unwrap())
                    }),
                ];
                // The first period has its own rhythm: measure the second.
                for update in 0..2 * PERIOD + 40 {
                    let first = update * BATCH % 50_000;
                    let inputs = train.inputs.slice(s![first..first + BATCH, ..]).to_owned();
                    if update == PERIOD + 40 {
                        all.iter_mut()
                            .for_each(|runner| runner.spent = Duration::ZERO);
                    }
                    all.iter_mut().for_each(|runner| runner.update(&inputs));
                }
                let [momentum, prong, plus] = all.map(|runner| runner.spent);
                total += prong;
                ratios[0].push(prong.as_secs_f64() / momentum.as_secs_f64());
                ratios[1].push(plus.as_secs_f64() / momentum.as_secs_f64());
            }
            total
        });
    });
    for (name, mut ratios) in ["prong", "prong-plus"].into_iter().zip(ratios) {
        ratios.sort_by(f64::total_cmp);
        if let Some(ratio) = ratios.get(ratios.len() / 2) {
            println!(
                "one update of {name}, averaged over T = {PERIOD}, to one of momentum: {ratio:.2}"
            );
        }
    }
    criterion.final_summary();
}
