//! From CG's iterates to the step of Hessian-free: the walk back over them, and the line search.

use opt_core::{Error, Objective, Scalar, all_finite, dot};

use crate::armijo::Armijo;
use crate::cg::{CgEnd, CgRun};
use crate::vectors::add;

/// The line search of the paper.
const LINE_SEARCH: Armijo = Armijo {
    c1: 0.01,
    factor: 0.8,
    max_evaluations: 60,
};

/// Whether CG ended as it met a matrix that is not positive definite, or not finite.
pub(crate) fn broken<F>(run: &CgRun<'_, F>) -> bool {
    matches!(run.end, CgEnd::Curvature | CgEnd::NonFinite)
}

/// Whether it did before the first iterate.
pub(crate) fn stuck<F>(run: &CgRun<'_, F>) -> bool {
    broken(run) && run.iterations == 0
}

/// Losses beside θ.
pub(crate) struct Walk<'a, F, O: ?Sized> {
    pub(crate) objective: &'a mut O,
    pub(crate) x: &'a [F],
    pub(crate) trial: &'a mut [F],
    /// Whether one of them was not finite.
    pub(crate) broke: bool,
}

/// The x that is left of CG's.
pub(crate) struct Chosen<'a, F> {
    pub(crate) x: &'a [F],
    /// f(θ + x)
    loss: f64,
    /// φ(x); NaN if x is not CG's.
    phi: f64,
}

impl<F: Scalar> Chosen<'_, F> {
    /// ρ, for the q that lacks ½λ|x|².
    pub(crate) fn ratio(&self, before: f64, lambda: f64) -> f64 {
        let q = self.phi - 0.5 * lambda * dot(self.x, self.x);
        if q < 0.0 {
            (self.loss - before) / q
        } else {
            f64::NAN
        }
    }
}

impl<F: Scalar, O: Objective<F> + ?Sized> Walk<'_, F, O> {
    /// f(θ + cd), or infinity if that is not finite.
    fn loss(&mut self, c: f64, d: &[F]) -> Result<f64, Error> {
        self.trial.copy_from_slice(self.x);
        add(self.trial, c, d);
        let loss = if all_finite(self.trial) {
            self.objective.value(self.trial)?.f64()
        } else {
            f64::INFINITY
        };
        self.broke |= !loss.is_finite();
        Ok(if loss.is_finite() {
            loss
        } else {
            f64::INFINITY
        })
    }

    /// From the last iterate back over the kept ones, while f falls.
    pub(crate) fn back<'a>(
        &mut self,
        run: &CgRun<'a, F>,
        last: &'a [F],
    ) -> Result<Chosen<'a, F>, Error> {
        let mut chosen = Chosen {
            x: last,
            loss: self.loss(1.0, last)?,
            phi: phi(run, run.iterations),
        };
        let earlier = run.kept.iter().rev();
        for iterate in earlier.filter(|iterate| iterate.number < run.iterations) {
            let loss = self.loss(1.0, &iterate.x)?;
            if loss >= chosen.loss && chosen.loss.is_finite() {
                break;
            }
            chosen = Chosen {
                x: &iterate.x,
                loss,
                phi: phi(run, iterate.number),
            };
        }
        Ok(chosen)
    }

    /// The c of the line search; 0 if there is none. A direction that does not descend may still
    /// not raise the loss.
    pub(crate) fn shorten(
        &mut self,
        chosen: &Chosen<'_, F>,
        before: f64,
        slope: f64,
    ) -> Result<f64, Error> {
        let slope = slope.min(-f64::MIN_POSITIVE);
        let found = LINE_SEARCH.search(before, slope, 1.0, |c| match c {
            1.0 => Ok(chosen.loss),
            _ => self.loss(c, chosen.x),
        })?;
        Ok(found.map_or(0.0, |(c, _)| c))
    }
}

fn phi<F>(run: &CgRun<'_, F>, number: usize) -> f64 {
    let phi = run.phi.get(number).filter(|_| !stuck(run));
    phi.copied().unwrap_or(f64::NAN)
}
