use crate::{Hyper, Scalar};

/// One buffer that a rule keeps, as long as the parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slot {
    /// Its name in snapshots: the paper's symbol.
    pub name: &'static str,
    /// The value that every element starts with.
    pub init: f64,
}

impl Slot {
    /// A buffer that starts with zeros.
    pub const fn zero(name: &'static str) -> Self {
        Self { name, init: 0.0 }
    }
}

/// An elementwise method: how one parameter moves, given its gradient and `N` numbers of state.
///
/// A rule sees pieces of the parameter vector, in any order and on any thread, and so must treat
/// every element alike and alone. [`FirstOrder`](crate::FirstOrder) owns the buffers and the
/// step count. A new method is this one trait:
///
/// ```
/// use opt_core::{Bound, FieldVisitor, Hyper, Rule, Scalar, Slot, each};
///
/// #[derive(Clone, Debug)]
/// pub struct Momentum {
///     pub lr: f64,
///     pub momentum: f64,
/// }
///
/// impl Hyper for Momentum {
///     fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
///         visit("lr", &mut self.lr, Bound::Positive);
///         visit("momentum", &mut self.momentum, Bound::Unit);
///     }
/// }
///
/// impl<F: Scalar> Rule<F, 1> for Momentum {
///     fn slots(&self) -> [Slot; 1] {
///         [Slot::zero("v")]
///     }
///
///     fn update(&self, _t: u64, x: &mut [F], g: &[F], slots: [&mut [F]; 1]) {
///         let (lr, mu) = (F::of(self.lr), F::of(self.momentum));
///         each(x, g, slots, move |x, g, [v]| {
///             let v = mu * v + lr * g;
///             (x - v, [v])
///         });
///     }
/// }
/// ```
pub trait Rule<F: Scalar, const N: usize>: Hyper {
    /// The state buffers: names, which must differ, and initial values.
    fn slots(&self) -> [Slot; N];

    /// Update `t` (1 for the first) of the elements `x` with gradient `g`: all slices have the
    /// same length. Hyper-parameters have been checked and `g` is finite.
    fn update(&self, t: u64, x: &mut [F], g: &[F], slots: [&mut [F]; N]);
}
