use std::fmt;

use rayon::prelude::*;

use crate::kernel::{GRAIN, all_finite};
use crate::shard::{Shard, Update, by_segment, parts};
use crate::{Error, Method, Objective, ParamMap, Report, Rule, Scalar, Segment, State, Visit};

/// A rule with its state: one instance trains one parameter vector.
///
/// It is a [`Method`] over any [`Objective`], and steps a gradient of the caller's own with
/// [`apply`](Self::apply) or, where every tensor is an allocation of its own, with
/// [`apply_parts`](Self::apply_parts).
///
/// The gradient is read twice: once to refuse a step with a NaN or an infinity before anything
/// has changed, and once by the update. A step does not allocate, and gives bitwise the same
/// result for any number of threads.
pub struct FirstOrder<F, R, const N: usize> {
    params: ParamMap,
    /// A single one for everything, or one for each segment.
    rules: Vec<R>,
    /// Of the rules' length; an adjustment is made and checked here before it counts.
    draft: Vec<R>,
    slots: [Vec<F>; N],
    t: u64,
    /// For `Method::step` only; empty until its first call.
    gradient: Vec<F>,
}

impl<F: Scalar, R: Rule<F, N>, const N: usize> FirstOrder<F, R, N> {
    /// One rule for all parameters.
    ///
    /// # Errors
    /// [`Error::Hyper`], or [`Error::SegmentTooLarge`] if the state does not fit into memory.
    pub fn new(rule: R, params: &ParamMap) -> Result<Self, Error> {
        Self::build(params, vec![rule])
    }

    /// One rule per segment: learning-rate and decay multipliers, frozen biases and the like.
    ///
    /// ```
    /// # use opt_core::*;
    /// # #[derive(Clone, Debug)] struct Sgd { lr: f64, weight_decay: f64 }
    /// # impl Hyper for Sgd {
    /// #     fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
    /// #         visit("lr", &mut self.lr, Bound::Positive);
    /// #         visit("weight_decay", &mut self.weight_decay, Bound::NonNegative);
    /// #     }
    /// # }
    /// # impl<F: Scalar> Rule<F, 0> for Sgd {
    /// #     fn slots(&self) -> [Slot; 0] { [] }
    /// #     fn update(&self, _: u64, x: &mut [F], g: &[F], s: [&mut [F]; 0]) {
    /// #         let (lr, decay) = (F::of(self.lr), F::of(self.weight_decay));
    /// #         each(x, g, s, move |x, g, []| (x - lr * (g + decay * x), []));
    /// #     }
    /// # }
    /// let params = ParamMap::new([("weight", vec![2, 2]), ("bias", vec![2])])?;
    /// let mut sgd = FirstOrder::with(&params, |segment| Sgd {
    ///     lr: 0.1,
    ///     weight_decay: if segment.name == "bias" { 0.0 } else { 0.5 },
    /// })?;
    /// let mut x = [1.0; 6];
    /// sgd.apply(&mut x, &[0.0; 6])?;
    /// assert_eq!(x, [0.95, 0.95, 0.95, 0.95, 1.0, 1.0]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`new`](Self::new), for any of the rules.
    pub fn with(params: &ParamMap, mut rule: impl FnMut(&Segment) -> R) -> Result<Self, Error> {
        Self::build(params, params.segments().iter().map(&mut rule).collect())
    }

    fn build(params: &ParamMap, rules: Vec<R>) -> Result<Self, Error> {
        rules.iter().try_for_each(R::check)?;
        let mut slots = [const { Vec::new() }; N];
        for (rule, segment) in rules.iter().zip(params.segments()) {
            let end = match rules.len() {
                1 => params.len(),
                _ => segment.range.end,
            };
            for (buffer, slot) in slots.iter_mut().zip(rule.slots()) {
                (buffer.try_reserve_exact(end - buffer.len()))
                    .map_err(|_| Error::SegmentTooLarge(segment.name.clone()))?;
                buffer.resize(end, F::of(slot.init));
            }
        }
        Ok(Self {
            params: params.clone(),
            draft: rules.clone(),
            rules,
            slots,
            t: 0,
            gradient: Vec::new(),
        })
    }

    /// The names and places of the parameters.
    pub fn params(&self) -> &ParamMap {
        &self.params
    }

    /// The rules, in the order of the segments; a single one if it serves for all.
    pub fn rules(&self) -> &[R] {
        &self.rules
    }

    /// The state buffer of this name, as long as the parameter vector.
    pub fn slot(&self, name: &str) -> Option<&[F]> {
        let names = self.rules.first()?.slots();
        let at = names.iter().position(|slot| slot.name == name)?;
        self.slots.get(at).map(Vec::as_slice)
    }

    /// The state buffer of this name, mutable: for what changes the parameters' coordinates.
    pub fn slot_mut(&mut self, name: &str) -> Option<&mut [F]> {
        let names = self.rules.first()?.slots();
        let at = names.iter().position(|slot| slot.name == name)?;
        self.slots.get_mut(at).map(Vec::as_mut_slice)
    }

    /// Number of steps taken.
    pub fn steps(&self) -> u64 {
        self.t
    }

    /// Changes hyper-parameters, of every rule in turn: schedules, and changes by hand.
    ///
    /// # Errors
    /// [`Error::Hyper`] if the result is out of range for any rule; then nothing has changed.
    pub fn adjust(&mut self, mut change: impl FnMut(&mut R)) -> Result<(), Error> {
        self.try_adjust(|rule| {
            change(rule);
            Ok(())
        })
    }

    fn try_adjust(&mut self, change: impl FnMut(&mut R) -> Result<(), Error>) -> Result<(), Error> {
        self.draft.clone_from(&self.rules);
        self.draft.iter_mut().try_for_each(change)?;
        self.draft.iter().try_for_each(R::check)?;
        std::mem::swap(&mut self.draft, &mut self.rules);
        Ok(())
    }

    /// One step from the gradient `g` at `x`.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::NonFiniteGradient`] with the segment's name; then neither `x`
    /// nor the state has changed.
    pub fn apply(&mut self, x: &mut [F], g: &[F]) -> Result<(), Error> {
        self.params.check_len("x", x.len())?;
        self.params.check_gradient(g)?;
        self.t = self.t.saturating_add(1);
        let t = self.t;
        self.drive(x, g, &|rule, x, g, slots| rule.update(t, x, g, slots));
        Ok(())
    }

    /// One step where every tensor is a slice of its own: `x` and `g` have one slice for each
    /// segment, in the map's order. Small tensors are grouped, so that many of them cost little
    /// more than one large one.
    ///
    /// # Errors
    /// As [`apply`](Self::apply); a wrong length names the segment.
    pub fn apply_parts(&mut self, x: &mut [&mut [F]], g: &[&[F]]) -> Result<(), Error> {
        let segments = self.params.segments();
        Error::length("list of tensors", segments.len(), x.len())?;
        Error::length("list of gradients", segments.len(), g.len())?;
        for (segment, (x, g)) in segments.iter().zip(x.iter().zip(g)) {
            Error::length(&segment.name, segment.range.len(), x.len())?;
            if g.len() != x.len() {
                let what = format!("gradient of {}", segment.name);
                return Error::length(&what, x.len(), g.len());
            }
        }
        let finite = match self.params.len() {
            0..=GRAIN => g.iter().all(|g| all_finite(g)),
            _ => g.par_iter().with_min_len(8).all(|g| all_finite(g)),
        };
        if !finite {
            return Err(non_finite(segments.iter().zip(g.iter().copied())));
        }
        self.t = self.t.saturating_add(1);
        let t = self.t;
        let slots = self.slots.each_mut().map(Vec::as_mut_slice);
        parts(&self.rules, x, g, slots, &|rule, x, g, slots| {
            rule.update(t, x, g, slots);
        });
        Ok(())
    }

    /// Another elementwise pass over the same buffers, rule by rule and in parallel, that is not
    /// a step: `f(rule, out, input, slots)` sees matching pieces of each. Nesterov's look-ahead
    /// is one.
    ///
    /// # Errors
    /// [`Error::Length`].
    pub fn pass(
        &mut self,
        out: &mut [F],
        input: &[F],
        f: impl Fn(&R, &mut [F], &[F], [&mut [F]; N]) + Sync,
    ) -> Result<(), Error> {
        self.params.check_len("out", out.len())?;
        self.params.check_len("input", input.len())?;
        self.drive(out, input, &f);
        Ok(())
    }

    fn drive(&mut self, x: &mut [F], g: &[F], f: &impl Update<F, R, N>) {
        let slots = self.slots.each_mut().map(Vec::as_mut_slice);
        let shard = Shard { x, g, slots };
        by_segment(self.params.segments(), &self.rules, shard, f);
    }
}

/// The first element that is not finite.
fn non_finite<'a, F: Scalar>(parts: impl Iterator<Item = (&'a Segment, &'a [F])>) -> Error {
    let found = parts.into_iter().find_map(|(segment, g)| {
        let index = g.iter().position(|v| !v.is_finite())?;
        Some((segment.name.clone(), index, g[index].f64()))
    });
    let (segment, index, value) = found.unwrap_or_default();
    Error::NonFiniteGradient {
        segment,
        index,
        value,
    }
}

impl<F, R: fmt::Debug, const N: usize> fmt::Debug for FirstOrder<F, R, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstOrder")
            .field("rules", &self.rules)
            .field("parameters", &self.params.len())
            .field("t", &self.t)
            .finish_non_exhaustive()
    }
}

impl<F: Scalar, R: Rule<F, N>, const N: usize> State<F> for FirstOrder<F, R, N> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.count("t", &mut self.t);
        let Some(rule) = self.rules.first() else {
            return;
        };
        for (slot, buffer) in rule.slots().iter().zip(&mut self.slots) {
            self.params.visit(slot.name, buffer, visitor);
        }
    }
}

impl<F, R, O, const N: usize> Method<F, O> for FirstOrder<F, R, N>
where
    F: Scalar,
    R: Rule<F, N>,
    O: Objective<F> + ?Sized,
{
    fn step(&mut self, objective: &mut O, x: &mut [F]) -> Result<Report<F>, Error> {
        self.params.check_len("x", x.len())?;
        let mut gradient = std::mem::take(&mut self.gradient);
        gradient.resize(x.len(), F::zero());
        let result = objective.grad(x, &mut gradient).and_then(|loss| {
            let report = Report::new(loss)?;
            self.apply(x, &gradient)?;
            Ok(report)
        });
        self.gradient = gradient;
        result
    }

    fn set(&mut self, name: &str, value: f64) -> Result<(), Error> {
        self.try_adjust(|rule| rule.set(name, value))
    }
}
