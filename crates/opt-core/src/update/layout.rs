//! How segments and their state are laid out: into runs, before the first step.

use super::any_rule::AnyRule;
use super::clock::Clocks;
use super::packed::Packed;
use super::rule::Packing;
use super::run::{Group, Run};
use super::storage::Storage;
use crate::error::Error;
use crate::params::{ParamMap, Segment};
use crate::scalar::Scalar;

/// The runs, and the state of those that are stored as they are.
pub(super) fn lay_out<F: Scalar, K: AnyRule<F> + ?Sized>(
    params: &ParamMap,
    groups: &[Group<K>],
    group_of: impl Fn(usize) -> usize,
    storage_of: impl Fn(&Segment) -> Storage,
) -> Result<(Vec<Run>, Vec<F>), Error> {
    let mut runs: Vec<Run> = Vec::new();
    for (index, segment) in params.segments().iter().enumerate() {
        let group = group_of(index);
        let packed = packed(&*groups[group].rule, segment, storage_of(segment))?;
        let last = runs.last_mut();
        let open = |run: &&mut Run| run.group == group && run.packed.is_none() && packed.is_none();
        match last.filter(open) {
            Some(run) => {
                run.segments.end = index + 1;
                run.range.end = segment.range.end;
            }
            None => runs.push(Run {
                group,
                segments: index..index + 1,
                range: segment.range.clone(),
                state: 0..0,
                clocks: Clocks::new(0),
                packed,
            }),
        }
    }
    let mut state = Vec::new();
    for run in &mut runs {
        run.clocks = Clocks::new(run.segments.len());
        let begin = state.len();
        if run.packed.is_none() {
            let slots = groups[run.group].rule.slots();
            let too_large = || too_large(&params.segments()[run.segments.start]);
            let all = slots.len().checked_mul(run.range.len());
            let all = all.ok_or_else(too_large)?;
            state.try_reserve_exact(all).map_err(|_| too_large())?;
            for slot in slots {
                state.resize(state.len() + run.range.len(), F::of(slot.init));
            }
        }
        run.state = begin..state.len();
    }
    Ok((runs, state))
}

fn too_large(segment: &Segment) -> Error {
    Error::SegmentTooLarge(segment.name.clone())
}

/// The state of a segment that is stored in fewer bits; `None` for one that is not.
fn packed<F: Scalar, K: AnyRule<F> + ?Sized>(
    rule: &K,
    segment: &Segment,
    storage: Storage,
) -> Result<Option<Packed>, Error> {
    let len = segment.range.len();
    if storage == Storage::Full || len < Storage::LEAST || rule.width() == 0 {
        return Ok(None);
    }
    let slots = rule.slots();
    if let Some(slot) = slots.iter().find(|slot| slot.packing == Packing::Exact) {
        return Err(Error::Storage(format!(
            "`{}` of `{}` is compared, multiplied or subtracted from step to step, and can't be rounded",
            slot.name, segment.name
        )));
    }
    let packed = Packed::new(storage, &slots, len).ok_or_else(|| too_large(segment))?;
    Ok(Some(packed))
}
