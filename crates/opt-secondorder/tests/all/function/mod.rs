//! What tests of several methods share.

#![allow(clippy::unwrap_used, dead_code)] // helpers of tests; not every file uses all of them

use std::collections::BTreeMap;

use opt_core::{Error, Objective, ParamMap, Scalar, State, Visit, norm};
use opt_testkit::Plane;

/// A function that gives value and gradient.
pub(crate) struct Function<T> {
    params: ParamMap,
    of: T,
}

impl<T> Function<T> {
    pub(crate) fn new(len: usize, of: T) -> Self {
        let params = ParamMap::flat(len).unwrap();
        Self { params, of }
    }
}

impl<F: Scalar, T: FnMut(&[F]) -> (F, Vec<F>)> Objective<F> for Function<T> {
    fn params(&self) -> &ParamMap {
        &self.params
    }

    fn value(&mut self, x: &[F]) -> Result<F, Error> {
        Ok((self.of)(x).0)
    }

    fn grad(&mut self, x: &[F], g: &mut [F]) -> Result<F, Error> {
        let (value, gradient) = (self.of)(x);
        g.copy_from_slice(&gradient);
        Ok(value)
    }
}

pub(crate) fn plane(name: &str) -> Plane {
    opt_testkit::plane(name).unwrap()
}

/// |f′(x)|.
pub(crate) fn slope(objective: &mut dyn Objective<f64>, x: &[f64]) -> f64 {
    let mut g = vec![0.0; x.len()];
    objective.grad(x, &mut g).unwrap();
    norm(&g)
}

/// The numbers and counters of a method's state.
pub(crate) fn numbers<F: Scalar>(method: &mut dyn State<F>) -> BTreeMap<String, f64> {
    struct Numbers(BTreeMap<String, f64>);
    impl<F> Visit<F> for Numbers {
        fn packed(&mut self, _: &str, _: &[usize], _: opt_core::Bits<'_>) {}

        fn buffer(&mut self, _: &str, _: &[usize], _: &mut [F]) {}
        fn count(&mut self, name: &str, value: &mut u64) {
            self.0.insert(name.to_owned(), *value as f64);
        }
        fn number(&mut self, name: &str, value: &mut f64) {
            self.0.insert(name.to_owned(), *value);
        }
    }
    let mut numbers = Numbers(BTreeMap::new());
    method.visit(&mut numbers);
    numbers.0
}
