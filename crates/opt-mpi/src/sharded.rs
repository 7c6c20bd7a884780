use std::ops::Range;

use opt_core::{Change, Error, Field, ParamMap, Part, Tune, Update, Value};

use crate::meet::{Call, Place};
use crate::pieces::{piece, shard};
use crate::ranks::{Element, Ranks};

/// An update whose state is dealt out over the ranks: each keeps that of its part of x, moves its part,
/// and gathers the rest (ZeRO-1; Rajbhandari, Rasley, Ruwase & He 2020).
///
/// For rules that go by elements, as all of [`Elementwise`](opt_core::Elementwise) do, x moves by the
/// same bits as without shards. The direction must be the same on all ranks, as that of an
/// [`AllReduced`](crate::AllReduced) objective is. Each rank has 1/R of the state, and sends n/R numbers
/// to R − 1 others at each step, beside those of the gradient.
///
/// Its state is shown whole, under the names and shapes that it has without shards: a snapshot that is
/// taken on some ranks is restored on any other number of them, or by the plain update in one process,
/// and the other way round. All ranks take and restore it together; while they do, each holds one
/// tensor of the state whole, beside what the snapshot keeps. See [`Ranks::save`] and
/// [`Ranks::load`].
///
/// ```no_run
/// use opt_core::{FirstOrder, ParamMap, Train};
/// use opt_firstorder::Adam;
/// use opt_mpi::Sharded;
///
/// opt_mpi::run(|ranks| {
///     let params = ParamMap::new([("weight", vec![300, 200]), ("bias", vec![300])])?;
///     let update = Sharded::<_, f32>::new(&params, ranks, |shard| {
///         FirstOrder::new(Adam::default(), shard)
///     })?;
///     let train = Train::new(update);
///     Ok::<_, Box<dyn std::error::Error>>(())
/// })
/// # ?; Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Sharded<U, F = f32> {
    pub(crate) inner: U,
    pub(crate) params: ParamMap,
    pub(crate) ranks: Ranks,
    /// Of all ranks, in x.
    pub(crate) ranges: Vec<Range<usize>>,
    work: Vec<F>,
    gathered: Vec<F>,
}

impl<U: Update<F>, F: Element> Sharded<U, F> {
    /// Deals `params` out. `make` makes the update of this rank's part, whose map has the same segments
    /// under the same names, with as many axes; but each only as long as what the rank has of it, which
    /// may be nothing: `[len, 1]` of a matrix. Choose segments by name or by their number of axes.
    ///
    /// # Errors
    /// [`TooManyRanks`](crate::Error::TooManyRanks); [`OtherShard`](crate::Error::OtherShard); what
    /// `make` returns; on all ranks.
    pub fn new(
        params: &ParamMap,
        ranks: &Ranks,
        make: impl FnOnce(&ParamMap) -> Result<U, Error>,
    ) -> Result<Self, Error> {
        let ranges = (0..ranks.size()).map(|rank| ranks.part_of(rank, params.len()));
        let ranges: Vec<_> = ranges.collect();
        let own = &ranges[ranks.rank()];
        let made = match params.len() < ranks.size() {
            true => Err(crate::Error::TooManyRanks {
                parameters: params.len(),
                ranks: ranks.size(),
            }
            .into()),
            false => shard(params, own).and_then(|shard| {
                let inner = make(&shard)?;
                match *inner.params() == shard {
                    true => Ok(inner),
                    false => Err(crate::Error::OtherShard.into()),
                }
            }),
        };
        Ok(Self {
            inner: ranks.agree(made)?,
            params: params.clone(),
            ranks: ranks.clone(),
            ranges,
            work: Vec::new(),
            gathered: Vec::new(),
        })
    }

    /// This rank's update, over its part.
    pub fn shard(&self) -> &U {
        &self.inner
    }

    /// This rank's part of x.
    pub fn range(&self) -> Range<usize> {
        self.ranges[self.ranks.rank()].clone()
    }

    /// An error about an element of a piece, about the same element of the segment.
    fn placed(&self, error: Error) -> Error {
        let start = |segment: &str| {
            let whole = self.params.get(segment).map(|s| s.range.clone());
            let whole = whole.unwrap_or_default();
            piece(&self.range(), &whole).start
        };
        match error {
            Error::NonFiniteGradient {
                segment,
                index,
                value,
            } => Error::NonFiniteGradient {
                index: start(&segment) + index,
                segment,
                value,
            },
            Error::GradientRange {
                segment,
                index,
                value,
                least,
                most,
                dtype,
            } => Error::GradientRange {
                index: start(&segment) + index,
                segment,
                value,
                least,
                most,
                dtype,
            },
            Error::Diverged {
                segment,
                what,
                index,
                value,
                dtype,
            } => Error::Diverged {
                index: start(&segment) + index,
                segment,
                what,
                value,
                dtype,
            },
            other => other,
        }
    }

    /// Meets for `call` about `len`; gives the first error, on all ranks.
    fn settle(&self, call: Call, len: usize, mine: Result<(), Error>) -> Result<(), Error> {
        self.settle_at(Place::new(call, len), mine)
    }

    fn settle_at(&self, place: Place, mine: Result<(), Error>) -> Result<(), Error> {
        let mine = mine.map(|()| []).map_err(|error| self.placed(error));
        self.ranks.meet(place, mine)?;
        Ok(())
    }

    /// As [`settle`](Self::settle), about these tensors, of which the same must move on all ranks.
    fn settle_parts(
        &self,
        (call, first): (Call, usize),
        parts: &[Part<'_, F>],
        mine: Result<(), Error>,
    ) -> Result<(), Error> {
        let moves = parts.iter().map(|part| u64::from(part.d.is_some()));
        let print = moves.fold(1, |all: u64, moves| all.wrapping_mul(3).wrapping_add(moves));
        let place = Place {
            call,
            len: first,
            print,
        };
        self.settle_at(place, mine)
    }

    /// What this rank has of a segment, within the segment.
    fn own(&self, segment: usize) -> Result<Range<usize>, Error> {
        let whole = &self.params.segment(segment)?.range;
        Ok(piece(&self.range(), whole))
    }

    /// The lengths of segments from number `first` on, against the map.
    fn check_parts(&self, first: usize, parts: &[Part<'_, F>]) -> Result<(), Error> {
        for (index, part) in (first..).zip(parts) {
            let place = self.params.segment(index)?;
            for len in [Some(part.x.len()), part.d.map(<[F]>::len)] {
                let (what, expected) = (place.name.clone(), place.range.len());
                if let Some(found) = len.filter(|len| *len != expected) {
                    return Err(Error::Length {
                        what,
                        expected,
                        found,
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether this rank's part can be stepped by its part of `d`.
    fn checked(&self, d: &[F]) -> Result<(), Error> {
        self.params.check_len("gradient", d.len())?;
        self.inner.check_whole(&d[self.range()])
    }

    /// The same of tensors, one for each segment.
    fn checked_parts(&self, parts: &[Part<'_, F>]) -> Result<(), Error> {
        let (expected, found) = (self.params.segments().len(), parts.len());
        if expected != found {
            let what = "list of tensors".to_owned();
            return Err(Error::Length {
                what,
                expected,
                found,
            });
        }
        self.check_parts(0, parts)?;
        for (index, part) in parts.iter().enumerate() {
            if let Some(d) = part.d {
                self.inner.check(index, &d[self.own(index)?])?;
            }
        }
        Ok(())
    }

    /// Moves this rank's part, and gathers those of all; after a move that diverged too, so that x stays
    /// the same on all ranks.
    fn step_whole(&mut self, x: &mut [F], d: &[F]) -> Result<(), Error> {
        let own = self.range();
        let moved = self
            .inner
            .advance_whole(&mut x[own.clone()], &d[own.clone()]);
        self.work.clear();
        self.work.extend_from_slice(&x[own]);
        let counts: Vec<usize> = self.ranges.iter().map(ExactSizeIterator::len).collect();
        self.ranks.gather(&self.work, &counts, x)?;
        self.settle(Call::Advance, self.params.len(), moved)
    }

    /// The same of the segments from number `first` on.
    fn step_parts(&mut self, first: usize, parts: &mut [Part<'_, F>]) -> Result<(), Error> {
        let moved = self.move_parts(first, parts);
        self.gather_parts(first, parts)?;
        self.settle(Call::Advance, first, moved)
    }

    /// Moves this rank's pieces of the segments.
    fn move_parts(&mut self, first: usize, parts: &mut [Part<'_, F>]) -> Result<(), Error> {
        let mut pieces = Vec::with_capacity(parts.len());
        for (index, part) in (first..).zip(parts) {
            let own = self.own(index)?;
            pieces.push(Part {
                d: part.d.map(|d| &d[own.clone()]),
                x: &mut part.x[own],
            });
        }
        self.inner.advance(first, &mut pieces)
    }

    /// Gathers the pieces of the segments from all ranks.
    fn gather_parts(&mut self, first: usize, parts: &mut [Part<'_, F>]) -> Result<(), Error> {
        let segments = &self.params.segments()[first..first + parts.len()];
        let of = |rank: usize| {
            let range = &self.ranges[rank];
            segments.iter().map(move |s| piece(range, &s.range))
        };
        let counts: Vec<usize> = (0..self.ranks.size())
            .map(|rank| of(rank).map(|piece| piece.len()).sum())
            .collect();
        self.work.clear();
        for (part, own) in parts.iter().zip(of(self.ranks.rank())) {
            self.work.extend_from_slice(&part.x[own]);
        }
        self.gathered.resize(counts.iter().sum(), F::zero());
        let (ranks, gathered) = (&self.ranks, &mut self.gathered);
        ranks.gather(&self.work, &counts, gathered)?;
        let mut rest = &gathered[..];
        for rank in 0..self.ranks.size() {
            for (part, piece) in parts.iter_mut().zip(of(rank)) {
                let (now, later) = rest.split_at(piece.len());
                part.x[piece].copy_from_slice(now);
                rest = later;
            }
        }
        Ok(())
    }
}

impl<U: Update<F>, F: Element> Update<F> for Sharded<U, F> {
    fn params(&self) -> &ParamMap {
        &self.params
    }

    fn check(&self, segment: usize, d: &[F]) -> Result<(), Error> {
        let mine = self.params.segment(segment).and_then(|place| {
            if place.range.len() != d.len() {
                return Err(Error::Length {
                    what: format!("gradient of {}", place.name),
                    expected: place.range.len(),
                    found: d.len(),
                });
            }
            self.inner.check(segment, &d[self.own(segment)?])
        });
        self.settle(Call::Check, segment, mine)
    }

    /// Each rank reads its own part, and all hear of the first that is bad.
    fn check_whole(&self, d: &[F]) -> Result<(), Error> {
        let mine = self.checked(d);
        self.settle(Call::Check, self.params.len(), mine)
    }

    fn advance(&mut self, first: usize, parts: &mut [Part<'_, F>]) -> Result<(), Error> {
        let fits = self.check_parts(first, parts);
        self.settle_parts((Call::Advance, first), parts, fits)?;
        self.step_parts(first, parts)
    }

    fn advance_whole(&mut self, x: &mut [F], d: &[F]) -> Result<(), Error> {
        let fits = self.params.check_len("x", x.len());
        let fits = fits.and_then(|()| self.params.check_len("gradient", d.len()));
        self.settle(Call::Advance, self.params.len(), fits)?;
        self.step_whole(x, d)
    }

    // Ranks meet once for all that must hold before the step, and once after it; by the defaults they
    // would for every tensor, from any thread.

    fn apply(&mut self, x: &mut [F], d: &[F]) -> Result<(), Error> {
        let fits = self.params.check_len("x", x.len());
        let mine = fits.and_then(|()| self.checked(d));
        self.settle(Call::Check, self.params.len(), mine)?;
        self.step_whole(x, d)
    }

    fn apply_parts(&mut self, parts: &mut [Part<'_, F>]) -> Result<(), Error> {
        let mine = self.checked_parts(parts);
        self.settle_parts((Call::Check, self.params.len()), parts, mine)?;
        self.step_parts(0, parts)
    }

    /// Of this rank's part.
    fn width(&self) -> usize {
        self.inner.width()
    }

    /// Of this rank's part.
    fn bytes(&self) -> usize {
        self.inner.bytes()
    }
}

impl<U: Tune, F> Tune for Sharded<U, F> {
    fn list(&self) -> Vec<Field> {
        self.inner.list()
    }

    fn get(&self, name: &str) -> Result<Value, Error> {
        self.inner.get(name)
    }

    fn change(&mut self, name: &str, change: &Change) -> Result<(), Error> {
        self.inner.change(name, change)
    }
}
