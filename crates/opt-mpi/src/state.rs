//! The state of all shards as one, as a visitor sees it.

use opt_core::{Bits, State, Update, Visit};

use crate::meet::{Call, Place};
use crate::pieces::piece;
use crate::ranks::Element;
use crate::sharded::Sharded;

/// One entry of a shard's state.
enum Entry<F> {
    /// A tensor of a segment, by its number: this rank's piece.
    Piece(usize, Vec<F>),
    Count(u64),
    Number(f64),
    /// What cannot be put together.
    Odd,
}

/// Shows the state of all ranks as it would be without shards, and takes over what the visitor has
/// written: every rank its own piece.
fn visit<U: Update<F>, F: Element>(sharded: &mut Sharded<U, F>, visitor: &mut dyn Visit<F>) {
    let names = sharded.params.segments().iter().map(|s| s.name.clone());
    let mut entries = Collect {
        names: names.collect(),
        all: Vec::new(),
    };
    sharded.inner.visit(&mut entries);
    let mut all = entries.all;
    let odd = all.iter().position(|(_, entry)| !sharded.fits(entry));
    let at = Place::new(Call::Visit, all.len());
    let told = sharded
        .ranks
        .meet(at, Ok([odd.map_or(u64::MAX, |odd| odd as u64)]));
    match told.map(|told| told.iter().map(|[odd]| *odd).min()) {
        Ok(Some(u64::MAX) | None) => {}
        Ok(Some(odd)) => {
            let name = all.get(odd as usize).map(|(name, _)| name.clone());
            let error = crate::Error::State(name.unwrap_or_default());
            return refuse(&error.to_string(), visitor);
        }
        Err(error) => return refuse(&error.to_string(), visitor),
    }
    for (name, entry) in &mut all {
        match entry {
            Entry::Count(count) => visitor.count(name, count),
            Entry::Number(number) => visitor.number(name, number),
            Entry::Odd => {} // refused above
            Entry::Piece(segment, data) => {
                let (segment, ranks) = (&sharded.params.segments()[*segment], &sharded.ranks);
                let pieces = sharded.ranges.iter().map(|r| piece(r, &segment.range));
                let pieces: Vec<_> = pieces.collect();
                let counts: Vec<usize> = pieces.iter().map(ExactSizeIterator::len).collect();
                let mut whole = vec![F::zero(); segment.range.len()];
                if let Err(error) = ranks.gather(data, &counts, &mut whole) {
                    return refuse(&error.to_string(), visitor);
                }
                visitor.buffer(name, &segment.shape, &mut whole);
                data.copy_from_slice(&whole[pieces[ranks.rank()].clone()]);
            }
        }
    }
    sharded.inner.visit(&mut Give(all.into_iter()));
}

impl<U: Update<F>, F: Element> State<F> for Sharded<U, F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visit(self, visitor);
    }
}

impl<U, F: Element> Sharded<U, F> {
    /// Whether an entry can be put together: a tensor, if it is as long as the piece of its segment.
    fn fits(&self, entry: &Entry<F>) -> bool {
        match entry {
            Entry::Count(_) | Entry::Number(_) => true,
            Entry::Odd => false,
            Entry::Piece(segment, data) => {
                let whole = &self.params.segments()[*segment].range;
                piece(&self.ranges[self.ranks.rank()], whole).len() == data.len()
            }
        }
    }
}

/// A visitor returns nothing, but a snapshot refuses a tensor that has not as many values as its shape,
/// and says its name: here the reason.
fn refuse<F: Element>(why: &str, visitor: &mut dyn Visit<F>) {
    visitor.buffer(why, &[1], &mut []);
}

struct Collect<F> {
    names: Vec<String>,
    all: Vec<(String, Entry<F>)>,
}

impl<F> Collect<F> {
    /// The segment that `slot/segment` is of, by its number: that of the longest name, as `w` ends
    /// `a/w` too.
    fn segment(&self, name: &str) -> Option<usize> {
        let fits = |segment: &str| {
            let slot = name.strip_suffix(segment);
            slot.is_some_and(|slot| slot.is_empty() || slot.ends_with('/'))
        };
        let all = self.names.iter().enumerate();
        let all = all.filter(|(_, segment)| fits(segment));
        all.max_by_key(|(_, segment)| segment.len())
            .map(|(at, _)| at)
    }
}

impl<F: Element> Visit<F> for Collect<F> {
    fn buffer(&mut self, name: &str, _: &[usize], data: &mut [F]) {
        let entry = match self.segment(name) {
            Some(segment) => Entry::Piece(segment, data.to_vec()),
            None => Entry::Odd,
        };
        self.all.push((name.to_owned(), entry));
    }

    fn count(&mut self, name: &str, value: &mut u64) {
        self.all.push((name.to_owned(), Entry::Count(*value)));
    }

    fn number(&mut self, name: &str, value: &mut f64) {
        self.all.push((name.to_owned(), Entry::Number(*value)));
    }

    fn packed(&mut self, name: &str, _: &[usize], _: Bits<'_>) {
        self.all.push((name.to_owned(), Entry::Odd));
    }
}

/// Writes the entries back, in the order in which they were collected.
struct Give<F>(std::vec::IntoIter<(String, Entry<F>)>);

impl<F: Element> Visit<F> for Give<F> {
    fn buffer(&mut self, _: &str, _: &[usize], to: &mut [F]) {
        if let Some((_, Entry::Piece(_, data))) = self.0.next()
            && data.len() == to.len()
        {
            to.copy_from_slice(&data);
        }
    }

    fn count(&mut self, _: &str, value: &mut u64) {
        if let Some((_, Entry::Count(count))) = self.0.next() {
            *value = count;
        }
    }

    fn number(&mut self, _: &str, value: &mut f64) {
        if let Some((_, Entry::Number(number))) = self.0.next() {
            *value = number;
        }
    }

    fn packed(&mut self, _: &str, _: &[usize], _: Bits<'_>) {
        self.0.next();
    }
}
