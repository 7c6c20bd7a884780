//! Objectives that the tests share.

#![allow(dead_code)] // every test file uses its part

use opt_core::{
    Error, HessianDiag, HessianProduct, Method, Objective, ParamMap, Parameters, PerSample,
    Snapshot, State, Visit,
};

/// f(x) = ½(x − c)ᵀA(x − c) for a symmetric A; `products` may be of another matrix.
pub(crate) struct Coupled {
    pub(crate) matrix: Vec<Vec<f64>>,
    pub(crate) products: Vec<Vec<f64>>,
    pub(crate) minimum: Vec<f64>,
    params: ParamMap,
}

impl Coupled {
    pub(crate) fn new(matrix: Vec<Vec<f64>>, minimum: Vec<f64>) -> Self {
        let params = ParamMap::flat(minimum.len()).unwrap();
        Self {
            products: matrix.clone(),
            matrix,
            minimum,
            params,
        }
    }
}

fn multiply(matrix: &[Vec<f64>], v: &[f64], out: &mut [f64]) {
    for (out, row) in out.iter_mut().zip(matrix) {
        *out = row.iter().zip(v).map(|(a, v)| a * v).sum();
    }
}

impl Objective<f64> for Coupled {
    fn params(&self) -> &ParamMap {
        &self.params
    }

    fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
        self.grad(x, &mut vec![0.0; x.len()])
    }

    fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        let offset: Vec<_> = x.iter().zip(&self.minimum).map(|(x, c)| x - c).collect();
        multiply(&self.matrix, &offset, g);
        Ok(0.5 * offset.iter().zip(g).map(|(o, g)| o * *g).sum::<f64>())
    }
}

impl HessianProduct<f64> for Coupled {
    fn hessian_product(&mut self, _: &[f64], v: &[f64], out: &mut [f64]) -> Result<(), Error> {
        multiply(&self.products, v, out);
        Ok(())
    }
}

/// What a [`Spoiled`] objective gets wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Spoil {
    Diagonal,
    Product,
    /// The samples' squared gradients.
    Square,
    /// The gradient where it is asked for without moments: finite differences' second one.
    Gradient,
}

/// An objective with one NaN in one kind of answer.
pub(crate) struct Spoiled<O> {
    pub(crate) inner: O,
    pub(crate) spoil: Option<Spoil>,
}

impl<O> Spoiled<O> {
    fn spoil(&self, kind: Spoil, out: &mut [f64]) {
        if self.spoil == Some(kind) {
            out[1] = f64::NAN;
        }
    }
}

impl<O: Objective<f64>> Objective<f64> for Spoiled<O> {
    fn params(&self) -> &ParamMap {
        self.inner.params()
    }

    fn value(&mut self, x: &[f64]) -> Result<f64, Error> {
        self.inner.value(x)
    }

    fn grad(&mut self, x: &[f64], g: &mut [f64]) -> Result<f64, Error> {
        let loss = self.inner.grad(x, g)?;
        self.spoil(Spoil::Gradient, g);
        Ok(loss)
    }
}

impl<O: HessianDiag<f64>> HessianDiag<f64> for Spoiled<O> {
    fn hessian_diag(&mut self, x: &[f64], h: &mut [f64]) -> Result<(), Error> {
        self.inner.hessian_diag(x, h)?;
        self.spoil(Spoil::Diagonal, h);
        Ok(())
    }
}

impl<O: HessianProduct<f64>> HessianProduct<f64> for Spoiled<O> {
    fn hessian_product(&mut self, x: &[f64], v: &[f64], out: &mut [f64]) -> Result<(), Error> {
        self.inner.hessian_product(x, v, out)?;
        self.spoil(Spoil::Product, out);
        Ok(())
    }
}

impl<O: PerSample<f64>> PerSample<f64> for Spoiled<O> {
    fn samples(&self) -> usize {
        self.inner.samples()
    }

    fn grad_moments(&mut self, x: &[f64], g: &mut [f64], s: &mut [f64]) -> Result<f64, Error> {
        let loss = self.inner.grad_moments(x, g, s)?;
        self.spoil(Spoil::Square, s);
        Ok(loss)
    }
}

pub(crate) fn snapshot(
    method: &mut dyn State<f64>,
    params: &ParamMap,
    x: &mut [f64],
) -> Snapshot<f64> {
    let mut parameters = Parameters::new(params, x).unwrap();
    Snapshot::take(&mut [("method", method), ("x", &mut parameters)]).unwrap()
}

/// Asserts that a step of a spoiled objective is refused as not finite, and changes nothing; and
/// that the next step, of the sound objective, is made.
pub(crate) fn refuses<O, M>(method: &mut M, objective: &mut Spoiled<O>, x: &mut [f64], spoil: Spoil)
where
    O: Objective<f64>,
    M: Method<f64, Spoiled<O>> + State<f64>,
{
    let params = objective.params().clone();
    let before = snapshot(method, &params, x);
    objective.spoil = Some(spoil);
    let text = method.step(objective, x).unwrap_err().to_string();
    assert!(text.contains("is not finite"), "{text}");
    assert!(snapshot(method, &params, x) == before, "{spoil:?}");
    objective.spoil = None;
    method.step(objective, x).unwrap();
}

/// One buffer of the state, by its name; empty if there is none.
pub(crate) fn buffer(method: &mut dyn State<f64>, name: &str) -> Vec<f64> {
    struct Find<'a>(&'a str, Vec<f64>);
    impl Visit<f64> for Find<'_> {
        fn packed(&mut self, _: &str, _: &[usize], _: opt_core::Bits<'_>) {}

        fn buffer(&mut self, name: &str, _: &[usize], data: &mut [f64]) {
            // A direction's state has its half before it.
            if name.strip_prefix("direction/").unwrap_or(name) == self.0 {
                self.1 = data.to_vec();
            }
        }
        fn count(&mut self, _: &str, _: &mut u64) {}
        fn number(&mut self, _: &str, _: &mut f64) {}
    }
    let mut find = Find(name, Vec::new());
    method.visit(&mut find);
    find.1
}
