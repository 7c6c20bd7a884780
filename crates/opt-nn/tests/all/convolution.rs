//! Convolutions and pooling against loops and finite differences.
#![allow(clippy::unwrap_used)] // in helpers of the tests too

use crate::common;

use common::maps::*;
use common::{data, labels, parameters};
use ndarray::{Array1, Array2, Array4, ArrayView2, Axis, s};
use opt_core::{LayerKind, Layered, Objective, PerSample, Reparametrized, SampledFisher};
use opt_nn::{Activation, BatchNorm, Convolution, Layer, Mlp, Pool, PoolKind, Spec, Target};

#[test]
fn gradients_by_finite_differences_for_every_kind() {
    let mut count = 0;
    for (name, mut spec) in cases() {
        for variant in ["plain", "dropout", "normalized"] {
            match variant {
                "dropout" => {
                    spec.input_dropout = 0.2;
                    (spec.layers[0].dropout, spec.layers[1].dropout) = (0.3, 0.4);
                }
                "normalized" => {
                    spec.layers[0].norm = Some(BatchNorm::default());
                    spec.layers[1].norm = Some(BatchNorm::default());
                }
                _ => {}
            }
            let (mut net, x) = loaded(&spec);
            let mut g = vec![0.0; x.len()];
            net.grad(&x, &mut g).unwrap();
            for salt in [0.0, 1.0] {
                let v = direction(x.len(), salt);
                // Small, as a kink of a ReLU may be near.
                let h = 1e-7;
                let [up, down] = [h, -h].map(|h| net.value(&moved(&x, &v, h)).unwrap());
                near(
                    (up - down) / (2.0 * h),
                    dot(&g, &v),
                    2e-5,
                    &format!("{name}, {variant}"),
                );
                count += 1;
            }
        }
    }
    assert!(count > 200, "{count}");
}

/// By the definition, one number at a time.
fn naive(spec: &Spec, net: &Mlp<f64>, x: &[f64], inputs: ArrayView2<'_, f64>) -> Array2<f64> {
    let [height, width, channels] = IMAGE;
    let mut maps = Array4::from_shape_fn((inputs.nrows(), height, width, channels), |at| {
        inputs[[at.0, (at.1 * width + at.2) * channels + at.3]]
    });
    let tensor = |name: &str| {
        let all = net.params().segments();
        let segment = all.iter().find(|s| s.name == name).unwrap();
        &x[segment.range.clone()]
    };
    for (index, layer) in spec.layers.iter().enumerate() {
        let (weight, bias) = (
            tensor(&format!("layer{index}.weight")),
            tensor(&format!("layer{index}.bias")),
        );
        let (n, h, w, c) = maps.dim();
        let Some(conv) = layer.convolution else {
            let flat = maps.as_standard_layout().into_owned();
            let flat = flat.into_shape_with_order((n, h * w * c)).unwrap();
            let weight = ArrayView2::from_shape((layer.units, h * w * c), weight).unwrap();
            return flat.dot(&weight.t()) + Array1::from(bias.to_vec());
        };
        let along = |length: usize| (length + 2 * conv.padding - conv.kernel) / conv.stride + 1;
        let shape = (n, along(h), along(w), layer.units);
        let mut out = Array4::from_shape_fn(shape, |(n, y, x, o)| {
            let mut sum = bias[o];
            for (ky, kx, i) in ndarray::indices((conv.kernel, conv.kernel, c)).into_iter() {
                let (row, column) = (y * conv.stride + ky, x * conv.stride + kx);
                let pixel = row
                    .checked_sub(conv.padding)
                    .zip(column.checked_sub(conv.padding));
                let pixel = pixel.and_then(|(row, column)| maps.get((n, row, column, i)));
                let at = ((o * conv.kernel + ky) * conv.kernel + kx) * c + i;
                sum += weight[at] * pixel.unwrap_or(&0.0);
            }
            match layer.activation {
                Activation::Relu => sum.max(0.0),
                Activation::Tanh => sum.tanh(),
                Activation::ScaledTanh => 1.7159 * (2.0 / 3.0 * sum).tanh(),
                Activation::Sigmoid => 1.0 / (1.0 + (-sum).exp()),
                Activation::Softplus => sum.exp().ln_1p(),
                _ => sum,
            }
        });
        if let Some(pool) = layer.pool {
            let (n, h, w, c) = out.dim();
            let along = |length: usize| (length - pool.size) / pool.stride + 1;
            out = Array4::from_shape_fn((n, along(h), along(w), c), |(n, y, x, c)| {
                let (y, x) = (y * pool.stride, x * pool.stride);
                let window = out.slice(s![n, y..y + pool.size, x..x + pool.size, c]);
                match pool.kind {
                    PoolKind::Max => window.iter().copied().fold(f64::MIN, f64::max),
                    _ => window.mean().unwrap(),
                }
            });
        }
        maps = out;
    }
    unreachable!("the last layer is dense")
}

#[test]
fn outputs_are_those_of_the_definition() {
    for (name, spec) in cases() {
        let (mut net, x) = loaded(&spec);
        let inputs = data::<f64>(ROWS, spec.inputs) - 0.4;
        let expected = naive(&spec, &net, &x, inputs.view());
        let layers = spec.layers.len();
        let found = net.hidden(&x, inputs.view(), layers).unwrap();
        let error = (&found - &expected)
            .mapv(f64::abs)
            .fold(0.0, |a: f64, b| a.max(*b));
        assert!(error < 1e-13, "{name}: {error}");
    }
}

/// vᵀGv is the loss's second derivative along the outputs' first.
/// Sample by sample, with the masks of the whole minibatch out of the way.
/// A convolution by 1×1 on maps of one pixel is a dense layer, of which the diagonal is tested; here
/// is what sharing adds. With linear units and average pooling, h = JᵀJ has no term that bbprop
/// leaves out for the last layer; for a convolution it leaves out how positions act together, so it
/// is held against the recursion, one number at a time, for one convolution under a dense layer.
#[test]
fn shown_layers_make_the_gradient() {
    for (name, mut spec) in cases() {
        spec.l2 = 0.0;
        let (mut net, x) = loaded(&spec);
        let (mut g, mut rest) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        net.grad(&x, &mut g).unwrap();
        assert!(
            net.layer(0).is_none() && net.layer(2).is_some(),
            "no patches are kept"
        );
        net.deltas(&x, &mut rest).unwrap();
        assert_eq!(rest, vec![0.0; x.len()]);
        for (index, place) in net.places().to_vec().into_iter().enumerate() {
            let layer = net.layer(index).unwrap();
            assert_eq!(layer.samples, ROWS);
            let dense = place.kind == LayerKind::Dense;
            assert_eq!(dense, index == 2);
            assert!(!dense || layer.input.nrows() == ROWS, "{name}");
            let weight = layer.delta.t().dot(&layer.input);
            let segments = net.params().segments();
            let expected = &g[segments[place.weight].range.clone()];
            for (found, expected) in weight.iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-14,
                    "{name}: {found} {expected}"
                );
            }
            let bias = layer.delta.sum_axis(Axis(0));
            let expected = &g[segments[place.bias.unwrap()].range.clone()];
            for (found, expected) in bias.iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-14,
                    "{name}: {found} {expected}"
                );
            }
        }
        // After a gradient, which keeps no patches, drawn labels run forward anew.
        net.grad(&x, &mut g).unwrap();
        net.resample(&x, 5).unwrap();
        let again = net.layer(0).unwrap().delta.to_owned();
        net.sample(&x, 5).unwrap();
        assert_eq!(net.layer(0).unwrap().delta, again);
    }
}

/// V·U(h − c) + d with V = W·U⁻¹ and d = b + W·c, patch by patch: the padding too.
#[test]
fn whitened_patches_keep_the_function_and_have_its_gradient() {
    for (name, spec) in cases() {
        let (mut net, mut x) = loaded(&spec);
        let before = net.value(&x).unwrap();
        for index in 0..3 {
            let segments = net.params().segments();
            let (weight, bias) = (
                segments[2 * index].range.clone(),
                segments[2 * index + 1].range.clone(),
            );
            let (units, fan_in) = (bias.len(), weight.len() / bias.len());
            // A triangle has an inverse.
            let u = Array2::from_shape_fn((fan_in, fan_in), |(i, j)| match i.cmp(&j) {
                std::cmp::Ordering::Less => 0.3 * ((i + 2 * j) as f64).sin() / fan_in as f64,
                std::cmp::Ordering::Equal => 1.5 + 0.1 * (i as f64).cos(),
                std::cmp::Ordering::Greater => 0.0,
            });
            let c = Array1::from_shape_fn(fan_in, |i| 0.2 * (i as f64 + 1.0).sin());
            let mut w =
                Array2::from_shape_vec((units, fan_in), x[weight.clone()].to_vec()).unwrap();
            let shift = w.dot(&c);
            x[bias].iter_mut().zip(&shift).for_each(|(b, s)| *b += s);
            // V·U = W, column by column.
            for j in 0..fan_in {
                for k in 0..j {
                    let done = &w.column(k) * u[[k, j]];
                    let mut column = w.column_mut(j);
                    column -= &done;
                }
                w.column_mut(j).mapv_inplace(|v| v / u[[j, j]]);
            }
            x[weight].copy_from_slice(w.as_slice().unwrap());
            net.set_whitening(index, u.view(), c.view()).unwrap();
        }
        near(net.value(&x).unwrap(), before, 1e-12, &name);
        let mut g = vec![0.0; x.len()];
        net.grad(&x, &mut g).unwrap();
        let (v, h) = (direction(x.len(), 0.2), 1e-7);
        let [up, down] = [h, -h].map(|h| net.value(&moved(&x, &v, h)).unwrap());
        near((up - down) / (2.0 * h), dot(&g, &v), 2e-5, &name);
    }
}

/// Groups of samples, and pieces of patches, are no part of the result's meaning.
#[test]
fn many_samples_are_the_mean_of_few_and_threads_change_nothing() {
    let convolution = Convolution {
        kernel: 5,
        stride: 1,
        padding: 2,
    };
    let mut spec = Spec::classifier(&[20 * 20 * 16, CLASSES], Activation::Relu);
    spec.image = Some([20, 20, 16]);
    let mut maps = Layer::convolution(24, convolution, Activation::Relu);
    maps.pool = Some(Pool::max(3, 2));
    spec.layers.splice(
        ..0,
        [maps, Layer::convolution(8, convolution, Activation::Tanh)],
    );
    let rows = 19;
    let (inputs, classes) = (data::<f32>(rows, spec.inputs) - 0.4, labels(rows, CLASSES));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| {
            let mut net = Mlp::<f32>::new(spec.clone()).unwrap();
            let x = parameters(&net, 1);
            let mut g = vec![0.0; x.len()];
            net.load(inputs.view(), Target::Classes(&classes), 0)
                .unwrap();
            let loss = net.grad(&x, &mut g).unwrap();
            let mut square = vec![0.0; x.len()];
            net.grad_moments(&x, &mut g, &mut square).unwrap();
            (loss, g, square)
        })
    };
    let (loss, g, square) = run(1);
    assert_eq!((loss, g.clone(), square), run(3));
    let mut net = Mlp::<f32>::new(spec.clone()).unwrap();
    let x = parameters(&net, 1);
    let mut sum = vec![0.0_f64; x.len()];
    let mut own = vec![0.0; x.len()];
    for row in 0..rows {
        net.load_rows(inputs.view(), Target::Classes(&classes), &[row], 0)
            .unwrap();
        net.grad(&x, &mut own).unwrap();
        sum.iter_mut()
            .zip(&own)
            .for_each(|(sum, g)| *sum += f64::from(*g) / rows as f64);
    }
    for (sum, g) in sum.iter().zip(&g) {
        assert!((sum - f64::from(*g)).abs() < 1e-5, "{sum} {g}");
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let refused = |change: &dyn Fn(&mut Spec)| {
        let mut spec = spec(Activation::Relu, 1, 0, Some(Pool::max(2, 2)));
        change(&mut spec);
        Mlp::<f32>::new(spec).map(|_| ()).unwrap_err().to_string()
    };
    let conv = |spec: &mut Spec, f: &dyn Fn(&mut Convolution)| {
        f(spec.layers[0].convolution.as_mut().unwrap());
    };
    let pool = |spec: &mut Spec, size, stride| spec.layers[0].pool = Some(Pool::max(size, stride));
    for (words, error) in [
        (
            "kernel of layer0 has size 8 on maps of 7",
            refused(&|s| conv(s, &|c| c.kernel = 8)),
        ),
        (
            "kernel of layer0 has size 0",
            refused(&|s| conv(s, &|c| c.kernel = 0)),
        ),
        (
            "size 3 and stride 0",
            refused(&|s| conv(s, &|c| c.stride = 0)),
        ),
        ("with padding 3", refused(&|s| conv(s, &|c| c.padding = 3))),
        (
            "padding 18446744073709551615",
            refused(&|s| conv(s, &|c| c.padding = usize::MAX)),
        ),
        (
            "pool of layer0 has size 6 on maps of 5",
            refused(&|s| pool(s, 6, 1)),
        ),
        (
            "pool of layer0 has size 2 and stride 0",
            refused(&|s| pool(s, 2, 0)),
        ),
        ("pool of layer0 has size 256", refused(&|s| pool(s, 256, 1))),
        (
            "kernel of layer1 has size 2 on maps of 1",
            refused(&|s| pool(s, 4, 4)),
        ),
        (
            "the last layer must be dense",
            refused(&|s| s.layers.truncate(2)),
        ),
        (
            "image of 7 x 7 x 2 for 84",
            refused(&|s| s.image = Some([7, 7, 2])),
        ),
        ("image has width 0", refused(&|s| s.image = Some([0, 7, 2]))),
        ("image", refused(&|s| s.image = Some([usize::MAX, 7, 2]))),
        (
            "kernel of layer0 has size 3 on maps of 1",
            refused(&|s| s.image = None),
        ),
        ("layer0", refused(&|s| s.layers[0].units = 0)),
        ("layer0", refused(&|s| s.layers[0].units = usize::MAX)),
    ] {
        assert!(error.contains(words), "{error}: without {words}");
    }
}
