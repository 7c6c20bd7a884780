use std::fmt;

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2};
use opt_core::{
    Bound, Error, Fallback, FieldVisitor, FirstOrder, Hyper, Method, ParamMap, Reparametrized,
    Report, Rule, Scalar, State, Visit,
};
use opt_linalg::{Decompose, Eigh, Moments, Whitening, WhiteningOptions, gemm};

use crate::factor::Prefixed;

/// When and how [`ProngCoordinates`] whitens.
#[derive(Clone, Debug, PartialEq)]
pub struct Whiten {
    /// ε, in units of h².
    pub eps: f64,
    /// T, updates between two reparametrizations.
    pub period: f64,
    /// N_s, samples of an estimate.
    pub samples: f64,
    /// Directions of variance below `floor` times the greatest stay unscaled; 0 scales all.
    pub floor: f64,
}

impl Default for Whiten {
    fn default() -> Self {
        Self {
            eps: 0.1,
            period: 100.0,
            samples: 5000.0,
            floor: 0.0,
        }
    }
}

impl Hyper for Whiten {
    fn fields(&mut self, visit: &mut FieldVisitor<'_>) {
        visit("eps", &mut self.eps, Bound::Positive);
        visit("period", &mut self.period, Bound::Count);
        visit("samples", &mut self.samples, Bound::Count);
        visit("floor", &mut self.floor, Bound::Unit);
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
/// gradient descent with momentum, [`Preconditioned`](crate::Preconditioned) is the same method for
/// less.
///
/// Call [`release`](Self::release) to get plain W and b back.
pub struct ProngCoordinates<F, R, const N: usize> {
    whiten: Whiten,
    inner: FirstOrder<F, R, N>,
    whitenings: Vec<Whitening<F>>,
    eigh: Eigh<F>,
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
    /// [`Error::Hyper`].
    pub fn new<O: Reparametrized<F> + ?Sized>(
        whiten: Whiten,
        inner: FirstOrder<F, R, N>,
        objective: &O,
    ) -> Result<Self, Error> {
        whiten.check()?;
        let segments = inner.params().segments();
        let widths = (0..objective.layers()).filter_map(|index| {
            let (weight, _) = objective.segments(index)?;
            segments.get(weight)?.shape.get(1).copied()
        });
        Ok(Self {
            whitenings: widths.map(Whitening::identity).collect(),
            whiten,
            inner,
            eigh: Eigh::new(),
            t: 0,
            next: Vec::new(),
            gradient: Vec::new(),
        })
    }

    /// Changes the rule's hyper-parameters.
    ///
    /// # Errors
    /// As [`FirstOrder::adjust`].
    pub fn adjust(&mut self, change: impl FnMut(&mut R)) -> Result<(), Error> {
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
        let all = places(objective, self.inner.params());
        self.install(objective, &plain)?;
        reparametrize(x, &all, &self.whitenings, &plain)?;
        self.carry(objective, &plain)?;
        self.whitenings = plain;
        self.t = 0;
        Ok(())
    }

    /// New whitenings from samples in the old coordinates.
    fn estimate<O>(&mut self, objective: &mut O, x: &[F]) -> Result<Vec<Whitening<F>>, Error>
    where
        O: Reparametrized<F> + ?Sized,
    {
        let mut moments: Vec<_> = (self.whitenings.iter())
            .map(|old| Moments::new(old.c.len()))
            .collect();
        let samples = self.whiten.samples as usize;
        objective.observe(
            x,
            samples,
            &mut |index, rows| match moments.get_mut(index) {
                Some(moments) => moments.update(rows).map_err(Error::objective),
                None => Ok(()),
            },
        )?;
        let options = WhiteningOptions {
            epsilon: self.whiten.eps,
            floor: self.whiten.floor,
            ..WhiteningOptions::default()
        };
        let mut next = self.whitenings.clone();
        for (whitening, moments) in next.iter_mut().zip(&moments) {
            let eigen = self
                .eigh
                .compute(moments.lower())
                .map_err(Error::objective)?;
            let updated = whitening.update(moments.mean(), &eigen, &options);
            updated.map_err(Error::objective)?;
        }
        Ok(next)
    }

    /// Sets the objective's U and c, or leaves all as they were.
    fn install<O>(&self, objective: &mut O, to: &[Whitening<F>]) -> Result<(), Error>
    where
        O: Reparametrized<F> + ?Sized,
    {
        for (index, whitening) in to.iter().enumerate() {
            let set = objective.set_whitening(index, whitening.u.view(), whitening.c.view());
            if let Err(error) = set {
                for (index, old) in self.whitenings.iter().enumerate().take(index) {
                    objective.set_whitening(index, old.u.view(), old.c.view())?;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Takes the velocities from the old coordinates to those of `to`.
    fn carry<O>(&mut self, objective: &O, to: &[Whitening<F>]) -> Result<(), Error>
    where
        O: Reparametrized<F> + ?Sized,
    {
        let all = places(objective, self.inner.params());
        for name in VELOCITIES {
            if let Some(velocity) = self.inner.slot_mut(name) {
                reparametrize(velocity, &all, &self.whitenings, to)?;
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
        self.inner.params().check_gradient(&self.gradient)?;
        Ok(report)
    }
}

/// Where a layer's weight and bias are.
struct Places {
    weight: std::ops::Range<usize>,
    rows: usize,
    bias: Option<std::ops::Range<usize>>,
}

/// Of every layer.
fn places<F: Scalar, O>(objective: &O, params: &ParamMap) -> Vec<Option<Places>>
where
    O: Reparametrized<F> + ?Sized,
{
    let segment = |at: usize| params.segments().get(at);
    let place = |index| {
        let (weight, bias) = objective.segments(index)?;
        Some(Places {
            weight: segment(weight)?.range.clone(),
            rows: *segment(weight)?.shape.first()?,
            bias: bias.and_then(segment).map(|bias| bias.range.clone()),
        })
    };
    (0..objective.layers()).map(place).collect()
}

/// Takes all layers from the old coordinates to the new.
fn reparametrize<F: Scalar>(
    x: &mut [F],
    places: &[Option<Places>],
    old: &[Whitening<F>],
    new: &[Whitening<F>],
) -> Result<(), Error> {
    for (places, (old, new)) in places.iter().zip(old.iter().zip(new)) {
        if let Some(places) = places {
            layer(x, places, old, new)?;
        }
    }
    Ok(())
}

/// V ← V·U_old·U_new⁻¹ and d ← d + W·(c_new − c_old) with W = V·U_old.
fn layer<F: Scalar>(
    x: &mut [F],
    places: &Places,
    old: &Whitening<F>,
    new: &Whitening<F>,
) -> Result<(), Error> {
    let (shape, zero, one) = ((places.rows, old.c.len()), F::zero(), F::one());
    let v = &x[places.weight.clone()];
    let v = ArrayView2::from_shape(shape, v).map_err(Error::objective)?;
    let mut w = Array2::zeros(shape);
    gemm(one, v, old.u.view(), zero, w.view_mut())?;
    let v = &mut x[places.weight.clone()];
    let v = ArrayViewMut2::from_shape(shape, v).map_err(Error::objective)?;
    gemm(one, w.view(), new.u_inv.view(), zero, v)?;
    if let Some(bias) = &places.bias {
        let change: Array1<F> = w.dot(&(&new.c - &old.c));
        for (d, &change) in x[bias.clone()].iter_mut().zip(&change) {
            *d += change;
        }
    }
    Ok(())
}

impl<F, R, O, const N: usize> Method<F, O> for ProngCoordinates<F, R, N>
where
    F: Decompose,
    R: Rule<F, N>,
    O: Reparametrized<F> + ?Sized,
{
    fn step(&mut self, objective: &mut O, x: &mut [F]) -> Result<Report<F>, Error> {
        self.inner.params().check_len("x", x.len())?;
        let due = self.t as f64 % self.whiten.period == 0.0;
        let (mut target, mut fallback) = (None, None);
        if due {
            match self.estimate(objective, x) {
                Ok(next) => target = Some(next),
                // Without any factor there is nothing to keep.
                Err(error) if self.t == 0 => return Err(error),
                Err(_) => fallback = Some(Fallback::FactorKept),
            }
        }
        self.next.clear();
        self.next.extend_from_slice(x);
        self.gradient.resize(x.len(), F::zero());
        if let Some(to) = &target {
            let all = places(objective, self.inner.params());
            reparametrize(&mut self.next, &all, &self.whitenings, to)?;
            self.install(objective, to)?;
        }
        // Until here, and if this fails, x and the state are as they were.
        let evaluated = self.evaluate(objective);
        if evaluated.is_err() && target.is_some() {
            self.install(objective, &self.whitenings)?;
        }
        let mut report = evaluated?;
        if let Some(to) = target {
            self.carry(objective, &to)?;
            self.whitenings = to;
        }
        x.copy_from_slice(&self.next);
        self.inner.apply(x, &self.gradient)?;
        self.t += 1;
        report.fallback = fallback;
        Ok(report)
    }

    fn set(&mut self, name: &str, value: f64) -> Result<(), Error> {
        match self.whiten.with(name, value) {
            Ok(whiten) => self.whiten = whiten,
            Err(Error::UnknownHyper { .. }) => Method::<F, O>::set(&mut self.inner, name, value)?,
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl<F: Decompose, R: Rule<F, N>, const N: usize> State<F> for ProngCoordinates<F, R, N> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        for (index, whitening) in self.whitenings.iter_mut().enumerate() {
            let mut visitor = Prefixed {
                prefix: format!("layer{index}"),
                visitor: &mut *visitor,
            };
            whitening.visit(&mut visitor);
        }
        visitor.count("updates", &mut self.t);
        self.inner.visit(visitor);
    }
}

impl<F, R: fmt::Debug, const N: usize> fmt::Debug for ProngCoordinates<F, R, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProngCoordinates")
            .field("whiten", &self.whiten)
            .field("inner", &self.inner)
            .field("t", &self.t)
            .finish_non_exhaustive()
    }
}
