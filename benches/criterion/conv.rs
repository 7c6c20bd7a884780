//! One update of Adam's CIFAR-10 network (figure 3) at batch 128 against its matrix products alone, in
//! turns in one run. `cargo xtask bench --peers "training convolutional"` has it beside PyTorch's,
//! `benches/peers/conv.py` PyTorch's memory.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod convolutional;
mod turns;

use convolutional::{BATCH, Products, network};
use ndarray::Array2;
use opt_core::Rule;
use opt_firstorder::Adam;
use opt_nn::{Init, Mlp, Target};
use turns::{median, milliseconds};

fn main() {
    let mut mlp = Mlp::<f32>::new(network()).unwrap();
    let mut x = mlp.init(Init::He, 0);
    let mut adam = Adam::default()
        .method(opt_core::Objective::<f32>::params(&mlp))
        .unwrap();
    let images = Array2::from_shape_fn((BATCH, 3072), |(i, j)| ((i * 7 + j * 3) % 13) as f32 - 6.0);
    let classes: Vec<u8> = (0..BATCH).map(|i| (i % 10) as u8).collect();
    let (mut products, mut ours, mut alone) = (Products::new(), Vec::new(), Vec::new());
    for turn in 0..13 {
        let of_products = milliseconds(|| {
            // Inside of the pool, as the network is.
            rayon::join(|| products.run().unwrap(), || ());
        });
        let of_update = milliseconds(|| {
            mlp.load(images.view(), Target::Classes(&classes), turn)
                .unwrap();
            adam.step(&mut mlp, &mut x).unwrap();
        });
        if turn > 2 {
            alone.push(of_products);
            ours.push(of_update);
        }
    }
    let (ours, alone) = (median(ours), median(alone));
    let memory = (mlp.bytes() + 4 * size_of_val(&*x)) >> 20;
    println!(
        "update {ours:.1} ms, products {alone:.1} ms: {:.2}",
        ours / alone
    );
    println!("minibatch, workspace, parameters, gradient and state: {memory} MiB");
}
