use std::fmt;

use ndarray::Array2;
use opt_core::{
    Bound, Change, Error, Fallback, Field, FieldVisitor, FirstOrder, Hyper, LayerPlace, Method,
    Prefixed, Reparametrized, Report, Rule, Scalar, Segment, State, Tune, Tuned, Update, Visit,
    all_finite, list_hyper,
};
use opt_linalg::{Decompose, Eigh, Form, Moments, Whitening, WhiteningOptions};

use crate::dense::Dense;
use crate::preconditioner::statistics;
use crate::team::{make_all, others};
use crate::{Extent, FisherError};

mod change;

use change::{layer, reparametrize, repeat};

/// When and how [`ProngCoordinates`] whitens.
#[derive(Clone, Debug, PartialEq)]
pub struct Whiten {
    /// ε, in units of h².
    pub eps: f64,
    /// T, updates between two reparametrizations.
    pub period: u64,
    /// N_s, samples of an estimate.
    pub samples: u64,
    /// Directions of variance below `floor` times the greatest stay unscaled; 0 scales all.
    pub floor: f64,
    /// Whether all of the covariance is whitened, of a convolution that of the channels of a pixel or
    /// that of patches, or its diagonal alone: U = diag(Σᵢᵢ + ε)^(−1/2).
    pub whitening: Extent,
}

impl Default for Whiten {
    fn default() -> Self {
        Self {
            eps: 0.1,
            period: 100,
            samples: 5000,
            floor: 0.0,
            whitening: Extent::Full,
        }
    }
}

impl Hyper for Whiten {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit.real("eps", &mut self.eps, Bound::Positive);
        visit.count("period", &mut self.period, 1);
        visit.count("samples", &mut self.samples, 1);
        visit.real("floor", &mut self.floor, Bound::Unit);
        visit.choice("whitening", &mut self.whitening);
    }
}

/// PRONG in its own coordinates (Desjardins, Simonyan, Pascanu & Kavukcuoglu 2015): the deck's
/// Algorithm 1, with any elementwise rule.
///
/// Every layer is a = V·U(h − c) + d. The rule trains V and d, which `x` holds in the places of W
/// and b; every `period` updates, the first included, each U and c are estimated anew and V and d
/// follow, so that the network stays the same function. In two phases:
///
/// ```text
/// run N_s samples forward with the old coordinates; Σ and μ of every layer's input h
/// for every layer:  W = V·U, b = d − W·c
///                   Σ = E diag(λ) Eᵀ, U ← diag(λ + ε)^(−1/2) Eᵀ, c ← μ
///                   V ← W·U⁻¹, d ← b + W·c
/// ```
///
/// The slides have b = d + W·c and c ← b − V·c, which do not keep the function, and one loop in
/// which a layer overwrites the U that the next still has to read.
///
/// State follows: buffers named `v`, `b` or `m` are velocities, and go through the same linear
/// maps as the parameters; all others (second moments, step sizes) belong to coordinates of which
/// there is no successor, and stay as they are. The paper does not speak of either.
///
/// It needs [`Reparametrized`], for which a layer costs one more product forward and one back; under
/// gradient descent with momentum, [`Prong`](crate::Prong) is the same method for less.
///
/// Call [`release`](Self::release) to get plain W and b back.
pub struct ProngCoordinates<F: Scalar, R, const N: usize> {
    whiten: Tuned<Whiten>,
    inner: FirstOrder<F, R, N>,
    layers: Vec<Dense>,
    places: Vec<LayerPlace>,
    whitenings: Vec<Whitening<F>>,
    t: u64,
    /// The parameters in the next coordinates.
    next: Vec<F>,
    gradient: Vec<F>,
}

/// Buffers that change as the parameters do.
const VELOCITIES: [&str; 3] = ["v", "b", "m"];

impl<F: Decompose, R: Rule<F, N>, const N: usize> ProngCoordinates<F, R, N> {
    /// Around a rule with its state. The objective's layers must be plain (U = I, c = 0) when the
    /// first step is made.
    ///
    /// # Errors
    /// As [`Hyper::check`]; [`Error::Layer`] for a layer of another kind.
    pub fn new<O: Reparametrized<F> + ?Sized>(
        whiten: Whiten,
        inner: FirstOrder<F, R, N>,
        objective: &O,
    ) -> Result<Self, Error> {
        let layers = Dense::all(inner.params(), objective.places())?;
        let widths = layers.iter().map(|dense| dense.fan_in);
        Ok(Self {
            whitenings: widths.map(Whitening::identity).collect(),
            layers,
            places: objective.places().to_vec(),
            whiten: Tuned::new::<F>(whiten)?,
            inner,
            t: 0,
            next: Vec::new(),
            gradient: Vec::new(),
        })
    }

    /// Changes the rule's hyper-parameters.
    ///
    /// # Errors
    /// As [`FirstOrder::adjust`].
    pub fn adjust(&mut self, change: impl FnMut(&[Segment], &mut R)) -> Result<(), Error> {
        self.inner.adjust(change)
    }

    /// Gives the objective plain layers and `x` their W and b, and takes the state along. The next
    /// step whitens anew.
    ///
    /// # Errors
    /// [`Error::Length`], or what the objective refuses.
    pub fn release<O>(&mut self, objective: &mut O, x: &mut [F]) -> Result<(), Error>
    where
        O: Reparametrized<F> + ?Sized,
    {
        self.inner.params().check_len("x", x.len())?;
        let plain: Vec<_> = (self.whitenings.iter())
            .map(|old| Whitening::identity(old.c.len()))
            .collect();
        reparametrize(x, &self.layers, &self.whitenings, &plain)?;
        objective.clear_whitening();
        self.carry(&plain)?;
        self.whitenings = plain;
        self.t = 0;
        Ok(())
    }

    /// New whitenings from samples in the old coordinates, and whether those were fewer than some layer
    /// has inputs.
    fn estimate<O>(
        &mut self,
        objective: &mut O,
        x: &[F],
    ) -> Result<(Vec<Whitening<F>>, bool), Error>
    where
        O: Reparametrized<F> + ?Sized,
    {
        let width = |dense: &Dense| match self.whiten.whitening {
            Extent::Full => dense.channels,
            Extent::Patches | Extent::Diagonal => dense.fan_in,
        };
        let widths = self.layers.iter().map(width);
        let mut moments: Vec<_> = widths.map(Moments::new).collect();
        let samples = usize::try_from(self.whiten.samples).unwrap_or(usize::MAX);
        let shown = objective.observe(
            x,
            samples,
            &mut |index, rows| match moments.get_mut(index) {
                Some(moments) => Ok(moments.update(statistics(rows, moments.width()))?),
                None => Ok(()),
            },
        )?;
        if shown == 0 {
            return Err(FisherError::NoStatistics.into());
        }
        let diagonal = self.whiten.whitening == Extent::Diagonal;
        let options = WhiteningOptions {
            epsilon: self.whiten.eps,
            floor: self.whiten.floor,
            // Of a diagonal matrix it is diagonal, in the order of the inputs.
            form: if diagonal { Form::Zca } else { Form::Pca },
        };
        let mut next = self.whitenings.clone();
        let make = |index: usize, whitening: &mut Whitening<F>| {
            let moments: &Moments<F> = &moments[index];
            let only = diagonal.then(|| Array2::from_diag(&moments.lower().diag()));
            let covariance = only.as_ref().map_or(moments.lower(), |only| only.view());
            let mut eigh = Eigh::new();
            let mut pixel = Whitening::identity(moments.width());
            pixel.update(moments.mean(), &eigh.compute(covariance)?, &options)?;
            repeat(&pixel, whitening);
            Ok::<_, opt_linalg::Error>(())
        };
        make_all(others(&*objective), &mut next, make, |whitening| whitening)?;
        let few = moments.iter().any(|m| m.count() < m.width() as f64);
        Ok((next, few))
    }

    /// Sets the objective's U and c, or leaves all as they were.
    fn install<O>(&self, objective: &mut O, to: &[Whitening<F>]) -> Result<(), Error>
    where
        O: Reparametrized<F> + ?Sized,
    {
        for (index, whitening) in to.iter().enumerate() {
            let set = objective.set_whitening(index, whitening.u.view(), whitening.c.view());
            if let Err(error) = set {
                self.revert(objective)?;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Gives the objective its U and c of before this step, or none before the first.
    fn revert<O>(&self, objective: &mut O) -> Result<(), Error>
    where
        O: Reparametrized<F> + ?Sized,
    {
        if self.t == 0 {
            objective.clear_whitening();
            return Ok(());
        }
        let mut all = self.whitenings.iter().enumerate();
        all.try_for_each(|(index, old)| objective.set_whitening(index, old.u.view(), old.c.view()))
    }

    /// Takes the velocities from the old coordinates to those of `to`.
    fn carry(&mut self, to: &[Whitening<F>]) -> Result<(), Error> {
        let old = self.whitenings.iter().zip(to);
        for ((dense, place), (old, new)) in self.layers.iter().zip(&self.places).zip(old) {
            for name in VELOCITIES {
                let Some(weight) = self.inner.slot(name, place.weight) else {
                    continue;
                };
                // Both parts of the state, side by side.
                let mut pair = weight.to_vec();
                let bias = place.bias.and_then(|bias| self.inner.slot(name, bias));
                pair.extend_from_slice(bias.unwrap_or_default());
                let (weights, all) = (weight.len(), pair.len());
                let bias = (all > weights).then_some(weights..all);
                layer(&mut pair, (0..weights, bias), dense, old, new)?;
                if let Some(to) = self.inner.slot_mut(name, place.weight) {
                    to.copy_from_slice(&pair[..weights]);
                }
                if let Some(to) = place.bias.and_then(|bias| self.inner.slot_mut(name, bias)) {
                    to.copy_from_slice(&pair[weights..]);
                }
            }
        }
        Ok(())
    }

    /// Loss and gradient at `next`, refused as `apply` would.
    fn evaluate<O>(&mut self, objective: &mut O) -> Result<Report<F>, Error>
    where
        O: Reparametrized<F> + ?Sized,
    {
        let loss = objective.grad(&self.next, &mut self.gradient)?;
        let report = Report::new(loss)?;
        self.inner.check_whole(&self.gradient)?;
        Ok(report)
    }
}

impl<F, R, O, const N: usize> Method<F, O> for ProngCoordinates<F, R, N>
where
    F: Decompose,
    R: Rule<F, N>,
    O: Reparametrized<F> + ?Sized,
{
    fn step(&mut self, objective: &mut O, x: &mut [F]) -> Result<Report<F>, Error> {
        self.inner.params().check_len("x", x.len())?;
        let due = self.t.is_multiple_of(self.whiten.period.max(1));
        let (mut target, mut fallback) = (None, None);
        if due {
            match self.estimate(objective, x) {
                Ok((next, few)) => {
                    fallback = few.then_some(Fallback::FewSamples);
                    target = Some(next);
                }
                // Without any factor there is nothing to keep.
                Err(error) if self.t == 0 => return Err(error),
                Err(_) => fallback = Some(Fallback::FactorKept),
            }
        }
        self.next.clear();
        self.next.extend_from_slice(x);
        self.gradient.resize(x.len(), F::zero());
        if let Some(to) = &target {
            reparametrize(&mut self.next, &self.layers, &self.whitenings, to)?;
            if !all_finite(&self.next) {
                return Err(FisherError::NonFinite("a reparametrized weight").into());
            }
            self.install(objective, to)?;
        }
        // Until here, and if this fails, x and the state are as they were.
        let evaluated = self.evaluate(objective);
        if evaluated.is_err() && target.is_some() {
            self.revert(objective)?;
        }
        let mut report = evaluated?;
        if let Some(to) = target {
            self.carry(&to)?;
            self.whitenings = to;
        }
        x.copy_from_slice(&self.next);
        self.t = self.t.saturating_add(1);
        self.inner.advance_whole(x, &self.gradient)?;
        objective.accept();
        report.fallback = fallback;
        Ok(report)
    }
}

impl<F: Decompose, R: Rule<F, N>, const N: usize> Tune for ProngCoordinates<F, R, N> {
    /// Of a field that the rule has too, such as `eps`, ours is `whiten/eps`.
    fn list(&self) -> Vec<Field> {
        let own = list_hyper(&*self.whiten).into_iter().map(|field| {
            let mut named = field;
            named.name = format!("whiten/{}", named.name);
            named
        });
        self.inner.list().into_iter().chain(own).collect()
    }

    fn change(&mut self, name: &str, change: &Change) -> Result<(), Error> {
        if let Some(own) = name.strip_prefix("whiten/") {
            return self.whiten.change::<F>(own, change);
        }
        match self.inner.change(name, change) {
            Err(Error::UnknownHyper { .. }) => self.whiten.change::<F>(name, change),
            other => other,
        }
    }
}

impl<F: Decompose, R: Rule<F, N>, const N: usize> State<F> for ProngCoordinates<F, R, N> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        for (index, whitening) in self.whitenings.iter_mut().enumerate() {
            whitening.visit(&mut Prefixed::new(format!("layer{index}"), visitor));
        }
        visitor.count("updates", &mut self.t);
        self.inner.visit(visitor);
    }
}

impl<F: Scalar, R: Rule<F, N>, const N: usize> fmt::Debug for ProngCoordinates<F, R, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProngCoordinates")
            .field("whiten", &self.whiten)
            .field("inner", &self.inner)
            .field("t", &self.t)
            .finish_non_exhaustive()
    }
}
