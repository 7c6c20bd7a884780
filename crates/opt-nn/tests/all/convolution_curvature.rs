//! Second derivatives through convolutions and pooling.
#![allow(clippy::unwrap_used)] // in helpers of the tests too

use crate::common;

use common::maps::*;
use common::{data, labels, parameters};
use ndarray::{Array1, ArrayView2, Axis, s};
use opt_core::{GaussNewton, HessianDiag, HessianProduct, Objective, PerSample};
use opt_nn::{Activation, Convolution, Layer, Mlp, Pool, PoolKind, Spec, Target};

#[test]
fn products_by_differences_of_gradients() {
    for (name, mut spec) in cases() {
        if name.starts_with("Relu") {
            continue; // whose second derivative is not what a difference over a kink gives
        }
        for dropout in [0.0, 0.4] {
            (spec.layers[0].dropout, spec.layers[1].dropout) = (dropout, dropout);
            let (mut net, x) = loaded(&spec);
            let v = direction(x.len(), 0.5);
            let mut product = vec![0.0; x.len()];
            net.hessian_product(&x, &v, &mut product).unwrap();
            // Small, as another pixel may soon be the greatest of its window.
            let h = 1e-7;
            let [up, down] = [h, -h].map(|h| {
                let mut g = vec![0.0; x.len()];
                net.grad(&moved(&x, &v, h), &mut g).unwrap();
                g
            });
            for (i, product) in product.iter().enumerate() {
                let difference = (up[i] - down[i]) / (2.0 * h);
                assert!(
                    (product - difference).abs() < 1e-6,
                    "{name}: {product} {difference}"
                );
            }
        }
    }
}

#[test]
fn gauss_newton_by_differences_of_outputs() {
    for (name, mut spec) in cases() {
        spec.l2 = 0.0;
        let (mut net, x) = loaded(&spec);
        let (v, layers) = (direction(x.len(), 0.7), spec.layers.len());
        let mut product = vec![0.0; x.len()];
        net.gauss_newton_product(&x, &v, &mut product).unwrap();
        let inputs = data::<f64>(ROWS, spec.inputs) - 0.4;
        let h = 1e-6;
        let [up, down] = [h, -h].map(|h| {
            net.hidden(&moved(&x, &v, h), inputs.view(), layers)
                .unwrap()
        });
        let along = (up - down) / (2.0 * h);
        let p = net.predict(&x, inputs.view()).unwrap();
        let mut expected = 0.0;
        for (p, j) in p.axis_iter(Axis(0)).zip(along.axis_iter(Axis(0))) {
            let mean = (&p * &j).sum();
            expected += (&p * &j * j).sum() - mean * mean;
        }
        near(dot(&product, &v), expected / ROWS as f64, 2e-5, &name);
    }
}

#[test]
fn squared_gradients_of_the_samples() {
    for (name, mut spec) in cases() {
        spec.l2 = 0.0;
        let (mut net, x) = loaded(&spec);
        let (mut g, mut square) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        net.grad_moments(&x, &mut g, &mut square).unwrap();
        let (inputs, classes) = (data::<f64>(ROWS, spec.inputs) - 0.4, labels(ROWS, CLASSES));
        let mut expected = vec![0.0; x.len()];
        for row in 0..ROWS {
            let target = Target::Classes(&classes);
            net.load_rows(inputs.view(), target, &[row], 0).unwrap();
            net.grad(&x, &mut g).unwrap();
            let all = expected.iter_mut().zip(&g);
            all.for_each(|(sum, g)| *sum += g * g / ROWS as f64);
        }
        for (found, expected) in square.iter().zip(&expected) {
            assert!(
                (found - expected).abs() < 1e-14,
                "{name}: {found} {expected}"
            );
        }
    }
}

#[test]
fn the_diagonal_is_that_of_the_recursion() {
    let (height, width, channels) = (4, 5, 2);
    let convolution = Convolution {
        kernel: 3,
        stride: 1,
        padding: 1,
    };
    for pool in [None, Some(Pool::max(2, 2)), Some(Pool::average(2, 2))] {
        let inputs = height * width * channels;
        let mut spec = Spec::classifier(&[inputs, CLASSES], Activation::Tanh);
        spec.image = Some([height, width, channels]);
        let mut maps = Layer::convolution(3, convolution, Activation::Tanh);
        maps.pool = pool;
        spec.layers.insert(0, maps);
        let mut net = Mlp::<f64>::new(spec.clone()).unwrap();
        let x = parameters(&net, 5);
        let (data, classes) = (data::<f64>(ROWS, inputs) - 0.4, labels(ROWS, CLASSES));
        net.load(data.view(), Target::Classes(&classes), 0).unwrap();
        let mut h = vec![0.0; x.len()];
        net.hessian_diag(&x, &mut h).unwrap();
        let p = net.predict(&x, data.view()).unwrap();
        let out = net.hidden(&x, data.view(), 1).unwrap();
        let out = out.into_shape_with_order((ROWS, height, width, 3)).unwrap();
        let segments = net.params().segments();
        let above = ArrayView2::from_shape(
            (CLASSES, segments[2].range.len() / CLASSES),
            &x[segments[2].range.clone()],
        );
        let above = above.unwrap();
        let mut expected = Array1::<f64>::zeros(segments[0].range.len());
        for (n, y, u, o) in ndarray::indices(out.dim()).into_iter() {
            // What the pixel gives to the outputs, squared.
            let to = |window: usize, share: f64| -> f64 {
                let all = (0..CLASSES).map(|k| {
                    let slope = p[[n, k]] * (1.0 - p[[n, k]]) / ROWS as f64;
                    slope * (share * above[[k, window * 3 + o]]).powi(2)
                });
                all.sum()
            };
            let window = (y / 2) * (width / 2) + u / 2;
            let inside = u / 2 < width / 2 && y / 2 < height / 2;
            let (top, left) = (y / 2 * 2, u / 2 * 2);
            let curvature = match pool.map(|pool| pool.kind) {
                None => to(y * width + u, 1.0),
                Some(_) if !inside => 0.0,
                Some(PoolKind::Max) => {
                    let window_of = out.slice(s![n, top..top + 2, left..left + 2, o]);
                    let greatest = window_of.iter().copied().fold(f64::MIN, f64::max);
                    if out[[n, y, u, o]] == greatest {
                        to(window, 1.0)
                    } else {
                        0.0
                    }
                }
                Some(_) => to(window, 0.25),
            };
            let slope = 1.0 - out[[n, y, u, o]].powi(2);
            let curvature = curvature * slope * slope;
            for (ky, kx, i) in ndarray::indices((3, 3, channels)).into_iter() {
                let (row, column) = ((y + ky).wrapping_sub(1), (u + kx).wrapping_sub(1));
                if row < height && column < width {
                    let pixel = data[[n, (row * width + column) * channels + i]];
                    expected[((o * 3 + ky) * 3 + kx) * channels + i] += curvature * pixel * pixel;
                }
            }
        }
        for (found, expected) in h[segments[0].range.clone()].iter().zip(&expected) {
            assert!(
                (found - expected).abs() < 1e-13,
                "{pool:?}: {found} {expected}"
            );
        }
    }
}
