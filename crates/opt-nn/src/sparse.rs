//! Sparse inputs, by rows, and their products with the first layer's weight.

use ndarray::ArrayView2;
use opt_core::Scalar;
use sprs::CsMatViewI;

use crate::Error;
use crate::buffer::{scale, take};
use crate::rows::each_row;

/// Inputs of a network, of shape (batch, inputs): all of them, or those that are not 0, by rows
/// (CSR), such as the counts of a text's words. What takes inputs takes either as it is.
///
/// Sparse inputs are never made dense: the first layer's products, the dropout of inputs, and the
/// gradient cost what is there. They can be no target of an auto-encoder; and the first layer, as it
/// is not shown by [`Layered`](opt_core::Layered), can be no layer of K-FAC and PRONG.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Inputs<'a, F> {
    /// Every one.
    Dense(ArrayView2<'a, F>),
    /// Those that are not 0.
    Sparse(CsMatViewI<'a, F, u32, usize>),
}

impl<'a, F> From<ArrayView2<'a, F>> for Inputs<'a, F> {
    fn from(inputs: ArrayView2<'a, F>) -> Self {
        Self::Dense(inputs)
    }
}

impl<'a, F> From<CsMatViewI<'a, F, u32, usize>> for Inputs<'a, F> {
    fn from(inputs: CsMatViewI<'a, F, u32, usize>) -> Self {
        Self::Sparse(inputs)
    }
}

impl<'a, F> Inputs<'a, F> {
    pub(crate) fn dim(&self) -> (usize, usize) {
        match self {
            Self::Dense(inputs) => inputs.dim(),
            Self::Sparse(inputs) => (inputs.rows(), inputs.cols()),
        }
    }

    /// Some rows.
    pub(crate) fn take(&self, start: usize, end: usize) -> Inputs<'_, F> {
        match self {
            Self::Dense(inputs) => Inputs::Dense(take(inputs.view(), start, end)),
            Self::Sparse(inputs) => Inputs::Sparse(inputs.slice_outer(start..end)),
        }
    }
}

/// A minibatch of sparse rows. The buffers only grow.
#[derive(Clone)]
pub(crate) struct Words<F> {
    /// Where each row begins, and where the last one ends.
    starts: Vec<usize>,
    /// Of each value.
    columns: Vec<u32>,
    pub(crate) values: Vec<F>,
}

impl<F> Words<F> {
    pub(crate) fn new() -> Self {
        Self {
            starts: Vec::new(),
            columns: Vec::new(),
            values: Vec::new(),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.starts) + size_of_val(&*self.columns) + size_of_val(&*self.values)
    }
}

impl<F: Scalar> Words<F> {
    /// Copies all rows, or the chosen ones.
    pub(crate) fn load(
        &mut self,
        inputs: CsMatViewI<'_, F, u32, usize>,
        chosen: Option<&[usize]>,
    ) -> Result<(), Error> {
        let rows = chosen.map_or(inputs.rows(), <[_]>::len);
        let row = |k: usize| inputs.outer_view(chosen.map_or(k, |chosen| chosen[k]));
        let values = (0..rows)
            .filter_map(row)
            .map(|row| row.nnz())
            .sum::<usize>();
        // All that can fail comes first: until then the earlier minibatch is here.
        let too_large = |_| Error::BatchTooLarge { rows };
        let more = |needed: usize, held: usize| needed.saturating_sub(held);
        let Self {
            starts,
            columns,
            values: held,
        } = self;
        (starts.try_reserve(more(rows + 1, starts.len()))).map_err(too_large)?;
        (columns.try_reserve(more(values, columns.len()))).map_err(too_large)?;
        (held.try_reserve(more(values, held.len()))).map_err(too_large)?;
        starts.clear();
        columns.clear();
        held.clear();
        starts.push(0);
        for row in (0..rows).filter_map(row) {
            self.columns.extend_from_slice(row.indices());
            self.values.extend_from_slice(row.data());
            self.starts.push(self.columns.len());
        }
        Ok(())
    }

    fn row(&self, row: usize) -> (&[u32], &[F]) {
        let at = self.starts[row]..self.starts[row + 1];
        (&self.columns[at.clone()], &self.values[at])
    }

    /// Calls `f(row, values)` for each row, and keeps what is not 0 after it: no product reads a word
    /// that was dropped.
    pub(crate) fn keep(&mut self, f: impl Fn(usize, &mut [F])) {
        let (mut begin, mut kept) = (0, 0);
        for (row, end) in self.starts.iter_mut().skip(1).enumerate() {
            f(row, &mut self.values[begin..*end]);
            for at in begin..*end {
                let value = self.values[at];
                self.values[kept] = value;
                self.columns[kept] = self.columns[at];
                kept += usize::from(value != F::zero()); // no branch: half of them are, at random
            }
            (begin, *end) = (*end, kept);
        }
        self.values.truncate(kept);
        self.columns.truncate(kept);
    }

    /// Of the squared values.
    pub(crate) fn squared(&self) -> Self {
        let mut squared = self.clone();
        squared.values.iter_mut().for_each(|v| *v *= *v);
        squared
    }

    /// a ← X·Wᵀ + β·a.
    pub(crate) fn forward(&self, weight: &[F], beta: F, a: &mut [F], units: usize) {
        let fan_in = weight.len() / units;
        each_row(a, units, |row, a| {
            scale(a, beta);
            let (columns, values) = self.row(row);
            for (a, w) in a.iter_mut().zip(weight.chunks_exact(fan_in)) {
                *a += dot(columns, values, w);
            }
        });
    }

    /// `to` ← δᵀ·X + β·`to`.
    pub(crate) fn gradient(&self, delta: &[F], beta: F, to: &mut [F], fan_in: usize) {
        let units = to.len() / fan_in;
        each_row(to, fan_in, |unit, to| {
            scale(to, beta);
            for (row, delta) in delta.chunks_exact(units).enumerate() {
                let slope = delta[unit];
                let (columns, values) = self.row(row);
                for (&column, &v) in columns.iter().zip(values) {
                    to[column as usize] += slope * v;
                }
            }
        });
    }
}

/// Σ v·w_column, in four sums that do not wait for one another.
fn dot<F: Scalar>(columns: &[u32], values: &[F], w: &[F]) -> F {
    let (columns, columns_left) = columns.as_chunks::<4>();
    let (values, values_left) = values.as_chunks::<4>();
    let mut sums = [F::zero(); 4];
    for (columns, values) in columns.iter().zip(values) {
        for k in 0..4 {
            sums[k] += values[k] * w[columns[k] as usize];
        }
    }
    for (&column, &v) in columns_left.iter().zip(values_left) {
        sums[0] += v * w[column as usize];
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3])
}
