//! The Fisher matrix of a convolution, explicitly and by K-FAC's factors.

use ndarray::{Array1, Array2};
use opt_core::{Layered, Method, Objective, SampledFisher};
use opt_natural::{Kfac, NaturalGradient, fisher};
use opt_nn::{Activation, Convolution, Init, Layer, Loss, Mlp, Pool, Spec, Target};

use crate::common::{buffers, digits, wave};
use crate::kfac::fixed;

const ROWS: usize = 7;
const CLASSES: usize = 3;

fn convolution(kernel: usize, stride: usize, padding: usize) -> Convolution {
    Convolution {
        kernel,
        stride,
        padding,
    }
}

/// 6×5 pixels of two channels; a padded convolution with a stride, one that pools, a dense layer.
fn network() -> (Mlp<f64>, Vec<f64>) {
    let mut spec = Spec::classifier(&[60, CLASSES], Activation::Tanh);
    spec.image = Some([6, 5, 2]);
    let first = Layer::convolution(3, convolution(3, 2, 1), Activation::Tanh);
    let mut second = Layer::convolution(2, convolution(2, 1, 1), Activation::Tanh);
    second.pool = Some(Pool::max(2, 2));
    spec.layers.splice(..0, [first, second]);
    let mlp = Mlp::new(spec).unwrap();
    let x = mlp.init(Init::LeCun, 2);
    (mlp, x)
}

fn inputs() -> Array2<f64> {
    wave(ROWS, 60, 0.4)
}

/// From the gradients of −ln p of every class for every sample alone.
#[test]
fn the_exact_matrix_is_that_of_the_samples_own_gradients() {
    let (mut mlp, x) = network();
    let all = inputs();
    let p = mlp.predict(&x, all.view()).unwrap();
    let mut expected = Array2::<f64>::zeros((x.len(), x.len()));
    for (row, class) in ndarray::indices((ROWS, CLASSES)).into_iter() {
        let labels = vec![class as u8; ROWS];
        mlp.load_rows(all.view(), Target::Classes(&labels), &[row], 0)
            .unwrap();
        let mut g = Array1::zeros(x.len());
        mlp.grad(&x, g.as_slice_mut().unwrap()).unwrap();
        let column = g.view().insert_axis(ndarray::Axis(1));
        expected.scaled_add(p[[row, class]] / ROWS as f64, &column.dot(&column.t()));
    }
    mlp.load(all.view(), Target::Classes(&[0; ROWS]), 0)
        .unwrap();
    let whole = fisher(&mut mlp, &x, None).unwrap();
    for (found, expected) in whole.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-14, "{found} {expected}");
    }
    for index in 0..3 {
        let segments = mlp.params().segments();
        let range = segments[2 * index].range.start..segments[2 * index + 1].range.end;
        let block = fisher(&mut mlp, &x, Some(index)).unwrap();
        let own = expected.slice(ndarray::s![range.clone(), range]);
        for (found, expected) in block.iter().zip(own) {
            assert!(
                (found - expected).abs() < 1e-14,
                "{index}: {found} {expected}"
            );
        }
    }
    let mut natural = NaturalGradient {
        damping: 0.1,
        ..NaturalGradient::default()
    }
    .method(mlp.params(), mlp.places())
    .unwrap();
    let mut moved = x.clone();
    let before = mlp.value(&x).unwrap();
    natural.step(&mut mlp, &mut moved).unwrap();
    assert!(mlp.value(&moved).unwrap() < before);
}

/// Expectations over samples and positions, and |T| once: Grosse & Martens 2016, equations of
/// theorem 1, number by number.
#[test]
fn factors_are_those_of_the_paper() {
    let (mut mlp, mut x) = network();
    let all = inputs();
    mlp.load(all.view(), Target::Classes(&[1; ROWS]), 0)
        .unwrap();
    mlp.sample(&x, 1).unwrap();
    let layer = mlp.layer(0).unwrap();
    let positions = 3 * 3;
    assert_eq!(layer.input.nrows(), ROWS * positions);
    let (mut a, mut g) = (Array2::<f64>::zeros((19, 19)), Array2::<f64>::zeros((3, 3)));
    for (h, delta) in layer.input.rows().into_iter().zip(layer.delta.rows()) {
        let h: Vec<f64> = h.iter().copied().chain([1.0]).collect();
        for ((i, j), a) in a.indexed_iter_mut() {
            *a += h[i] * h[j] / (ROWS * positions) as f64;
        }
        for ((i, j), g) in g.indexed_iter_mut() {
            // The slope of a sample's own loss, of which the deltas are those of the mean.
            let slope = |k: usize| delta[k] * ROWS as f64;
            let mean = slope(i) * slope(j) / (ROWS * positions) as f64;
            *g += positions as f64 * mean;
        }
    }
    let mut method = fixed(0.1).method(mlp.params(), mlp.places()).unwrap();
    method.step(&mut mlp, &mut x).unwrap();
    let state = buffers(&mut method);
    for (name, expected) in [("A/layer0.weight", a), ("G/layer0.weight", g)] {
        for ((i, j), found) in state[name].indexed_iter().filter(|((i, j), _)| i >= j) {
            let expected = expected[[i, j]];
            assert!(
                (found - expected).abs() < 1e-14,
                "{name} ({i}, {j}): {found} {expected}"
            );
        }
    }
}

/// Outputs that are the positions themselves, with independent noise: what KFC supposes holds, and
/// A⊗G is the exact block in expectation.
#[test]
fn the_product_is_the_exact_block_where_positions_are_independent() {
    let (height, width, rows) = (3, 3, 3_000);
    let positions = height * width;
    let mut spec = Spec::classifier(&[2 * positions, positions], Activation::Identity);
    spec.loss = Loss::SquaredError;
    spec.image = Some([height, width, 2]);
    spec.layers.insert(
        0,
        Layer::convolution(1, convolution(1, 1, 0), Activation::Identity),
    );
    let mut mlp = Mlp::<f64>::new(spec).unwrap();
    let mut x = vec![0.3; mlp.params().len()];
    let above = mlp.params().segments()[2].range.clone();
    let eye = Array2::<f64>::eye(positions);
    x[above].copy_from_slice(eye.as_slice().unwrap());
    let all = wave(rows, 2 * positions, 0.1);
    let targets = Array2::zeros((rows, positions));
    mlp.load(all.view(), Target::Values(targets.view()), 0)
        .unwrap();
    let exact = fisher(&mut mlp, &x, Some(0)).unwrap();
    let mut method = fixed(0.1).method(mlp.params(), mlp.places()).unwrap();
    method.step(&mut mlp, &mut x).unwrap();
    let state = buffers(&mut method);
    let (a, g) = (&state["A/layer0.weight"], state["G/layer0.weight"][[0, 0]]);
    for ((i, j), exact) in exact.indexed_iter() {
        let product = a[[i.max(j), i.min(j)]] * g;
        // The labels are drawn: 27,000 of them.
        let error = (product - exact).abs() / exact.abs().max(1.0);
        assert!(error < 0.03, "({i}, {j}): {product} {exact}");
    }
}

/// A kernel as large as the map has one position, and is a dense layer.
#[test]
fn one_position_is_a_dense_layer() {
    let (all, labels) = digits::<f64>(60);
    let run = |maps: bool| {
        let mut spec = Spec::classifier(&[64, 9, 10], Activation::Tanh);
        if maps {
            spec.image = Some([8, 8, 1]);
            spec.layers[0].convolution = Some(convolution(8, 1, 0));
        }
        let mut mlp = Mlp::new(spec).unwrap();
        let dense = Mlp::<f64>::new(Spec::classifier(&[64, 9, 10], Activation::Tanh)).unwrap();
        let mut x = dense.init(Init::LeCun, 3);
        let hyper = Kfac {
            damping: 1.0,
            ..Kfac::default()
        };
        let mut method = hyper.method(mlp.params(), mlp.places()).unwrap();
        for step in 0..8 {
            mlp.load(all.view(), Target::Classes(&labels), step)
                .unwrap();
            method.step(&mut mlp, &mut x).unwrap();
        }
        x
    };
    let (maps, dense): (Vec<f64>, Vec<f64>) = (run(true), run(false));
    for (a, b) in maps.iter().zip(&dense) {
        assert!((a - b).abs() < 1e-9, "{a} {b}");
    }
}

/// On a small convolutional network K-FAC, in as many updates, goes farther than gradient descent at
/// its best of five rates.
#[test]
fn it_trains_maps() {
    let (all, labels) = digits::<f64>(300);
    let train = |step: &mut dyn FnMut(&mut Mlp<f64>, &mut Vec<f64>)| {
        let mut spec = Spec::classifier(&[64, 10], Activation::Tanh);
        spec.image = Some([8, 8, 1]);
        let mut first = Layer::convolution(6, convolution(3, 1, 1), Activation::Tanh);
        first.pool = Some(Pool::average(2, 2));
        spec.layers.insert(0, first);
        let mut mlp = Mlp::new(spec).unwrap();
        let mut x = mlp.init(Init::LeCun, 1);
        mlp.load(all.view(), Target::Classes(&labels), 0).unwrap();
        for _ in 0..25 {
            step(&mut mlp, &mut x);
        }
        mlp.value(&x).unwrap()
    };
    let plain = [0.03, 0.1, 0.3, 1.0, 3.0].map(|lr| {
        train(&mut |mlp, x| {
            let mut g = vec![0.0; x.len()];
            mlp.grad(x, &mut g).unwrap();
            x.iter_mut().zip(&g).for_each(|(x, g)| *x -= lr * g);
        })
    });
    let least = plain.iter().copied().fold(f64::INFINITY, f64::min);
    let mut method = None;
    let with = train(&mut |mlp, x| {
        let method = method
            .get_or_insert_with(|| Kfac::default().method(mlp.params(), mlp.places()).unwrap());
        method.step(mlp, x).unwrap();
    });
    assert!(with < least, "{with} {least}");
}
