//! [`opt_nn::Mlp`]: the chosen rows, forward, backward and the update; and its matrix products
//! alone.

use ndarray::Array2;
use opt_core::{Value, find_entry};
use opt_firstorder::zoo;
use opt_nn::{Activation, Init, Mlp, Spec, Target};

use crate::turns::{Runner, timed};
use crate::work::{self, Loss, Net};

pub(super) fn runners(net: Net) -> Result<Vec<Runner<'static>>, String> {
    let mut products = Products::new(&net);
    let limit = move || {
        timed(net.updates, || {
            products.run().map_err(|error| error.to_string())
        })
    };
    Ok(vec![
        super::runner(super::LIMIT, limit),
        super::runner(super::OURS, ours(net).map_err(|e| e.to_string())?),
    ])
}

fn spec(net: &Net) -> Spec {
    match (net.loss, net.activation) {
        (Loss::Sigmoid, _) => {
            let encoder = &net.widths[..=net.widths.len() / 2];
            Spec::autoencoder(encoder, Activation::Sigmoid)
        }
        (Loss::Softmax, work::Activation::Relu) => Spec::classifier(net.widths, Activation::Relu),
        (Loss::Softmax, _) => Spec::classifier(net.widths, Activation::Sigmoid),
    }
}

type Fail = Box<dyn std::error::Error>;

fn ours(net: Net) -> Result<impl FnMut() -> Result<f64, String>, Fail> {
    let mut mlp = Mlp::<f32>::new(spec(&net))?;
    let entries = zoo::<f32, Mlp<f32>>();
    let rate = [("lr", Value::Real(net.rate))];
    let mut method = find_entry(&entries, net.method)?.build(&rate, &mlp)?;
    let mut x = mlp.init(Init::He, 0);
    let inputs = Array2::from_shape_vec((net.samples, net.widths[0]), net.inputs())?;
    let (classes, order) = (net.classes(), net.order());
    let mut t = 0;
    Ok(move || {
        timed(net.updates, || -> Result<(), String> {
            let target = match net.loss {
                Loss::Softmax => Target::Classes(&classes),
                Loss::Sigmoid => Target::Inputs,
            };
            let rows = &order[net.begin(t)..][..net.batch];
            mlp.load_rows(inputs.view(), target, rows, t as u64)
                .map_err(|error| error.to_string())?;
            t += 1;
            method
                .step(&mut mlp, &mut x)
                .map(drop)
                .map_err(|error| error.to_string())
        })
    })
}

/// One product a layer forward, one for its weights' gradient, and one for the deltas below it, if
/// there is a layer below.
struct Products {
    activations: Vec<Array2<f32>>,
    weights: Vec<Array2<f32>>,
    gradients: Vec<Array2<f32>>,
}

impl Products {
    fn new(net: &Net) -> Self {
        let filled = |shape| Array2::from_elem(shape, 1e-3);
        let pairs = net.widths.windows(2);
        let weights: Vec<_> = pairs.map(|w| filled((w[1], w[0]))).collect();
        Self {
            activations: net.widths.iter().map(|&w| filled((net.batch, w))).collect(),
            gradients: weights.clone(),
            weights,
        }
    }

    fn run(&mut self) -> Result<(), opt_linalg::Error> {
        let layers = self.weights.len();
        for l in 0..layers {
            let (below, above) = self.activations.split_at_mut(l + 1);
            let (w, out) = (self.weights[l].t(), above[0].view_mut());
            opt_linalg::gemm(1.0, below[l].view(), w, 0.0, out)?;
        }
        for l in (0..layers).rev() {
            let (below, above) = self.activations.split_at_mut(l + 1);
            let g = self.gradients[l].view_mut();
            opt_linalg::gemm(1.0, above[0].t(), below[l].view(), 0.0, g)?;
            if l > 0 {
                let (w, out) = (self.weights[l].view(), below[l].view_mut());
                opt_linalg::gemm(1.0, above[0].view(), w, 0.0, out)?;
            }
        }
        Ok(())
    }
}
