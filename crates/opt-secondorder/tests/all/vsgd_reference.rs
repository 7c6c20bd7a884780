//! vSGD against a transcription of the papers, on a noisy linear regression, to 1e-10.
//! `reference/vsgd.py` made it.

#![allow(clippy::unwrap_used)] // helpers of tests

use crate::common;

use common::buffer;
use opt_core::{Direction, Error, HessianDiag, Objective, ParamMap, PerSample};
use opt_secondorder::{
    Bbprop, Curvature, FiniteDifferences, Form, Vsgd, VsgdDirection, VsgdMethod,
};
use serde_json::Value;

const FORMS: [(&str, Form); 3] = [
    ("local", Form::Local),
    ("block", Form::Block),
    ("global", Form::Global),
];

/// ½(aᵀx − b)², averaged over a minibatch.
struct Regression {
    params: ParamMap,
    a: Vec<Vec<f64>>,
    b: Vec<f64>,
    /// The minibatch: rows of a.
    rows: Vec<usize>,
}

impl Objective<f64> for Regression {
    fn params(&self) -> &ParamMap {
        &self.params
    }

    fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
        self.grad(x, &mut vec![0.0; x.len()])
    }

    fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        self.grad_moments(x, g, &mut vec![0.0; x.len()])
    }
}

impl PerSample<f64> for Regression {
    fn samples(&self) -> usize {
        self.rows.len()
    }

    fn grad_moments(&mut self, x: &[f64], g: &mut [f64], s: &mut [f64]) -> Result<f64, Error> {
        let n = self.rows.len() as f64;
        g.fill(0.0);
        s.fill(0.0);
        let mut loss = 0.0;
        for &row in &self.rows {
            let a = &self.a[row];
            let r = a.iter().zip(x).map(|(a, x)| a * x).sum::<f64>() - self.b[row];
            loss += 0.5 * r * r / n;
            for ((g, s), a) in g.iter_mut().zip(&mut *s).zip(a) {
                *g += r * a / n;
                *s += (r * a).powi(2) / n;
            }
        }
        Ok(loss)
    }
}

impl HessianDiag<f64> for Regression {
    fn hessian_diag(&mut self, _: &[f64], h: &mut [f64]) -> Result<(), Error> {
        h.fill(0.0);
        for &row in &self.rows {
            for (h, a) in h.iter_mut().zip(&self.a[row]) {
                *h += a * a / self.rows.len() as f64;
            }
        }
        Ok(())
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    serde_json::from_value(value.clone()).unwrap()
}

fn close(what: &str, ours: &[f64], theirs: &[f64]) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (a, b) in ours.iter().zip(theirs) {
        assert!(
            (a - b).abs() <= 1e-10 * b.abs().max(1e-3),
            "{what}: {a} {b}"
        );
    }
}

/// Runs one case of the reference with either kind of curvature.
fn compare<C: Curvature>(
    case: &Value,
    mut method: VsgdMethod<f64, C>,
    mut regression: Regression,
    start: &[f64],
) where
    VsgdDirection<f64, C>: Direction<f64, Regression>,
{
    let n = case["batch"].as_u64().unwrap() as usize;
    let samples = regression.b.len();
    let (mut x, mut step) = (start.to_vec(), 0);
    for record in case["records"].as_array().unwrap() {
        while (step as u64) < record["step"].as_u64().unwrap() {
            let rows = step * n..(step + 1) * n;
            regression.rows = rows.map(|row| row % samples).collect();
            method.step(&mut regression, &mut x).unwrap();
            step += 1;
        }
        let what = format!("{} {} {n}, step {step}", case["form"], case["curvature"]);
        close(&what, &x, &numbers(&record["x"]));
        close(
            &what,
            &method.direction().rates(n),
            &numbers(&record["eta"]),
        );
        let tau = match buffer(&mut method, "tau") {
            whole if !whole.is_empty() => whole,
            _ => ["tau/w", "tau/u", "tau/b"]
                .map(|name| buffer(&mut method, name))
                .concat(),
        };
        close(&what, &tau, &numbers(&record["tau"]));
    }
}

#[test]
fn trajectories_are_those_of_the_papers() {
    let reference: Value = serde_json::from_str(include_str!("../reference/vsgd.json")).unwrap();
    let segments: Vec<(String, usize)> =
        serde_json::from_value(reference["segments"].clone()).unwrap();
    let segments = segments.into_iter().map(|(name, len)| (name, vec![len]));
    let params = ParamMap::new(segments).unwrap();
    let start = numbers(&reference["start"]);
    let cases = reference["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 24);
    for case in cases {
        let form = FORMS.into_iter().find(|(name, _)| case["form"] == *name);
        let hyper = |name: &str| case["hyper"][name].as_f64().unwrap();
        let hyper = Vsgd {
            // The script has C itself.
            slow_start: (hyper("slow_start") - 1.0) / (params.len() as f64).sqrt(),
            warmup: hyper("warmup") as u64,
            outlier: hyper("outlier"),
            eps: hyper("eps"),
            form: form.unwrap().1,
        };
        let regression = Regression {
            params: params.clone(),
            a: reference["a"]
                .as_array()
                .unwrap()
                .iter()
                .map(numbers)
                .collect(),
            b: numbers(&reference["b"]),
            rows: Vec::new(),
        };
        if case["curvature"] == "fd" {
            let method = hyper.method::<_, FiniteDifferences>(&params).unwrap();
            compare(case, method, regression, &start);
        } else {
            let method = hyper.method::<_, Bbprop>(&params).unwrap();
            compare(case, method, regression, &start);
        }
    }
}
