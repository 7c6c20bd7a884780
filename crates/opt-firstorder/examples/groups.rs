//! A frozen layer, and different rules for what moves.

#![allow(clippy::print_stdout)] // what an example is for

use opt_firstorder::{AdamW, Groups, Objective, Sgd, Train};
use opt_nn::{Activation, Init, Mlp, Spec, Target};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (train, test) = opt_data::digits()?.split(360, 0)?;
    let mut model = Mlp::<f32>::new(Spec::classifier(&[64, 50, 50, 10], Activation::Relu))?;
    let mut x = model.init(Init::He, 0);
    let before = x.clone();

    let update = Groups::builder()
        .frozen("first", |s| s.name.starts_with("layer0"))
        .rule(
            "weights",
            |s| s.name.ends_with("weight") && !s.name.starts_with("layer0"),
            AdamW {
                lr: 0.01,
                ..AdamW::default()
            },
        )
        .rule(
            "biases",
            |s| s.name.ends_with("bias") && !s.name.starts_with("layer0"),
            Sgd {
                lr: 0.1,
                weight_decay: 0.0,
            },
        )
        .build(model.params())?;
    let mut method = Train::new(update);
    for _ in 0..100 {
        model.load(train.inputs.view(), Target::Classes(&train.labels), 0)?;
        method.step(&mut model, &mut x)?;
    }

    let error = model
        .evaluate(&x, test.inputs.view(), Target::Classes(&test.labels))?
        .error;
    println!("test error {error:.3?}");
    let frozen = model.params().get("layer0.bias").map_or(0, |s| s.range.end);
    assert!(x[..frozen] == before[..frozen] && error < Some(0.06));
    Ok::<_, Box<dyn std::error::Error>>(())
}
