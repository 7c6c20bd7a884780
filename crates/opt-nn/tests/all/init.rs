//! Initial parameters against the moments of their distributions.

use crate::common;

use common::spec;
use opt_core::Objective;
use opt_nn::{Activation, Init, Loss, Mlp};

#[test]
fn variances_means_and_ranges() {
    let spec = spec(&[300, 200, 100], Activation::Tanh, Loss::SquaredError);
    let net = Mlp::<f64>::new(spec).unwrap();
    for (index, (fan_out, fan_in)) in [(200.0, 300.0), (100.0, 200.0)].into_iter().enumerate() {
        for (init, variance) in [
            (Init::Glorot, 2.0 / (fan_in + fan_out)),
            (Init::He, 2.0 / fan_in),
            (Init::LeCun, 1.0 / fan_in),
            (Init::Gaussian { std: 0.03 }, 0.03 * 0.03),
        ] {
            let x = net.init(init, 17);
            let range = |name| {
                net.params()
                    .get(&format!("layer{index}.{name}"))
                    .unwrap()
                    .range
                    .clone()
            };
            assert!(x[range("bias")].iter().all(|&b| b == 0.0));
            let w = &x[range("weight")];
            let n = w.len() as f64;
            // Five standard deviations of the estimates. Fourth moments are 9/5 σ⁴ and 3 σ⁴.
            let (mean, square) = (
                w.iter().sum::<f64>() / n,
                w.iter().map(|w| w * w).sum::<f64>() / n,
            );
            let kurtosis = if init == Init::Glorot { 1.8 } else { 3.0 };
            assert!(
                mean.abs() < 5.0 * (variance / n).sqrt(),
                "{init:?}: mean {mean}"
            );
            let off = (square / variance - 1.0).abs();
            assert!(
                off < 5.0 * ((kurtosis - 1.0) / n).sqrt(),
                "{init:?}: variance {square}"
            );
            let fourth = w.iter().map(|w| w.powi(4)).sum::<f64>() / n / variance.powi(2);
            assert!(
                (fourth - kurtosis).abs() < 0.3,
                "{init:?}: kurtosis {fourth}"
            );
            let limit = (6.0 / (fan_in + fan_out)).sqrt();
            let largest = w.iter().fold(0.0_f64, |m, w| m.max(w.abs()));
            assert!(init != Init::Glorot || (0.99 * limit..=limit).contains(&largest));
        }
    }
    assert_eq!(net.init(Init::He, 1), net.init(Init::He, 1));
    assert_ne!(net.init(Init::He, 1), net.init(Init::He, 2));
}
