use super::{Part, Storage, Update};
use crate::error::Error;
use crate::params::{ParamMap, Segment};
use crate::scalar::Scalar;
use crate::state::visit::{State, Visit};
use crate::tune::{Change, Field, Tune, Value};

/// An update that does not look at a direction before it moves by it.
///
/// An update reads its direction twice: once to refuse what it can't take before anything has
/// changed, and once to move. Where memory is what limits a step, the first reading costs a quarter
/// to a third of it. Whoever knows that the gradient is finite, or would stop at a bad one in any
/// case, wraps the update: what is not finite is then found in the pass that moves x, and is
/// [`Error::Diverged`], after the move. A gradient that the rule can't take without being infinite
/// itself (see [`Takes`](crate::Takes)) is found so if a square overflows, and not at all if one
/// vanishes. Lengths are checked.
///
/// An objective that vouches for a bound of its gradient spares the reading without that price: see [`Objective::gradient_bound`](crate::Objective::gradient_bound).
///
/// ```
/// # use opt_core::{*, Hyper};
/// # #[derive(Clone, Debug)] struct Sgd { lr: f64 }
/// # impl Hyper for Sgd {
/// #     fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
/// #         visit.real("lr", &mut self.lr, Bound::NonNegative);
/// #     }
/// # }
/// # impl<F: Scalar> Rule<F, 0> for Sgd {
/// #     fn slots(&self) -> [Slot; 0] { [] }
/// #     fn update(&self, _: &Step, x: &mut [F], g: &[F], s: [&mut [F]; 0]) -> bool {
/// #         let lr = F::of(self.lr);
/// #         each(x, g, s, move |x, g, []| (x - lr * g, []))
/// #     }
/// # }
/// let params = ParamMap::flat(2)?;
/// let mut refuses = FirstOrder::new(Sgd { lr: 0.5 }, &params)?;
/// let mut trusts = Trusted(FirstOrder::new(Sgd { lr: 0.5 }, &params)?);
/// let (mut x, bad) = ([1.0, 1.0], [1.0, f64::NAN]);
/// assert!(matches!(refuses.apply(&mut x, &bad), Err(Error::NonFiniteGradient { .. })));
/// assert_eq!(x, [1.0, 1.0]);
/// assert!(matches!(trusts.apply(&mut x, &bad), Err(Error::Diverged { .. })));
/// assert_eq!(x[0], 0.5);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Trusted<U>(pub U);

impl<F: Scalar, U: Update<F>> Update<F> for Trusted<U> {
    fn params(&self) -> &ParamMap {
        self.0.params()
    }

    fn check(&self, segment: usize, d: &[F]) -> Result<(), Error> {
        self.params().check_part(segment, d.len()).map(|_| ())
    }

    fn check_whole(&self, d: &[F]) -> Result<(), Error> {
        self.params().check_len("gradient", d.len())
    }

    fn takes_up_to(&self, _: F) -> bool {
        true
    }

    fn advance(&mut self, first: usize, parts: &mut [Part<'_, F>]) -> Result<(), Error> {
        self.0.advance(first, parts)
    }

    fn advance_whole(&mut self, x: &mut [F], d: &[F]) -> Result<(), Error> {
        self.0.advance_whole(x, d)
    }

    fn width(&self) -> usize {
        self.0.width()
    }

    fn bytes(&self) -> usize {
        self.0.bytes()
    }

    fn store(&mut self, storage: Storage, whole: &dyn Fn(&Segment) -> bool) -> Result<(), Error> {
        self.0.store(storage, whole)
    }
}

impl<F: Scalar, U: State<F>> State<F> for Trusted<U> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        self.0.visit(visitor);
    }
}

impl<U: Tune> Tune for Trusted<U> {
    fn list(&self) -> Vec<Field> {
        self.0.list()
    }

    fn get(&self, name: &str) -> Result<Value, Error> {
        self.0.get(name)
    }

    fn change(&mut self, name: &str, change: &Change) -> Result<(), Error> {
        self.0.change(name, change)
    }
}
