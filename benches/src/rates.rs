//! The largest stable learning rate of gradient descent: 2/λ, by the greatest eigenvalue λ of the
//! Hessian, against what is found by trying.

use ndarray::ArrayView2;
use opt_core::{HessianProduct, Method, Objective};
use opt_data::{Dataset, Standardize};
use opt_nn::{Activation, Init, Mlp, Spec, Target};
use opt_secondorder::Lbfgs;
use serde::Deserialize;

use crate::results::{Point, Rate, Run};
use crate::stop::Stop;

#[derive(Debug, Deserialize)]
pub(crate) struct Rates {
    /// Width of the hidden layer.
    pub(crate) hidden: usize,
    /// Images that the loss is the mean over.
    pub(crate) samples: usize,
    pub(crate) l2: f64,
    /// Steps of gradient descent that tell whether a rate is stable.
    pub(crate) steps: u64,
    /// Products of the power iteration.
    pub(crate) products: u64,
    /// Passes of the online estimate.
    pub(crate) passes: u64,
}

/// Steps of L-BFGS to a minimum at most, and the norm of the gradient that will do.
const MOST: u64 = 20_000;
const FLAT: f64 = 1e-7;

/// A network and what it is trained on.
struct Case<'a> {
    mlp: Mlp<f64>,
    inputs: ArrayView2<'a, f64>,
    labels: &'a [u8],
}

impl Rates {
    fn spec(&self, activation: Activation) -> Spec {
        let mut spec = Spec::classifier(&[64, self.hidden, 10], activation);
        spec.l2 = self.l2;
        spec
    }

    pub(crate) fn model(&self) -> String {
        let (hidden, l2) = (self.hidden, self.l2);
        format!("64-{hidden}-10, softmax cross-entropy, L2 {l2}")
    }

    /// A run for each network: at the start, and at a minimum.
    pub(crate) fn run(&self, digits: &Dataset, stop: &Stop) -> Result<Vec<Run>, String> {
        let labels = &digits.labels[..self.samples];
        let rows = digits.inputs.slice(ndarray::s![..self.samples, ..]);
        let mut standard = rows.to_owned();
        let measured = Standardize::fit(rows).map_err(text)?;
        measured.apply(standard.view_mut()).map_err(text)?;
        let both = [rows.mapv(f64::from), standard.mapv(f64::from)];
        let mut runs = Vec::new();
        for (activation, name) in [
            (Activation::Tanh, "tanh"),
            (Activation::ScaledTanh, "scaled-tanh"),
        ] {
            for (inputs, ending) in both.iter().zip(["", ", standardized"]) {
                if stop.asked() {
                    return Ok(runs);
                }
                let mut mlp = Mlp::new(self.spec(activation)).map_err(text)?;
                let inputs = inputs.view();
                mlp.load(inputs, Target::Classes(labels), 0).map_err(text)?;
                let mut case = Case {
                    mlp,
                    inputs,
                    labels,
                };
                runs.push(self.network(&mut case, format!("{name}{ending}"))?);
                eprintln!("  {name}{ending}");
            }
        }
        Ok(runs)
    }

    fn network(&self, case: &mut Case<'_>, method: String) -> Result<Run, String> {
        let mut run = Run {
            method,
            ..Run::default()
        };
        let mut x = case.mlp.init(Init::LeCun, 0);
        let point = |update, loss, rate| Point {
            update,
            train_loss: Some(loss),
            rate: Some(rate),
            ..Point::default()
        };
        let loss = case.mlp.value(&x).map_err(text)?;
        run.points.push(point(0, loss, self.rate(case, &x, false)?));
        let mut lbfgs = Lbfgs::default().method(case.mlp.params()).map_err(text)?;
        let mut g = vec![0.0; x.len()];
        let mut done = 0;
        while done < MOST {
            lbfgs.step(&mut case.mlp, &mut x).map_err(text)?;
            done += 1;
            case.mlp.grad(&x, &mut g).map_err(text)?;
            if norm(&g) < FLAT {
                break;
            }
        }
        let loss = case.mlp.value(&x).map_err(text)?;
        run.points
            .push(point(done, loss, self.rate(case, &x, true)?));
        Ok(run)
    }

    /// The three rates at `x`; `minimum` says whether it is one.
    fn rate(&self, case: &mut Case<'_>, x: &[f64], minimum: bool) -> Result<Rate, String> {
        let (greatest, direction) = self.power(&mut case.mlp, x)?;
        let online = self.online(case, x)?;
        let target = Target::Classes(case.labels);
        case.mlp.load(case.inputs, target, 0).map_err(text)?;
        // Off the minimum: along the eigenvector, where it is steepest: so little that a cycle of
        // two points, which a rate just above 2/λ ends in, is farther off.
        let away = if minimum { 1e-5 * norm(x) } else { 0.0 };
        let start: Vec<f64> = (x.iter().zip(&direction))
            .map(|(x, d)| x + away * d)
            .collect();
        Ok(Rate {
            predicted: 2.0 / greatest,
            online: 2.0 / online,
            found: self.bisect(&mut case.mlp, &start, 2.0 / greatest)?,
        })
    }

    /// The Hessian's eigenvalue of greatest magnitude, and its eigenvector.
    fn power(&self, mlp: &mut Mlp<f64>, x: &[f64]) -> Result<(f64, Vec<f64>), String> {
        let mut v = unit(direction(x.len()));
        let mut product = vec![0.0; x.len()];
        let mut value = 0.0;
        for _ in 0..self.products {
            mlp.hessian_product(x, &v, &mut product).map_err(text)?;
            value = v.iter().zip(&product).map(|(v, p)| v * p).sum();
            v = unit(product.clone());
        }
        Ok((value, v))
    }

    /// The same online, by differences of gradients of single samples (LeCun, Simard & Pearlmutter
    /// 1993): Ψ ← (1 − γ)Ψ + γ(g(x + αΨ/|Ψ|) − g(x))/α, whose length tends to it. γ falls from 0.1
    /// over 0.03 to 0.01, a third of the way each.
    fn online(&self, case: &mut Case<'_>, x: &[f64]) -> Result<f64, String> {
        const ALPHA: f64 = 1e-3;
        let n = case.labels.len() as u64;
        let (mut psi, total) = (unit(direction(x.len())), self.passes * n);
        let (mut at, mut off) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        for t in 0..total {
            let gamma = [0.1, 0.03, 0.01][((3 * t) / total) as usize];
            // A step that visits all rows, as 7,919 is a prime.
            let row = [((t * 7_919) % n) as usize];
            let target = Target::Classes(case.labels);
            let loaded = case.mlp.load_rows(case.inputs, target, &row, 0);
            loaded.map_err(text)?;
            let length = norm(&psi);
            let there: Vec<f64> = (x.iter().zip(&psi))
                .map(|(x, p)| x + ALPHA * p / length)
                .collect();
            case.mlp.grad(x, &mut at).map_err(text)?;
            case.mlp.grad(&there, &mut off).map_err(text)?;
            for (psi, (off, at)) in psi.iter_mut().zip(off.iter().zip(&at)) {
                *psi = (1.0 - gamma) * *psi + gamma * (off - at) / ALPHA;
            }
        }
        Ok(norm(&psi))
    }

    /// The greatest rate, to a thousandth, at which the loss is lower after `steps` steps from `start`.
    fn bisect(&self, mlp: &mut Mlp<f64>, start: &[f64], near: f64) -> Result<f64, String> {
        let (mut low, mut high) = (near / 100.0, near * 100.0);
        while high / low > 1.001 {
            let middle = (low * high).sqrt();
            match self.stable(mlp, start, middle)? {
                true => low = middle,
                false => high = middle,
            }
        }
        Ok((low * high).sqrt())
    }

    fn stable(&self, mlp: &mut Mlp<f64>, start: &[f64], rate: f64) -> Result<bool, String> {
        let (mut x, mut g) = (start.to_vec(), vec![0.0; start.len()]);
        let first = mlp.value(&x).map_err(text)?;
        for _ in 0..self.steps {
            let loss = mlp.grad(&x, &mut g).map_err(text)?;
            if !loss.is_finite() || loss > 1e3 * (1.0 + first) {
                return Ok(false);
            }
            x.iter_mut().zip(&g).for_each(|(x, g)| *x -= rate * g);
        }
        let last = mlp.value(&x).map_err(text)?;
        Ok(last < first)
    }
}

/// Of either sign, without a pattern.
fn direction(n: usize) -> Vec<f64> {
    let wave = |i: usize| (1.7 * i as f64).sin() + 0.3 * (0.9 * (i * i % 1009) as f64).cos();
    (0..n).map(wave).collect()
}

fn norm(v: &[f64]) -> f64 {
    v.iter().map(|v| v * v).sum::<f64>().sqrt()
}

fn unit(mut v: Vec<f64>) -> Vec<f64> {
    let length = norm(&v);
    v.iter_mut().for_each(|v| *v /= length);
    v
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Rates {
        Rates {
            hidden: 4,
            samples: 120,
            l2: 1e-2,
            steps: 400,
            products: 300,
            passes: 6,
        }
    }

    /// At a minimum the descent is that of a quadratic: what is found is what is predicted.
    #[test]
    fn at_a_minimum_trying_finds_2_over_lambda() {
        let (config, digits) = (config(), opt_data::digits().unwrap());
        let inputs = digits.inputs.slice(ndarray::s![..120, ..]).mapv(f64::from);
        let labels = &digits.labels[..120];
        let mut mlp = Mlp::new(config.spec(Activation::Tanh)).unwrap();
        mlp.load(inputs.view(), Target::Classes(labels), 0).unwrap();
        let mut case = Case {
            mlp,
            inputs: inputs.view(),
            labels,
        };
        let run = config.network(&mut case, "tanh".to_owned()).unwrap();
        let rate = run.points[1].rate.unwrap();
        assert!((rate.found / rate.predicted - 1.0).abs() < 0.05, "{rate:?}");
        assert!((rate.online / rate.predicted - 1.0).abs() < 0.3, "{rate:?}");
    }
}
