//! Recorded, and restored into a module with other parameter ids.

use burn_core as burn;
use burn_core::module::{Module, ParamId};
use burn_core::store::ModuleRecord;
use burn_core::tensor::DType;
use burn_optim::{AdamConfig, ModuleOptimizer, OptimizerRecord};
use opt_burn::{Error, ModuleUpdate, RuleOptimizer, params, rebind};
use opt_firstorder::{AdaDelta, Adam, AdamW, FirstOrder, Groups, IRpropMinus, Sgd, Storage, Tune};
use opt_firstorder::{Rule, Update};

use crate::net::{Net, net};

/// The same values under other ids: a module of another process, of which only values were saved.
fn stranger(old: &Net) -> Net {
    let mut new = net(old.layers[0].weight.val().dtype());
    for (new, old) in new.layers.iter_mut().zip(&old.layers) {
        let id = new.weight.id;
        new.weight = old.weight.clone();
        new.weight.id = id;
        if let (Some(new), Some(old)) = (&mut new.bias, &old.bias) {
            let id = new.id;
            *new = old.clone();
            new.id = id;
        }
        assert_ne!(new.weight.id, old.weight.id);
    }
    assert_eq!(new.values(), old.values());
    new
}

fn steps(
    optimizer: &mut ModuleOptimizer,
    lr: f64,
    mut net: Net,
    seeds: std::ops::Range<u64>,
) -> Net {
    for seed in seeds {
        let grads = net.grads(seed);
        net = optimizer.step(lr, net, grads);
    }
    net
}

fn resumes<R, const N: usize>(rule: R, lr: f64, dtype: DType)
where
    R: Rule<f32, N> + Rule<f64, N>,
{
    let rule = RuleOptimizer::new(rule).unwrap();
    let mut through = ModuleOptimizer::from(rule.clone());
    let half = steps(&mut through, lr, net(dtype), 0..7);
    let bytes = through.to_record().into_bytes().unwrap();
    let end = steps(&mut through, lr, half.clone(), 7..14);

    // Burn's record, by way of bytes, into the same module.
    let record = OptimizerRecord::from_bytes(bytes.clone()).unwrap();
    let mut same = ModuleOptimizer::from(rule.clone()).load_record(record);
    assert_eq!(
        steps(&mut same, lr, half.clone(), 7..14).values(),
        end.values()
    );

    // Into one with other ids.
    let other = stranger(&half);
    let record = OptimizerRecord::from_bytes(bytes.clone()).unwrap();
    let record = rebind(record, &other).unwrap();
    let mut moved = ModuleOptimizer::from(rule.clone()).load_record(record);
    // Recorded once more before a step, which makes the states of it.
    let record = moved.to_record();
    moved = ModuleOptimizer::from(rule.clone()).load_record(record);
    assert_eq!(steps(&mut moved, lr, other, 7..14).values(), end.values());
    assert!(rule.take_error().is_none());
}

#[test]
fn rules_resume_bit_by_bit() {
    for dtype in [DType::F32, DType::F64] {
        resumes(AdamW::default(), 0.01, dtype);
        resumes(AdaDelta::default(), 1.0, dtype);
        resumes(IRpropMinus::default(), 1.0, dtype);
        resumes(Sgd::default(), 0.1, dtype);
    }
}

/// What `rebind` is for, burn #5130: without it burn's own optimizer starts anew, and with it goes on.
#[test]
fn burns_own_optimizers_resume_by_path_too() {
    let mut through = AdamConfig::new().init();
    let half = steps(&mut through, 0.01, net(DType::F32), 0..7);
    let record = || {
        let bytes = through.to_record().into_bytes().unwrap();
        OptimizerRecord::from_bytes(bytes).unwrap()
    };
    let (lost, kept) = (record(), record());
    let other = stranger(&half);
    let mut anew = AdamConfig::new().init().load_record(lost);
    let kept = rebind(kept, &other).unwrap();
    let mut on = AdamConfig::new().init().load_record(kept);
    let end = steps(&mut through, 0.01, half, 7..14).values();
    assert_ne!(steps(&mut anew, 0.01, other.clone(), 7..14).values(), end);
    assert_eq!(steps(&mut on, 0.01, other, 7..14).values(), end);
}

#[test]
fn a_record_for_another_module_is_refused() {
    let mut adam = AdamConfig::new().init();
    let trained = steps(&mut adam, 0.01, net(DType::F32), 0..1);
    let record = adam.to_record();
    let mut smaller = trained;
    smaller.layers[1].bias = None;
    smaller.layers.remove(0);
    let error = rebind(record, &smaller).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Record(_)), "{text}");
    assert!(
        text.contains("layers.1.weight") && text.contains("layers.0.bias"),
        "{text}"
    );
}

fn groups(module: &Net) -> ModuleUpdate<f32, Groups<f32>> {
    let params = params::<f32, _>(module).unwrap();
    let update = Groups::builder()
        .rule("weights", |s| s.name.ends_with("weight"), AdamW::default())
        .rule(
            "biases",
            |s| s.name.ends_with("bias"),
            Sgd {
                lr: 0.05,
                weight_decay: 0.0,
            },
        )
        .build(&params);
    ModuleUpdate::new(update.unwrap())
}

fn all<U: Update<f32>>(update: &mut ModuleUpdate<f32, U>, mut net: Net, seeds: [u64; 2]) -> Net {
    for seed in seeds[0]..seeds[1] {
        let grads = net.grads(seed);
        net = update.try_step(net, grads).unwrap();
    }
    net
}

#[test]
fn a_whole_modules_state_is_by_path() {
    let start = net(DType::F32);
    let names = params::<f32, _>(&start).unwrap();
    let names: Vec<_> = names.segments().iter().map(|s| s.name.clone()).collect();
    let expected = [
        "layers.0.weight",
        "layers.0.bias",
        "layers.1.weight",
        "layers.1.bias",
    ];
    assert_eq!(names, expected);

    let mut through = groups(&start);
    let half = all(&mut through, start, [0, 7]);
    let bytes = through.to_bytes().unwrap();
    let file = std::env::temp_dir().join(format!("opt-burn-{}.bpk", std::process::id()));
    through.save(&file).unwrap();
    // The module by burn's record, whose ids a module of another process does not have.
    let module = half.clone().into_record().into_bytes().unwrap();
    let end = all(&mut through, half.clone(), [7, 14]).values();

    let other = stranger(&half);
    let mut moved = groups(&other);
    moved.load_bytes(bytes).unwrap();
    assert_eq!(all(&mut moved, other, [7, 14]).values(), end);

    let loaded = net(DType::F32).load_record(ModuleRecord::from_bytes(module).unwrap());
    let mut from_file = groups(&loaded);
    from_file.load(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(all(&mut from_file, loaded, [7, 14]).values(), end);
}

#[test]
fn state_in_fewer_bits_resumes() {
    #[derive(Module, Debug)]
    struct Wide {
        x: burn_core::module::Param<burn_core::tensor::Tensor<1>>,
    }
    let make = || Wide {
        x: crate::net::param(crate::net::tensor([5000], 3, DType::F32)),
    };
    let update = |module: &Wide, storage| {
        let params = params::<f32, _>(module).unwrap();
        let mut update = FirstOrder::<f32, _, 2>::new(Adam::default(), &params).unwrap();
        Update::store(&mut update, storage, &|_| false).unwrap();
        ModuleUpdate::new(update)
    };
    let grads = |module: &Wide, seed| {
        let mut grads = burn_optim::GradientsParams::new();
        let g = crate::net::tensor::<1>([5000], seed, DType::F32);
        grads.register(module.x.id, g);
        grads
    };
    for storage in [Storage::Bf16 { seed: 1 }, Storage::Bits8 { seed: 1 }] {
        let mut one = update(&make(), storage);
        let mut module = make();
        for seed in 0..3 {
            let g = grads(&module, seed);
            module = one.try_step(module, g).unwrap();
        }
        let mut two = update(&module, storage);
        two.load_bytes(one.to_bytes().unwrap()).unwrap();
        let copy = module.clone();
        let (a, b) = (grads(&module, 9), grads(&copy, 9));
        let a = one.try_step(module, a).unwrap().x.val().into_data();
        let b = two.try_step(copy, b).unwrap().x.val().into_data();
        assert_eq!(a, b);
    }
}

#[test]
fn damaged_and_foreign_states_are_refused() {
    let start = net(DType::F32);
    let mut update = groups(&start);
    let start = all(&mut update, start, [0, 2]);
    let good = update.to_bytes().unwrap();
    let one_rule = |rule| {
        let params = params::<f32, _>(&start).unwrap();
        ModuleUpdate::new(FirstOrder::new(rule, &params).unwrap())
    };
    let mut other = one_rule(AdamW::default());
    all(&mut other, start.clone(), [0, 1]);
    let before = other.to_bytes().unwrap().to_vec();
    let error = other.load_bytes(good.clone()).unwrap_err();
    assert!(error.to_string().contains("layers.0.bias"), "{error}");
    assert_eq!(
        other.to_bytes().unwrap().to_vec(),
        before,
        "changed by a refused record"
    );
    let foreign = other.to_bytes().unwrap();
    let error = update.load_bytes(foreign).unwrap_err();
    assert!(error.to_string().contains("is unknown"), "{error}");
    for cut in [0, 3, 20, good.len() - 1] {
        let cut = burn_core::tensor::Bytes::from_bytes_vec(good[..cut].to_vec());
        assert!(update.load_bytes(cut).is_err());
    }
    assert!(update.load("/nowhere/state.bpk").is_err());
    update.update_mut().scale("lr", 0.5).unwrap();
    update.load_bytes(good).unwrap();
}

/// A state of another rule, or a type, is an error of the next step, and never a new start.
#[test]
fn a_rule_refuses_another_rules_record() {
    let adamw = RuleOptimizer::new(AdamW::default()).unwrap();
    let mut one = ModuleOptimizer::from(adamw);
    let trained = steps(&mut one, 0.01, net(DType::F32), 0..2);
    let bytes = one.to_record().into_bytes().unwrap();
    let record = || OptimizerRecord::from_bytes(bytes.clone()).unwrap();

    let adadelta = RuleOptimizer::new(AdaDelta::default()).unwrap();
    let mut two = ModuleOptimizer::from(adadelta.clone()).load_record(record());
    let after = steps(&mut two, 1.0, trained.clone(), 2..3);
    let error = adadelta.take_error().unwrap();
    assert!(matches!(error, Error::Record(_)), "{error}");
    assert_eq!(after.values(), trained.values());

    let mut burns = AdamConfig::new().init();
    steps(&mut burns, 0.01, trained.clone(), 0..1);
    let adamw = RuleOptimizer::new(AdamW::default()).unwrap();
    let mut three = ModuleOptimizer::from(adamw.clone()).load_record(burns.to_record());
    let after = steps(&mut three, 0.01, trained.clone(), 2..3);
    assert!(matches!(adamw.take_error(), Some(Error::Record(_))));
    assert_eq!(after.values(), trained.values());

    // In double precision, under the same ids.
    let mut double = net(DType::F64);
    let ids: Vec<ParamId> = trained.layers.iter().map(|layer| layer.weight.id).collect();
    for (layer, id) in double.layers.iter_mut().zip(ids) {
        layer.weight.id = id;
    }
    let mut four = ModuleOptimizer::from(adamw.clone()).load_record(record());
    steps(&mut four, 0.01, double, 2..3);
    assert!(matches!(adamw.take_error(), Some(Error::Record(_))));
}
