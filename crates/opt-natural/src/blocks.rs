//! The Kronecker factors of all layers, as they are and as a step proposes them.

use ndarray::{Array2, ArrayView2};
use opt_core::{Error, Layer, Layered, ParamMap, Report, SampledFisher, Scalar, State, Visit};
use opt_linalg::Decompose;

use crate::FisherError;
use crate::dense::Dense;
use crate::kronecker::Factors;

/// Tenfold raises of the damping before a factor without an inverse is an error.
const ATTEMPTS: usize = 6;

/// A and G of every layer, their inverses, and what a proposal makes of them.
#[derive(Clone, Debug)]
pub(crate) struct Blocks<F> {
    pub(crate) layers: Vec<Dense>,
    moments: Vec<Factors<F>>,
    inverses: Vec<Factors<F>>,
    next_moments: Vec<Factors<F>>,
    next_inverses: Vec<Factors<F>>,
    /// Deltas of the loss, where those that the layers show are of drawn labels.
    pub(crate) deltas: Vec<Array2<F>>,
    /// Steps made.
    pub(crate) t: u64,
    /// Whether there is a proposal, and whether it has inverses.
    staged: Option<bool>,
}

impl<F: Decompose> Blocks<F> {
    pub(crate) fn new(layers: Vec<Dense>) -> Self {
        let factors: Vec<_> = layers.iter().map(Factors::zeros).collect();
        Self {
            deltas: layers.iter().map(|_| Array2::zeros((0, 0))).collect(),
            layers,
            moments: factors.clone(),
            inverses: factors.clone(),
            next_moments: factors.clone(),
            next_inverses: factors,
            t: 0,
            staged: None,
        }
    }

    /// The number of the step that is proposed, and whether it takes inverses anew.
    pub(crate) fn turn(&self, period: u64) -> (u64, bool) {
        let t = self.t.saturating_add(1);
        (t, t <= 3 || t.is_multiple_of(period.max(1)))
    }

    /// Keeps the deltas of the loss; writes what else its gradient has over `rest`.
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
        params.check_gradient(rest)?;
        let (shown, _) = Dense::all_shown(&self.layers, &*objective)?;
        for (keep, layer) in self.deltas.iter_mut().zip(shown) {
            if keep.dim() == layer.delta.dim() {
                keep.assign(&layer.delta);
            } else {
                *keep = layer.delta.to_owned();
            }
        }
        Ok(report)
    }

    /// Draws labels, and gives the layers with their deltas.
    pub(crate) fn sample<'o, O>(
        &self,
        objective: &'o mut O,
        x: &[F],
        seed: u64,
    ) -> Result<Vec<Layer<'o, F>>, Error>
    where
        O: SampledFisher<F> + ?Sized,
    {
        objective.sample(x, seed)?;
        Ok(Dense::all_shown(&self.layers, &*objective)?.0)
    }

    /// Stages the statistics of what the layers show, and their inverses if `invert`. Gives the
    /// factor on the damping λ, which is raised from `scale` until every factor has an inverse.
    pub(crate) fn refresh(
        &mut self,
        shown: &[Layer<'_, F>],
        invert: bool,
        decay: f64,
        (damping, mut scale): (f64, f64),
    ) -> Result<f64, Error> {
        let keep = (1.0 - 1.0 / (self.t as f64 + 1.0)).min(decay);
        let old = self.moments.iter().zip(shown).zip(&self.layers);
        for (next, ((old, layer), dense)) in self.next_moments.iter_mut().zip(old) {
            next.blend(old, layer, keep)?;
            if !next.is_finite() {
                return Err(FisherError::Overflow {
                    what: "the Kronecker factors",
                    layer: dense.name.clone(),
                }
                .into());
            }
        }
        if invert {
            scale = self.invert(damping, scale)?;
        }
        self.staged = Some(invert);
        Ok(scale)
    }

    /// Stages the inverses; gives the factor on the damping.
    fn invert(&mut self, damping: f64, mut scale: f64) -> Result<f64, Error> {
        let mut attempts = 0..ATTEMPTS;
        loop {
            let gamma = (damping * scale).sqrt();
            match Factors::invert_all(&mut self.next_inverses, &self.next_moments, gamma) {
                Ok(()) => return Ok(scale),
                Err(_) if gamma > 0.0 && attempts.next().is_some() => scale *= 10.0,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes G⁻¹(δᵀh̄ + rest)A⁻¹ of every layer over its part of `out`, δ of the loss.
    pub(crate) fn precondition(
        &self,
        shown: &[Layer<'_, F>],
        rest: &[F],
        out: &mut [F],
    ) -> Result<(), Error> {
        let inverses = match self.staged {
            Some(true) => &self.next_inverses,
            _ => &self.inverses,
        };
        for (((dense, inverse), layer), delta) in self
            .layers
            .iter()
            .zip(inverses)
            .zip(shown)
            .zip(&self.deltas)
        {
            let pair: (ArrayView2<'_, F>, _) = (layer.input, delta.view());
            inverse.precondition(dense, pair, rest, out)?;
        }
        Ok(())
    }

    /// Whether some layer's weight has a step that does not move it.
    pub(crate) fn vanishes(&self, x: &[F], step: &[F]) -> bool {
        self.layers.iter().any(|dense| dense.vanishes(x, step))
    }

    pub(crate) fn commit(&mut self) {
        let Some(inverted) = self.staged.take() else {
            return;
        };
        std::mem::swap(&mut self.moments, &mut self.next_moments);
        if inverted {
            std::mem::swap(&mut self.inverses, &mut self.next_inverses);
        }
        self.t = self.t.saturating_add(1);
    }
}

impl<F: Scalar> State<F> for Blocks<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.count("t", &mut self.t);
        let factors = [("", &mut self.moments), ("inverse ", &mut self.inverses)];
        for (what, factors) in factors {
            for (dense, Factors { a, g }) in self.layers.iter().zip(factors) {
                for (letter, matrix) in [("A", a), ("G", g)] {
                    let shape = [matrix.nrows(), matrix.ncols()];
                    if let Some(data) = matrix.as_slice_mut() {
                        let name = format!("{what}{letter}/{}", dense.name);
                        visitor.buffer(&name, &shape, data);
                    }
                }
            }
        }
    }
}
