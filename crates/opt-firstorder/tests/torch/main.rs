//! State from PyTorch and to it. PyTorch wrote the files named `theirs` and went on; we wrote those named
//! `ours`, and PyTorch went on from them: `tests/reference/torch/make.py` says how.

#![cfg(feature = "safetensors")]
#![allow(clippy::unwrap_used)] // helpers of tests

mod refusals;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;

use opt_core::{FirstOrder, ParamMap, Rule, Scalar};
use opt_firstorder::torch::{self, TorchRule};
use opt_firstorder::{
    AdaDelta, AdaGrad, AdaMax, Adam, AdamW, AmsGrad, IRpropMinus, Momentum, Nesterov, RmsProp,
    RmsPropCentered, RmsPropMomentum, Sgd,
};
use serde_json::Value;

const BEFORE: u64 = 30;
const AFTER: u64 = 100;
const EVERY: u64 = 20;
const PUSH: [f64; 3] = [0.3, -0.2, 0.1];
/// To write the files that PyTorch goes on from.
const WRITE: &str = "OPT_TORCH_WRITE";

fn reference(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference/torch");
    folder.join(name)
}

fn params() -> ParamMap {
    ParamMap::new([("layer.weight", vec![3, 2]), ("layer.bias", vec![2])]).unwrap()
}

/// Where `make.py` starts.
fn start<F: Scalar>() -> Vec<F> {
    let params = params();
    let places = params.segments().iter().flat_map(|s| 0..s.range.len());
    let value =
        |i: usize| (if i.is_multiple_of(2) { 1.0 } else { -1.0 }) * (0.25 + 0.25 * (i % 3) as f64);
    places.map(|i| F::of(value(i))).collect()
}

/// The steps that `make.py` makes; what x is after each twenty.
fn steps<F: Scalar, R: Rule<F, N>, const N: usize>(
    update: &mut FirstOrder<F, R, N>,
    x: &mut [F],
    (first, count): (u64, u64),
) -> Vec<Vec<F>> {
    let segments = update.params().segments().to_vec();
    let mut points = Vec::new();
    for t in first..first + count {
        let push = F::of(PUSH[(t % 3) as usize]);
        let mut g = Vec::with_capacity(x.len());
        for segment in &segments {
            for (i, &x) in x[segment.range.clone()].iter().enumerate() {
                g.push(F::of(i as f64 + 1.0) * x + x * x * x + push);
            }
        }
        update.apply(x, &g).unwrap();
        if (t + 1 - first) % EVERY == 0 {
            points.push(x.to_vec());
        }
    }
    points
}

fn read(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(reference(name)).unwrap()).unwrap()
}

/// Numbers are texts there: not every reader of JSON takes all digits.
fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().unwrap().iter();
    list.map(|v| v.as_str().unwrap().parse().unwrap()).collect()
}

/// By so much two runs may differ after 100 steps.
fn tolerance<F: Scalar>() -> f64 {
    match F::DTYPE {
        "F32" => 1e-6,
        _ => 1e-12,
    }
}

fn check<F: Scalar>(name: &str, points: &[Vec<F>], expected: &Value) {
    let expected = expected["points"].as_array().unwrap();
    assert_eq!((points.len(), expected.len()), (5, 5));
    for (point, expected) in points.iter().zip(expected) {
        for (ours, theirs) in point.iter().zip(numbers(expected)) {
            let far = (ours.f64() - theirs).abs();
            assert!(
                far <= tolerance::<F>() * theirs.abs().max(1.0),
                "{name}: {ours} is not {theirs}"
            );
        }
    }
}

fn typed<F: Scalar, R: Rule<F, N> + TorchRule, const N: usize>(case: &str, rule: R) {
    let name = format!("{case}-{}", F::DTYPE.to_lowercase());
    // They began: the file has our settings too.
    let path = reference(&format!("{name}.theirs.safetensors"));
    let mut update: FirstOrder<F, R, N> = torch::load(path, &params()).unwrap();
    assert!(
        update.rule(0) == Some(&rule),
        "{name}: {:?}",
        update.rule(0)
    );
    let theirs = &read("theirs.json")[&name];
    let mut x: Vec<F> = numbers(&theirs["start"]).into_iter().map(F::of).collect();
    check(&name, &steps(&mut update, &mut x, (BEFORE, AFTER)), theirs);

    // We began.
    let mut update = FirstOrder::new(rule, &params()).unwrap();
    let mut x = start::<F>();
    steps(&mut update, &mut x, (0, BEFORE));
    let bytes = torch::to_bytes(&mut update).unwrap();
    let path = reference(&format!("{name}.ours.safetensors"));
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(path, bytes).unwrap();
        return write_start(&name, &x);
    }
    let committed = std::fs::read(path).unwrap();
    assert_eq!(content(&bytes), content(&committed), "{name}");
    let began: Vec<f64> = x.iter().map(|x| x.f64()).collect();
    let ours = &read("ours.json")[&name];
    assert_eq!(began, numbers(&ours["start"]), "{name}");
    // As it was, and as it is read again.
    let mut again: FirstOrder<F, R, N> = torch::from_bytes(&bytes, &params()).unwrap();
    let mut y = x.clone();
    check(&name, &steps(&mut update, &mut x, (BEFORE, AFTER)), ours);
    check(&name, &steps(&mut again, &mut y, (BEFORE, AFTER)), ours);
}

type Content = (
    HashMap<String, String>,
    HashMap<String, (Vec<usize>, Vec<u8>)>,
);

/// Options and tensors, whose order in the file is free.
fn content(bytes: &[u8]) -> Content {
    let (length, rest) = bytes.split_at(8);
    let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
    let header: HashMap<String, Value> = serde_json::from_slice(&rest[..length]).unwrap();
    let (mut options, mut tensors) = (HashMap::new(), HashMap::new());
    for (name, value) in header {
        if name == "__metadata__" {
            options = serde_json::from_value(value).unwrap();
            continue;
        }
        let place = |at: usize| value["data_offsets"][at].as_u64().unwrap() as usize;
        let data = rest[length + place(0)..length + place(1)].to_vec();
        let shape = serde_json::from_value(value["shape"].clone()).unwrap();
        tensors.insert(name, (shape, data));
    }
    (options, tensors)
}

fn write_start<F: Scalar>(name: &str, x: &[F]) {
    static FILE: Mutex<()> = Mutex::new(());
    let _alone = FILE.lock();
    let file = reference("start.json");
    let text = std::fs::read(&file).unwrap_or(b"{}".to_vec());
    let mut all: HashMap<String, Value> = serde_json::from_slice(&text).unwrap();
    let x: Vec<String> = x.iter().map(|x| format!("{:?}", x.f64())).collect();
    all.insert(name.to_owned(), x.into());
    std::fs::write(file, serde_json::to_vec(&all).unwrap()).unwrap();
}

fn both<R, const N: usize>(case: &str, rule: R)
where
    R: Rule<f32, N> + Rule<f64, N> + TorchRule,
{
    typed::<f32, R, N>(case, rule.clone());
    typed::<f64, R, N>(case, rule);
}

const DECAY: f64 = 0.01;

#[test]
fn descents() {
    let (lr, momentum, weight_decay) = (0.02, 0.9, DECAY);
    both(
        "sgd",
        Sgd {
            lr: 0.05,
            weight_decay,
        },
    );
    both(
        "momentum",
        Momentum {
            lr,
            momentum,
            weight_decay,
        },
    );
    both(
        "nesterov",
        Nesterov {
            lr,
            momentum,
            weight_decay,
        },
    );
}

#[test]
fn adams() {
    let (lr, beta1, beta2, eps, weight_decay) = (0.01, 0.9, 0.99, 1e-7, DECAY);
    both(
        "adam",
        Adam {
            lr,
            beta1,
            beta2,
            eps,
            weight_decay,
        },
    );
    both(
        "amsgrad",
        AmsGrad {
            lr,
            beta1,
            beta2,
            eps,
            weight_decay,
        },
    );
    both(
        "adamw",
        AdamW {
            lr,
            beta1,
            beta2,
            eps,
            weight_decay,
        },
    );
    let (lr, eps) = (0.02, 0.0);
    both(
        "adamax",
        AdaMax {
            lr,
            beta1,
            beta2,
            eps,
            weight_decay,
        },
    );
}

#[test]
fn rmsprops() {
    let (lr, gamma, eps, weight_decay) = (0.005, 0.95, 1e-6, DECAY);
    both(
        "rmsprop",
        RmsProp {
            lr,
            gamma,
            eps,
            weight_decay,
        },
    );
    // Its variance is a difference: with a smaller ε, rounding decides in single precision.
    let centered = RmsPropCentered {
        lr: 0.01,
        gamma,
        eps: 0.1,
        weight_decay,
    };
    both("rmsprop-centered", centered);
    let (lr, momentum) = (0.001, 0.8);
    both(
        "rmsprop-momentum",
        RmsPropMomentum {
            lr,
            gamma,
            momentum,
            eps,
            weight_decay,
        },
    );
}

#[test]
fn others() {
    let adagrad = AdaGrad {
        lr: 0.1,
        eps: 1e-8,
        initial_accumulator: 0.1,
        weight_decay: DECAY,
    };
    both("adagrad", adagrad);
    let adadelta = AdaDelta {
        lr: 1.0,
        gamma_grad: 0.9,
        gamma_update: 0.9,
        eps_grad: 1e-5,
        eps_update: 1e-5,
        weight_decay: DECAY,
    };
    both("adadelta", adadelta);
    let rprop = IRpropMinus {
        step0: 0.01,
        grow: 1.2,
        shrink: 0.5,
        step_min: 1e-5,
        step_max: 0.5,
        weight_decay: 0.0,
    };
    both("rprop", rprop);
}
