//! A network with a minibatch, and its second derivatives by explicit Jacobians and differences.
#![allow(clippy::unwrap_used)] // in helpers of the tests too

use ndarray::{Array1, Array2, ArrayView1, Axis, s};
use opt_core::{GaussNewton, HessianProduct, Layered, Objective};
use opt_nn::{Activation, Loss, Mlp, Spec, Target};

use super::{ACTIVATIONS, LOSSES, data, labels, parameters, spec};

pub(crate) const SEED: u64 = 5;

pub(crate) struct Case {
    pub(crate) spec: Spec,
    pub(crate) inputs: Array2<f64>,
    pub(crate) values: Array2<f64>,
    pub(crate) classes: Vec<u8>,
    pub(crate) net: Mlp<f64>,
    pub(crate) x: Vec<f64>,
}

impl Case {
    /// With targets of class labels where the loss takes no others.
    pub(crate) fn new(spec: Spec, rows: usize) -> Self {
        let mut net = Mlp::new(spec.clone()).unwrap();
        let outputs = spec.layers.last().unwrap().units;
        let mut case = Self {
            inputs: data(rows, spec.inputs),
            values: data(rows, outputs),
            classes: labels(rows, outputs),
            x: parameters(&net, 3),
            net: net.clone(),
            spec,
        };
        net.load(case.inputs.view(), case.target(), SEED).unwrap();
        case.net = net;
        case
    }

    pub(crate) fn target(&self) -> Target<'_, f64> {
        match self.spec.loss {
            Loss::SoftmaxCrossEntropy => Target::Classes(&self.classes),
            _ => Target::Values(self.values.view()),
        }
    }

    /// The gradient of ½‖z − y‖²/rows without a penalty, with the masks of the case; and z, of a
    /// network whose output is linear.
    pub(crate) fn squared(&self, y: &Array2<f64>) -> (Array1<f64>, Array2<f64>) {
        let mut spec = self.spec.clone();
        (spec.loss, spec.l2) = (Loss::SquaredError, 0.0);
        let mut net = Mlp::new(spec).unwrap();
        let mut g = vec![0.0; self.x.len()];
        net.load(self.inputs.view(), Target::Values(y.view()), SEED)
            .unwrap();
        net.grad(&self.x, &mut g).unwrap();
        let delta = net.layer(net.places().len() - 1).unwrap().delta;
        let z = &delta * self.inputs.nrows() as f64 + y;
        (g.into(), z)
    }

    /// z, and J of shape (rows · outputs, parameters).
    pub(crate) fn jacobian(&mut self) -> (Array2<f64>, Array2<f64>) {
        let outputs = self.values.ncols();
        let rows = self.inputs.nrows();
        let z = match self.spec.layers.last().unwrap().activation {
            Activation::Identity => self.squared(&self.values).1,
            // Without dropout, then.
            _ => {
                let layers = self.spec.layers.len();
                self.net
                    .hidden(&self.x, self.inputs.view(), layers)
                    .unwrap()
            }
        };
        let mut jacobian = Array2::zeros((rows * outputs, self.x.len()));
        for (index, mut row) in jacobian.rows_mut().into_iter().enumerate() {
            let mut y = z.clone();
            y[[index / outputs, index % outputs]] -= 1.0;
            row.assign(&(self.squared(&y).0 * rows as f64));
        }
        (z, jacobian)
    }

    /// The diagonal matrix of the penalty.
    pub(crate) fn penalty(&self) -> Array1<f64> {
        let mut diagonal = Array1::zeros(self.x.len());
        for segment in self.net.params().segments() {
            if segment.shape.len() == 2 {
                diagonal
                    .slice_mut(s![segment.range.clone()])
                    .fill(self.spec.l2);
            }
        }
        diagonal
    }

    /// G = Σ JᵀH_L J/rows + penalty, from closed forms of H_L.
    pub(crate) fn gauss_newton(&mut self) -> Array2<f64> {
        let (z, jacobian) = self.jacobian();
        let (rows, outputs) = z.dim();
        let mut matrix = Array2::from_diag(&self.penalty());
        for n in 0..rows {
            let j = jacobian.slice(s![n * outputs..(n + 1) * outputs, ..]);
            matrix += &(j.t().dot(&bend(self.spec.loss, z.row(n))).dot(&j) / rows as f64);
        }
        matrix
    }

    pub(crate) fn hessian(&mut self) -> Array2<f64> {
        let n = self.x.len();
        let (mut matrix, mut g) = (Array2::zeros((n, n)), vec![0.0; n]);
        for i in 0..n {
            for sign in [1.0, -1.0] {
                let mut x = self.x.clone();
                x[i] += sign * 1e-5;
                self.net.grad(&x, &mut g).unwrap();
                let mut row = matrix.row_mut(i);
                row += &(Array1::from(g.clone()) * (sign / 2e-5));
            }
        }
        matrix
    }

    pub(crate) fn products(&mut self, hessian: bool) -> Array2<f64> {
        let n = self.x.len();
        let mut matrix = Array2::zeros((n, n));
        for (i, mut row) in matrix.rows_mut().into_iter().enumerate() {
            let (mut v, mut out) = (vec![0.0; n], vec![f64::NAN; n]);
            v[i] = 1.0;
            let x = self.x.clone();
            match hessian {
                true => self.net.hessian_product(&x, &v, &mut out).unwrap(),
                false => self.net.gauss_newton_product(&x, &v, &mut out).unwrap(),
            }
            row.assign(&Array1::from(out));
        }
        matrix
    }
}

/// H_L of one sample.
pub(crate) fn bend(loss: Loss, z: ArrayView1<'_, f64>) -> Array2<f64> {
    let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
    match loss {
        Loss::SoftmaxCrossEntropy => {
            let e = z.mapv(f64::exp);
            let p = &e / e.sum();
            let column = p.clone().insert_axis(Axis(1));
            Array2::from_diag(&p) - column.dot(&column.t())
        }
        Loss::SigmoidCrossEntropy => {
            Array2::from_diag(&z.mapv(|z| sigmoid(z) * (1.0 - sigmoid(z))))
        }
        _ => Array2::eye(z.len()),
    }
}

pub(crate) fn distance(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    assert_eq!(a.dim(), b.dim());
    let pairs = a.iter().zip(b);
    pairs.fold(0.0, |worst, (a, b)| (a - b).abs().max(worst))
}

/// Every activation × loss, with dropout and L2, and with a non-linear output.
pub(crate) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (activation, loss) in ACTIVATIONS.iter().flat_map(|&a| LOSSES.map(|l| (a, l))) {
        for dropout in [0.0, 0.4] {
            let mut spec = spec(&[3, 4, 3, 2], activation, loss);
            (spec.input_dropout, spec.l2) = (dropout, 0.1);
            spec.layers[0].dropout = dropout;
            spec.layers[1].dropout = dropout;
            all.push(Case::new(spec.clone(), 5));
            if dropout == 0.0 {
                spec.layers[2].activation = activation;
                all.push(Case::new(spec, 5));
            }
        }
    }
    assert_eq!(all.len(), ACTIVATIONS.len() * 3 * 3);
    all
}
