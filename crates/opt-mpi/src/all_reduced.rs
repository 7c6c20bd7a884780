use std::cell::OnceCell;
use std::fmt;

use opt_core::{
    Error, GaussNewton, HessianDiag, HessianProduct, Objective, ParamMap, PerSample, Scalar,
};

use crate::meet::{Call, Place, fingerprint};
use crate::ranks::{Element, Ranks};
use crate::rows::Rows;

/// The objective of all ranks' minibatches as one: each rank has a model of its own, with a minibatch
/// of its own, and the same parameters x.
///
/// ```text
/// f = Σᵣ nᵣfᵣ / Σᵣ nᵣ      and likewise ∇f, Hv, Gv, diag H and the samples' squared gradients
/// ```
///
/// with nᵣ the samples of rank r: for a loss that is a mean over samples, with any penalty on x, this is
/// the objective of the union of the minibatches. Sums go in the order of the ranks, in double
/// precision, and give the same bits on all ranks and in every run. They differ from those of one
/// process with the whole minibatch by rounding, as that sums in another order; from those of one
/// process that sums over the same parts in the same order they do not.
///
/// Every method runs on it unchanged, SGD as L-BFGS, SCG or Hessian-free: every rank runs the same
/// method, with the same settings and seeds, and takes the same steps. K-FAC and PRONG sum
/// over the rows of all ranks' minibatches ([`Team`](opt_core::Team)).
///
/// An evaluation that fails on one rank fails with the same error on all, so that no rank has moved; a
/// loss that is not finite on one is not finite on all. x must be the same on all ranks, which every
/// evaluation checks by a fingerprint ([`Error::Differs`](crate::Error::Differs)); so must be the calls
/// ([`Error::OutOfStep`](crate::Error::OutOfStep)).
///
/// What a model does with its minibatch alone stays so: batch normalization takes the statistics of each
/// rank's own part, and has running averages of its own on each rank. Seeds of dropout masks are the
/// caller's: give each rank another one. Products with curvature of a minibatch of its own are weighted
/// by `samples` too: let that have the same share of them on each rank.
///
/// A gradient of n numbers costs each rank 2n(R − 1)/R sent, and as many received. It is whole before it
/// is sent: `Objective::grad` gives it in one piece, so that there is nothing to overlap it with.
#[non_exhaustive]
pub struct AllReduced<O, F = f32> {
    /// This rank's objective, to load its minibatches by.
    pub inner: O,
    pub(crate) ranks: Ranks,
    samples: fn(&O) -> usize,
    /// Of the last evaluation: nᵣ/Σn.
    pub(crate) weights: Vec<f64>,
    bound: Option<F>,
    work: Vec<F>,
    /// Of the layers after the last evaluation, if they were asked for.
    pub(crate) rows: OnceCell<Vec<Rows<F>>>,
}

impl<O, F: Element> AllReduced<O, F> {
    /// Weighs every rank by the samples of its minibatch.
    pub fn new(inner: O, ranks: &Ranks) -> Self
    where
        O: PerSample<F>,
    {
        Self::weighted(inner, ranks, O::samples)
    }

    /// As [`new`](Self::new), for an objective that does not tell its samples in the way of
    /// [`PerSample`]: `samples` gives nᵣ, at every evaluation.
    pub fn weighted(inner: O, ranks: &Ranks, samples: fn(&O) -> usize) -> Self {
        Self {
            inner,
            ranks: ranks.clone(),
            samples,
            weights: Vec::new(),
            bound: None,
            work: Vec::new(),
            rows: OnceCell::new(),
        }
    }

    /// The ranks.
    pub fn ranks(&self) -> &Ranks {
        &self.ranks
    }

    /// What all ranks meet at: an evaluation at `vectors`, about `len` numbers.
    pub(crate) fn place(call: Call, vectors: &[&[F]], len: usize) -> Place {
        let print = fingerprint(vectors);
        Place { call, len, print }
    }

    /// Ends an evaluation: gives the mean of the losses. `mine` is this rank's loss.
    pub(crate) fn evaluated(&mut self, at: Place, mine: Result<F, Error>) -> Result<F, Error> {
        self.bounded(at, mine.map(|loss| (loss, None)))
    }

    /// As [`evaluated`](Self::evaluated), with a bound of this rank's gradient, if it has one.
    fn bounded(&mut self, at: Place, mine: Result<(F, Option<F>), Error>) -> Result<F, Error> {
        self.bound = None;
        self.rows.take();
        let samples = (self.samples)(&self.inner) as u64;
        let mine = mine.map(|(loss, bound)| {
            let bound = bound.map_or(f64::NAN, Scalar::f64);
            [samples, loss.f64().to_bits(), bound.to_bits()]
        });
        let all = self.ranks.meet(at, mine)?;
        let total: f64 = all.iter().map(|[samples, ..]| *samples as f64).sum();
        if total < 1.0 {
            let (name, value) = ("samples", total);
            return Err(Error::Argument { name, value });
        }
        self.weights.clear();
        self.weights
            .extend(all.iter().map(|[samples, ..]| *samples as f64 / total));
        let (mut loss, mut bound) = (0.0, 0.0_f64);
        for ([_, its_loss, its_bound], weight) in all.iter().zip(&self.weights) {
            loss += weight * f64::from_bits(*its_loss);
            let its = f64::from_bits(*its_bound);
            bound = if its.is_nan() {
                f64::INFINITY
            } else {
                bound.max(its)
            };
        }
        // A mean is no greater than the greatest, but for the rounding of its weights.
        let bound = F::of(bound * (1.0 + 4.0 * F::epsilon().f64()));
        self.bound = Some(bound).filter(|bound| bound.is_finite());
        Ok(F::of(loss))
    }

    /// Overwrites this rank's part of a mean by the mean.
    pub(crate) fn average(&mut self, out: &mut [F]) -> Result<(), Error> {
        let Self {
            ranks,
            weights,
            work,
            ..
        } = self;
        Ok(ranks.mean(out, weights, work)?)
    }
}

impl<F: Element, O: Objective<F>> Objective<F> for AllReduced<O, F> {
    fn params(&self) -> &ParamMap {
        self.inner.params()
    }

    fn value(&mut self, x: &[F]) -> Result<F, Error> {
        let mine = self.inner.value(x);
        // Of no gradient.
        let loss = self.evaluated(Self::place(Call::Value, &[x], x.len()), mine);
        self.bound = None;
        loss
    }

    fn grad(&mut self, x: &[F], g: &mut [F]) -> Result<F, Error> {
        let mine = self.inner.grad(x, g);
        let mine = mine.map(|loss| (loss, self.inner.gradient_bound()));
        let loss = self.bounded(Self::place(Call::Gradient, &[x], g.len()), mine)?;
        self.average(g)?;
        Ok(loss)
    }

    fn gradient_bound(&self) -> Option<F> {
        self.bound
    }

    fn accept(&mut self) {
        self.inner.accept();
    }
}

impl<F: Element, O: HessianDiag<F>> HessianDiag<F> for AllReduced<O, F> {
    fn hessian_diag(&mut self, x: &[F], h: &mut [F]) -> Result<(), Error> {
        let mine = self.inner.hessian_diag(x, h).map(|()| F::zero());
        self.evaluated(Self::place(Call::Diagonal, &[x], h.len()), mine)?;
        self.average(h)
    }
}

impl<F: Element, O: HessianProduct<F>> HessianProduct<F> for AllReduced<O, F> {
    fn hessian_product(&mut self, x: &[F], v: &[F], out: &mut [F]) -> Result<(), Error> {
        let mine = self.inner.hessian_product(x, v, out);
        let at = Self::place(Call::HessianProduct, &[x, v], out.len());
        self.evaluated(at, mine.map(|()| F::zero()))?;
        self.average(out)
    }
}

impl<F: Element, O: GaussNewton<F>> GaussNewton<F> for AllReduced<O, F> {
    fn gauss_newton_product(&mut self, x: &[F], v: &[F], out: &mut [F]) -> Result<(), Error> {
        let mine = self.inner.gauss_newton_product(x, v, out);
        let at = Self::place(Call::GaussNewton, &[x, v], out.len());
        self.evaluated(at, mine.map(|()| F::zero()))?;
        self.average(out)
    }
}

impl<F: Element, O: PerSample<F>> PerSample<F> for AllReduced<O, F> {
    /// Of all ranks: a call that they make together, as any other. If they are out of step, which this
    /// one cannot tell, those of this rank alone; the next evaluation says so.
    fn samples(&self) -> usize {
        let mine = (self.samples)(&self.inner);
        let all = (self.ranks).meet(Place::new(Call::Samples, 0), Ok([mine as u64]));
        let total = all.map(|all| all.iter().fold(0_u64, |sum, [n]| sum.saturating_add(*n)));
        total.map_or(mine, |total| usize::try_from(total).unwrap_or(usize::MAX))
    }

    fn grad_moments(&mut self, x: &[F], g: &mut [F], square: &mut [F]) -> Result<F, Error> {
        let mine = self.inner.grad_moments(x, g, square);
        let loss = self.evaluated(Self::place(Call::Moments, &[x], g.len()), mine)?;
        self.average(g)?;
        self.average(square)?;
        Ok(loss)
    }

    fn penalty(&self, d: &mut [F]) {
        self.inner.penalty(d);
    }
}

impl<O: fmt::Debug, F> fmt::Debug for AllReduced<O, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllReduced")
            .field("inner", &self.inner)
            .field("ranks", &self.ranks)
            .finish_non_exhaustive()
    }
}
