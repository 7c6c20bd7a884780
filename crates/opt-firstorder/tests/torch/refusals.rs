//! What differs is refused with its name.

use std::collections::HashMap;

use opt_core::{FirstOrder, ParamMap, Rule, Storage, Update};
use opt_firstorder::torch::{self, TorchError, TorchRule};
use opt_firstorder::{
    AdaDelta, AdaGrad, AdaMax, Adam, AdamW, AmsGrad, IRpropMinus, Momentum, RmsProp,
    RmsPropCentered, RmsPropMomentum, Sgd,
};
use serde_json::{Value, json};

/// A file of these options, and tensors of f32 with their shapes.
fn file(options: &[(&str, &str)], tensors: &[(&str, &[usize], &[f32])]) -> Vec<u8> {
    let mut all: HashMap<&str, &str> = options.iter().copied().collect();
    all.entry("opt-torch").or_insert("1");
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".to_owned(), json!(all));
    let mut data = Vec::new();
    for (name, shape, values) in tensors {
        let begin = data.len();
        data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        let tensor = json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()]});
        header.insert((*name).to_owned(), tensor);
    }
    let header = Value::Object(header).to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.extend(data);
    bytes
}

fn params() -> ParamMap {
    ParamMap::new([("w", vec![2])]).unwrap()
}

fn refuses<R: Rule<f32, N> + TorchRule, const N: usize>(
    mut options: Vec<(&str, &str)>,
    change: (&'static str, &'static str),
    why: &str,
) {
    options.retain(|(name, _)| *name != change.0);
    let as_it_was = [("weight_decay", "0"), ("lr", "0.1")];
    for (name, value) in as_it_was {
        if name != change.0 {
            options.push((name, value));
        }
    }
    options.push(change);
    options.push(("optimizer", R::CLASS));
    let found = torch::from_bytes::<f32, R, N>(&file(&options, &[]), &params());
    let error = found.map(drop).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, TorchError::Option { .. }), "{text}");
    assert!(
        text.contains(change.0) && text.contains(why),
        "{change:?}: {text}"
    );
}

#[test]
fn options_that_differ() {
    let adam = || {
        vec![
            ("betas", "0.9,0.99"),
            ("eps", "1e-08"),
            ("amsgrad", "False"),
        ]
    };
    refuses::<Adam, 2>(adam(), ("amsgrad", "True"), "must be False");
    refuses::<AmsGrad, 3>(adam(), ("amsgrad", "False"), "must be True");
    refuses::<Adam, 2>(adam(), ("decoupled_weight_decay", "True"), "must be False");
    refuses::<AdamW, 2>(adam(), ("amsgrad", "True"), "must be False");
    refuses::<Adam, 2>(adam(), ("maximize", "True"), "other sign");
    refuses::<Adam, 2>(adam(), ("betas", "0.9"), "two numbers");
    refuses::<Adam, 2>(adam(), ("lr", "tensor(0.1)"), "a number");
    refuses::<Adam, 2>(adam(), ("eps", "nan"), "a number");
    refuses::<Adam, 2>(adam(), ("momentum_decay", "0.004"), "unknown");
    refuses::<AdaMax, 2>(adam(), ("eps", "1e-08"), "within the maximum");
    let sgd = || {
        vec![
            ("momentum", "0.9"),
            ("dampening", "0"),
            ("nesterov", "False"),
        ]
    };
    refuses::<Momentum, 1>(sgd(), ("dampening", "0.1"), "must be 0");
    refuses::<Momentum, 1>(sgd(), ("nesterov", "True"), "must be False");
    refuses::<Momentum, 1>(sgd(), ("momentum", "0"), "plain descent");
    refuses::<Momentum, 1>(sgd(), ("lr", "0.0"), "above 0");
    refuses::<Sgd, 0>(sgd(), ("momentum", "0.9"), "must be 0");
    let rms = || {
        vec![
            ("alpha", "0.9"),
            ("eps", "1e-8"),
            ("momentum", "0"),
            ("centered", "False"),
        ]
    };
    refuses::<RmsProp, 1>(rms(), ("centered", "True"), "must be False");
    refuses::<RmsProp, 1>(rms(), ("momentum", "0.9"), "must be 0");
    refuses::<RmsPropMomentum, 2>(rms(), ("momentum", "0"), "RmsProp");
    let centered = vec![("alpha", "0.9"), ("eps", "1e-8"), ("centered", "True")];
    refuses::<RmsPropCentered, 2>(centered, ("momentum", "0.9"), "must be 0");
    let adagrad = vec![("eps", "1e-8"), ("initial_accumulator_value", "0")];
    refuses::<AdaGrad, 1>(adagrad, ("lr_decay", "0.1"), "must be 0");
    refuses::<AdaDelta, 2>(vec![("eps", "1e-8")], ("rho", "None"), "a number");
    refuses::<IRpropMinus, 2>(
        vec![("etas", "0.5,1.2")],
        ("step_sizes", "1"),
        "two numbers",
    );
}

#[test]
fn files_that_are_none() {
    let load = |bytes: &[u8]| torch::from_bytes::<f32, Adam, 2>(bytes, &params()).map(drop);
    for bad in [
        &[][..],
        &[0; 7],
        &[255; 64],
        b"PK\x03\x04 a file of torch.save, say",
    ] {
        assert!(matches!(load(bad), Err(TorchError::Format(_))));
    }
    let plain = file(&[("opt-torch", "2"), ("optimizer", "Adam")], &[]);
    assert!(matches!(load(&plain), Err(TorchError::Format(_))));
    let text = load(&file(&[("optimizer", "AdamW")], &[]))
        .unwrap_err()
        .to_string();
    assert!(text.contains("AdamW") && text.contains("Adam"), "{text}");
    let none = torch::load::<f32, Adam, 2>("/nowhere/adam.safetensors", &params());
    assert!(matches!(
        none,
        Err(TorchError::Core(opt_core::Error::Io { .. }))
    ));
    // A setting that the rule refuses.
    let options = [
        ("optimizer", "Adam"),
        ("lr", "-1"),
        ("betas", "0.9,0.99"),
        ("eps", "0"),
        ("weight_decay", "0"),
    ];
    assert!(matches!(
        load(&file(&options, &[])),
        Err(TorchError::Core(_))
    ));
}

#[test]
fn tensors_that_do_not_fit() {
    type Tensor = (&'static str, &'static [usize], &'static [f32]);
    let options = [
        ("optimizer", "Adam"),
        ("lr", "0.1"),
        ("betas", "0.9,0.99"),
        ("eps", "1e-8"),
        ("weight_decay", "0"),
    ];
    let step: Tensor = ("w.step", &[], &[3.0]);
    let first: Tensor = ("w.exp_avg", &[2], &[1.0, 2.0]);
    let second: Tensor = ("w.exp_avg_sq", &[2], &[1.0, 2.0]);
    let load = |tensors: &[Tensor]| {
        let bytes = file(&options, tensors);
        torch::from_bytes::<f32, Adam, 2>(&bytes, &params())
    };
    let update = load(&[step, first, second]).unwrap();
    assert_eq!(
        (update.steps(0), update.slot("m", 0)),
        (3, Some(&[1.0, 2.0][..]))
    );
    assert_eq!(load(&[]).unwrap().steps(0), 0);
    let bad: [(&[Tensor], &str); 7] = [
        (&[step, first], "`w.exp_avg_sq` is missing"),
        (&[first, second], "`w.step` is missing"),
        (
            &[step, first, ("w.exp_avg_sq", &[1, 2], &[1.0, 2.0])],
            "w.exp_avg_sq",
        ),
        (
            &[step, first, second, ("v.exp_avg", &[1], &[1.0])],
            "`v.exp_avg` is unknown",
        ),
        (&[("w.step", &[], &[1.5]), first, second], "count of steps"),
        (&[("w.step", &[], &[-1.0]), first, second], "count of steps"),
        (
            &[("w.step", &[2], &[1.0, 2.0]), first, second],
            "count of steps",
        ),
    ];
    for (tensors, text) in bad {
        let error = load(tensors).map(drop).unwrap_err();
        assert!(matches!(error, TorchError::Tensors(_)));
        assert!(error.to_string().contains(text), "{text}: {error}");
    }
    let double =
        torch::from_bytes::<f64, Adam, 2>(&file(&options, &[step, first, second]), &params());
    assert!(matches!(double.map(drop), Err(TorchError::Tensors(_))));
}

#[test]
fn states_that_pytorch_cannot_have() {
    fn refuses<R: Rule<f32, N> + TorchRule, const N: usize>(rule: R, name: &str) {
        let mut update = FirstOrder::<f32, R, N>::new(rule, &params()).unwrap();
        let error = torch::to_bytes(&mut update).unwrap_err();
        assert!(matches!(error, TorchError::Option { .. }), "{error}");
        assert!(error.to_string().contains(name), "{name}: {error}");
    }
    refuses(
        AdaMax {
            eps: 1e-8,
            ..AdaMax::default()
        },
        "eps",
    );
    refuses(
        AdaDelta {
            gamma_update: 0.9,
            ..AdaDelta::default()
        },
        "rho",
    );
    refuses(
        AdaDelta {
            eps_update: 0.1,
            ..AdaDelta::default()
        },
        "eps",
    );
    refuses(
        IRpropMinus {
            weight_decay: 0.1,
            ..IRpropMinus::default()
        },
        "weight_decay",
    );
    refuses(
        Momentum {
            lr: 0.0,
            ..Momentum::default()
        },
        "lr",
    );
    refuses(
        RmsPropMomentum {
            lr: 0.0,
            ..RmsPropMomentum::default()
        },
        "lr",
    );

    let two = ParamMap::new([("a", vec![1]), ("b", vec![1])]).unwrap();
    let rule = |s: &opt_core::Segment| Sgd {
        lr: s.name.len() as f64,
        weight_decay: 0.0,
    };
    let mut same = FirstOrder::<f32, Sgd, 0>::with(&two, rule).unwrap();
    assert!(torch::to_bytes(&mut same).is_ok());
    same.adjust(|s, rule| rule.lr = s[0].range.end as f64)
        .unwrap();
    assert!(matches!(
        torch::to_bytes(&mut same),
        Err(TorchError::Groups)
    ));

    let large = ParamMap::flat(5000).unwrap();
    let mut small = FirstOrder::<f32, Adam, 2>::new(Adam::default(), &large).unwrap();
    small.store(Storage::Bf16 { seed: 0 }, &|_| false).unwrap();
    assert!(matches!(
        torch::to_bytes(&mut small),
        Err(TorchError::Tensors(_))
    ));
}

/// What has made no step has no state in PyTorch; but Adagrad's is there from the start.
#[test]
fn tensors_without_a_step() {
    let mut adam = FirstOrder::<f32, Adam, 2>::new(Adam::default(), &params()).unwrap();
    let bytes = torch::to_bytes(&mut adam).unwrap();
    assert!(!bytes.windows(7).any(|w| w == b"exp_avg"));
    assert_eq!(
        torch::from_bytes::<f32, Adam, 2>(&bytes, &params())
            .unwrap()
            .steps(0),
        0
    );
    let rule = AdaGrad {
        initial_accumulator: 0.5,
        ..AdaGrad::default()
    };
    let mut adagrad = FirstOrder::<f32, AdaGrad, 1>::new(rule, &params()).unwrap();
    let bytes = torch::to_bytes(&mut adagrad).unwrap();
    let again = torch::from_bytes::<f32, AdaGrad, 1>(&bytes, &params()).unwrap();
    assert_eq!(
        (again.steps(0), again.slot("r", 0)),
        (0, Some(&[0.5, 0.5][..]))
    );
}
