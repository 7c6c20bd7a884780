use ndarray::{ArrayView2, s};
use opt_core::{
    Bound, Direction, Error, Fallback, FieldVisitor, Hyper, Layer, LayerPlace, Layered, ParamMap,
    Prefixed, Report, Scalar, Staged, State, Tuned, Visit,
};
use opt_linalg::Decompose;
use rayon::prelude::*;

use crate::apply::{Buffers, How, Side};
use crate::dense::{Dense, Rest, recycle};
use crate::factor::{Factor, Kept};
use crate::team::{Others, make_all, others};
use crate::{Extent, FisherError};

mod follow;

use follow::Total;

/// Elements of statistics that are not worth a second thread.
const FEW: usize = 1 << 15;

/// What PRONG's direction goes by: see [`Prong`](crate::Prong) and
/// [`ProngPlus`](crate::ProngPlus).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ProngSettings {
    pub(crate) eps: f64,
    pub(crate) period: u64,
    pub(crate) samples: u64,
    /// Of the running variances, if there is the diagonal correction.
    pub(crate) decay: Option<f64>,
    pub(crate) whitening: Extent,
    /// What the factors were made for.
    pub(crate) made: Extent,
}

impl ProngSettings {
    fn kept(&self) -> Kept {
        match (self.decay, self.made) {
            (Some(_), _) => Kept::Axes,
            (None, Extent::Full | Extent::Patches) => Kept::Inverse,
            (None, Extent::Diagonal) => Kept::Scales,
        }
    }
}

impl Hyper for ProngSettings {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("eps", &mut self.eps, Bound::Positive);
        visit.count("period", &mut self.period, 1);
        visit.count("samples", &mut self.samples, 1);
        match &mut self.decay {
            Some(decay) => visit.real("decay", decay, Bound::Unit),
            None => visit.choice("whitening", &mut self.whitening),
        }
    }

    fn conflicts(&self) -> Result<(), Error> {
        if self.whitening == self.made {
            return Ok(());
        }
        Err(Error::HyperConflict(
            "whitening cannot be changed once the method is made: make another".to_owned(),
        ))
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
    counts: Counts,
    /// What counts from the next commit on.
    next: Option<Next>,
    buffers: Buffers<F>,
    rest: Rest,
    /// Empty between the steps.
    shown: Vec<Layer<'static, F>>,
    total: Total,
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
        let (layers, kept) = (Dense::all(params, places)?, settings.kept());
        let made = settings.made;
        let factors = layers.iter().map(|dense| match made {
            Extent::Full => Factor::new(dense.channels, kept),
            Extent::Patches | Extent::Diagonal => Factor::new(dense.fan_in, kept),
        });
        Ok(Self {
            settings: Tuned::new::<F>(settings)?,
            params: params.clone(),
            factors: factors.collect(),
            layers,
            counts: Counts::default(),
            next: None,
            buffers: Buffers::default(),
            rest: Rest::default(),
            shown: Vec::new(),
            total: Total::default(),
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
        let samples = usize::try_from(self.settings.samples).unwrap_or(usize::MAX);
        let factors = &mut self.factors;
        let mut moments: Vec<_> = factors.iter_mut().map(Factor::begin).collect();
        let shown = objective.observe(
            x,
            samples,
            &mut |index, rows| match moments.get_mut(index) {
                Some(moments) => Ok(moments.update(statistics(rows, moments.width()))?),
                None => Ok(()),
            },
        )?;
        if shown > 0 {
            self.stage_all(others(&*objective))?;
        }
        Ok(shown)
    }

    /// Stages new factors for all layers, or for none, by the moments that a refresh goes by. A decomposition
    /// runs on the thread that calls it, so the layers go side by side.
    fn stage_all(&mut self, others: Others<'_, F>) -> Result<(), Error> {
        let (eps, refreshes) = (self.settings.eps, self.counts.refreshes);
        let prepare = |_, factor: &mut Factor<F>| factor.prepare(eps, refreshes);
        make_all(others, &mut self.factors, prepare, |factor| {
            &mut factor.next
        })?;
        self.factors
            .iter_mut()
            .for_each(|factor| factor.staged = true);
        Ok(())
    }

    /// Adds what the layers' gradients lack to `d`, preconditioned. Gives what no element of `d` is
    /// greater than.
    fn precondition(
        &mut self,
        others: Others<'_, F>,
        layers: &[Layer<'_, F>],
        d: &mut [F],
    ) -> Result<f64, Error> {
        let mut bound = self.rest.outside;
        let all = self.layers.iter().zip(&mut self.factors).zip(layers);
        let all = all.zip(self.rest.of_layers.iter().zip(&self.total.rows));
        for (((dense, factor), layer), (&rest, &rows)) in all {
            let how = How {
                eps: self.settings.eps,
                decay: self.settings.decay,
                side: match factor.width() == dense.fan_in && others.is_none() {
                    true => Side::cheaper(layer.input.nrows(), dense.fan_out, rest),
                    false => Side::Gradient,
                },
                rest,
                others,
                rows,
            };
            let most = factor.precondition(dense, layer, how, &mut self.buffers, d)?;
            let Some(most) = most else {
                return Err(FisherError::Overflow {
                    what: "the running variances",
                    layer: dense.name.clone(),
                }
                .into());
            };
            // A NaN would be passed over.
            bound = if most.is_nan() {
                f64::INFINITY
            } else {
                bound.max(most)
            };
        }
        Ok(bound)
    }

    /// What a step learns from the layers, inside of the pool: else every product would wake it from
    /// outside. Gives whether x moves, too.
    fn learn(
        &mut self,
        others: Others<'_, F>,
        layers: &[Layer<'_, F>],
        observed: bool,
        d: &mut [F],
    ) -> Result<(Next, Option<Fallback>, Option<f64>), Error> {
        let inside = || {
            let (next, fallback) = self.follow(others, layers, observed)?;
            let moves = next.counts.refreshes > 0;
            let bound = moves.then(|| self.precondition(others, layers, d));
            let bound = bound.transpose()?;
            Ok((next, fallback, bound))
        };
        rayon::join(inside, || ()).0
    }
}

/// What a factor of order `width` is estimated from: the rows, or the middle pixel of each patch.
pub(crate) fn statistics<F>(rows: ArrayView2<'_, F>, width: usize) -> ArrayView2<'_, F> {
    let middle = rows.ncols() / width.max(1) / 2 * width;
    let end = (middle + width).min(rows.ncols());
    rows.slice_move(s![.., middle..end])
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
        self.rest.find(&self.params, &self.layers, d)?;
        let mut layers = recycle(std::mem::take(&mut self.shown));
        let most = Dense::show_all(&self.layers, &*objective, &mut layers);
        let (team, count) = (others(&*objective), self.layers.len());
        self.total.find(team, most, (&layers, count))?;
        let (mut next, fallback, bound) = self.learn(team, &layers, observed > 0, d)?;
        self.shown = recycle(layers);
        (report.fallback, report.moves) = (fallback, bound.is_some());
        // Rounding adds less than twice as much, up to a million rows.
        report.bound = bound
            .map(|bound| F::of(2.0 * bound))
            .filter(|b| b.is_finite());
        let moves = report.moves;
        if moves {
            next.counts.since = next.counts.since.saturating_add(1);
        }
        if observed > 0 && self.factors.iter().any(Factor::few) {
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
        let staged: usize = self.factors.iter().map(Factor::pending).sum();
        let all = self.factors.par_iter_mut();
        let all = all.with_min_len(if staged > FEW { 1 } else { usize::MAX });
        let commit = |factor: &mut Factor<F>| factor.commit(keep);
        let fits = all.map(commit).reduce(|| true, |a, b| a & b);
        if !fits {
            // Begins anew, and says so at the next refresh by having none.
            self.factors.iter_mut().for_each(Factor::forget);
            self.counts.seen = 0;
        }
    }
}

impl<F: Decompose> State<F> for ProngDirection<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        for (dense, factor) in self.layers.iter().zip(&mut self.factors) {
            factor.visit(&mut Prefixed::new(&*dense.name, visitor));
        }
        visitor.count("seen", &mut self.counts.seen);
        visitor.count("since", &mut self.counts.since);
        visitor.count("refreshes", &mut self.counts.refreshes);
    }
}
