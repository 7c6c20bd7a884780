//! The Kronecker factors of all layers, as they are and as a step proposes them.

use opt_core::{Error, Layered, ParamMap, Processes, Report, SampledFisher, State, Visit};
use opt_linalg::Decompose;
use rayon::prelude::*;

use crate::FisherError;
use crate::block::Block;
use crate::dense::{Dense, Rest};
use crate::team::{Others, make_all, others, sum_numbers};

/// Tenfold raises of the damping before a factor without an inverse is an error.
const ATTEMPTS: usize = 6;

/// A factor for which a low rank was no gain is asked again at every so manyth inversion.
const AGAIN: u64 = 8;

/// The blocks of every layer, and what a proposal makes of them.
#[derive(Clone, Debug)]
pub(crate) struct Blocks<F> {
    pub(crate) all: Vec<Block<F>>,
    dense: Vec<Dense>,
    /// What the last gradient had beside deltas and inputs.
    pub(crate) rest: Rest,
    /// Steps made.
    pub(crate) t: u64,
    /// Whether the inverses of the step that is proposed may look for low ranks anew.
    again: bool,
    staged: Option<Staged>,
    /// Sums that go to other processes.
    sums: Vec<F>,
}

#[derive(Clone, Copy, Debug)]
struct Staged {
    /// Weight of the old statistics.
    keep: f64,
    /// Whether there are new statistics; else only their rows.
    summed: bool,
    /// Whether there are new inverses, and with them new statistics.
    inverted: bool,
}

impl<F: Decompose> Blocks<F> {
    pub(crate) fn new(layers: Vec<Dense>) -> Self {
        Self {
            all: layers.iter().map(Block::new).collect(),
            dense: layers,
            rest: Rest::default(),
            t: 0,
            again: false,
            staged: None,
            sums: Vec::new(),
        }
    }

    /// The number of the step that is proposed, and whether it takes inverses anew.
    pub(crate) fn turn(&mut self, period: u64) -> (u64, bool) {
        let (t, period) = (self.t.saturating_add(1), period.max(1));
        self.again = t <= 3 || (t / period).is_multiple_of(AGAIN);
        (t, t <= 3 || t.is_multiple_of(period))
    }

    /// Keeps inputs, and the deltas of the loss; writes what else its gradient has over `rest`.
    pub(crate) fn differentiate<O>(
        &mut self,
        objective: &mut O,
        params: &ParamMap,
        x: &[F],
        rest: &mut [F],
    ) -> Result<Report<F>, Error>
    where
        O: Layered<F> + ?Sized,
    {
        self.staged = None;
        let report = Report::new(objective.deltas(x, rest)?)?;
        self.rest.find(params, &self.dense, rest)?;
        let kept = self.all.iter_mut().try_for_each(|block| {
            let layer = block.dense.own(&*objective)?;
            block.keep(&layer);
            Ok(())
        });
        let Some(others) = others(&*objective) else {
            return kept.map(|()| report);
        };
        let mut total: Vec<f64> = self.all.iter().flat_map(|block| block.total).collect();
        others.sum_numbers(kept, &mut total)?;
        for (block, total) in self.all.iter_mut().zip(total.as_chunks().0) {
            block.total = *total;
        }
        Ok(report)
    }

    /// Draws labels where the last evaluation was, and keeps their deltas.
    pub(crate) fn sample<O>(&mut self, objective: &mut O, x: &[F], seed: u64) -> Result<(), Error>
    where
        O: SampledFisher<F> + ?Sized,
    {
        objective.resample(x, seed)?;
        let kept = self.all.iter_mut().try_for_each(|block| {
            let layer = block.dense.own(&*objective)?;
            if (layer.input.nrows(), layer.samples) != (block.rows, block.samples) {
                return Err(FisherError::LayerShape(block.dense.index).into());
            }
            block.keep_sampled(&layer);
            Ok(())
        });
        sum_numbers(others(&*objective), kept, &mut [])
    }

    /// Stages the statistics of what was kept, and their inverses if `invert`. Gives the factor on
    /// the damping λ, which is raised from `scale` until every factor has an inverse.
    pub(crate) fn refresh(
        &mut self,
        others: Others<'_, F>,
        invert: bool,
        decay: f64,
        (damping, mut scale): (f64, f64),
    ) -> Result<f64, Error> {
        let keep = (1.0 - 1.0 / (self.t as f64 + 1.0)).min(decay);
        let all = self.all.par_iter_mut().with_max_len(1);
        match others {
            Some(others) => self.sum(others, keep)?,
            None => all.try_for_each(|block| block.stage(keep, invert))?,
        }
        if invert {
            scale = self.invert(others, damping, scale)?;
        }
        self.staged = Some(Staged {
            keep,
            summed: invert || others.is_some(),
            inverted: invert,
        });
        Ok(scale)
    }

    /// Stages the statistics over the rows of all processes.
    fn sum(&mut self, others: &dyn Processes<F>, keep: f64) -> Result<(), Error> {
        let all = self.all.par_iter_mut().with_max_len(1);
        let made = all.try_for_each(|block| block.stage_own(keep));
        self.sums.clear();
        for block in &self.all {
            block.fresh.pack(&mut self.sums);
        }
        others.sum(made, &mut self.sums)?;
        let mut sums = self.sums.iter();
        for block in &mut self.all {
            block.fresh.unpack(&mut sums);
            block.stage_summed(keep)?;
        }
        Ok(())
    }

    /// Stages the inverses; gives the factor on the damping.
    fn invert(
        &mut self,
        others: Others<'_, F>,
        damping: f64,
        mut scale: f64,
    ) -> Result<f64, Error> {
        let (mut attempts, again) = (0..ATTEMPTS, self.again);
        loop {
            let gamma = (damping * scale).sqrt();
            let invert = |_, block: &mut Block<F>| block.invert(gamma, again);
            match make_all(others, &mut self.all, invert, |block| &mut block.next) {
                Ok(()) => return Ok(scale),
                Err(_) if gamma > 0.0 && attempts.next().is_some() => scale *= 10.0,
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes ±G⁻¹(δᵀh̄ + rest)A⁻¹ of every layer over its part of `out`, which holds the rest, with
    /// δ of the loss.
    pub(crate) fn precondition(
        &mut self,
        others: Others<'_, F>,
        sign: F,
        out: &mut [F],
    ) -> Result<(), Error> {
        if let Some(others) = others {
            let all = self.all.par_iter_mut().with_max_len(1);
            let mut made = all.try_for_each(Block::gradient);
            for block in &mut self.all {
                others.sum(std::mem::replace(&mut made, Ok(())), block.made())?;
            }
        }
        let inverted = self.staged.is_some_and(|staged| staged.inverted);
        let Rest {
            of_layers,
            of_biases,
            ..
        } = &self.rest;
        let (all, rest) = (self.all.par_iter_mut().enumerate(), &*out);
        all.with_max_len(1).try_for_each(|(index, block)| {
            let rest = (of_layers[index] || of_biases[index]).then_some(rest);
            match others {
                Some(_) => block.multiply_gradient(inverted, rest),
                None => block.multiply(inverted, rest),
            }
        })?;
        let mut all = self.all.iter_mut();
        all.try_for_each(|block| block.write(sign, out))
    }

    /// Finds how the loss changes along two vectors, of which the first is the direction that was
    /// written last: see [`Block::along`].
    pub(crate) fn along(&mut self, own: &[F], other: &[F]) -> Result<(), Error> {
        let all = self.all.par_iter_mut().with_max_len(1);
        all.try_for_each(|block| {
            block.along(own, true, 0)?;
            block.along(other, false, 1)
        })
    }

    /// Whether some layer's weight has a step that does not move it.
    pub(crate) fn vanishes(&self, x: &[F], step: &[F]) -> bool {
        self.dense.iter().any(|dense| dense.vanishes(x, step))
    }

    pub(crate) fn commit(&mut self) {
        let Some(Staged {
            keep,
            summed,
            inverted,
        }) = self.staged.take()
        else {
            return;
        };
        let all = self.all.par_iter_mut().with_max_len(1);
        all.for_each(|block| block.commit(keep, summed, inverted));
        self.t = self.t.saturating_add(1);
    }
}

impl<F: Decompose> State<F> for Blocks<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.count("t", &mut self.t);
        for block in &mut self.all {
            block.visit(visitor);
        }
    }
}
