//! Four minibatches an update, weighted by their samples; clipping; an average of the parameters.

#![allow(clippy::print_stdout)] // what an example is for

use opt_firstorder::{
    Accumulate, Adam, Average, Averaging, FirstOrder, Objective, clip_global_norm,
};
use opt_nn::{Activation, Init, Mlp, Spec, Target};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (train, test) = opt_data::digits()?.split(360, 0)?;
    let mut model = Mlp::<f32>::new(Spec::classifier(&[64, 50, 10], Activation::Relu))?;
    let mut x = model.init(Init::He, 0);

    let mut adam = FirstOrder::new(
        Adam {
            lr: 0.003,
            ..Adam::default()
        },
        model.params(),
    )?;
    let mut sum = Accumulate::new(model.params(), 4)?;
    let mut average = Average::new(Averaging::Polyak { start: 100 }, model.params(), &x)?;
    let (mut g, mut batches) = (
        vec![0.0; x.len()],
        opt_data::Batches::new(train.labels.len(), 32, 0)?,
    );
    for t in 0..1000 {
        let (inputs, rows) = (train.inputs.view(), batches.rows(t));
        model.load_rows(inputs, Target::Classes(&train.labels), rows, t)?;
        model.grad(&x, &mut g)?;
        if sum.add(&g, rows.len() as u64)? {
            g.copy_from_slice(sum.mean());
            clip_global_norm(&mut g, 1.0)?;
            adam.apply(&mut x, &g)?;
            average.update(&x)?;
        }
    }

    let targets = Target::Classes(&test.labels);
    let error = model
        .evaluate(average.value(), test.inputs.view(), targets)?
        .error;
    println!("test error of the average {error:.3?}");
    assert!(error < Some(0.05));
    Ok(())
}
