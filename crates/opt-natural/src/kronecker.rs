//! The Kronecker factors of one layer's block of the Fisher matrix.

use ndarray::{Array2, ArrayView2};
use opt_core::{Scalar, State, Visit};
use opt_linalg::{Accuracy, DampedInverse, Decompose, Error, InverseWork, gram};

use crate::dense::Dense;
use crate::team::{pack, unpack};

/// θ of either inverse. The factors are averages over some twenty minibatches, and G's of drawn labels.
const TOLERANCE: f64 = 0.01;

/// A over the layer's inputs and G over its deltas, of shapes (fan_in (+ 1 with a bias), …) and
/// (fan_out, fan_out). Only the lower triangle counts.
#[derive(Clone, Debug)]
pub(crate) struct Factors<F> {
    pub(crate) a: Array2<F>,
    pub(crate) g: Array2<F>,
}

impl<F: Scalar> Factors<F> {
    pub(crate) fn zeros(dense: &Dense) -> Self {
        let inputs = dense.inputs();
        Self {
            a: Array2::zeros((inputs, inputs)),
            g: Array2::zeros((dense.fan_out, dense.fan_out)),
        }
    }

    pub(crate) fn assign(&mut self, other: &Self) {
        self.a.assign(&other.a);
        self.g.assign(&other.g);
    }

    /// self ← keep·self + weights·(Σh̄h̄ᵀ, Σδδᵀ) over the rows.
    pub(crate) fn blend(
        &mut self,
        (inputs, deltas): Rows<'_, F>,
        [of_a, of_g]: [f64; 2],
        keep: f64,
    ) -> Result<(), Error> {
        let keep = F::of(keep);
        gram(F::of(of_a), inputs, keep, self.a.view_mut())?;
        gram(F::of(of_g), deltas, keep, self.g.view_mut())
    }

    /// Whether the diagonals will be finite after [`blend`](Self::blend), which bound all other
    /// elements, and all sums on the way. `squares` is for sums of a column.
    pub(crate) fn fits(
        &self,
        (inputs, deltas): Rows<'_, F>,
        weights: [f64; 2],
        keep: f64,
        squares: &mut Vec<f64>,
    ) -> bool {
        let both = [(&self.a, inputs), (&self.g, deltas)].into_iter();
        both.zip(weights).all(|((old, rows), weight)| {
            squares.clear();
            squares.resize(rows.ncols(), 0.0);
            for row in rows.rows() {
                (squares.iter_mut().zip(row)).for_each(|(sum, v)| *sum += v.f64() * v.f64());
            }
            squares.iter().zip(old.diag()).all(|(&sum, old)| {
                let next = keep * old.f64() + weight * sum;
                // Rounding comes to less than as much again.
                F::of(2.0 * sum).is_finite() && F::of(2.0 * next).is_finite()
            })
        })
    }

    /// Adds keep times the others; gives whether the diagonals, which bound all other elements, are finite.
    pub(crate) fn add(&mut self, keep: f64, old: &Self) -> bool {
        let keep = F::of(keep);
        let mut both = [(&mut self.a, &old.a), (&mut self.g, &old.g)].into_iter();
        both.all(|(to, old)| {
            to.scaled_add(keep, old);
            to.diag().iter().all(|v| v.is_finite())
        })
    }

    /// Appends the lower triangles.
    pub(crate) fn pack(&self, to: &mut Vec<F>) {
        pack(self.a.view(), to);
        pack(self.g.view(), to);
    }

    /// Takes the lower triangles from the front of `from`.
    pub(crate) fn unpack(&mut self, from: &mut std::slice::Iter<'_, F>) {
        unpack(self.a.view_mut(), from);
        unpack(self.g.view_mut(), from);
    }
}

/// Inputs h̄ and deltas δ.
pub(crate) type Rows<'a, F> = (ArrayView2<'a, F>, ArrayView2<'a, F>);

/// What the sums of outer products are multiplied by in (1 − keep)·(E[h̄h̄ᵀ], |T|·E[δδᵀ]), over samples and
/// their positions T, of which a dense layer has one: for this many rows and samples, over all processes.
///
/// A delta is that of the sample, divided by the batch. The mean of δδᵀ over all rows times the positions
/// of a sample is their sum over the samples' number, so that |T| is in it once.
pub(crate) fn weights([rows, samples]: [f64; 2], keep: f64) -> [f64; 2] {
    [(1.0 - keep) / rows, (1.0 - keep) * samples]
}

/// ((A + πγI)⁻¹, (G + γ/π·I)⁻¹), where π² is the ratio of their mean eigenvalues.
#[derive(Clone, Debug)]
pub(crate) struct Inverses<F> {
    pub(crate) a: DampedInverse<F>,
    pub(crate) g: DampedInverse<F>,
}

impl<F: Decompose> Inverses<F> {
    pub(crate) fn zeros(dense: &Dense) -> Self {
        Self {
            a: DampedInverse::new(dense.inputs()),
            g: DampedInverse::new(dense.fan_out),
        }
    }

    /// `last` are those that it takes the place of: where they are dense, a low rank is looked for
    /// only if `again`.
    pub(crate) fn update(
        &mut self,
        moments: &Factors<F>,
        gamma: f64,
        (last, again): (&Self, bool),
        work: &mut [InverseWork<F>; 2],
    ) -> Result<(), Error> {
        let mean = |m: &Array2<F>| m.diag().iter().map(|d| d.f64()).sum::<f64>() / m.nrows() as f64;
        let pi = (mean(&moments.a) / mean(&moments.g)).sqrt();
        // Without any input or delta there is nothing to balance.
        let pi = if pi.is_normal() { pi } else { 1.0 };
        let accuracy = |last: &DampedInverse<F>| Accuracy {
            tolerance: if again || last.rank().is_some() {
                TOLERANCE
            } else {
                0.0
            },
            // They are taken too often for eigenvectors to pay.
            eigenvectors: false,
        };
        let ([of_a, of_g], Self { a, g }) = (work, self);
        let (of_inputs, of_deltas) = rayon::join(
            || a.update(moments.a.view(), pi * gamma, accuracy(&last.a), of_a),
            || g.update(moments.g.view(), gamma / pi, accuracy(&last.g), of_g),
        );
        of_inputs.and(of_deltas)
    }

    pub(crate) fn visit(&mut self, name: &str, visitor: &mut dyn Visit<F>) {
        self.a.visit_as(&format!("inverse A/{name}"), visitor);
        self.g.visit_as(&format!("inverse G/{name}"), visitor);
    }
}

impl<F: Decompose> State<F> for Inverses<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        Self::visit(self, "", visitor);
    }
}
