use std::ops::Range;

use super::any_rule::{AnyRule, Typed};
use super::layout::lay_out;
use super::packed::Packed;
use super::range::{fits, refusal};
use super::rule::{Rule, Takes};
use super::run::{Group, Run, Source, by_run};
use super::storage::Storage;
use super::{ArrayPart, Part, Update};
use crate::error::Error;
use crate::kernel::first_non_finite;
use crate::params::{ParamMap, Segment};
use crate::scalar::Scalar;
use crate::tune::Tuned;

/// Elementwise rules with their state: one rule for all parameters ([`FirstOrder`]), or one for
/// each group of segments ([`Groups`](crate::Groups)).
///
/// The direction is read twice: once to refuse a step that cannot be made before anything has
/// changed, and once by the update. A step does not allocate, but for the first in which some
/// segment has no direction, and gives bitwise the same result for any number of threads.
pub struct Elementwise<F, K: ?Sized> {
    pub(super) params: ParamMap,
    pub(super) groups: Vec<Group<K>>,
    /// Cover the segments, in order.
    pub(super) runs: Vec<Run>,
    /// Of each run its slots, one after another.
    pub(super) state: Vec<F>,
}

/// A rule over everything, or one for each segment.
pub type FirstOrder<F, R, const N: usize> = Elementwise<F, Typed<R, N>>;

impl<F: Scalar, R: Rule<F, N>, const N: usize> FirstOrder<F, R, N> {
    /// One rule for all parameters.
    ///
    /// # Errors
    /// As [`Hyper::check`](crate::Hyper::check), or [`Error::SegmentTooLarge`] if the state does
    /// not fit into memory.
    pub fn new(rule: R, params: &ParamMap) -> Result<Self, Error> {
        let rule = Box::new(Typed(Tuned::new::<F>(rule)?));
        let name = String::new();
        Self::build(params, vec![Group { name, rule }], |_| 0, |_| Storage::Full)
    }

    /// One rule of the same type for each segment, which is a group of the segment's name:
    /// learning-rate and decay multipliers. For rules of different types and frozen segments, see
    /// [`Groups`](crate::Groups).
    ///
    /// ```
    /// # use opt_core::{*, Hyper};
    /// # #[derive(Clone, Debug)] struct Sgd { lr: f64, weight_decay: f64 }
    /// # impl Hyper for Sgd {
    /// #     fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
    /// #         visit.real("lr", &mut self.lr, Bound::NonNegative);
    /// #         visit.real("weight_decay", &mut self.weight_decay, Bound::NonNegative);
    /// #     }
    /// # }
    /// # impl<F: Scalar> Rule<F, 0> for Sgd {
    /// #     fn slots(&self) -> [Slot; 0] { [] }
    /// #     fn update(&self, _: &Step, x: &mut [F], g: &[F], s: [&mut [F]; 0]) -> bool {
    /// #         let (lr, decay) = (F::of(self.lr), F::of(self.weight_decay));
    /// #         each(x, g, s, move |x, g, []| (x - lr * (g + decay * x), []))
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
        let groups = params.segments().iter().map(|segment| {
            let name = segment.name.clone();
            let rule = Tuned::new::<F>(rule(segment)).map_err(|error| error.within(&name))?;
            let rule = Box::new(Typed(rule));
            Ok(Group { name, rule })
        });
        let groups = groups.collect::<Result<_, Error>>()?;
        Self::build(params, groups, |index| index, |_| Storage::Full)
    }

    /// The rule of a segment, with its settings in effect; `None` beyond the last segment.
    pub fn rule(&self, segment: usize) -> Option<&R> {
        let run = self.runs.get(self.run_of(segment)?)?;
        Some(&*self.groups[run.group].rule.0)
    }

    /// Tells every rule something that is not a hyper-parameter, and so is not checked: whether the
    /// loss rose, say.
    pub fn inform(&mut self, tell: impl Fn(&mut R)) {
        for group in &mut self.groups {
            group.rule.0.inform(&tell);
        }
    }

    /// Changes the configured hyper-parameters of every rule in turn, told its segments: all of
    /// them, or the one that it is for. Factors of [`Tune::scale`](crate::Tune::scale) stay as they are.
    ///
    /// # Errors
    /// As [`Hyper::check`](crate::Hyper::check), for any rule; then nothing has changed.
    pub fn adjust(&mut self, mut change: impl FnMut(&[Segment], &mut R)) -> Result<(), Error> {
        let mut next = Vec::with_capacity(self.groups.len());
        for run in &self.runs {
            let group = &self.groups[run.group];
            let mut tuned = group.rule.0.clone();
            let segments = &self.params.segments()[run.segments.clone()];
            (tuned.adjust::<F>(|rule| change(segments, rule)))
                .map_err(|error| error.within(&group.name))?;
            next.push((run.group, tuned));
        }
        for (group, tuned) in next {
            self.groups[group].rule.0 = tuned;
        }
        Ok(())
    }
}

impl<F: Scalar, K: AnyRule<F> + ?Sized> Elementwise<F, K> {
    pub(super) fn build(
        params: &ParamMap,
        groups: Vec<Group<K>>,
        group_of: impl Fn(usize) -> usize,
        storage_of: impl Fn(&Segment) -> Storage,
    ) -> Result<Self, Error> {
        let (runs, state) = lay_out(params, &groups, group_of, storage_of)?;
        Ok(Self {
            params: params.clone(),
            groups,
            runs,
            state,
        })
    }

    /// See [`Update::apply`].
    ///
    /// # Errors
    /// As there.
    pub fn apply(&mut self, x: &mut [F], d: &[F]) -> Result<(), Error> {
        Update::apply(self, x, d)
    }

    /// See [`Update::apply_parts`].
    ///
    /// # Errors
    /// As there.
    pub fn apply_parts(&mut self, parts: &mut [Part<'_, F>]) -> Result<(), Error> {
        Update::apply_parts(self, parts)
    }

    /// See [`Update::apply_arrays`].
    ///
    /// # Errors
    /// As there.
    pub fn apply_arrays(&mut self, arrays: &mut [ArrayPart<'_, F>]) -> Result<(), Error> {
        Update::apply_arrays(self, arrays)
    }

    /// See [`Update::params`].
    pub fn params(&self) -> &ParamMap {
        &self.params
    }

    /// Steps that a segment has made, those without a direction not counted; 0 beyond the last
    /// segment.
    pub fn steps(&self, segment: usize) -> u64 {
        let run = self.run_of(segment).and_then(|run| self.runs.get(run));
        run.map_or(0, |run| run.clocks.get(segment - run.segments.start).t)
    }

    /// A segment's part of the state buffer of this name; `None` if there is none, or if it is stored
    /// in fewer bits.
    pub fn slot(&self, name: &str, segment: usize) -> Option<&[F]> {
        self.state.get(self.slot_range(name, segment)?)
    }

    /// As [`slot`](Self::slot), mutable: for what changes the parameters' coordinates.
    pub fn slot_mut(&mut self, name: &str, segment: usize) -> Option<&mut [F]> {
        let range = self.slot_range(name, segment)?;
        self.state.get_mut(range)
    }

    fn slot_range(&self, name: &str, segment: usize) -> Option<Range<usize>> {
        let run = self.runs.get(self.run_of(segment)?)?;
        if run.packed.is_some() {
            return None;
        }
        let at = self.groups[run.group].rule.slot(name)?;
        let place = &self.params.segments().get(segment)?.range;
        let begin = run.state.start + at * run.range.len() + place.start - run.range.start;
        Some(begin..begin + place.len())
    }

    fn run_of(&self, segment: usize) -> Option<usize> {
        let at = self.runs.partition_point(|run| run.segments.end <= segment);
        (at < self.runs.len()).then_some(at)
    }

    fn takes(&self, run: &Run) -> Option<Takes> {
        self.groups[run.group].rule.takes()
    }

    /// What is not finite, in x or in the state, of segments of which `x` gives what has moved.
    fn diverged<'x>(&self, x: impl Fn(usize) -> Option<&'x [F]>) -> Error {
        for run in self.runs.iter().filter(|run| self.takes(run).is_some()) {
            let slots = self.groups[run.group].rule.slots();
            for index in run.segments.clone() {
                let Some(x) = x(index) else {
                    continue;
                };
                let of_state = slots.iter().map(|s| (s.name, self.slot(s.name, index)));
                for (what, values) in [("x", Some(x))].into_iter().chain(of_state) {
                    let values = values.unwrap_or_default();
                    if let Some((at, value)) = first_non_finite(values) {
                        return Error::Diverged {
                            segment: self.params.segments()[index].name.clone(),
                            what,
                            index: at,
                            value,
                            dtype: F::DTYPE,
                        };
                    }
                }
                if run.packed.as_ref().is_some_and(|packed| packed.overflowed) {
                    return Error::Diverged {
                        segment: self.params.segments()[index].name.clone(),
                        what: "state",
                        index: 0,
                        value: f64::INFINITY,
                        dtype: "8 or 16 bits",
                    };
                }
            }
        }
        // Not reached, as long as rules tell the truth.
        Error::NonFiniteNorm(f64::NAN)
    }

    /// Moves segments from number `first` up to `last`, whose lengths have been checked.
    fn drive(&mut self, (first, last): (usize, usize), source: Source<'_, '_, F>) -> bool {
        let begin = self.runs.partition_point(|run| run.segments.end <= first);
        let end = self.runs.partition_point(|run| run.segments.start < last);
        let runs = &mut self.runs[begin..end];
        let offset = runs.first().map_or(0, |run| run.state.start);
        let until = runs.last().map_or(0, |run| run.state.end);
        let state = &mut self.state[offset..until];
        by_run(
            (&self.groups, self.params.segments()),
            runs,
            first,
            source,
            state,
        )
    }
}

impl<F: Scalar, K: AnyRule<F> + ?Sized> Update<F> for Elementwise<F, K> {
    fn params(&self) -> &ParamMap {
        &self.params
    }

    fn check(&self, segment: usize, d: &[F]) -> Result<(), Error> {
        let place = self.params.check_part(segment, d.len())?;
        let run = self.run_of(segment).map(|at| &self.runs[at]);
        match run.and_then(|run| self.takes(run)) {
            Some(takes) if !fits(d, takes) => Err(refusal(&place.name, d, takes)),
            _ => Ok(()),
        }
    }

    fn check_whole(&self, d: &[F]) -> Result<(), Error> {
        self.params.check_len("gradient", d.len())?;
        for run in &self.runs {
            let Some(takes) = self.takes(run) else {
                continue;
            };
            if !fits(&d[run.range.clone()], takes) {
                let segments = self.params.segments()[run.segments.clone()].iter();
                for segment in segments {
                    let d = &d[segment.range.clone()];
                    if !fits(d, takes) {
                        return Err(refusal(&segment.name, d, takes));
                    }
                }
            }
        }
        Ok(())
    }

    fn takes_up_to(&self, bound: F) -> bool {
        let mut takes = self.groups.iter().filter_map(|group| group.rule.takes());
        // A NaN is in no range.
        takes.all(|takes| takes.least == 0.0 && bound.f64() <= takes.most)
    }

    fn advance(&mut self, first: usize, parts: &mut [Part<'_, F>]) -> Result<(), Error> {
        for (index, part) in (first..).zip(&*parts) {
            let place = self.params.segment(index)?;
            Error::length(&place.name, place.range.len(), part.x.len())?;
            if let Some(d) = part.d {
                Error::length(&place.name, place.range.len(), d.len())?;
            }
        }
        if parts.is_empty() || self.drive((first, first + parts.len()), Source::Parts(parts)) {
            return Ok(());
        }
        let moved = |index: usize| {
            parts
                .get(index.checked_sub(first)?)
                .filter(|p| p.d.is_some())
        };
        Err(self.diverged(|index| moved(index).map(|part| &*part.x)))
    }

    fn advance_whole(&mut self, x: &mut [F], d: &[F]) -> Result<(), Error> {
        self.params.check_len("x", x.len())?;
        self.params.check_len("gradient", d.len())?;
        let all = (0, self.params.segments().len());
        if self.drive(all, Source::Whole(&mut *x, d)) {
            return Ok(());
        }
        let segments = self.params.segments();
        Err(self.diverged(|index| x.get(segments.get(index)?.range.clone())))
    }

    fn width(&self) -> usize {
        let packed = self.runs.iter().filter_map(|run| run.packed.as_ref());
        let numbers = self.state.len() + packed.map(Packed::numbers).sum::<usize>();
        numbers.div_ceil(self.params.len())
    }

    fn bytes(&self) -> usize {
        let packed = self.runs.iter().filter_map(|run| run.packed.as_ref());
        size_of_val(&*self.state) + packed.map(Packed::bytes).sum::<usize>()
    }

    fn store(&mut self, storage: Storage, whole: &dyn Fn(&Segment) -> bool) -> Result<(), Error> {
        if (0..self.params.segments().len()).any(|segment| self.steps(segment) > 0) {
            let why = "a step has been made, and state is stored in one way from its start";
            return Err(Error::Storage(why.to_owned()));
        }
        let storage_of = |segment: &Segment| match whole(segment) {
            true => Storage::Full,
            false => storage,
        };
        let group_of = |segment| self.run_of(segment).map_or(0, |at| self.runs[at].group);
        let (runs, state) = lay_out(&self.params, &self.groups, group_of, storage_of)?;
        (self.runs, self.state) = (runs, state);
        Ok(())
    }
}
