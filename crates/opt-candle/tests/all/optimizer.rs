use candle_core::{DType, Tensor, Var};
use candle_nn::Optimizer as _;
use opt_candle::firstorder::{Adam, AdamW, FirstOrder, Groups, Momentum, Part, Sgd};
use opt_candle::{Make, Optimizer, Tune, Vars};

use crate::common::{all, gradients, named, near, store, variables, wave};

const SHAPES: &[&[usize]] = &[&[3, 5], &[7], &[], &[2, 2, 3]];

fn pair(dtype: DType) -> (Vec<Var>, Vec<Var>) {
    (variables(SHAPES, dtype), variables(SHAPES, dtype))
}

/// candle's AdamW and SGD, in double precision.
#[test]
fn the_paths_are_candles_own() {
    let (theirs, ours) = pair(DType::F64);
    let params = candle_nn::ParamsAdamW {
        lr: 0.02,
        weight_decay: 0.1,
        ..Default::default()
    };
    let mut reference = candle_nn::AdamW::new(theirs.clone(), params).unwrap();
    let vars = Vars::new(named(&ours)).unwrap();
    let rule = AdamW {
        lr: 0.02,
        weight_decay: 0.1,
        ..AdamW::default()
    };
    let update = FirstOrder::<f64, _, _>::new(rule, vars.params()).unwrap();
    let mut adamw = Optimizer::along(vars, update).unwrap();
    for step in 0..40 {
        if step == 20 {
            reference.set_learning_rate(0.005);
            adamw.set_learning_rate(0.005);
            assert_eq!(adamw.learning_rate(), 0.005);
        }
        reference
            .step(&store(&theirs, &gradients(&theirs, step)))
            .unwrap();
        adamw.step(&store(&ours, &gradients(&ours, step))).unwrap();
        near(&all::<f64>(&ours), &all::<f64>(&theirs), 1e-13);
    }
    let (theirs, ours) = pair(DType::F64);
    let mut reference = candle_nn::SGD::new(theirs.clone(), 0.1).unwrap();
    let make = Make::from(Sgd {
        lr: 0.1,
        weight_decay: 0.0,
    });
    // By candle's own constructor.
    let mut sgd: Optimizer<FirstOrder<f64, Sgd, 0>, f64> =
        candle_nn::Optimizer::new(ours.clone(), make).unwrap();
    for step in 0..10 {
        reference
            .step(&store(&theirs, &gradients(&theirs, step)))
            .unwrap();
        sgd.step(&store(&ours, &gradients(&ours, step))).unwrap();
    }
    near(&all::<f64>(&ours), &all::<f64>(&theirs), 1e-15);
}

/// A whole program of candle's: `backward_step` on a loss.
#[test]
fn backward_step_is_candles_own() {
    let (theirs, ours) = pair(DType::F64);
    fn train(vars: &[Var], optimizer: &mut impl candle_nn::Optimizer) {
        for step in 0..15 {
            let terms = vars[..4].iter().map(|var| {
                let target = wave(var.dims(), step as f64, var.dtype());
                (var.as_tensor() - target)
                    .unwrap()
                    .sqr()
                    .unwrap()
                    .sum_all()
                    .unwrap()
            });
            let loss = terms.reduce(|a, b| (a + b).unwrap()).unwrap();
            optimizer.backward_step(&loss).unwrap();
        }
    }
    train(
        &theirs,
        &mut candle_nn::AdamW::new_lr(theirs.clone(), 0.01).unwrap(),
    );
    let make = Make::from(AdamW {
        lr: 0.01,
        ..AdamW::default()
    });
    let mut adamw: Optimizer<FirstOrder<f64, AdamW, 2>, f64> =
        candle_nn::Optimizer::new(ours.clone(), make).unwrap();
    train(&ours, &mut adamw);
    near(&all::<f64>(&ours), &all::<f64>(&theirs), 1e-13);
}

#[test]
fn a_step_is_bitwise_that_of_slices() {
    // Large enough for several threads, and several tensors of several sizes.
    let shapes: &[&[usize]] = &[&[300, 401], &[7], &[90, 30, 2], &[1]];
    let vars = variables(shapes, DType::F32);
    let mut slices: Vec<Vec<f32>> = vars.iter().map(|v| all(std::slice::from_ref(v))).collect();
    let ours = Vars::new(named(&vars)).unwrap();
    let mut update = FirstOrder::<f32, _, _>::new(Adam::default(), ours.params()).unwrap();
    let mut adam = Optimizer::new(ours, Adam::default()).unwrap();
    for step in 0..5 {
        let mut gradients = gradients(&vars, step);
        // The first by columns; the second missing in one step.
        let turned = gradients[0].t().unwrap().contiguous().unwrap();
        gradients[0] = turned.t().unwrap();
        assert!(!gradients[0].is_contiguous());
        let flat: Vec<Vec<f32>> = gradients.iter().map(crate::common::flat).collect();
        let mut grads = store(&vars, &gradients);
        let mut parts: Vec<_> = slices
            .iter_mut()
            .zip(&flat)
            .map(|(x, d)| Part::new(x, d))
            .collect();
        if step == 2 {
            grads.remove(&vars[1]);
            parts[1].d = None;
        }
        update.apply_parts(&mut parts).unwrap();
        adam.step(&grads).unwrap();
        assert_eq!(all::<f32>(&vars), slices.concat());
    }
    assert_eq!((adam.update().steps(0), adam.update().steps(1)), (5, 4));
}

#[test]
fn groups_and_frozen_parts() {
    let vars = variables(&[&[4, 2], &[2], &[3]], DType::F32);
    let before: Vec<f32> = all(&vars);
    let ours = Vars::new(named(&vars)).unwrap();
    let update = Groups::<f32>::builder()
        .rule(
            "weights",
            |s| s.shape.len() == 2,
            Momentum {
                lr: 0.1,
                ..Momentum::default()
            },
        )
        .rule(
            "biases",
            |s| s.name == "v1",
            Sgd {
                lr: 0.2,
                weight_decay: 0.0,
            },
        )
        .frozen("fixed", |s| s.name == "v2")
        .build(ours.params())
        .unwrap();
    let mut optimizer = Optimizer::along(ours, update).unwrap();
    let ones: Vec<Tensor> = vars.iter().map(|v| v.ones_like().unwrap()).collect();
    optimizer.step(&store(&vars, &ones)).unwrap();
    let after: Vec<f32> = all(&vars);
    let moved = |i: usize| before[i] - after[i];
    assert!((moved(0) - 0.1).abs() < 1e-6 && (moved(8) - 0.2).abs() < 1e-6);
    assert_eq!(before[10..], after[10..]);
    // A factor keeps the ratio, and so does candle's setter.
    optimizer.update_mut().scale("lr", 0.5).unwrap();
    assert_eq!(optimizer.learning_rate(), 0.05);
    optimizer.set_learning_rate(1.0);
    assert_eq!(optimizer.update().get("biases/lr").unwrap(), 2.0.into());
}

#[test]
fn saved_beside_the_variables_it_goes_on_bit_by_bit() {
    let folder = std::env::temp_dir().join(format!("opt-candle-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (model, state) = (
        folder.join("model.safetensors"),
        folder.join("state.safetensors"),
    );
    let map = candle_nn::VarMap::new();
    let vb = crate::common::builder(&map, DType::F32);
    candle_nn::linear(5, 4, vb.pp("a")).unwrap();
    candle_nn::linear(4, 3, vb.pp("b")).unwrap();
    let start = |map: &candle_nn::VarMap| {
        let vars = Vars::from_varmap(map).unwrap();
        Optimizer::new(
            vars,
            AdamW {
                lr: 0.1,
                ..AdamW::default()
            },
        )
        .unwrap()
    };
    let mut whole = start(&map);
    let run = |adamw: &mut Optimizer<_>, from: usize| {
        let vars = adamw.vars().vars().to_vec();
        for step in from..from + 3 {
            adamw.step(&store(&vars, &gradients(&vars, step))).unwrap();
        }
        all::<f32>(&vars)
    };
    run(&mut whole, 0);
    map.save(&model).unwrap();
    whole.save(&state).unwrap();
    let end = run(&mut whole, 3);

    let mut other = candle_nn::VarMap::new();
    let vb = crate::common::builder(&other, DType::F32);
    candle_nn::linear(4, 3, vb.pp("b")).unwrap();
    candle_nn::linear(5, 4, vb.pp("a")).unwrap();
    other.load(&model).unwrap();
    let mut resumed = start(&other);
    resumed.load(&state).unwrap();
    assert_eq!(run(&mut resumed, 3), end);

    // Of another model, nothing is taken.
    candle_nn::linear(2, 1, vb.pp("c")).unwrap();
    let mut foreign = start(&other);
    assert!(
        foreign
            .load(&state)
            .unwrap_err()
            .to_string()
            .contains("m/c.weight")
    );
    assert_eq!(foreign.update().steps(0), 0);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_gradient_in_a_variables_own_memory_is_copied() {
    let vars = variables(&[&[3], &[3]], DType::F32);
    let [a, b]: [Vec<f32>; 2] = std::array::from_fn(|i| all(&vars[i..=i]));
    // Each the other's gradient.
    let swapped = [vars[1].as_detached_tensor(), vars[0].as_detached_tensor()];
    let ours = Vars::new(named(&vars)).unwrap();
    let mut sgd = Optimizer::new(
        ours,
        Sgd {
            lr: 0.5,
            weight_decay: 0.0,
        },
    )
    .unwrap();
    sgd.step(&store(&vars, &swapped)).unwrap();
    let step = |x: &[f32], g: &[f32]| {
        x.iter()
            .zip(g)
            .map(|(x, g)| x - 0.5 * g)
            .collect::<Vec<_>>()
    };
    assert_eq!(all::<f32>(&vars), [step(&a, &b), step(&b, &a)].concat());
}
