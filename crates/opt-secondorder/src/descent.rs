//! How x moves along a direction of this crate, unless another update is chosen.

use opt_core::{Bound, FieldVisitor, Hyper, Rule, Scalar, Slot, Step, each};

/// θ ← θ − αd.
#[derive(Clone, Debug, PartialEq)]
pub struct Descent {
    /// α. With 0, x stays, and the direction's statistics move on.
    pub lr: f64,
}

impl Hyper for Descent {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("lr", &mut self.lr, Bound::NonNegative);
    }
}

impl<F: Scalar> Rule<F, 0> for Descent {
    fn slots(&self) -> [Slot; 0] {
        []
    }

    fn update(&self, _: &Step, x: &mut [F], d: &[F], slots: [&mut [F]; 0]) -> bool {
        let lr = F::of(self.lr);
        each(x, d, slots, move |x, d, []| (x - lr * d, []))
    }
}

/// θ ← θ − d, for a direction that knows its own length.
#[derive(Clone, Debug, PartialEq)]
pub struct Whole;

impl Hyper for Whole {
    fn fields(&mut self, _: &mut FieldVisitor<'_>) {}
}

impl<F: Scalar> Rule<F, 0> for Whole {
    fn slots(&self) -> [Slot; 0] {
        []
    }

    fn update(&self, _: &Step, x: &mut [F], d: &[F], slots: [&mut [F]; 0]) -> bool {
        each(x, d, slots, |x, d, []| (x - d, []))
    }
}
