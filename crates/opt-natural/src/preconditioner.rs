use ndarray::ArrayViewMut2;
use opt_core::{
    Bound, Direction, Error, Fallback, FieldVisitor, Hyper, Layer, LayerPlace, Layered, ParamMap,
    Prefixed, Report, Scalar, Staged, State, Tuned, Visit, each, greatest,
};
use opt_linalg::{Decompose, Eigh, Moments, gemm};
use rayon::prelude::*;

use crate::FisherError;
use crate::dense::Dense;
use crate::factor::{Buffers, Factor};

/// What PRONG's direction goes by: see [`Prong`](crate::Prong) and
/// [`ProngPlus`](crate::ProngPlus).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ProngSettings {
    pub(crate) eps: f64,
    pub(crate) period: u64,
    pub(crate) samples: u64,
    /// Of the running variances, if there is the diagonal correction.
    pub(crate) decay: Option<f64>,
}

impl Hyper for ProngSettings {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("eps", &mut self.eps, Bound::Positive);
        visit.count("period", &mut self.period, 1);
        visit.count("samples", &mut self.samples, 1);
        if let Some(decay) = &mut self.decay {
            visit.real("decay", decay, Bound::Unit);
        }
    }
}

/// The gradient as PRONG or PRONG+ preconditions it, over a layered objective: made by
/// [`Prong::direction`](crate::Prong::direction) and
/// [`ProngPlus::direction`](crate::ProngPlus::direction).
///
/// If statistics overflow or a decomposition fails, the layers keep the factors that they have, and
/// the step's report names it; before the first factor that is an error.
#[derive(Clone, Debug)]
pub struct ProngDirection<F: Scalar> {
    settings: Tuned<ProngSettings>,
    params: ParamMap,
    layers: Vec<Dense>,
    factors: Vec<Factor<F>>,
    eigh: Vec<Eigh<F>>,
    counts: Counts,
    /// What counts from the next commit on.
    next: Option<Next>,
    buffers: Buffers<F>,
}

opt_core::tune_by!(ProngDirection, settings);

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// Samples in the statistics.
    seen: u64,
    /// Updates since the last refresh.
    since: u64,
    /// Refreshes so far.
    refreshes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Next {
    counts: Counts,
    /// Whether the statistics go on.
    keep: bool,
}

impl<F: Decompose> ProngDirection<F> {
    pub(crate) fn new(
        settings: ProngSettings,
        params: &ParamMap,
        places: &[LayerPlace],
    ) -> Result<Self, Error> {
        let (layers, diagonal) = (Dense::all(params, places)?, settings.decay.is_some());
        let factors = layers
            .iter()
            .map(|dense| Factor::new(dense.fan_in, diagonal));
        Ok(Self {
            settings: Tuned::new::<F>(settings)?,
            params: params.clone(),
            factors: factors.collect(),
            eigh: vec![Eigh::new(); layers.len()],
            layers,
            counts: Counts::default(),
            next: None,
            buffers: Buffers::default(),
        })
    }

    /// Refreshes of the factors so far.
    pub fn refreshes(&self) -> u64 {
        self.counts.refreshes
    }

    /// Before the first update: factors from the statistics set. Gives how many samples it had.
    fn observe<O>(&mut self, objective: &mut O, x: &[F]) -> Result<usize, Error>
    where
        O: Layered<F> + ?Sized,
    {
        let widths = self.layers.iter().map(|dense| dense.fan_in);
        let mut moments: Vec<_> = widths.map(Moments::new).collect();
        let samples = usize::try_from(self.settings.samples).unwrap_or(usize::MAX);
        let shown = objective.observe(
            x,
            samples,
            &mut |index, rows| match moments.get_mut(index) {
                Some(moments) => Ok(moments.update(rows)?),
                None => Ok(()),
            },
        )?;
        if shown > 0 {
            self.prepare(&moments)?;
        }
        Ok(shown)
    }

    /// Stages new factors for all layers, or for none.
    fn prepare(&mut self, moments: &[Moments<F>]) -> Result<(), Error> {
        let eps = self.settings.eps;
        // A decomposition runs on the thread that calls it, so the layers go side by side.
        let all = self.factors.par_iter_mut().zip(moments).zip(&mut self.eigh);
        let results: Vec<_> = all
            .map(|((factor, moments), eigh)| factor.prepare(moments, eps, eigh))
            .collect();
        let done = results.into_iter().collect::<Result<(), _>>();
        if done.is_err() {
            self.factors.iter_mut().for_each(Factor::unstage);
        }
        Ok(done?)
    }

    /// Stages what the minibatch does to statistics and factors. Gives what it fell back to.
    fn follow(
        &mut self,
        layers: &[Layer<'_, F>],
        most: F,
        observed: bool,
    ) -> Result<(Next, Option<Fallback>), Error> {
        let (period, samples) = (self.settings.period, self.settings.samples);
        let rows = layers.first().map_or(0, |layer| layer.input.nrows()) as u64;
        let (mut counts, first) = (self.counts, self.counts.refreshes == 0 && !observed);
        if observed {
            counts.refreshes += 1;
        }
        // The samples that are still to come before the refresh will do.
        let left = period.saturating_sub(counts.since).saturating_mul(rows);
        let collect = first || left < samples;
        let squared = most.f64() * most.f64() * (counts.seen + rows) as f64;
        if collect && F::of(squared).is_infinite() {
            if first {
                return Err(self.overflow("the statistics", layers).into());
            }
            let counts = Counts { seen: 0, ..counts };
            let next = Next {
                counts,
                keep: false,
            };
            return Ok((next, Some(Fallback::StatisticsOverflowed)));
        }
        if collect {
            counts.seen += rows;
        }
        let due = first || counts.since.saturating_add(1) > period;
        if !due || counts.seen < samples {
            if collect {
                let all = self.factors.iter_mut().zip(layers);
                all.for_each(|(factor, layer)| factor.stage(layer.input));
            }
            let fallback = first.then_some(Fallback::Collecting);
            return Ok((Next { counts, keep: true }, fallback));
        }
        let result = self.refreshed(layers, collect);
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
        let few = Dense::few(&self.layers, counts.seen);
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
    fn refreshed(&mut self, layers: &[Layer<'_, F>], collect: bool) -> Result<(), Error> {
        let mut moments = Vec::with_capacity(layers.len());
        for (factor, layer) in self.factors.iter().zip(layers) {
            let mut fresh = factor.moments.clone();
            if collect {
                fresh.update(layer.input)?;
            }
            moments.push(fresh);
        }
        self.prepare(&moments)
    }

    /// Adds what the layers' gradients lack to `d`, preconditioned.
    fn precondition(&mut self, layers: &[Layer<'_, F>], d: &mut [F]) -> Result<(), Error> {
        let (one, how) = (F::one(), (self.settings.eps, self.settings.decay));
        for ((dense, factor), layer) in self.layers.iter().zip(&mut self.factors).zip(layers) {
            let whitened = factor.precondition(layer.input, how, &mut self.buffers)?;
            let Some(whitened) = whitened else {
                return Err(FisherError::Overflow {
                    what: "the running variances",
                    layer: dense.name.clone(),
                }
                .into());
            };
            let (mut rest_along, shape) = (None, (dense.fan_out, dense.fan_in));
            if greatest(&d[dense.weight.clone()]) > F::zero() {
                let (rest, along) = factor.precondition_rest(dense.weight(d)?, how)?;
                dense.weight_mut(d)?.assign(&rest);
                rest_along = Some(along);
            }
            let weight = &mut d[dense.weight.clone()];
            let weight = ArrayViewMut2::from_shape(shape, weight).map_err(Error::objective)?;
            gemm(one, layer.delta.t(), whitened.rows, one, weight)?;
            let Some(bias) = dense.bias.clone() else {
                continue;
            };
            let bias = &mut d[bias];
            for (delta, &along) in layer.delta.rows().into_iter().zip(whitened.along) {
                let share = one - along;
                match delta.as_slice() {
                    Some(delta) => {
                        each(bias, delta, [], move |b, d, []| (b + share * d, []));
                    }
                    None => (bias.iter_mut().zip(delta)).for_each(|(b, &d)| *b += share * d),
                }
            }
            if let Some(along) = rest_along {
                bias.iter_mut().zip(&along).for_each(|(b, &a)| *b -= a);
            }
        }
        Ok(())
    }
}

impl<F: Decompose, O: Layered<F> + ?Sized> Direction<F, O> for ProngDirection<F> {
    fn propose(&mut self, objective: &mut O, x: &[F], d: &mut [F]) -> Result<Report<F>, Error> {
        self.next = None;
        self.factors.iter_mut().for_each(Factor::unstage);
        self.params.check_len("x", x.len())?;
        let observed = match self.counts.refreshes {
            0 => self.observe(objective, x)?,
            _ => 0,
        };
        let mut report = Report::new(objective.deltas(x, d)?)?;
        self.params.check_gradient(d)?;
        let (layers, most) = Dense::all_shown(&self.layers, &*objective)?;
        // Inside the pool: else every product would wake it from outside.
        let joined = rayon::join(
            || {
                let (next, fallback) = self.follow(&layers, most, observed > 0)?;
                let moves = next.counts.refreshes > 0;
                if moves {
                    self.precondition(&layers, d)?;
                }
                Ok::<_, Error>((next, fallback, moves))
            },
            || (),
        );
        let (mut next, fallback, moves) = joined.0?;
        (report.fallback, report.moves) = (fallback, moves);
        if moves {
            next.counts.since = next.counts.since.saturating_add(1);
        }
        if observed > 0 && Dense::few(&self.layers, observed as u64) {
            report.fallback = report.fallback.or(Some(Fallback::FewSamples));
        }
        if moves && self.layers.iter().any(|dense| dense.vanishes(x, d)) {
            report.fallback = report.fallback.or(Some(Fallback::Vanishes));
        }
        self.next = Some(next);
        Ok(report)
    }
}

impl<F: Decompose> Staged for ProngDirection<F> {
    fn commit(&mut self) {
        let Some(Next { counts, keep }) = self.next.take() else {
            return;
        };
        self.counts = counts;
        let fits = self
            .factors
            .iter_mut()
            .fold(true, |fits, factor| factor.commit(keep) & fits);
        if !fits {
            // Begins anew, and says so at the next refresh by having none.
            self.factors.iter_mut().for_each(Factor::forget);
            self.counts.seen = 0;
        }
    }
}

impl<F: Scalar> State<F> for ProngDirection<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        for (dense, factor) in self.layers.iter().zip(&mut self.factors) {
            factor.visit(&mut Prefixed::new(&*dense.name, visitor));
        }
        visitor.count("seen", &mut self.counts.seen);
        visitor.count("since", &mut self.counts.since);
        visitor.count("refreshes", &mut self.counts.refreshes);
    }
}
