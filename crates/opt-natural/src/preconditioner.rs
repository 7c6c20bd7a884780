use std::fmt;

use ndarray::ArrayViewMut2;
use opt_core::{
    Error, Fallback, FirstOrder, Layer, Layered, Method, ParamMap, Report, Rule, Scalar, State,
    Visit, all_finite, each,
};
use opt_linalg::{Decompose, Eigh, gemm};
use rayon::prelude::*;

use crate::dense::is_finite;
use crate::factor::{Factor, Prefixed, Settings, Whitens};

/// A layer with the positions of its W and b among the segments.
type Placed<'a, F> = ((usize, Option<usize>), Layer<'a, F>);

/// [`Prong`](crate::Prong) or [`ProngPlus`](crate::ProngPlus) over a layered objective.
///
/// If statistics overflow or LAPACK fails, the layers keep the factors that they have, and the
/// step's report names it.
pub struct Preconditioned<F, H> {
    rule: H,
    inner: FirstOrder<F, H, 1>,
    /// By segment; matrices only, as a layer's W is one.
    factors: Vec<Option<Factor<F>>>,
    /// Of each factor; empty unless it is diagonalized.
    eigh: Vec<Eigh<F>>,
    /// Samples in the statistics.
    seen: u64,
    /// Updates since the last refresh.
    since: u64,
    /// Refreshes so far.
    refreshes: u64,
    gradient: Vec<F>,
    scratch: Vec<F>,
    rows: Vec<F>,
    along: Vec<F>,
}

impl<F: Decompose, H: Rule<F, 1> + Whitens> Preconditioned<F, H> {
    /// For these parameters.
    ///
    /// # Errors
    /// [`Error::Hyper`].
    pub fn new(rule: H, params: &ParamMap) -> Result<Self, Error> {
        let diagonal = rule.settings().decay.is_some();
        let segments = params.segments().iter();
        let factors = segments.map(|segment| match segment.shape[..] {
            [_, fan_in] if fan_in > 0 => Some(Factor::new(fan_in, diagonal)),
            _ => None,
        });
        Ok(Self {
            factors: factors.collect(),
            eigh: vec![Eigh::new(); params.segments().len()],
            inner: FirstOrder::new(rule.clone(), params)?,
            rule,
            seen: 0,
            since: 0,
            refreshes: 0,
            gradient: Vec::new(),
            scratch: Vec::new(),
            rows: Vec::new(),
            along: Vec::new(),
        })
    }

    /// Refreshes of the factors so far.
    pub fn refreshes(&self) -> u64 {
        self.refreshes
    }

    /// Adds the layers' inputs to the statistics if the next refresh will want them. On a failure
    /// all are dropped.
    fn observe(&mut self, layers: &[Placed<'_, F>], settings: Settings) -> bool {
        let mut rows = 0;
        for (places, layer) in layers {
            rows = layer.input.nrows();
            // Samples that are still to come before the refresh.
            let left = (settings.period - self.since as f64) * rows as f64;
            if self.refreshes > 0 && left >= settings.samples {
                return true;
            }
            let factor = self.factors.get_mut(places.0).and_then(Option::as_mut);
            if factor.is_some_and(|factor| factor.moments.update(layer.input).is_err()) {
                self.forget();
                return false;
            }
        }
        self.seen += rows as u64;
        true
    }

    fn forget(&mut self) {
        self.seen = 0;
        for factor in self.factors.iter_mut().flatten() {
            // 0 is a right factor.
            let _ = factor.moments.discount(0.0);
        }
    }

    /// New factors for all layers, or for none.
    fn refresh(&mut self, settings: Settings) -> bool {
        let due = self.refreshes == 0 || self.since as f64 + 1.0 > settings.period;
        if !due || (self.seen as f64) < settings.samples {
            return true;
        }
        // LAPACK runs on the thread that calls it, so the layers go side by side.
        let all = self.factors.par_iter_mut().zip(&mut self.eigh);
        let done = all.try_for_each(|(factor, eigh)| match factor {
            Some(factor) if factor.moments.count() > 0.0 => factor.prepare(settings.eps, eigh),
            _ => Ok(()),
        });
        for factor in self.factors.iter_mut().flatten() {
            match done {
                Ok(()) => factor.commit(),
                Err(_) => factor.abandon(),
            }
        }
        self.refreshes += u64::from(done.is_ok());
        self.since = 0;
        self.forget();
        done.is_ok()
    }

    /// Adds what the layers' gradients lack, preconditioned.
    fn precondition(&mut self, layers: &[Placed<'_, F>], settings: Settings) -> Result<(), Error> {
        let one = F::one();
        for &((weight, bias), ref layer) in layers {
            let segments = self.inner.params().segments();
            let Some(factor) = self.factors.get_mut(weight).and_then(Option::as_mut) else {
                continue;
            };
            let ((rows, n), m) = (layer.input.dim(), layer.delta.ncols());
            self.rows.resize(self.rows.len().max(rows * n), F::zero());
            self.along.resize(self.along.len().max(rows), F::zero());
            let (along, scratch) = (&mut self.along[..rows], &mut self.scratch);
            let whitened = ArrayViewMut2::from_shape((rows, n), &mut self.rows[..rows * n]);
            let mut whitened = whitened.map_err(Error::objective)?;
            factor.precondition(layer.input, settings, scratch, whitened.view_mut(), along)?;
            let weight = &mut self.gradient[segments[weight].range.clone()];
            let weight = ArrayViewMut2::from_shape((m, n), weight).map_err(Error::objective)?;
            gemm(one, layer.delta.t(), whitened.view(), one, weight)?;
            if let Some(bias) = bias.and_then(|bias| segments.get(bias)) {
                let bias = &mut self.gradient[bias.range.clone()];
                for (delta, &along) in layer.delta.rows().into_iter().zip(&*along) {
                    let share = one - along;
                    match delta.as_slice() {
                        Some(delta) => each(bias, delta, [], move |b, d, []| (b + share * d, [])),
                        None => (bias.iter_mut().zip(delta)).for_each(|(b, &d)| *b += share * d),
                    }
                }
            }
        }
        Ok(())
    }

    /// Everything between the objective and the update; gives what it fell back to.
    fn prepare(&mut self, layers: &[Placed<'_, F>]) -> Result<Option<Fallback>, Error> {
        let settings = self.rule.settings();
        let fallback = if !self.observe(layers, settings) {
            Some(Fallback::StatisticsOverflowed)
        } else if !self.refresh(settings) {
            Some(Fallback::FactorKept)
        } else {
            None
        };
        self.precondition(layers, settings)?;
        Ok(fallback)
    }
}

/// Refuses what is not finite, before anything has changed. Of the layers' W, `gradient` has only
/// what penalties give, which the loss has too.
fn check<F: Scalar>(
    params: &ParamMap,
    gradient: &[F],
    layers: &[Placed<'_, F>],
) -> Result<(), Error> {
    for segment in params.segments().iter().filter(|s| s.shape.len() != 2) {
        if !all_finite(&gradient[segment.range.clone()]) {
            return params.check_gradient(gradient);
        }
    }
    for (places, layer) in layers {
        for values in [layer.delta, layer.input] {
            if !is_finite(values) {
                let found = values.iter().enumerate().find(|(_, v)| !v.is_finite());
                let (index, value) = found.map_or((0, f64::NAN), |(i, v)| (i, v.f64()));
                let segment = params.segments().get(places.0);
                let segment = segment.map_or_else(String::new, |s| s.name.clone());
                return Err(Error::NonFiniteGradient {
                    segment,
                    index,
                    value,
                });
            }
        }
    }
    Ok(())
}

impl<F, H, O> Method<F, O> for Preconditioned<F, H>
where
    F: Decompose,
    H: Rule<F, 1> + Whitens,
    O: Layered<F> + ?Sized,
{
    fn step(&mut self, objective: &mut O, x: &mut [F]) -> Result<Report<F>, Error> {
        self.inner.params().check_len("x", x.len())?;
        self.gradient.resize(x.len(), F::zero());
        let mut report = Report::new(objective.deltas(x, &mut self.gradient)?)?;
        let layers = (0..objective.layers())
            .filter_map(|index| Some((objective.segments(index)?, objective.layer(index)?)));
        let layers: Vec<Placed<'_, F>> = layers.collect();
        check(self.inner.params(), &self.gradient, &layers)?;
        // Inside the pool: else every product would wake it from outside.
        report.fallback = rayon::join(|| self.prepare(&layers), || ()).0?;
        self.inner.apply(x, &self.gradient)?;
        self.since = self.since.saturating_add(1);
        Ok(report)
    }

    fn set(&mut self, name: &str, value: f64) -> Result<(), Error> {
        Method::<F, O>::set(&mut self.inner, name, value)?;
        if let Some(rule) = self.inner.rules().first() {
            self.rule.clone_from(rule);
        }
        Ok(())
    }
}

impl<F: Decompose, H: Rule<F, 1> + Whitens> State<F> for Preconditioned<F, H> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        let names = self
            .inner
            .params()
            .segments()
            .iter()
            .map(|s| s.name.clone());
        for (name, factor) in names.zip(&mut self.factors) {
            if let Some(factor) = factor {
                let mut visitor = Prefixed {
                    prefix: format!("factor/{name}"),
                    visitor: &mut *visitor,
                };
                factor.visit(&mut visitor);
            }
        }
        self.inner.visit(visitor);
        visitor.count("seen", &mut self.seen);
        visitor.count("since", &mut self.since);
        visitor.count("refreshes", &mut self.refreshes);
    }
}

impl<F, H: fmt::Debug> fmt::Debug for Preconditioned<F, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Preconditioned")
            .field("rule", &self.rule)
            .field("refreshes", &self.refreshes)
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}
