use super::visit::{State, Visit};
use crate::error::Error;
use crate::params::ParamMap;
use crate::scalar::Scalar;

/// The parameter vector itself as state, so that a snapshot holds it beside the method's.
#[derive(Debug)]
pub struct Parameters<'a, F> {
    map: &'a ParamMap,
    x: &'a mut [F],
}

impl<'a, F: Scalar> Parameters<'a, F> {
    /// The tensors of `x`, by the names that `map` has for them.
    ///
    /// # Errors
    /// [`Error::Length`] unless `x` is as long as the map says.
    pub fn new(map: &'a ParamMap, x: &'a mut [F]) -> Result<Self, Error> {
        map.check_len("x", x.len())?;
        Ok(Self { map, x })
    }
}

impl<F: Scalar> State<F> for Parameters<'_, F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        for segment in self.map.segments() {
            let data = &mut self.x[segment.range.clone()];
            visitor.buffer(&segment.name, &segment.shape, data);
        }
    }
}

/// The parameters as one tensor, under the name that the snapshot gives it. [`Parameters`] has their
/// own names, which a partial restore needs.
impl<F: Scalar> State<F> for Vec<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.buffer("", &[self.len()], self);
    }
}

/// A counter, seed or place in the data as state, under the name that the snapshot gives it.
impl<F: Scalar> State<F> for u64 {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.count("", self);
    }
}

/// A number as state, under the name that the snapshot gives it.
impl<F: Scalar> State<F> for f64 {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.number("", self);
    }
}
