//! Batch normalization within the network.

#![allow(clippy::unwrap_used)] // helpers of tests

use ndarray::{Array2, s};
use opt_core::{LayerPlace, Layered, Objective, Parameters, Snapshot, State, check_gradient};
use opt_nn::{Activation, BatchNorm, Init, Mlp, Spec, Target};

fn network(activation: Activation, dropout: f64, l2: f64) -> (Mlp<f64>, Vec<f64>) {
    let mut spec = Spec::classifier(&[4, 6, 5, 3], activation);
    for layer in &mut spec.layers[..2] {
        (layer.norm, layer.dropout) = (Some(BatchNorm::default()), dropout);
    }
    spec.l2 = l2;
    let mlp = Mlp::new(spec).unwrap();
    let mut x = mlp.init(Init::LeCun, 1);
    // γ and β away from 1 and 0.
    for segment in mlp
        .params()
        .segments()
        .iter()
        .filter(|s| s.shape.len() == 1)
    {
        for (i, x) in x[segment.range.clone()].iter_mut().enumerate() {
            *x += 0.3 * (1.7 * i as f64 + 0.4).sin();
        }
    }
    (mlp, x)
}

fn data(rows: usize) -> (Array2<f64>, Vec<u8>) {
    let inputs = Array2::from_shape_fn((rows, 4), |(i, j)| (1.3 * i as f64 + 2.1 * j as f64).sin());
    (inputs, (0..rows).map(|i| (i % 3) as u8).collect())
}

#[test]
fn gamma_and_beta_take_the_place_of_the_bias() {
    let (mlp, _) = network(Activation::Tanh, 0.0, 0.0);
    let names: Vec<_> = mlp
        .params()
        .segments()
        .iter()
        .map(|s| s.name.as_str())
        .collect();
    let expected = [
        "layer0.weight",
        "layer0.gamma",
        "layer0.beta",
        "layer1.weight",
        "layer1.gamma",
        "layer1.beta",
        "layer2.weight",
        "layer2.bias",
    ];
    assert_eq!(names, expected);
    let x = mlp.init(Init::He, 0);
    let all = |name: &str, value: f64| {
        let range = mlp.params().get(name).unwrap().range.clone();
        x[range].iter().all(|&v| v == value)
    };
    assert!(all("layer0.gamma", 1.0) && all("layer1.beta", 0.0));
    assert_eq!(mlp.places()[0], LayerPlace::dense(0, None));
    assert_eq!(mlp.places()[2], LayerPlace::dense(6, Some(7)));
}

#[test]
fn gradients_agree_with_central_differences() {
    let (inputs, labels) = data(9);
    // Tanh and its like have no kink that a difference could cross.
    for activation in [Activation::Tanh, Activation::Sigmoid, Activation::Softplus] {
        for (dropout, l2) in [(0.0, 0.0), (0.3, 0.1)] {
            let (mut mlp, x) = network(activation, dropout, l2);
            mlp.load(inputs.view(), Target::Classes(&labels), 5)
                .unwrap();
            let check = check_gradient(&mut mlp, &x, 1e-5).unwrap();
            assert!(check.error < 1e-8, "{activation:?} {dropout}: {check:?}");
        }
    }
}

#[test]
fn deltas_leave_out_the_weights_alone() {
    let (inputs, labels) = data(9);
    let (mut mlp, x) = network(Activation::Tanh, 0.3, 0.0);
    mlp.load(inputs.view(), Target::Classes(&labels), 5)
        .unwrap();
    let (mut g, mut d) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    let loss = mlp.grad(&x, &mut g).unwrap();
    assert_eq!(mlp.deltas(&x, &mut d).unwrap(), loss);
    let params = mlp.params().clone();
    for index in 0..mlp.places().len() {
        let LayerPlace { weight, bias, .. } = mlp.places()[index];
        let layer = mlp.layer(index).unwrap();
        let full = layer.delta.t().dot(&layer.input);
        let of = |at: usize| params.segments()[at].range.clone();
        for ((d, g), full) in d[of(weight)].iter().zip(&g[of(weight)]).zip(&full) {
            assert_eq!(*d, 0.0);
            assert!((g - full).abs() < 1e-14);
        }
        match bias {
            Some(bias) => assert!(d[of(bias)].iter().all(|&d| d == 0.0)),
            None => {
                let (gamma, beta) = (of(weight + 1), of(weight + 2));
                assert_eq!(d[gamma.clone()], g[gamma]);
                assert_eq!(d[beta.clone()], g[beta]);
            }
        }
    }
}

#[test]
fn a_minibatch_counts_once_and_inference_goes_by_the_running_statistics() {
    let (inputs, labels) = data(12);
    let (mut mlp, x) = network(Activation::Sigmoid, 0.0, 0.0);
    let state = |mlp: &mut Mlp<f64>| {
        let model: &mut dyn State<f64> = mlp;
        Snapshot::take(&mut [("model", model)]).unwrap()
    };
    let target = Target::Classes(&labels);
    mlp.load(inputs.view(), target, 0).unwrap();
    let fresh = state(&mut mlp);
    mlp.value(&x).unwrap();
    assert!(state(&mut mlp) == fresh);
    let mut g = vec![0.0; x.len()];
    mlp.accept();
    assert!(
        state(&mut mlp) == fresh,
        "without a gradient, nothing to take in"
    );
    mlp.grad(&x, &mut g).unwrap();
    assert!(state(&mut mlp) == fresh, "no step has been accepted yet");
    mlp.accept();
    let once = state(&mut mlp);
    assert!(once != fresh);
    mlp.grad(&x, &mut g).unwrap();
    mlp.accept();
    mlp.evaluate(&x, inputs.view(), target).unwrap();
    assert!(state(&mut mlp) == once);

    // After many times the same batch, the running statistics are the batch's, but for n/(n − 1).
    for _ in 0..400 {
        mlp.load(inputs.view(), target, 0).unwrap();
        mlp.grad(&x, &mut g).unwrap();
        mlp.accept();
    }
    let trained = mlp.value(&x).unwrap();
    let inferred = mlp.evaluate(&x, inputs.view(), target).unwrap().loss;
    assert!(
        (trained - inferred).abs() < 0.05 && trained != inferred,
        "{trained} {inferred}"
    );
    // In inference a row does not see the others.
    let alone = mlp.predict(&x, inputs.slice(s![3..4, ..])).unwrap();
    let among = mlp.predict(&x, inputs.view()).unwrap();
    alone
        .iter()
        .zip(among.row(3))
        .for_each(|(a, b)| assert!((a - b).abs() < 1e-14));
}

#[test]
fn resumed_it_infers_the_same() {
    let (inputs, labels) = data(12);
    let (mut mlp, mut x) = network(Activation::Tanh, 0.0, 0.0);
    let mut g = vec![0.0; x.len()];
    mlp.load(inputs.view(), Target::Classes(&labels), 0)
        .unwrap();
    mlp.grad(&x, &mut g).unwrap();
    mlp.accept();
    let map = mlp.params().clone();
    let take = |mlp: &mut Mlp<f64>, x: &mut [f64]| {
        let mut parameters = Parameters::new(&map, x).unwrap();
        let model: &mut dyn State<f64> = mlp;
        Snapshot::take(&mut [("model", model), ("x", &mut parameters)]).unwrap()
    };
    let saved = take(&mut mlp, &mut x);
    let (mut other, _) = network(Activation::Tanh, 0.0, 0.0);
    let model: &mut dyn State<f64> = &mut other;
    let mut copy = x.clone();
    let mut parameters = Parameters::new(&map, &mut copy).unwrap();
    saved
        .restore(&mut [("model", model), ("x", &mut parameters)])
        .unwrap();
    let predict = |mlp: &mut Mlp<f64>| mlp.predict(&x, inputs.view()).unwrap();
    assert_eq!(predict(&mut mlp), predict(&mut other));
}

#[test]
fn a_batch_of_one_cannot_be_trained_on() {
    let (inputs, labels) = data(1);
    let (mut mlp, x) = network(Activation::Tanh, 0.0, 0.0);
    mlp.load(inputs.view(), Target::Classes(&labels), 0)
        .unwrap();
    let error = mlp
        .grad(&x, &mut vec![0.0; x.len()])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("layer0") && error.contains("at least 2"),
        "{error}"
    );
    assert!(
        mlp.evaluate(&x, inputs.view(), Target::Classes(&labels))
            .is_ok()
    );
}

#[test]
fn the_options_are_checked() {
    let mut spec = Spec::classifier(&[4, 3, 2], Activation::Tanh);
    spec.layers[0].norm = Some(BatchNorm {
        eps: 0.0,
        ..BatchNorm::default()
    });
    assert!(
        Mlp::<f64>::new(spec)
            .unwrap_err()
            .to_string()
            .contains("eps")
    );
}
