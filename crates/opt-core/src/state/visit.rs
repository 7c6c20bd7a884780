use crate::scalar::Scalar;

/// All that must survive a restart, by name.
///
/// Hyper-parameters are not state: whoever restores a method makes it with the same ones.
pub trait State<F: Scalar> {
    /// Shows every buffer and number to the visitor, in the same order and under the same,
    /// distinct names each time. The visitor may read or overwrite them.
    fn visit(&mut self, visitor: &mut dyn Visit<F>);
}

impl<F: Scalar, S: State<F> + ?Sized> State<F> for Box<S> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        (**self).visit(visitor);
    }
}

/// A reader or writer of state.
pub trait Visit<F> {
    /// A tensor, row-major. A state that is one value may leave the name empty.
    fn buffer(&mut self, name: &str, shape: &[usize], data: &mut [F]);
    /// A counter or seed.
    fn count(&mut self, name: &str, value: &mut u64);
    /// A number in double precision.
    fn number(&mut self, name: &str, value: &mut f64);
    /// A tensor in another type than `F`.
    fn packed(&mut self, name: &str, shape: &[usize], data: Bits<'_>);
}

/// The numbers of a tensor that is stored in few bits.
#[derive(Debug)]
#[non_exhaustive]
pub enum Bits<'a> {
    /// The leading halves of `f32`.
    Bf16(&'a mut [u16]),
    /// Codes.
    U8(&'a mut [u8]),
    /// Integers.
    I16(&'a mut [i16]),
}

/// A visitor that puts a prefix before every name, for a state that is part of another.
#[allow(missing_debug_implementations)] // a visitor
pub struct Prefixed<'a, F> {
    prefix: String,
    visitor: &'a mut dyn Visit<F>,
}

impl<'a, F> Prefixed<'a, F> {
    /// Shows `visitor` names as `prefix/name`.
    pub fn new(prefix: impl Into<String>, visitor: &'a mut dyn Visit<F>) -> Self {
        Self {
            prefix: prefix.into(),
            visitor,
        }
    }
}

impl<F> Visit<F> for Prefixed<'_, F> {
    fn buffer(&mut self, name: &str, shape: &[usize], data: &mut [F]) {
        let name = format!("{}/{name}", self.prefix);
        self.visitor.buffer(&name, shape, data);
    }

    fn count(&mut self, name: &str, value: &mut u64) {
        let name = format!("{}/{name}", self.prefix);
        self.visitor.count(&name, value);
    }

    fn number(&mut self, name: &str, value: &mut f64) {
        let name = format!("{}/{name}", self.prefix);
        self.visitor.number(&name, value);
    }

    fn packed(&mut self, name: &str, shape: &[usize], data: Bits<'_>) {
        let name = format!("{}/{name}", self.prefix);
        self.visitor.packed(&name, shape, data);
    }
}
