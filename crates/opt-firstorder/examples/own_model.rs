//! A model of one's own: implement `Objective`, and every method steps it.

#![allow(clippy::print_stdout)] // what an example is for

use opt_firstorder::{Adam, Error, Objective, ParamMap, Rule};

/// Logistic regression by hand: loss and gradient over one flat vector.
struct Logistic {
    params: ParamMap,
    points: Vec<([f64; 2], f64)>,
}

impl Objective<f64> for Logistic {
    fn params(&self) -> &ParamMap {
        &self.params
    }

    fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
        self.grad(x, &mut vec![0.0; x.len()])
    }

    fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        let (mut loss, n) = (0.0, self.points.len() as f64);
        g.fill(0.0);
        for (point, label) in &self.points {
            let z = x[0] * point[0] + x[1] * point[1] + x[2];
            // ln(1 + eᶻ) − z·label, without overflow.
            loss += (z.max(0.0) - z * label + (-z.abs()).exp().ln_1p()) / n;
            let delta = ((-z).exp() + 1.0).recip() - label;
            g[0] += delta * point[0] / n;
            g[1] += delta * point[1] / n;
            g[2] += delta / n;
        }
        Ok(loss)
    }
}

fn main() -> Result<(), Error> {
    let params = ParamMap::new([("weight", vec![2]), ("bias", vec![1])])?;
    let point = |i: u32| {
        let (a, b) = (
            f64::from(i * 7 % 20) / 10.0 - 1.0,
            f64::from(i * 3 % 17) / 8.0 - 1.0,
        );
        ([a, b], if a + 2.0 * b > 0.3 { 1.0 } else { 0.0 })
    };
    let points = (0..100).map(point).collect();
    let mut model = Logistic { params, points };

    let mut x = [0.0; 3];
    let mut adam = Adam {
        lr: 0.1,
        ..Adam::default()
    }
    .method(model.params())?;
    for _ in 0..300 {
        adam.step(&mut model, &mut x)?;
    }
    let loss = model.value(&x)?;
    println!("loss {loss:.4} at {x:.3?}");
    assert!(loss < 0.15);
    Ok(())
}
