//! One update of Adam's CIFAR-10 network (figure 3) at batch 128 against its matrix products alone, in
//! turns in one run. `benches/peers/conv.py` does the update in PyTorch.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod turns;

use ndarray::Array2;
use opt_core::Rule;
use opt_firstorder::Adam;
use opt_nn::{Activation, Convolution, Init, Layer, Mlp, Pool, Spec, Target, gemm};
use turns::{median, milliseconds};

const BATCH: usize = 128;

/// (rows, fan_in, units) of every layer.
const SHAPES: [(usize, usize, usize); 5] = [
    (BATCH * 32 * 32, 75, 64),
    (BATCH * 15 * 15, 1600, 64),
    (BATCH * 7 * 7, 1600, 128),
    (BATCH, 1152, 1000),
    (BATCH, 1000, 10),
];

fn network() -> Spec {
    let filters = Convolution {
        kernel: 5,
        stride: 1,
        padding: 2,
    };
    let maps = |channels| {
        let mut layer = Layer::convolution(channels, filters, Activation::Relu);
        layer.pool = Some(Pool::max(3, 2));
        layer
    };
    let mut spec = Spec::classifier(&[3072, 1000, 10], Activation::Relu);
    spec.image = Some([32, 32, 3]);
    spec.layers.splice(..0, [maps(64), maps(64), maps(128)]);
    spec
}

/// Of one layer: h, W, a, and the slopes by W and by h. Of many rows an eighth at a time, as no network holds
/// all of its patches.
struct Products(Vec<[Array2<f32>; 5]>);

impl Products {
    fn new() -> Self {
        let filled = |rows, columns| Array2::from_elem((rows, columns), 1e-3);
        let all = SHAPES.map(|(rows, fan_in, units)| {
            let rows = rows / Self::times(rows);
            [
                filled(rows, fan_in),
                filled(units, fan_in),
                filled(rows, units),
                filled(units, fan_in),
                filled(rows, fan_in),
            ]
        });
        Self(all.into())
    }

    fn times(rows: usize) -> usize {
        if rows > 1000 { 8 } else { 1 }
    }

    fn run(&mut self) {
        for (index, ([h, w, a, g, under], (rows, ..))) in self.0.iter_mut().zip(SHAPES).enumerate()
        {
            for _ in 0..Self::times(rows) {
                gemm(1.0, h.view(), w.t(), 0.0, a.view_mut()).unwrap();
                gemm(1.0, a.t(), h.view(), 0.0, g.view_mut()).unwrap();
                if index > 0 {
                    gemm(1.0, a.view(), w.view(), 0.0, under.view_mut()).unwrap();
                }
            }
        }
    }
}

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
            rayon::join(|| products.run(), || ());
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
