//! Adam's CIFAR-10 network (figure 3), and its matrix products alone. Also the peers', by its path.

use ndarray::Array2;
use opt_nn::{Activation, Convolution, Layer, Pool, Spec, gemm};

pub(crate) const BATCH: usize = 128;

/// (rows, fan_in, units) of every layer.
const SHAPES: [(usize, usize, usize); 5] = [
    (BATCH * 32 * 32, 75, 64),
    (BATCH * 15 * 15, 1600, 64),
    (BATCH * 7 * 7, 1600, 128),
    (BATCH, 1152, 1000),
    (BATCH, 1000, 10),
];

pub(crate) fn network() -> Spec {
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
pub(crate) struct Products(Vec<[Array2<f32>; 5]>);

impl Products {
    pub(crate) fn new() -> Self {
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

    pub(crate) fn run(&mut self) -> Result<(), opt_linalg::Error> {
        for (index, ([h, w, a, g, under], (rows, ..))) in self.0.iter_mut().zip(SHAPES).enumerate()
        {
            for _ in 0..Self::times(rows) {
                gemm(1.0, h.view(), w.t(), 0.0, a.view_mut())?;
                gemm(1.0, a.t(), h.view(), 0.0, g.view_mut())?;
                if index > 0 {
                    gemm(1.0, a.view(), w.view(), 0.0, under.view_mut())?;
                }
            }
        }
        Ok(())
    }
}
