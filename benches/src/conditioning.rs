//! How well conditioned the blocks of the Fisher matrix are, before and after whitening.

use ndarray::{ArcArray2, Array2, s};
use opt_core::{FirstOrder, Layered, Method, Objective, Rule};
use opt_data::Batches;
use opt_firstorder::Sgd;
use opt_natural::{Eigh, ProngCoordinates, Whiten, fisher};
use opt_nn::{Activation, Init, Mlp, Spec, Target};
use serde::Deserialize;

use crate::results::{Point, Run};
use crate::stop::Stop;

#[derive(Debug, Deserialize)]
pub(crate) struct Conditioning {
    /// Widths of the hidden layers, of tanh units.
    pub(crate) hidden: Vec<usize>,
    /// ε of the whitening.
    pub(crate) eps: f64,
    pub(crate) lr: f64,
    pub(crate) batch: usize,
    /// Updates of plain SGD after which the blocks are compared.
    pub(crate) updates: Vec<u64>,
    /// Images that whitening and Fisher matrix are estimated from.
    pub(crate) samples: usize,
}

impl Conditioning {
    pub(crate) fn spec(&self) -> Spec {
        let hidden = self.hidden.iter().copied();
        let widths: Vec<_> = [100].into_iter().chain(hidden).chain([10]).collect();
        Spec::classifier(&widths, Activation::Tanh)
    }

    /// Of all runs: of each layer, plain and whitened.
    pub(crate) fn names(&self) -> Vec<String> {
        let name = |i: usize| format!("layer {} {}", i / 2, ["plain", "whitened"][i % 2]);
        (0..2 * (self.hidden.len() + 1)).map(name).collect()
    }

    /// Two runs for each layer, plain and whitened, as far as nobody stops them.
    pub(crate) fn run(
        &self,
        (images, labels): (&ArcArray2<f32>, &[u8]),
        stop: &Stop,
    ) -> Result<Vec<Run>, String> {
        let images = shrink(images);
        let mut mlp = Mlp::new(self.spec()).map_err(text)?;
        let sample = images.slice(s![..self.samples.min(images.nrows()), ..]);
        mlp.set_statistics(sample.to_shared()).map_err(text)?;
        let mut x = mlp.init(Init::LeCun, 0);
        let rule = Sgd {
            lr: self.lr,
            ..Sgd::default()
        };
        let mut sgd = rule.method(mlp.params()).map_err(text)?;
        let run = |method| Run {
            method,
            ..Run::default()
        };
        let mut runs: Vec<Run> = self.names().into_iter().map(run).collect();
        let mut batches = Batches::new(images.nrows(), self.batch, 0).map_err(text)?;
        let (mut done, mut epoch) = (0, 0);
        for &update in &self.updates {
            while done < update {
                if stop.asked() {
                    return Ok(runs);
                }
                for rows in batches.epoch(epoch).take((update - done) as usize) {
                    let target = Target::Classes(labels);
                    mlp.load_rows(images.view(), target, rows, done)
                        .map_err(text)?;
                    sgd.step(&mut mlp, &mut x).map_err(text)?;
                    done += 1;
                }
                epoch += 1;
            }
            let labels = &labels[..sample.nrows()];
            mlp.load(sample.view(), Target::Classes(labels), 0)
                .map_err(text)?;
            for (i, condition) in self.blocks(&mlp, &x)?.into_iter().enumerate() {
                runs[i].points.push(Point {
                    update,
                    gradient_evaluations: update,
                    condition: Some(condition),
                    ..Point::default()
                });
            }
        }
        Ok(runs)
    }

    /// Condition numbers of all layers' blocks, plain and whitened in turns.
    fn blocks(&self, mlp: &Mlp<f64>, x: &[f64]) -> Result<Vec<f64>, String> {
        let (mut plain, mut white) = (mlp.clone(), mlp.clone());
        let whiten = Whiten {
            eps: self.eps,
            period: 1,
            samples: self.samples as u64,
            ..Whiten::default()
        };
        // A step that changes nothing but the coordinates.
        let still = Sgd {
            lr: 0.0,
            ..Sgd::default()
        };
        let inner = FirstOrder::new(still, white.params()).map_err(text)?;
        let mut prong = ProngCoordinates::new(whiten, inner, &white).map_err(text)?;
        prong.step(&mut white, &mut x.to_vec()).map_err(text)?;
        let mut all = Vec::new();
        for layer in 0..mlp.places().len() {
            let block = fisher(&mut plain, x, Some(layer)).map_err(text)?;
            all.push(condition(&block)?);
            // In whitened coordinates the network is the same, and so are its deltas.
            let map = input_map(&white, layer)?;
            let units = self.spec().layers[layer].units;
            all.push(condition(&transform(&block, &map, units))?);
        }
        Ok(all)
    }
}

/// M with M·(h, 1) = (U(h − c), 1).
fn input_map(mlp: &Mlp<f64>, layer: usize) -> Result<Array2<f64>, String> {
    let (u, c) = mlp.whitening(layer).ok_or("the layer is not whitened")?;
    let n = c.len();
    let mut map = Array2::eye(n + 1);
    map.slice_mut(s![..n, ..n]).assign(&u);
    map.slice_mut(s![..n, n]).assign(&-u.dot(&c));
    Ok(map)
}

/// T·F·Tᵀ, where T takes the gradient of a layer, (W row by row, then b), from δ(h, 1)ᵀ to
/// δ(M·(h, 1))ᵀ.
fn transform(block: &Array2<f64>, map: &Array2<f64>, units: usize) -> Array2<f64> {
    let n = map.nrows() - 1;
    let place = |unit: usize, j: usize| {
        if j < n {
            unit * n + j
        } else {
            units * n + unit
        }
    };
    let mut t = Array2::zeros(block.dim());
    for unit in 0..units {
        for ((i, j), &m) in map.indexed_iter() {
            t[[place(unit, i), place(unit, j)]] = m;
        }
    }
    t.dot(block).dot(&t.t())
}

/// λ_max over the least λ that is not rounding: a softmax layer has directions of exactly 0.
fn condition(block: &Array2<f64>) -> Result<f64, String> {
    let mut eigh = Eigh::new();
    let eigen = eigh.compute(block.view()).map_err(text)?;
    let max = eigen.values.iter().fold(0.0_f64, |m, &v| m.max(v));
    let real = eigen.values.iter().filter(|&&v| v > 1e-12 * max);
    Ok(max / real.fold(f64::INFINITY, |m, &v| m.min(v)))
}

/// 28×28 to 10×10: the inner 20×20, in means of 2×2.
fn shrink(data: &ArcArray2<f32>) -> Array2<f64> {
    Array2::from_shape_fn((data.nrows(), 100), |(image, pixel)| {
        let (row, column) = (4 + 2 * (pixel / 10), 4 + 2 * (pixel % 10));
        let at = |i: usize, j: usize| f64::from(data[[image, 28 * (row + i) + column + j]]);
        0.25 * (at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1))
    })
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
