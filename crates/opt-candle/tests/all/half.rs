use candle_core::{DType, Tensor, Var};
use opt_candle::firstorder::{AdamW, FirstOrder, Sgd};
use opt_candle::{Error, Optimizer, Vars};

use crate::common::{CPU, flat, gradients, named, store, variables};

const SHAPES: &[&[usize]] = &[&[40, 3], &[5], &[0, 2]];

fn wide(vars: &[Var]) -> Vec<f32> {
    let all = vars.iter();
    all.flat_map(|var| flat::<f32>(&var.to_dtype(DType::F32).unwrap()))
        .collect()
}

/// The path is that of `f32`, and the variables are it, rounded by candle's own conversion.
#[test]
fn variables_follow_a_copy_in_f32() {
    for dtype in [DType::BF16, DType::F16] {
        let vars = variables(SHAPES, dtype);
        let ours = Vars::new(named(&vars)).unwrap();
        let rule = AdamW {
            lr: 1e-3,
            ..AdamW::default()
        };
        let mut update = FirstOrder::<f32, _, _>::new(rule.clone(), ours.params()).unwrap();
        let mut adamw = Optimizer::new(ours, rule).unwrap();
        let mut x = wide(&vars);
        for step in 0..20 {
            let gradients = gradients(&vars, step);
            let d = gradients
                .iter()
                .flat_map(|g| flat::<f32>(&g.to_dtype(DType::F32).unwrap()));
            update.apply(&mut x, &d.collect::<Vec<_>>()).unwrap();
            adamw.step(&store(&vars, &gradients)).unwrap();
            let rounded = Tensor::from_slice(&x, x.len(), CPU).unwrap();
            let rounded = rounded
                .to_dtype(dtype)
                .unwrap()
                .to_dtype(DType::F32)
                .unwrap();
            assert_eq!(wide(&vars), flat::<f32>(&rounded), "{dtype:?}, {step}");
        }
    }
}

#[test]
fn small_steps_add_up_and_what_another_sets_is_taken() {
    let one = Var::ones(4, DType::BF16, CPU).unwrap();
    let vars = [one.clone()];
    let sgd = Sgd {
        lr: 1e-3,
        weight_decay: 0.0,
    };
    let mut sgd = Optimizer::new(Vars::new(named(&vars)).unwrap(), sgd).unwrap();
    let grads = store(&vars, &[one.ones_like().unwrap()]);
    for _ in 0..100 {
        sgd.step(&grads).unwrap(); // 1 − 0.001 is 1 in bf16
    }
    assert!((wide(&vars)[0] - 0.9).abs() < 4e-3);
    one.set(
        &Tensor::full(2.0_f32, 4, CPU)
            .unwrap()
            .to_dtype(DType::BF16)
            .unwrap(),
    )
    .unwrap();
    for _ in 0..100 {
        sgd.step(&grads).unwrap();
    }
    assert!((wide(&vars)[0] - 1.9).abs() < 8e-3);
}

#[test]
fn the_copy_is_state_and_its_end_is_told() {
    let run = |cut: bool| {
        let vars = variables(SHAPES, DType::F16);
        let make = || {
            Optimizer::new(
                Vars::new(named(&vars)).unwrap(),
                AdamW {
                    lr: 1e-4,
                    ..AdamW::default()
                },
            )
        };
        let mut adamw = make().unwrap();
        for step in 0..12 {
            if cut && step == 6 {
                let saved = opt_core::Run::new().with("o", &mut adamw).take().unwrap();
                adamw = make().unwrap();
                opt_core::Run::new()
                    .with("o", &mut adamw)
                    .restore(&saved)
                    .unwrap();
            }
            adamw.step(&store(&vars, &gradients(&vars, step))).unwrap();
        }
        wide(&vars)
    };
    assert_eq!(run(true), run(false));

    // 65504 is f16's greatest number.
    let vars = [Var::ones(3, DType::F16, CPU).unwrap()];
    let sgd = Sgd {
        lr: 1e5,
        weight_decay: 0.0,
    };
    let mut sgd = Optimizer::new(Vars::new(named(&vars)).unwrap(), sgd).unwrap();
    let error = sgd
        .step(&store(&vars, &[vars[0].ones_like().unwrap()]))
        .unwrap_err();
    assert!(
        matches!(error, Error::Method(opt_core::Error::Diverged { .. })),
        "{error}"
    );
}
