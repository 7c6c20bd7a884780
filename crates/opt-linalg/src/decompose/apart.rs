//! A row that is 0 beside the diagonal, as a constant feature or a dead unit has, is an eigenpair by
//! itself, and exact. faer would round it as it rounds the largest eigenvalue, and is not shown it.

use opt_core::Scalar;

use super::resize;
use crate::Error;

/// The rows and columns of a matrix with an element beside the diagonal, and their eigenpairs.
#[derive(Clone, Debug, Default)]
pub(super) struct Part<F> {
    pub(super) rows: Vec<usize>,
    pub(super) vectors: Vec<F>,
    pub(super) values: Vec<F>,
}

/// An eigenpair: the one of this index in a [`Part`], or a row that has only its diagonal element.
#[derive(Clone, Copy)]
enum Pair {
    Coupled(usize),
    Alone(usize),
}

impl<F: Scalar> Part<F> {
    /// Finds them, and copies the lower triangle of what they make into `vectors`.
    pub(super) fn gather(&mut self, a: &[F], n: usize) -> Result<(), Error> {
        let is_zero = |i: usize, j: usize| a[i.max(j) * n + i.min(j)] == F::zero();
        let coupled = |i: &usize| (0..n).any(|j| j != *i && !is_zero(*i, j));
        self.rows.clear();
        self.rows.extend((0..n).filter(coupled));
        let m = self.rows.len();
        resize(&mut self.vectors, m * m, F::zero(), n)?;
        resize(&mut self.values, m, F::zero(), n)?;
        for (to, &i) in self.vectors.chunks_mut(m.max(1)).zip(&self.rows) {
            let lower = self.rows.iter().take_while(|j| **j <= i);
            to.iter_mut()
                .zip(lower)
                .for_each(|(to, &j)| *to = a[i * n + j]);
        }
        Ok(())
    }

    /// All eigenpairs, ascending, over the matrix and into `w`.
    pub(super) fn scatter(&self, a: &mut [F], w: &mut [F]) {
        let (n, m) = (w.len(), self.rows.len());
        let coupled = self.values.iter().enumerate();
        let coupled = coupled.map(|(k, &value)| (value, Pair::Coupled(k)));
        let alone = (0..n).filter(|i| self.rows.binary_search(i).is_err());
        let alone = alone.map(|i| (a[i * n + i], Pair::Alone(i)));
        let mut pairs: Vec<_> = coupled.chain(alone).collect();
        pairs.sort_by(|(left, _), (right, _)| left.f64().total_cmp(&right.f64()));
        a.fill(F::zero());
        for ((row, w), (value, pair)) in a.chunks_mut(n.max(1)).zip(w).zip(pairs) {
            *w = value;
            match pair {
                Pair::Alone(i) => row[i] = F::one(),
                Pair::Coupled(k) => {
                    let vector = &self.vectors[k * m..];
                    let places = self.rows.iter().zip(vector);
                    places.for_each(|(&i, &element)| row[i] = element);
                }
            }
        }
    }
}
