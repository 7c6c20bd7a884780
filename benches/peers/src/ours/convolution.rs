//! Adam's CIFAR-10 network: forward, backward and the update; and its matrix products alone.

use ndarray::Array2;
use opt_core::{Objective, Rule};
use opt_firstorder::Adam;
use opt_nn::{Init, Mlp, Target};

use crate::convolutional::{self as net, BATCH};
use crate::turns::{Runner, timed};

pub(super) fn runners(lr: f64, updates: usize) -> Result<Vec<Runner<'static>>, String> {
    let mut products = net::Products::new();
    // Inside of the pool, as the network is.
    let limit = move || timed(updates, || rayon::join(|| products.run(), || ()).0);
    let ours = ours(lr, updates).map_err(|error| error.to_string())?;
    Ok(vec![
        super::runner(super::LIMIT, limit),
        super::runner(super::OURS, ours),
    ])
}

type Fail = Box<dyn std::error::Error>;

fn ours(lr: f64, updates: usize) -> Result<impl FnMut() -> Result<f64, String>, Fail> {
    let mut mlp = Mlp::<f32>::new(net::network())?;
    let mut x = mlp.init(Init::He, 0);
    let adam = Adam {
        lr,
        ..Adam::default()
    };
    let mut adam = adam.method(mlp.params())?;
    let images = Array2::from_shape_fn((BATCH, 3072), |(i, j)| ((i * 7 + j * 3) % 13) as f32 - 6.0);
    let classes: Vec<u8> = (0..BATCH).map(|i| (i % 10) as u8).collect();
    let mut t = 0;
    Ok(move || {
        timed(updates, || {
            t += 1;
            mlp.load(images.view(), Target::Classes(&classes), t)
                .map_err(|error| error.to_string())?;
            let done = adam.step(&mut mlp, &mut x);
            done.map(drop).map_err(|error| error.to_string())
        })
    })
}
