//! The memory of L-BFGS: the last steps, and the product by the inverse Hessian that they imply.

use std::mem::swap;

use opt_core::{Error, ParamMap, Scalar, Visit, dot, each_parallel, norm};

use crate::vectors::add;

/// The pairs (s, y) of the last steps.
#[derive(Clone, Default)]
pub(crate) struct Memory<F> {
    /// The oldest first; beyond `used`, room.
    pairs: Vec<Pair<F>>,
    used: u64,
}

/// A step and how the gradient changed along it.
#[derive(Clone, Default)]
struct Pair<F> {
    s: Vec<F>,
    y: Vec<F>,
    /// sᵀy and yᵀy.
    sy: f64,
    yy: f64,
    /// Of the two-loop recursion.
    alpha: f64,
}

impl<F: Scalar> Memory<F> {
    /// Makes room for `m` pairs of `n` parameters; of too many, the newest stay.
    pub(crate) fn resize(&mut self, m: usize, n: usize) -> Result<(), Error> {
        let mut room = Vec::new();
        (room.try_reserve_exact(m.saturating_sub(self.pairs.len()))).map_err(|_| too_large())?;
        for _ in self.pairs.len()..m {
            room.push(Pair {
                s: zeros(n)?,
                y: zeros(n)?,
                ..Pair::default()
            });
        }
        let forgotten = self.used().saturating_sub(m);
        self.pairs.drain(..forgotten);
        self.used -= forgotten as u64;
        self.pairs.truncate(m);
        self.pairs.append(&mut room);
        Ok(())
    }

    /// Number of pairs.
    pub(crate) fn used(&self) -> usize {
        usize::try_from(self.used).map_or(self.pairs.len(), |used| used.min(self.pairs.len()))
    }

    pub(crate) fn clear(&mut self) {
        self.used = 0;
    }

    /// The direction times H: the two-loop recursion.
    pub(crate) fn multiply(&mut self, direction: &mut [F]) {
        let used = self.used();
        for pair in self.pairs[..used].iter_mut().rev() {
            pair.alpha = dot(&pair.s, direction) / pair.sy;
            add(direction, -pair.alpha, &pair.y);
        }
        if let Some(newest) = self.pairs[..used].last() {
            let gamma = newest.sy / newest.yy;
            let scale = move |d: F, _, []: [F; 0]| (F::of(gamma * d.f64()), []);
            each_parallel(direction, &newest.y, [], scale);
        }
        for pair in &self.pairs[..used] {
            let beta = dot(&pair.y, direction) / pair.sy;
            add(direction, pair.alpha - beta, &pair.s);
        }
    }

    /// Takes the pair, and leaves other vectors in its place, if sᵀy > ε|s||y|, and all of these
    /// products are in range.
    pub(crate) fn remember(&mut self, s: &mut Vec<F>, y: &mut Vec<F>, eps: f64) {
        let (sy, yy) = (dot(s, y), dot(y, y));
        if !(sy.is_normal() && yy.is_normal() && sy > eps * norm(s) * norm(y)) {
            return;
        }
        let used = self.used();
        if used == self.pairs.len() {
            self.pairs.rotate_left(1);
        }
        let last = used.min(self.pairs.len().saturating_sub(1));
        if let Some(pair) = self.pairs.get_mut(last) {
            swap(&mut pair.s, s);
            swap(&mut pair.y, y);
            (pair.sy, pair.yy) = (sy, yy);
            self.used = last as u64 + 1;
        }
    }

    pub(crate) fn visit(&mut self, params: &ParamMap, visitor: &mut dyn Visit<F>) {
        visitor.count("pairs", &mut self.used);
        for (index, pair) in self.pairs.iter_mut().enumerate() {
            params.visit(&format!("s{index}"), &mut pair.s, visitor);
            params.visit(&format!("y{index}"), &mut pair.y, visitor);
            visitor.number(&format!("sy{index}"), &mut pair.sy);
            visitor.number(&format!("yy{index}"), &mut pair.yy);
        }
    }
}

pub(crate) fn zeros<F: Scalar>(n: usize) -> Result<Vec<F>, Error> {
    let mut all = Vec::new();
    all.try_reserve_exact(n).map_err(|_| too_large())?;
    all.resize(n, F::zero());
    Ok(all)
}

fn too_large() -> Error {
    Error::SegmentTooLarge("memory of lbfgs".to_owned())
}
