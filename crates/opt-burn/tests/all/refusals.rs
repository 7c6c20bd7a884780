//! What can't be stepped stays as it was, and says why.

use burn_core::tensor::{DType, Device, FloatDType, Tensor, TensorData};
use burn_optim::Optimizer;
use opt_burn::{Error, RuleOptimizer};
use opt_firstorder::{AdamW, IRpropMinus, Rule, Sgd};

fn tensor(values: &[f32]) -> Tensor<1> {
    Tensor::from_data(TensorData::from(values), (&Device::flex(), DType::F32))
}

fn values(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn step<R, const N: usize>(rule: R, lr: f64, x: Tensor<1>, g: Tensor<1>) -> (Vec<f32>, Error)
where
    R: Rule<f32, N> + Rule<f64, N>,
{
    let optimizer = RuleOptimizer::new(rule).unwrap();
    let (x, state) = optimizer.step(lr, x, g, None);
    let error = optimizer.take_error().expect("it was not refused");
    // From a refused step on it is as from the start.
    let lr = if lr == 0.1 { lr } else { 1.0 };
    let (next, _) = optimizer.step(lr, tensor(&[1.0, 2.0]), tensor(&[1.0, 1.0]), state);
    assert!(optimizer.take_error().is_none());
    let fresh = optimizer
        .step(lr, tensor(&[1.0, 2.0]), tensor(&[1.0, 1.0]), None)
        .0;
    assert_eq!(values(next), values(fresh));
    (values(x), error)
}

#[test]
fn a_tensor_that_cannot_be_stepped_stays() {
    let one = || tensor(&[1.0, 2.0]);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e38] {
        let (x, error) = step(AdamW::default(), 0.1, one(), tensor(&[0.0, bad]));
        assert_eq!(x, [1.0, 2.0]);
        let text = error.to_string();
        assert!(
            text.contains("x[2]") && text.contains("at index 1"),
            "{text}"
        );
    }
    for lr in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
        let (x, error) = step(AdamW::default(), lr, one(), one());
        assert!(matches!(error, Error::Update(_)), "{error}");
        assert_eq!(x, [1.0, 2.0]);
    }
    let (x, error) = step(IRpropMinus::default(), 2.0, one(), one());
    assert!(matches!(error, Error::Rate { lr: 2.0, .. }), "{error}");
    assert_eq!(x, [1.0, 2.0]);
    let (x, error) = step(Sgd::default(), 0.1, one(), tensor(&[1.0; 3]));
    assert!(matches!(error, Error::Shape { .. }), "{error}");
    assert_eq!(x, [1.0, 2.0]);
    let (x, error) = step(Sgd::default(), 0.1, one(), one().cast(FloatDType::F64));
    assert!(matches!(error, Error::DType { .. }), "{error}");
    assert_eq!(x, [1.0, 2.0]);
    for half in [FloatDType::F16, FloatDType::BF16] {
        let (x, error) = step(Sgd::default(), 0.1, one().cast(half), one().cast(half));
        assert!(error.to_string().contains("must be F32 or F64"), "{error}");
        assert_eq!(x, [1.0, 2.0]);
    }
}

#[test]
fn bad_settings_are_refused_at_once() {
    for rule in [
        AdamW {
            beta1: 1.0,
            ..AdamW::default()
        },
        AdamW {
            eps: -1.0,
            ..AdamW::default()
        },
        AdamW {
            lr: f64::NAN,
            ..AdamW::default()
        },
    ] {
        assert!(RuleOptimizer::new(rule).is_err());
    }
    // In double precision they are fine, in single they are not.
    let rule = AdamW {
        beta2: 1.0 - 1e-12,
        ..AdamW::default()
    };
    let optimizer = RuleOptimizer::new(rule).unwrap();
    let (x, _) = optimizer.step(0.1, tensor(&[1.0]), tensor(&[1.0]), None);
    assert!(matches!(optimizer.take_error(), Some(Error::Update(_))));
    assert_eq!(values(x), [1.0]);
}

#[test]
fn it_stands_still_until_the_error_is_taken() {
    let optimizer = RuleOptimizer::new(Sgd::default()).unwrap();
    let (one, bad) = (tensor(&[1.0]), tensor(&[f32::NAN]));
    let (x, state) = optimizer.step(0.5, one.clone(), bad, None);
    let other = optimizer.clone();
    let (x, state) = other.step(0.5, x, one.clone(), state);
    assert_eq!(values(x.clone()), [1.0]);
    assert!(other.take_error().is_some() && optimizer.take_error().is_none());
    let (x, _) = optimizer.step(0.5, x, one, state);
    assert_eq!(values(x), [0.5]);
}

#[test]
fn a_tensor_that_others_hold_is_not_touched() {
    let optimizer = RuleOptimizer::new(Sgd::default()).unwrap();
    let (x, g) = (tensor(&[1.0, 2.0]), tensor(&[1.0, 1.0]));
    let moved = optimizer.step(0.5, x.clone(), g.clone(), None).0;
    assert_eq!(values(x), [1.0, 2.0]);
    assert_eq!(values(g), [1.0, 1.0]);
    assert_eq!(values(moved), [0.5, 1.5]);
    // Nor is it taken for whole where it is a part, or transposed.
    let device = Device::flex();
    let table = Tensor::<2>::from_data([[1.0, 2.0], [3.0, 4.0]], &device);
    let ones = Tensor::<2>::from_data([[0.0, 2.0], [0.0, 0.0]], &device);
    let moved = optimizer
        .step(0.5, table.clone().transpose(), ones.transpose(), None)
        .0;
    let moved: Vec<f32> = moved.into_data().iter().collect();
    assert_eq!(moved, [1.0, 3.0, 1.0, 4.0]);
    let part = table.slice([1..2, 0..2]);
    let g = Tensor::<2>::ones([1, 2], &device);
    let moved: Vec<f32> = optimizer
        .step(0.5, part, g, None)
        .0
        .into_data()
        .iter()
        .collect();
    assert_eq!(moved, [2.5, 3.5]);
}

#[test]
fn a_tensor_of_nothing_is_stepped() {
    let optimizer = RuleOptimizer::new(AdamW::default()).unwrap();
    let (x, _) = optimizer.step(0.1, tensor(&[]), tensor(&[]), None);
    assert!(values(x).is_empty());
    assert!(optimizer.take_error().is_none());
}
