//! What no element of a gradient is greater than, without a pass over it.

use opt_core::{Scalar, greatest};

use crate::batch::Batch;
use crate::linear::Input;
use crate::net::Net;
use crate::pass::Pass;

impl<F: Scalar> Net<F> {
    /// A bound of the gradient that the backward pass has just written: an element of a weight's is
    /// a sum over the rows of products of a delta and an input, of which there are far fewer than
    /// of the weights in a large layer. `None` where there are not, where one of those is not finite,
    /// and for a penalty on W = V·U.
    pub(crate) fn gradient_bound(&self, batch: &Batch<F>, pass: &Pass<F>) -> Option<F> {
        let read = (0..self.shapes.len()).map(|index| {
            let shape = &self.shapes[index];
            batch.rows * (shape.input.len() + shape.output.len())
        });
        // In cache, where the gradient may not be.
        if read.sum::<usize>() > self.params.len() {
            return None;
        }
        let (mut bound, mut most) = (0.0_f64, 0);
        for (index, shape) in self.shapes.iter().enumerate() {
            let rows = self.rows(index, batch);
            let input = match self.whitening[index] {
                Some(_) if self.spec.l2 > 0.0 => return None,
                Some(_) => greatest(&pass.whitened[index][..rows * shape.fan_in]),
                None => match self.input(index, batch, [&pass.outputs, &pass.pooled]) {
                    Input::Dense(input) => greatest(&input[..batch.rows * shape.input.len()]),
                    Input::Sparse(words) => greatest(&words.values),
                },
            };
            let input = input.f64();
            let delta = &pass.deltas[index][..rows * self.spec.layers[index].units];
            let delta = greatest(delta).f64();
            // 1 stands for the input of a bias.
            let largest = rows as f64 * delta * input.max(1.0);
            // Of γ and β, where there are any.
            let [by_gamma, by_beta] = pass.norms.slopes(index);
            let others = [greatest(by_gamma).f64(), greatest(by_beta).f64()];
            for part in [delta, input, largest].into_iter().chain(others) {
                if !part.is_finite() {
                    return None; // a maximum would pass over NaN
                }
            }
            bound = others.into_iter().fold(bound.max(largest), f64::max);
            most = most.max(rows);
        }
        // |w| ≤ √Σw², and the penalty is ½·l2·Σw².
        let decay = (2.0 * self.spec.l2 * pass.penalty).sqrt();
        // Rounding adds less than twice as much, up to a million rows.
        Some(F::of(2.0 * (bound + decay))).filter(|_| most < 1 << 20)
    }
}
