//! The layers of all ranks' minibatches, as one minibatch.

use std::cell::OnceCell;

use ndarray::{Array2, ArrayView1, ArrayView2};
use opt_core::{
    Error, Fisher, Layer, LayerPlace, Layered, ObserveInputs, Processes, Reparametrized,
    SampledFisher, Team,
};

use crate::AllReduced;
use crate::meet::{Call, Place};
use crate::ranks::{Element, Ranks};

/// A layer's rows over all ranks, gathered when they are first asked for.
#[derive(Debug)]
pub(crate) struct Rows<F> {
    input: OnceCell<Option<Gathered<F>>>,
    delta: OnceCell<Option<Gathered<F>>>,
    /// This rank's deltas, times its share of the samples.
    own: OnceCell<Array2<F>>,
}

#[derive(Debug)]
struct Gathered<F> {
    rows: Array2<F>,
    samples: usize,
}

impl<F> Rows<F> {
    fn of(input: OnceCell<Option<Gathered<F>>>) -> Self {
        let (delta, own) = (OnceCell::new(), OnceCell::new());
        Self { input, delta, own }
    }
}

/// The rows of all ranks in their order, each rank's times its factor.
fn gather<F: Element>(
    ranks: &Ranks,
    at: Place,
    (mine, samples): (ArrayView2<'_, F>, usize),
    factors: Option<&[f64]>,
) -> Result<Gathered<F>, Error> {
    let columns = mine.ncols();
    let told = [mine.nrows() as u64, columns as u64, samples as u64];
    let all = ranks.meet(at, Ok(told))?;
    if let Some(rank) = all.iter().position(|told| told[1] != columns as u64) {
        // Ranks whose models differ: each says what it has.
        let called = |columns: u64| format!("Layered::layer of {columns} columns");
        let (first, other) = (called(all[0][1]), called(all[rank][1]));
        return Err(crate::Error::OutOfStep { first, rank, other }.into());
    }
    let counts: Vec<usize> = all
        .iter()
        .map(|[rows, ..]| *rows as usize * columns)
        .collect();
    let mut rows = Array2::zeros((counts.iter().sum::<usize>() / columns.max(1), columns));
    let mine = mine.as_standard_layout();
    let (from, to) = (mine.as_slice(), rows.as_slice_mut());
    // Both are in standard layout.
    let (from, to) = (from.unwrap_or_default(), to.unwrap_or_default());
    ranks.gather(from, &counts, to)?;
    let mut rest = to;
    for (&count, &factor) in counts.iter().zip(factors.unwrap_or_default()) {
        let (now, later) = rest.split_at_mut(count);
        now.iter_mut().for_each(|v| *v = F::of(factor * v.f64()));
        rest = later;
    }
    let samples = all.iter().map(|[.., samples]| *samples as usize).sum();
    Ok(Gathered { rows, samples })
}

impl<O: Layered<F>, F: Element> AllReduced<O, F> {
    /// What was kept of every layer since the last evaluation.
    fn kept(&self) -> &[Rows<F>] {
        let places = self.inner.places().iter();
        (self.rows).get_or_init(|| places.map(|_| Rows::of(OnceCell::new())).collect())
    }

    /// Ends an evaluation that leaves new deltas; with the same inputs, if `same`.
    fn shows(&mut self, at: Place, mine: Result<F, Error>, same: bool) -> Result<F, Error> {
        let last = self.rows.take().filter(|_| same);
        let loss = self.evaluated(at, mine)?;
        if let Some(last) = last {
            let inputs = last.into_iter().map(|rows| Rows::of(rows.input));
            self.rows = OnceCell::from(inputs.collect::<Vec<_>>());
        }
        Ok(loss)
    }
}

/// This rank's rows are what [`Team`] shows, to methods that sum over them.
impl<F: Element, O: Layered<F>> Team<F> for AllReduced<O, F> {
    fn layer(&self, index: usize) -> Option<Layer<'_, F>> {
        let mine = self.inner.layer(index)?;
        let weight = F::of(*self.weights.get(self.ranks.rank())?);
        let own = &self.kept().get(index)?.own;
        let delta = own.get_or_init(|| mine.delta.mapv(|delta| weight * delta));
        let (input, samples) = (mine.input, mine.samples);
        Some(Layer::positions(input, delta.view(), samples))
    }

    fn processes(&self) -> &dyn Processes<F> {
        &self.ranks
    }
}

/// The union of all ranks' rows, in the order of the ranks: gathered when a layer is first asked for,
/// which all ranks do together. Deltas are those of the mean over all samples.
///
/// The gathered rows of a layer of n inputs and m outputs are Σnᵣ·(n + m) numbers, received by every rank
/// and kept there. K-FAC and PRONG do without: they sum statistics, of n² and m² numbers, by
/// [`team`](Self::team).
impl<F: Element, O: Layered<F>> Layered<F> for AllReduced<O, F> {
    fn places(&self) -> &[LayerPlace] {
        self.inner.places()
    }

    fn deltas(&mut self, x: &[F], g: &mut [F]) -> Result<F, Error> {
        let mine = self.inner.deltas(x, g);
        let at = Self::place(Call::Deltas, &[x], g.len());
        let loss = self.shows(at, mine, false)?;
        self.average(g)?;
        Ok(loss)
    }

    fn team(&self) -> Option<&dyn Team<F>> {
        Some(self)
    }

    fn layer(&self, index: usize) -> Option<Layer<'_, F>> {
        let mine = self.inner.layer(index)?;
        let rows = self.kept().get(index)?;
        let at = Place::new(Call::Layer, index);
        let input = rows
            .input
            .get_or_init(|| gather(&self.ranks, at, (mine.input, mine.samples), None).ok());
        let delta = rows.delta.get_or_init(|| {
            let factors = Some(&self.weights[..]);
            gather(&self.ranks, at, (mine.delta, mine.samples), factors).ok()
        });
        let (input, delta) = (input.as_ref()?, delta.as_ref()?);
        let (input, samples) = (input.rows.view(), input.samples);
        Some(Layer::positions(input, delta.rows.view(), samples))
    }

    /// Each rank shows its part of the samples, of its own statistics set, and sees those of all.
    fn observe(
        &mut self,
        x: &[F],
        samples: usize,
        visit: &mut ObserveInputs<'_, F>,
    ) -> Result<usize, Error> {
        let mut pieces = Vec::new();
        let part = self.ranks.part(samples).len();
        let mine = self.inner.observe(x, part, &mut |index, rows| {
            pieces.push((index, rows.to_owned()));
            Ok(())
        });
        let at = Self::place(Call::Observe, &[x], samples);
        let mine = mine.map(|shown| [shown as u64, pieces.len() as u64]);
        let told = self.ranks.meet(at, mine)?;
        let most = told.iter().map(|[_, pieces]| *pieces).max();
        let layers = self.inner.places().len();
        let mut failed = None;
        for piece in 0..most.unwrap_or_default() as usize {
            let (index, rows) = pieces.get(piece).map_or_else(
                // A rank that has shown all of its own: no rows, of a layer that none has.
                || (layers, Array2::zeros((0, 0))),
                |(index, rows)| (*index, rows.clone()),
            );
            let seen = show(&self.ranks, (piece, index), rows.view(), visit);
            // To the end on every rank, though one has an error: it is told below.
            failed = failed.or(seen.err());
        }
        self.ranks.agree(failed.map_or(Ok(()), Err))?;
        Ok(told.iter().map(|[shown, _]| *shown as usize).sum())
    }
}

/// Shows one piece of every rank, in their order.
fn show<F: Element>(
    ranks: &Ranks,
    (piece, index): (usize, usize),
    mine: ArrayView2<'_, F>,
    visit: &mut ObserveInputs<'_, F>,
) -> Result<(), Error> {
    let told = [index as u64, mine.nrows() as u64, mine.ncols() as u64];
    let all = ranks.meet(Place::new(Call::Layer, piece), Ok(told))?;
    let counts = all
        .iter()
        .map(|[_, rows, columns]| (rows * columns) as usize);
    let counts: Vec<usize> = counts.collect();
    let mut rows = vec![F::zero(); counts.iter().sum()];
    let mine = mine.as_standard_layout();
    ranks.gather(mine.as_slice().unwrap_or_default(), &counts, &mut rows)?;
    let mut rest = &rows[..];
    let mut result = Ok(());
    for ([index, rows, columns], count) in all.into_iter().zip(counts) {
        let (now, later) = rest.split_at(count);
        rest = later;
        let shape = (rows as usize, columns as usize);
        let view = ArrayView2::from_shape(shape, now).map_err(Error::objective);
        if rows > 0 && result.is_ok() {
            result = view.and_then(|rows| visit(index as usize, rows));
        }
    }
    result
}

/// Another seed on every rank, that of rank 0 as it is: else all ranks would draw the same.
fn seed_of(rank: usize, seed: u64) -> u64 {
    seed ^ (rank as u64).wrapping_mul(0xa076_1d64_78bd_642f)
}

/// Labels are drawn on each rank from a seed of its own.
impl<F: Element, O: SampledFisher<F>> SampledFisher<F> for AllReduced<O, F> {
    fn sample(&mut self, x: &[F], seed: u64) -> Result<(), Error> {
        let mine = self.inner.sample(x, seed_of(self.ranks.rank(), seed));
        let at = Self::place(Call::Sample, &[x], 0);
        self.shows(at, mine.map(|()| F::zero()), false).map(|_| ())
    }

    fn resample(&mut self, x: &[F], seed: u64) -> Result<(), Error> {
        let mine = self.inner.resample(x, seed_of(self.ranks.rank(), seed));
        let at = Self::place(Call::Sample, &[x], 1);
        self.shows(at, mine.map(|()| F::zero()), true).map(|_| ())
    }
}

impl<F: Element, O: Fisher<F>> Fisher<F> for AllReduced<O, F> {
    fn outputs(&self) -> usize {
        self.inner.outputs()
    }

    fn factor(&mut self, x: &[F], index: usize) -> Result<(), Error> {
        let mine = self.inner.factor(x, index);
        let at = Self::place(Call::Factor, &[x], index);
        self.shows(at, mine.map(|()| F::zero()), false).map(|_| ())
    }
}

impl<F: Element, O: Reparametrized<F>> Reparametrized<F> for AllReduced<O, F> {
    fn set_whitening(
        &mut self,
        index: usize,
        u: ArrayView2<'_, F>,
        c: ArrayView1<'_, F>,
    ) -> Result<(), Error> {
        let mine = self.inner.set_whitening(index, u, c);
        let mine = mine.map(|()| []);
        self.ranks.meet(Place::new(Call::Whiten, index), mine)?;
        Ok(())
    }

    fn clear_whitening(&mut self) {
        self.inner.clear_whitening();
    }
}
