//! What a minibatch does to PRONG's statistics and factors.

use opt_core::{Error, Fallback, Layer, Processes, Scalar};
use opt_linalg::Decompose;
use rayon::prelude::*;

use super::{Counts, Next, ProngDirection, statistics};
use crate::FisherError;
use crate::factor::Factor;
use crate::team::{Others, sum_numbers};
use crate::union::unite;

/// Of the minibatch, over all processes.
#[derive(Clone, Debug, Default)]
pub(super) struct Total {
    /// What no input is greater than.
    most: f64,
    samples: f64,
    /// Of each layer.
    pub(super) rows: Vec<f64>,
}

impl Total {
    /// From this process's part, which may not have been had.
    pub(super) fn find<F: Scalar>(
        &mut self,
        others: Others<'_, F>,
        most: Result<F, Error>,
        (layers, count): (&[Layer<'_, F>], usize),
    ) -> Result<(), Error> {
        self.samples = layers.first().map_or(0.0, |layer| layer.samples as f64);
        self.rows.clear();
        let rows = layers.iter().map(|layer| layer.input.nrows() as f64);
        self.rows.extend(rows);
        // Where not all could be shown.
        self.rows.resize(count, 0.0);
        let Some(others) = others else {
            self.most = most?.f64();
            return Ok(());
        };
        let (most, shown) = match most {
            Ok(most) => (most.f64(), Ok(())),
            Err(error) => (0.0, Err(error)),
        };
        let mut sums = vec![most, self.samples];
        sums.extend(&self.rows);
        others.sum_numbers(shown, &mut sums)?;
        (self.most, self.samples) = (sums[0], sums[1]);
        self.rows.copy_from_slice(&sums[2..]);
        Ok(())
    }
}

impl<F: Decompose> ProngDirection<F> {
    /// Stages what the minibatch does to statistics and factors. Gives what it fell back to.
    pub(super) fn follow(
        &mut self,
        others: Others<'_, F>,
        layers: &[Layer<'_, F>],
        observed: bool,
    ) -> Result<(Next, Option<Fallback>), Error> {
        let (period, samples) = (self.settings.period, self.settings.samples);
        let total = &self.total;
        let (most, rows) = (total.most, total.samples as u64);
        // Of a convolution, for each sample.
        let positions = total.rows.iter().fold(0.0, |most, &rows| rows.max(most)) / total.samples;
        let (mut counts, first) = (self.counts, self.counts.refreshes == 0 && !observed);
        if observed {
            counts.refreshes += 1;
        }
        // The samples that are still to come before the refresh will do.
        let left = period.saturating_sub(counts.since).saturating_mul(rows);
        let collect = first || left < samples;
        let squared = most * most * positions * (counts.seen + rows) as f64;
        if collect && F::of(squared).is_infinite() {
            if first {
                let error = self.overflow("the statistics", layers).into();
                // That of the first process, on all.
                sum_numbers(others, Err(error), &mut [])?;
            }
            let counts = Counts { seen: 0, ..counts };
            let next = Next {
                counts,
                keep: false,
            };
            return Ok((next, Some(Fallback::StatisticsOverflowed)));
        }
        if let Some(others) = others.filter(|_| collect) {
            self.unite(others, layers)?;
        }
        if collect {
            counts.seen += rows;
        }
        let due = first || counts.since.saturating_add(1) > period;
        if !due || counts.seen < samples {
            if collect {
                let all = self.factors.iter_mut().zip(layers);
                all.for_each(|(factor, layer)| {
                    factor.stage(statistics(layer.input, factor.width()), others.is_some());
                });
            }
            let fallback = first.then_some(Fallback::Collecting);
            return Ok((Next { counts, keep: true }, fallback));
        }
        let result = self.refreshed(others, layers, collect);
        if first {
            result?;
        } else if result.is_err() {
            let counts = Counts {
                seen: 0,
                since: 0,
                ..counts
            };
            let next = Next {
                counts,
                keep: false,
            };
            return Ok((next, Some(Fallback::FactorKept)));
        }
        let few = self.factors.iter().any(Factor::few);
        let counts = Counts {
            seen: 0,
            since: 0,
            refreshes: counts.refreshes + 1,
        };
        let next = Next {
            counts,
            keep: false,
        };
        Ok((next, few.then_some(Fallback::FewSamples)))
    }

    /// Makes the moments of the minibatch over all processes.
    fn unite(&mut self, others: &dyn Processes<F>, layers: &[Layer<'_, F>]) -> Result<(), Error> {
        // All begin, so that the processes bring as many sums, whichever fails.
        let mut begun = Ok(());
        for (factor, layer) in self.factors.iter_mut().zip(layers) {
            let rows = statistics(layer.input, factor.width());
            begun = begun.and(factor.begin_batch(rows).map_err(Error::from));
        }
        unite(others, begun, &mut self.factors)
    }

    /// Names the layer with the greatest input.
    fn overflow(&self, what: &'static str, layers: &[Layer<'_, F>]) -> FisherError {
        let most = |layer: &Layer<'_, F>| layer.input.iter().fold(0.0, |m, v| v.f64().abs().max(m));
        let all = self.layers.iter().zip(layers);
        let worst = all.max_by(|a, b| most(a.1).total_cmp(&most(b.1)));
        FisherError::Overflow {
            what,
            layer: worst.map_or_else(String::new, |(dense, _)| dense.name.clone()),
        }
    }

    /// Stages factors from the statistics with this minibatch.
    fn refreshed(
        &mut self,
        others: Others<'_, F>,
        layers: &[Layer<'_, F>],
        collect: bool,
    ) -> Result<(), Error> {
        let all = self.factors.par_iter_mut().enumerate().with_max_len(1);
        all.try_for_each(|(index, factor)| {
            let layer = layers.get(index).filter(|_| collect);
            let rows = layer.map(|layer| statistics(layer.input, factor.width()));
            factor.gather(rows, others.is_some())
        })?;
        self.stage_all(others)
    }
}
