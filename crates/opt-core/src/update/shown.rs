//! An update's state by name, and the update for debugging.

use std::fmt;

use super::any_rule::AnyRule;
use super::clock::Clock;
use super::elementwise::Elementwise;
use crate::scalar::Scalar;
use crate::state::visit::{State, Visit};

impl<F: Scalar, K: AnyRule<F> + ?Sized> State<F> for Elementwise<F, K> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        let segments = self.params.segments();
        for run in &mut self.runs {
            let rule = &self.groups[run.group].rule;
            if rule.takes().is_none() {
                continue;
            }
            let (mut clocks, decays) = (Vec::new(), rule.decays().is_some());
            for (at, segment) in segments[run.segments.clone()].iter().enumerate() {
                let mut clock: Clock = run.clocks.get(at);
                clock.visit(&segment.name, decays, visitor);
                clocks.push(clock);
            }
            run.clocks.put(&clocks);
        }
        for run in &mut self.runs {
            if let Some(packed) = &mut run.packed {
                let segment = &segments[run.segments.start];
                let slots = self.groups[run.group].rule.slots();
                packed.visit(&slots, (&segment.name, &segment.shape), visitor);
                continue;
            }
            // By their places: a run of empty segments shows its buffers too.
            for (at, slot) in self.groups[run.group].rule.slots().iter().enumerate() {
                let begin = run.state.start + at * run.range.len();
                for segment in &segments[run.segments.clone()] {
                    let start = begin + segment.range.start - run.range.start;
                    let name = format!("{}/{}", slot.name, segment.name);
                    let buffer = &mut self.state[start..start + segment.range.len()];
                    visitor.buffer(&name, &segment.shape, buffer);
                }
            }
        }
    }
}

impl<F: Scalar, K: AnyRule<F> + ?Sized> fmt::Debug for Elementwise<F, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups = f.debug_struct("Elementwise");
        for group in &self.groups {
            let name = if group.name.is_empty() {
                "rule"
            } else {
                &group.name
            };
            groups.field(name, &&group.rule);
        }
        groups
            .field("parameters", &self.params.len())
            .finish_non_exhaustive()
    }
}
