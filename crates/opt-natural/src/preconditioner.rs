use std::fmt;

use ndarray::ArrayViewMut2;
use opt_core::{
    Bound, Error, FieldVisitor, FirstOrder, Hyper, Layered, Method, ParamMap, Report, Rule, Scalar,
    Slot, State, Visit, all_finite, each, gemm,
};

use crate::factor::{Factor, Prefixed, Settings, Whitens};
use crate::{Eigh, Lapack};

/// PRONG, projected natural gradient descent (Desjardins, Simonyan, Pascanu & Kavukcuoglu 2015),
/// in canonical coordinates: a preconditioner of W and b, over [`Preconditioned`].
///
/// The deck's algorithm trains V and d of a = V·U(h − c) + d by gradient descent, where U whitens
/// the layer's input h. In W = V·U and b = d − W·c the same step is
///
/// ```text
/// ΔW = Σ δ(h − c)ᵀ·(Σ_h + εI)⁻¹
/// Δb = Σ δ − ΔW·c
/// v ← μv + α(ΔW, Δb)
/// (W, b) ← (W, b) − v
/// ```
///
/// with c and Σ_h the mean and covariance of h, and δ = ∂loss/∂a. U is not needed, only the
/// inverse; and as the layers are plain, forward and backward cost what they always do. What is
/// added is one product of (batch, fan_in) by (fan_in, fan_in) per layer, where the whitened
/// layers of [`ProngCoordinates`](crate::ProngCoordinates) cost two, forward and backward.
/// Velocities need no transport, as they live in (W, b). Under gradient descent with or without
/// momentum the two are equal; for other rules they are not.
///
/// c and Σ_h are of the inputs of the last `samples` samples that the objective has seen, every
/// `period` updates; until there were so many, the layers are not whitened. A period longer than
/// the run whitens at initialization alone. Estimate from several times as many samples as the
/// layer has inputs.
///
/// Differs from the paper, which runs the samples forward anew with the parameters of the moment:
/// these are up to samples/batch updates old, and cost no forward pass. The slides' b = d + W·c
/// and the line that follows from it have the wrong sign, and their loop overwrites U before the
/// next layer has read it.
///
/// It needs [`Layered`]; parameters outside of dense layers follow their plain gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct Prong {
    /// α. No direction moves by more than α/ε of its gradient: scale it with ε.
    pub lr: f64,
    /// μ.
    pub momentum: f64,
    /// ε, in units of h².
    pub eps: f64,
    /// T, updates between two estimates.
    pub period: f64,
    /// N_s, samples of an estimate.
    pub samples: f64,
}

impl Default for Prong {
    fn default() -> Self {
        Self {
            lr: 3e-3,
            momentum: 0.9,
            eps: 0.1,
            period: 100.0,
            samples: 5000.0,
        }
    }
}

impl Hyper for Prong {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit("lr", &mut self.lr, Bound::Positive);
        visit("momentum", &mut self.momentum, Bound::Unit);
        visit("eps", &mut self.eps, Bound::Positive);
        visit("period", &mut self.period, Bound::Count);
        visit("samples", &mut self.samples, Bound::Count);
    }
}

/// PRONG+: [`Prong`] with a diagonal correction at every update (Desjardins et al. 2015).
///
/// Between two estimates the principal axes E stay, but the variances along them are followed:
///
/// ```text
/// s ← ρs + (1 − ρ)·mean over the minibatch of (Eᵀ(h − c))²
/// ΔW = Σ δ(h − c)ᵀ·E diag(1/(s + ε)) Eᵀ
/// ```
///
/// The paper's text was not at hand: that PRONG+ rescales whitened units by their variance in the
/// minibatch, and keeps the function, is all we know of it; the running average is our choice,
/// because a minibatch has fewer samples than a layer has inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct ProngPlus {
    /// α.
    pub lr: f64,
    /// μ.
    pub momentum: f64,
    /// ε, in units of h².
    pub eps: f64,
    /// T, updates between two estimates.
    pub period: f64,
    /// N_s, samples of an estimate.
    pub samples: f64,
    /// ρ.
    pub decay: f64,
}

impl Default for ProngPlus {
    fn default() -> Self {
        Self {
            lr: 3e-3,
            momentum: 0.9,
            eps: 0.1,
            period: 100.0,
            samples: 5000.0,
            decay: 0.95,
        }
    }
}

impl Hyper for ProngPlus {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit("lr", &mut self.lr, Bound::Positive);
        visit("momentum", &mut self.momentum, Bound::Unit);
        visit("eps", &mut self.eps, Bound::Positive);
        visit("period", &mut self.period, Bound::Count);
        visit("samples", &mut self.samples, Bound::Count);
        visit("decay", &mut self.decay, Bound::Unit);
    }
}

impl Whitens for Prong {
    fn settings(&self) -> Settings {
        Settings {
            eps: self.eps,
            period: self.period,
            samples: self.samples,
            decay: None,
        }
    }
}

impl Whitens for ProngPlus {
    fn settings(&self) -> Settings {
        Settings {
            eps: self.eps,
            period: self.period,
            samples: self.samples,
            decay: Some(self.decay),
        }
    }
}

/// The deck's momentum, v ← μv + αg, for the preconditioned gradient.
macro_rules! heavy_ball {
    ($rule:ty) => {
        impl<F: Scalar> Rule<F, 1> for $rule {
            fn slots(&self) -> [Slot; 1] {
                [Slot::zero("v")]
            }

            fn update(&self, _t: u64, x: &mut [F], g: &[F], slots: [&mut [F]; 1]) {
                let (lr, mu) = (F::of(self.lr), F::of(self.momentum));
                each(x, g, slots, move |x, g, [v]| {
                    let v = mu * v + lr * g;
                    (x - v, [v])
                });
            }
        }
    };
}
heavy_ball!(Prong);
heavy_ball!(ProngPlus);

/// [`Prong`] or [`ProngPlus`] over a layered objective.
///
/// If statistics overflow or LAPACK fails, the layers keep the factors that they have, and the
/// step's report names it.
pub struct Preconditioned<F, H> {
    rule: H,
    inner: FirstOrder<F, H, 1>,
    /// By segment; matrices only, as a layer's W is one.
    factors: Vec<Option<Factor<F>>>,
    eigh: Eigh<F>,
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

impl<F: Lapack, H: Rule<F, 1> + Whitens> Preconditioned<F, H> {
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
            inner: FirstOrder::new(rule.clone(), params)?,
            rule,
            eigh: Eigh::new(),
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
    fn observe<O: Layered<F> + ?Sized>(&mut self, objective: &O, settings: Settings) -> bool {
        let mut rows = 0;
        for index in 0..objective.layers() {
            let Some(layer) = objective.layer(index) else {
                continue;
            };
            rows = layer.input.nrows();
            // Samples that are still to come before the refresh.
            let left = (settings.period - self.since as f64) * rows as f64;
            if self.refreshes > 0 && left >= settings.samples {
                return true;
            }
            let factor = self.factors.get_mut(layer.weight).and_then(Option::as_mut);
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
        let mut all = self.factors.iter_mut().flatten();
        let eigh = &mut self.eigh;
        let done = all.try_for_each(|factor| match factor.moments.count() > 0.0 {
            true => factor.prepare(settings.eps, eigh),
            false => Ok(()),
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
    fn precondition<O: Layered<F> + ?Sized>(
        &mut self,
        objective: &O,
        settings: Settings,
    ) -> Result<(), Error> {
        let one = F::one();
        for index in 0..objective.layers() {
            let Some(layer) = objective.layer(index) else {
                continue;
            };
            let segments = self.inner.params().segments();
            let Some(factor) = self.factors.get_mut(layer.weight).and_then(Option::as_mut) else {
                continue;
            };
            let ((rows, n), m) = (layer.input.dim(), layer.delta.ncols());
            self.rows.resize(self.rows.len().max(rows * n), F::zero());
            self.along.resize(self.along.len().max(rows), F::zero());
            let (along, scratch) = (&mut self.along[..rows], &mut self.scratch);
            let whitened = ArrayViewMut2::from_shape((rows, n), &mut self.rows[..rows * n]);
            let mut whitened = whitened.map_err(Error::objective)?;
            factor.precondition(layer.input, settings, scratch, whitened.view_mut(), along)?;
            let weight = &mut self.gradient[segments[layer.weight].range.clone()];
            let weight = ArrayViewMut2::from_shape((m, n), weight).map_err(Error::objective)?;
            gemm(one, layer.delta.t(), whitened.view(), one, weight)?;
            if let Some(bias) = layer.bias {
                let bias = &mut self.gradient[segments[bias].range.clone()];
                for (delta, &along) in layer.delta.rows().into_iter().zip(&*along) {
                    let share = one - along;
                    for (b, &d) in bias.iter_mut().zip(delta) {
                        *b += share * d;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Refuses a layer that is not finite, before anything has changed.
fn check_layers<F: Scalar, O: Layered<F> + ?Sized>(
    params: &ParamMap,
    objective: &O,
) -> Result<(), Error> {
    for layer in (0..objective.layers()).filter_map(|index| objective.layer(index)) {
        for values in [&layer.delta, &layer.input] {
            let finite = match values.as_slice() {
                Some(values) => all_finite(values),
                None => values.iter().all(|v| v.is_finite()),
            };
            if !finite {
                let found = values.iter().enumerate().find(|(_, v)| !v.is_finite());
                let (index, value) = found.map_or((0, f64::NAN), |(i, v)| (i, v.f64()));
                let segment = params.segments().get(layer.weight);
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
    F: Lapack,
    H: Rule<F, 1> + Whitens,
    O: Layered<F> + ?Sized,
{
    fn step(&mut self, objective: &mut O, x: &mut [F]) -> Result<Report<F>, Error> {
        self.inner.params().check_len("x", x.len())?;
        self.gradient.resize(x.len(), F::zero());
        let mut report = Report::new(objective.deltas(x, &mut self.gradient)?)?;
        self.inner.check_gradient(&self.gradient)?;
        check_layers(self.inner.params(), objective)?;
        let settings = self.rule.settings();
        if !self.observe(objective, settings) {
            report.fallback = Some("the statistics overflowed: the last factors stay");
        } else if !self.refresh(settings) {
            report.fallback = Some("a factor could not be computed: the last ones stay");
        }
        self.precondition(objective, settings)?;
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

impl<F: Lapack, H: Rule<F, 1> + Whitens> State<F> for Preconditioned<F, H> {
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
