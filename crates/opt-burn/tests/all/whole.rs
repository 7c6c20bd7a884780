//! A module's parameters move all or not at all.

use burn_core::module::{Module, ParamGroup};
use burn_core::tensor::{DType, Device, Tensor};
use burn_optim::GradientsParams;
use opt_burn::{Error, ModuleUpdate, params};
use opt_core::Error as Core;
use opt_firstorder::{AdamW, FirstOrder, Tune};

use crate::net::{Net, net, tensor};

fn adamw(module: &Net) -> ModuleUpdate<f32, FirstOrder<f32, AdamW, 2>> {
    let params = params::<f32, _>(module).unwrap();
    ModuleUpdate::new(FirstOrder::new(AdamW::default(), &params).unwrap())
}

#[test]
fn one_bad_gradient_keeps_all_in_place() {
    let mut module = net(DType::F32);
    let mut update = adamw(&module);
    let grads = module.grads(0);
    module = update.try_step(module, grads).unwrap();
    let (before, state) = (module.values(), update.to_bytes().unwrap().to_vec());
    // The last of all parameters.
    let last = module.layers[1].bias.as_ref().unwrap().id;
    type Make = fn() -> Tensor<1>;
    let bad: [(&str, Make); 4] = [
        ("NaN", || tensor([3], 0, DType::F32) * f32::NAN),
        ("magnitudes", || tensor([3], 0, DType::F32) * 1e30),
        ("F64", || tensor([3], 0, DType::F64)),
        ("shape", || tensor([4], 0, DType::F32)),
    ];
    for (text, make) in bad {
        let mut grads = module.grads(1);
        grads.register(last, make());
        let refused = update.try_step(module, grads).unwrap_err();
        module = refused.module;
        let error = refused.error.to_string();
        assert!(
            error.contains("layers.1.bias") && error.contains(text),
            "{text}: {error}"
        );
        assert_eq!(module.values(), before, "{text}");
        assert_eq!(update.to_bytes().unwrap().to_vec(), state, "{text}");
        assert!(module.layers[0].weight.val().is_require_grad());
    }
    // As in a loop that can't fail: it stands still until it is asked.
    let mut grads = module.grads(1);
    grads.register(last, bad[0].1());
    module = update.step(module, grads);
    let good = module.grads(1);
    module = update.step(module, good);
    assert_eq!(module.values(), before);
    assert!(matches!(
        update.take_error(),
        Some(Error::Update(Core::NonFiniteGradient { .. }))
    ));
    let good = module.grads(1);
    module = update.step(module, good);
    assert!(update.take_error().is_none());
    assert_ne!(module.values(), before);
}

#[test]
fn a_parameter_without_a_gradient_stays() {
    let mut module = net(DType::F32);
    let mut update = adamw(&module);
    let bias = module.layers[0].bias.as_ref().unwrap().id;
    let mut grads = module.grads(0);
    grads.remove::<1>(bias).unwrap();
    let before = module.layers[0].bias.as_ref().unwrap().val().into_data();
    module = update.try_step(module, grads).unwrap();
    assert_eq!(
        module.layers[0].bias.as_ref().unwrap().val().into_data(),
        before
    );
    assert_eq!((update.update().steps(0), update.update().steps(1)), (1, 0));
    // So does one that has been frozen since, and a module without any gradient.
    module = module.freeze_group(ParamGroup::from_predicate("layers.1"));
    let grads = module.grads(0);
    module = update.try_step(module, grads).unwrap();
    assert_eq!((update.update().steps(1), update.update().steps(2)), (1, 1));
    let before = module.values();
    module = update.try_step(module, GradientsParams::new()).unwrap();
    assert_eq!(module.values(), before);
}

#[test]
fn another_module_is_refused() {
    let whole = net(DType::F32);
    let mut update = adamw(&whole);
    let mut smaller = whole.clone();
    smaller.layers[1].bias = None;
    let mut larger = whole.clone();
    larger.layers.push(net(DType::F32).layers.remove(1));
    let mut wider = whole.clone();
    wider.layers[0].weight = crate::net::param(tensor([5, 9], 0, DType::F32));
    for (module, name) in [
        (smaller, "layers.1.bias"),
        (larger, "layers.2"),
        (wider, "layers.0"),
    ] {
        let before = module.values();
        let refused = update.try_step(module, GradientsParams::new()).unwrap_err();
        assert!(
            matches!(refused.error, Error::Module(_)),
            "{}",
            refused.error
        );
        assert!(
            refused.error.to_string().contains(name),
            "{}",
            refused.error
        );
        assert_eq!(refused.module.values(), before);
    }
    let refused = update
        .try_step(net(DType::F64), GradientsParams::new())
        .unwrap_err();
    assert!(
        matches!(refused.error, Error::DType { .. }),
        "{}",
        refused.error
    );
    // Nothing to train, and the wrong type.
    let frozen = net(DType::F32).no_grad();
    assert!(matches!(
        params::<f32, _>(&frozen),
        Err(Error::Update(Core::NoParameters))
    ));
    assert!(matches!(
        params::<f64, _>(&net(DType::F32)),
        Err(Error::DType { .. })
    ));
}

#[test]
fn a_clone_of_the_module_is_not_touched() {
    let module = net(DType::F32);
    let (clone, before) = (module.clone(), module.values());
    let mut update = adamw(&module);
    update.update_mut().set("lr", 0.1.into()).unwrap();
    let grads = module.grads(0);
    let moved = update.try_step(module, grads).unwrap();
    assert_eq!(clone.values(), before);
    assert_ne!(moved.values(), before);
}

/// A parameter keeps what autodiff was told of it.
#[test]
fn checkpointing_and_devices_stay() {
    let device = Device::flex().autodiff().gradient_checkpointing();
    let mut module = net(DType::F32).fork(&device).train();
    for layer in &mut module.layers {
        let strategy = device.gradient_checkpointing_strategy().unwrap();
        layer.weight = layer.weight.clone().map(|w| {
            w.detach()
                .with_gradient_checkpointing_strategy(strategy)
                .require_grad()
        });
    }
    let strategy = module.layers[0]
        .weight
        .val()
        .gradient_checkpointing_strategy();
    let mut update = adamw(&module);
    let mut grads = GradientsParams::new();
    grads.register(
        module.layers[0].weight.id,
        tensor::<2>([4, 9], 1, DType::F32),
    );
    module = update.try_step(module, grads).unwrap();
    assert_eq!(
        module.layers[0]
            .weight
            .val()
            .gradient_checkpointing_strategy(),
        strategy
    );
}
