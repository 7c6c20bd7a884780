//! Fisher matrices against finite differences and closed forms, and what the natural gradient is
//! independent of.

use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use opt_core::{Error, Layered, Method, Objective, Rule};
use opt_firstorder::Sgd;
use opt_natural::{
    Blocks, Curvature, FisherError, NaturalGradient, empirical_fisher, fisher, sampled_fisher,
};
use opt_nn::{Activation, Init, Loss, Mlp, Spec, Target};

use crate::common::wave;

/// A network of this loss with parameters, and inputs; no minibatch is loaded.
fn network(widths: &[usize], loss: Loss, rows: usize) -> (Mlp<f64>, Vec<f64>, Array2<f64>) {
    let mut spec = Spec::classifier(widths, Activation::Tanh);
    spec.loss = loss;
    let mlp = Mlp::new(spec).unwrap();
    let x = mlp.init(Init::LeCun, 3);
    (mlp, x, wave(rows, widths[0], 0.7))
}

/// Any labels that the loss takes.
fn load(mlp: &mut Mlp<f64>, inputs: ArrayView2<'_, f64>, classes: usize) {
    let labels: Vec<u8> = (0..inputs.nrows())
        .map(|i| (i * 5 % classes) as u8)
        .collect();
    mlp.load(inputs, Target::Classes(&labels), 0).unwrap();
}

fn assert_near(a: &Array2<f64>, b: &Array2<f64>, tolerance: f64) {
    assert_eq!(a.dim(), b.dim());
    for ((place, a), b) in a.indexed_iter().zip(b) {
        assert!((a - b).abs() <= tolerance, "{place:?}: {a}, {b}");
    }
}

/// ∂/∂θ of every element of what `f` gives, by central differences: of shape (elements, θ).
fn jacobian(x: &[f64], mut f: impl FnMut(&[f64]) -> Vec<f64>) -> Array2<f64> {
    let (h, mut at) = (1e-5, x.to_vec());
    let mut jacobian = Array2::zeros((f(x).len(), x.len()));
    for i in 0..x.len() {
        at[i] = x[i] + h;
        let above = Array1::from(f(&at));
        at[i] = x[i] - h;
        let below = Array1::from(f(&at));
        at[i] = x[i];
        jacobian
            .column_mut(i)
            .assign(&((above - below) / (2.0 * h)));
    }
    jacobian
}

/// E_x E_y[∇ ln p ∇ ln pᵀ] from the definition: forward passes and central differences alone.
fn by_differences(mlp: &mut Mlp<f64>, x: &[f64], inputs: &Array2<f64>, loss: Loss) -> Array2<f64> {
    let p = mlp.predict(x, inputs.view()).unwrap();
    let (rows, outputs) = p.dim();
    // ln p of each label with its probability; of a Gaussian, whose expectation over labels has
    // no finite sum, the mean instead: F is then E_x[∂z ∂zᵀ].
    let logs = |mlp: &mut Mlp<f64>, x: &[f64]| -> Vec<f64> {
        let p = mlp.predict(x, inputs.view()).unwrap();
        match loss {
            Loss::SoftmaxCrossEntropy => p.mapv(f64::ln).into_iter().collect(),
            Loss::SquaredError => p.into_iter().collect(),
            _ => p.iter().flat_map(|&p| [p.ln(), (1.0 - p).ln()]).collect(),
        }
    };
    let weights: Vec<f64> = match loss {
        Loss::SoftmaxCrossEntropy => p.into_iter().collect(),
        Loss::SquaredError => vec![1.0; rows * outputs],
        _ => p.iter().flat_map(|&p| [p, 1.0 - p]).collect(),
    };
    let j = jacobian(x, |x| logs(mlp, x));
    let weighted = &j * &Array1::from(weights).insert_axis(Axis(1));
    j.t().dot(&weighted) / rows as f64
}

#[test]
fn fisher_matrices_from_the_definition() {
    for loss in [
        Loss::SoftmaxCrossEntropy,
        Loss::SigmoidCrossEntropy,
        Loss::SquaredError,
    ] {
        let (mut mlp, x, inputs) = network(&[3, 5, 4, 3], loss, 7);
        let expected = by_differences(&mut mlp, &x, &inputs, loss);
        load(&mut mlp, inputs.view(), 3);
        let full = fisher(&mut mlp, &x, None).unwrap();
        assert_near(&full, &expected, 1e-7);
        assert_eq!(full, full.t());
        // Weight and bias are neighbours, so that a layer's block is a square of the whole.
        for (layer, at) in [(0, 0..20), (1, 20..44), (2, 44..59)] {
            let block = fisher(&mut mlp, &x, Some(layer)).unwrap();
            assert_near(&block, &full.slice(s![at.clone(), at]).to_owned(), 1e-13);
        }
    }
}

#[test]
fn the_data_s_own_labels_give_the_empirical_one() {
    let (mut mlp, x, inputs) = network(&[3, 4, 3], Loss::SoftmaxCrossEntropy, 9);
    let mut expected = Array2::<f64>::zeros((x.len(), x.len()));
    for (n, row) in inputs.rows().into_iter().enumerate() {
        let label = [(n * 5 % 3) as u8];
        let row = row.insert_axis(Axis(0));
        mlp.load(row, Target::Classes(&label), 0).unwrap();
        let mut g = Array1::zeros(x.len());
        mlp.grad(&x, g.as_slice_mut().unwrap()).unwrap();
        expected += &(&g.view().insert_axis(Axis(1)) * &g / 9.0);
    }
    load(&mut mlp, inputs.view(), 3);
    let empirical = empirical_fisher(&mut mlp, &x, None).unwrap();
    assert_near(&empirical, &expected, 1e-14);
    assert!(
        (empirical - fisher(&mut mlp, &x, None).unwrap())
            .iter()
            .any(|d| d.abs() > 1e-2)
    );
}

#[test]
fn sampled_ones_are_right_on_average() {
    let (mut mlp, x, inputs) = network(&[2, 3, 3], Loss::SoftmaxCrossEntropy, 6);
    load(&mut mlp, inputs.view(), 3);
    let (mut sum, mut squares) = (
        Array2::<f64>::zeros((21, 21)),
        Array2::<f64>::zeros((21, 21)),
    );
    let count = 2_000;
    for seed in 0..count {
        let f = sampled_fisher(&mut mlp, &x, seed, None).unwrap();
        squares += &(&f * &f);
        sum += &f;
    }
    let n = count as f64;
    let exact = fisher(&mut mlp, &x, None).unwrap();
    for ((sum, squares), exact) in sum.iter().zip(&squares).zip(&exact) {
        let mean = sum / n;
        let error = ((squares / n - mean * mean) / n).sqrt();
        assert!(
            (mean - exact).abs() <= 5.0 * error + 1e-15,
            "{mean} ± {error}, {exact}"
        );
    }
}

/// The columns of a Hadamard matrix but the first: mean 0, covariance I.
fn white() -> Array2<f64> {
    Array2::from_shape_fn((8, 7), |(i, j)| {
        1.0 - 2.0 * f64::from((i & (j + 1)).count_ones() % 2)
    })
}

#[test]
fn white_inputs_leave_only_the_output_s_fisher_matrix() {
    // A Gaussian's is I.
    let (mut mlp, x, _) = network(&[7, 3], Loss::SquaredError, 1);
    load(&mut mlp, white().view(), 3);
    assert_near(
        &fisher(&mut mlp, &x, None).unwrap(),
        &Array2::eye(24),
        1e-14,
    );
    // Softmax's at 0 is I/K − 11ᵀ/K².
    let (mut mlp, x, _) = network(&[7, 3], Loss::SoftmaxCrossEntropy, 1);
    load(&mut mlp, white().view(), 3);
    let zero = vec![0.0; x.len()];
    let unit = |i: usize| if i < 21 { (i / 7, i % 7) } else { (i - 21, 7) };
    let expected = Array2::from_shape_fn((24, 24), |(i, j)| {
        let ((k, a), (l, b)) = (unit(i), unit(j));
        let output = if k == l { 1.0 / 3.0 } else { 0.0 } - 1.0 / 9.0;
        if a == b { output } else { 0.0 }
    });
    assert_near(&fisher(&mut mlp, &zero, None).unwrap(), &expected, 1e-15);
}

/// One step on inputs h from W, b, and one on inputs T·h + c from V = W·T⁻¹, d = b − V·c; what
/// the first layer's parameters of the second differ by in the coordinates of the first.
fn difference_in_other_coordinates(damping: f64) -> f64 {
    let loss = Loss::SigmoidCrossEntropy;
    let (mut mlp, x, h) = network(&[3, 2, 2], loss, 40);
    let t = Array2::from_shape_vec((3, 3), vec![2., 0., 0., 1., -0.5, 0., -3., 1., 0.25]).unwrap();
    let inverse =
        Array2::from_shape_vec((3, 3), vec![0.5, 0., 0., 1., -2., 0., 2., 8., 4.]).unwrap();
    assert_near(&t.dot(&inverse), &Array2::eye(3), 1e-15);
    let c = Array1::from(vec![1.0, -0.5, 0.3]);
    let mut y = x.clone();
    let w = ArrayView2::from_shape((2, 3), &x[..6]).unwrap();
    let v = w.dot(&inverse);
    y[..6].copy_from_slice(v.as_standard_layout().as_slice().unwrap());
    (Array1::from(x[6..8].to_vec()) - v.dot(&c))
        .into_iter()
        .zip(&mut y[6..8])
        .for_each(|(d, y)| *y = d);

    let hyper = NaturalGradient {
        lr: 1.0,
        damping,
        ..NaturalGradient::default()
    };
    let mut method = hyper.method(mlp.params(), mlp.places()).unwrap();
    let (mut x, mut y) = (x, y);
    load(&mut mlp, h.view(), 2);
    method.step(&mut mlp, &mut x).unwrap();
    load(&mut mlp, (h.dot(&t.t()) + &c).view(), 2);
    method.step(&mut mlp, &mut y).unwrap();

    let v = ArrayView2::from_shape((2, 3), &y[..6]).unwrap();
    let (w, b) = (v.dot(&t), Array1::from(y[6..8].to_vec()) + v.dot(&c));
    let mapped = w.iter().chain(&b).chain(&y[8..]);
    mapped
        .zip(&x)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max)
}

#[test]
fn without_damping_a_step_is_the_same_in_all_coordinates() {
    assert!(difference_in_other_coordinates(0.0) < 1e-9);
    assert!(difference_in_other_coordinates(0.1) > 1e-2);
}

fn reason(error: Error) -> FisherError {
    match error {
        Error::Objective(source) => *source.downcast().unwrap(),
        other => panic!("{other}"),
    }
}

#[test]
fn refusals() {
    let (mut mlp, x0, inputs) = network(&[3, 4, 3], Loss::SoftmaxCrossEntropy, 9);
    // Nothing is loaded.
    assert!(matches!(
        fisher(&mut mlp, &x0, None),
        Err(Error::Objective(_))
    ));
    load(&mut mlp, inputs.view(), 3);
    let error = reason(fisher(&mut mlp, &x0, Some(2)).unwrap_err());
    assert!(matches!(
        error,
        FisherError::NoLayer {
            index: 2,
            layers: 2
        }
    ));
    assert!(matches!(
        fisher(&mut mlp, &x0[1..], None),
        Err(Error::Length { .. })
    ));

    // Softmax has a direction without curvature.
    let mut x = x0.clone();
    let hyper = NaturalGradient {
        damping: 0.0,
        ..NaturalGradient::default()
    };
    let mut method = hyper.method(mlp.params(), mlp.places()).unwrap();
    let error = method.step(&mut mlp, &mut x).unwrap_err().to_string();
    assert!(error.contains("raise the damping"), "{error}");
    assert_eq!(x, x0);

    // γ and β are of no dense layer.
    let mut spec = Spec::classifier(&[3, 4, 3], Activation::Tanh);
    spec.layers[0].norm = Some(Default::default());
    let mut mlp = Mlp::new(spec).unwrap();
    load(&mut mlp, inputs.view(), 3);
    let x = mlp.init(Init::LeCun, 3);
    for blocks in [Blocks::Full, Blocks::Layers] {
        let hyper = NaturalGradient {
            blocks,
            ..NaturalGradient::default()
        };
        let refused = hyper.method::<f64>(mlp.params(), mlp.places());
        let error = reason(refused.unwrap_err());
        assert!(matches!(error, FisherError::NotDense(name) if name.contains("layer0")));
    }
    assert_eq!(fisher(&mut mlp, &x, Some(1)).unwrap().dim(), (15, 15));
}

/// The loss on the digits after some updates of 100 samples.
fn trained(method: impl FnOnce(&Mlp<f64>) -> Box<dyn Method<f64, Mlp<f64>>>) -> f64 {
    let digits = opt_data::digits().unwrap();
    let inputs = digits.inputs.mapv(f64::from);
    let mut mlp = Mlp::new(Spec::classifier(&[64, 8, 10], Activation::Tanh)).unwrap();
    let mut x = mlp.init(Init::LeCun, 1);
    let mut method = method(&mlp);
    for t in 0..40 {
        let rows = (t % 17) * 100..(t % 17 + 1) * 100;
        let labels = Target::Classes(&digits.labels[rows.clone()]);
        mlp.load(inputs.slice(s![rows, ..]), labels, 0).unwrap();
        method.step(&mut mlp, &mut x).unwrap();
    }
    let all = Target::Classes(&digits.labels);
    mlp.evaluate(&x, inputs.view(), all).unwrap().loss
}

#[test]
fn an_update_on_digits_gains_more_than_one_of_gradient_descent() {
    let gradient_descent = [0.1, 0.3, 1.0, 3.0].map(|lr| {
        trained(|mlp| {
            let rule = Sgd {
                lr,
                ..Sgd::default()
            };
            Box::new(rule.method(mlp.params()).unwrap())
        })
    });
    let best = gradient_descent.into_iter().fold(f64::INFINITY, f64::min);
    for (curvature, blocks) in [
        (Curvature::Fisher, Blocks::Full),
        (Curvature::SampledFisher, Blocks::Layers),
    ] {
        let loss = trained(|mlp| {
            let hyper = NaturalGradient {
                curvature,
                blocks,
                ..NaturalGradient::default()
            };
            Box::new(hyper.method(mlp.params(), mlp.places()).unwrap())
        });
        assert!(
            loss < 0.8 * best,
            "{curvature:?} {blocks:?}: {loss}, {best}"
        );
    }
}
