use super::Step;
use super::shard::Steps;
use crate::state::visit::Visit;

/// How many steps a segment has made, and the products of the decay rates over them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Clock {
    pub(super) t: u64,
    products: [f64; 2],
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            t: 0,
            products: [1.0; 2],
        }
    }
}

impl Clock {
    fn tick(&mut self, decays: Option<[f64; 2]>) -> Step {
        self.t = self.t.saturating_add(1);
        for (product, decay) in self.products.iter_mut().zip(decays.unwrap_or_default()) {
            *product *= decay;
        }
        Step {
            t: self.t,
            debias: self.products.map(|product| 1.0 - product),
        }
    }

    /// Shows the clock of a segment; the products only if its rule has any.
    pub(super) fn visit<F>(&mut self, segment: &str, decays: bool, visitor: &mut dyn Visit<F>) {
        visitor.count(&format!("t/{segment}"), &mut self.t);
        if decays {
            let [first, second] = &mut self.products;
            visitor.number(&format!("decayed1/{segment}"), first);
            visitor.number(&format!("decayed2/{segment}"), second);
        }
    }
}

/// The clocks of consecutive segments that follow the same rule.
///
/// As long as all have made the same steps, one serves for them: on thousands of small tensors
/// that is a third of the time.
#[derive(Clone, Debug)]
pub(super) struct Clocks {
    /// Of all; or, once they differ, of the first.
    all: Clock,
    segments: usize,
    /// Empty while all are the same.
    own: Vec<Clock>,
    steps: Vec<Step>,
}

impl Clocks {
    pub(super) fn new(segments: usize) -> Self {
        Self {
            all: Clock::default(),
            segments,
            own: Vec::new(),
            steps: Vec::new(),
        }
    }

    pub(super) fn get(&self, segment: usize) -> Clock {
        self.own.get(segment).copied().unwrap_or(self.all)
    }

    /// Replaces the clocks, one for each segment.
    pub(super) fn put(&mut self, clocks: &[Clock]) {
        self.all = clocks.first().copied().unwrap_or_default();
        self.own.clear();
        if clocks.iter().any(|clock| *clock != self.all) {
            self.own.extend_from_slice(clocks);
        }
    }

    /// Counts a step of the segments from `first` on, as `moves` tells of each.
    pub(super) fn tick(
        &mut self,
        first: usize,
        decays: Option<[f64; 2]>,
        moves: impl ExactSizeIterator<Item = bool> + Clone,
    ) -> Steps<'_> {
        let every = first == 0 && moves.len() == self.segments && moves.clone().all(|m| m);
        if every && self.own.windows(2).all(|pair| pair[0] == pair[1]) {
            self.all = self.get(0);
            self.own.clear();
            return Steps::Same(self.all.tick(decays));
        }
        if self.own.is_empty() {
            self.own.resize(self.segments, self.all);
        }
        let clocks = self.own.iter_mut().skip(first).zip(moves);
        self.steps.clear();
        self.steps.extend(clocks.map(|(clock, moves)| {
            if moves {
                clock.tick(decays)
            } else {
                Clock::default().tick(None) // not used
            }
        }));
        Steps::Each(&self.steps)
    }
}
