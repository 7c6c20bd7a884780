//! Warm-up from 0 and a cosine to 0, over groups that keep the ratio of their rates.

#![allow(clippy::print_stdout)] // what an example is for

use opt_firstorder::{Adam, Groups, Momentum, Objective, Schedule, Train, Tune, Value};
use opt_nn::{Activation, Init, Mlp, Spec, Target};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (train, test) = opt_data::digits()?.split(360, 0)?;
    let mut model = Mlp::<f32>::new(Spec::classifier(&[64, 50, 10], Activation::Relu))?;
    let mut x = model.init(Init::He, 0);

    let weights = Adam {
        lr: 0.01,
        ..Adam::default()
    };
    let biases = Momentum {
        lr: 0.1,
        ..Momentum::default()
    };
    let update = Groups::builder()
        .rule("weights", |s| s.name.ends_with("weight"), weights)
        .rule("biases", |s| s.name.ends_with("bias"), biases)
        .build(model.params())?;
    let mut method = Train::new(update);
    let (from, peak, to) = (0.0, 1.0, 0.0);
    let factor = Schedule::WarmupCosine {
        from,
        peak,
        to,
        warmup: 20,
        steps: 200,
    };
    for t in 0..=200 {
        method.scale("lr", factor.at(t))?;
        model.load(train.inputs.view(), Target::Classes(&train.labels), 0)?;
        method.step(&mut model, &mut x)?;
    }

    let error = model
        .evaluate(&x, test.inputs.view(), Target::Classes(&test.labels))?
        .error;
    println!("test error {error:.3?}");
    assert_eq!(method.get("weights/lr")?, Value::Real(0.0));
    assert!(error < Some(0.05));
    Ok(())
}
