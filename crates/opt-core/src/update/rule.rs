use super::FirstOrder;
use crate::direction::Gradient;
use crate::error::Error;
use crate::params::ParamMap;
use crate::scalar::Scalar;
use crate::train::Train;
use crate::tune::Hyper;

/// One buffer that a rule keeps, as long as the parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slot {
    /// Its name in snapshots: the paper's symbol.
    pub name: &'static str,
    /// The value that every element starts with.
    pub init: f64,
    /// What may become of it in fewer bits.
    pub packing: Packing,
}

/// What becomes of a buffer that is stored in fewer bits, see [`Storage`](crate::Storage).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// An average of either sign: rounding is noise that averages out.
    Signed,
    /// Never negative, and divided by: what is not 0 is not rounded to 0.
    Positive,
    /// Multiplied, compared or subtracted from step to step, so that rounding would add up: storage in
    /// fewer bits is refused.
    Exact,
}

impl Slot {
    /// A buffer of either sign that starts with zeros.
    pub const fn zero(name: &'static str) -> Self {
        let (init, packing) = (0.0, Packing::Signed);
        Self {
            name,
            init,
            packing,
        }
    }

    /// A buffer of squares or magnitudes, which starts with `init`.
    pub const fn positive(name: &'static str, init: f64) -> Self {
        let packing = Packing::Positive;
        Self {
            name,
            init,
            packing,
        }
    }

    /// A buffer that must not be rounded, which starts with `init`.
    pub const fn exact(name: &'static str, init: f64) -> Self {
        let packing = Packing::Exact;
        Self {
            name,
            init,
            packing,
        }
    }
}

/// Which step of a segment this is.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// 1 for the first step with a gradient.
    pub t: u64,
    /// 1 − Πβ over all steps so far, this one included, of each of [`Rule::decays`]: what corrects
    /// a moving average that started at 0 for its start, whatever schedule β has followed. For a
    /// constant β it is 1 − βᵗ.
    pub debias: [f64; 2],
}

/// The gradients that a rule can take in a float type: of magnitude `least` to `most`, or 0.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Takes {
    /// The least magnitude above 0. 0: any.
    pub least: f64,
    /// The greatest.
    pub most: f64,
}

impl Takes {
    /// Every finite gradient.
    pub fn finite<F: Scalar>() -> Self {
        Self::up_to(F::max_value().f64())
    }

    /// Every gradient of at most this magnitude.
    pub fn up_to(most: f64) -> Self {
        Self { least: 0.0, most }
    }

    /// Whether it can take this gradient.
    pub fn contains<F: Scalar>(&self, gradient: F) -> bool {
        let magnitude = gradient.f64().abs();
        magnitude == 0.0 || (self.least <= magnitude && magnitude <= self.most)
    }

    /// What a rule can take that squares the gradient and adds `share` of the square to its state,
    /// where `eps` is added to the root. The square must not overflow; and where ε is so small that
    /// the root counts beside it, must not underflow.
    pub fn squared<F: Scalar>(share: f64, eps: f64) -> Self {
        let most = 0.5 * F::max_value().f64().sqrt();
        let least = (F::min_positive_value().f64() / share.min(1.0)).sqrt();
        // An ε a million times as large drowns what is lost.
        let drowned = !least.is_finite() || eps >= 1e6 * least;
        let least = if drowned { 0.0 } else { least };
        Self { least, most }
    }
}

/// An elementwise method: how one parameter moves, given its gradient and `N` numbers of state.
///
/// A rule sees pieces of the parameter vector, in any order and on any thread, and so must treat
/// every element alike and alone. [`FirstOrder`] owns the buffers and the step count. A new method
/// is this one trait:
///
/// ```
/// use opt_core::{Bound, FieldVisitor, Hyper, Rule, Scalar, Slot, Step, each};
///
/// #[derive(Clone, Debug)]
/// pub struct Momentum {
///     pub lr: f64,
///     pub momentum: f64,
/// }
///
/// impl Hyper for Momentum {
///     fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
///         visit.real("lr", &mut self.lr, Bound::NonNegative);
///         visit.real("momentum", &mut self.momentum, Bound::Unit);
///     }
/// }
///
/// impl<F: Scalar> Rule<F, 1> for Momentum {
///     fn slots(&self) -> [Slot; 1] {
///         [Slot::zero("v")]
///     }
///
///     fn update(&self, _: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; 1]) -> bool {
///         let (lr, mu) = (F::of(self.lr), F::of(self.momentum));
///         each(x, g, slots, move |x, g, [v]| {
///             let v = mu * v + lr * g;
///             (x - v, [v])
///         })
///     }
/// }
/// ```
pub trait Rule<F: Scalar, const N: usize>: Hyper {
    /// The state buffers: names, which must differ, and initial values.
    fn slots(&self) -> [Slot; N];

    /// The decay rates of moving averages whose corrections [`Step::debias`] shall have.
    fn decays(&self) -> Option<[f64; 2]> {
        None
    }

    /// The gradients that the rule can take in this type: any other is refused before anything has
    /// changed. Every finite one by default.
    fn takes(&self) -> Takes {
        Takes::finite::<F>()
    }

    /// One step of the elements `x` with gradient `g`: all slices have the same length.
    /// Hyper-parameters have been checked, and `g` is finite and as the rule can take it. Gives
    /// whether all that was written is finite, as [`each`](crate::each) does.
    fn update(&self, step: &Step, x: &mut [F], g: &[F], slots: [&mut [F]; N]) -> bool;

    /// The method that steps an objective's parameters along its gradient by this rule.
    ///
    /// # Errors
    /// As [`FirstOrder::new`].
    #[allow(clippy::type_complexity)] // it is what one would write
    fn method(
        self,
        params: &ParamMap,
    ) -> Result<Train<F, Gradient, FirstOrder<F, Self, N>>, Error> {
        Ok(Train::new(FirstOrder::new(self, params)?))
    }
}
