//! Weighted means over the ranks, in an order that does not depend on MPI.

use crate::Error;
use crate::ranks::{Element, Ranks};

/// Elements that are exchanged at a time: what is received of them is summed while it is in cache.
const BLOCK: usize = 1 << 20;

/// Elements of all ranks that take no longer to send than another message.
const FEW: usize = 1 << 14;

/// Elements that are summed at a time.
const GRAIN: usize = 256;

impl Ranks {
    /// g ← Σᵣ wᵣgᵣ, with the sum in the order of the ranks and in double precision: the same bits on
    /// every rank, in every run and under every MPI.
    ///
    /// Every rank gets its part of all gᵣ, sums it, and sends the sum to all: 2n(R − 1)/R numbers leave
    /// each of R ranks, as in the best of MPI's own algorithms.
    pub(crate) fn mean<F: Element>(
        &self,
        g: &mut [F],
        weights: &[f64],
        work: &mut Vec<F>,
    ) -> Result<(), Error> {
        if self.size() == 1 {
            return Ok(()); // of one rank, whose weight is 1
        }
        for block in g.chunks_mut(BLOCK) {
            let len = block.len();
            if len * self.size() <= FEW {
                // Every rank sums all of it: one message instead of two.
                work.resize(len * self.size(), F::zero());
                self.gather(block, &vec![len; self.size()], work)?;
                sum(work, len, weights);
                block.copy_from_slice(&work[..len]);
                continue;
            }
            let parts = self.parts(block.len());
            let own = parts[self.rank()];
            work.resize(own * self.size(), F::zero());
            self.exchange(block, work)?;
            sum(work, own, weights);
            self.gather(&work[..own], &parts, block)?;
        }
        Ok(())
    }
}

/// Leaves in the first `own` of `parts` the sum of all, each of `own` elements, times their weights.
fn sum<F: Element>(parts: &mut [F], own: usize, weights: &[f64]) {
    let mut sums = [0.0_f64; GRAIN];
    for start in (0..own).step_by(GRAIN) {
        let sums = &mut sums[..GRAIN.min(own - start)];
        sums.fill(0.0);
        for (rank, &weight) in weights.iter().enumerate() {
            let from = rank * own + start;
            let part = &parts[from..from + sums.len()];
            for (sum, v) in sums.iter_mut().zip(part) {
                *sum += weight * v.f64();
            }
        }
        for (to, sum) in parts[start..].iter_mut().zip(&*sums) {
            *to = F::of(*sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_in_the_order_of_the_parts() {
        let (own, weights) = (700, [0.5, 0.25, 0.25]);
        let parts: Vec<f64> = (0..3 * own).map(|i| (i as f64 * 0.7).sin()).collect();
        let mut summed = parts.clone();
        sum(&mut summed, own, &weights);
        for (i, sum) in summed[..own].iter().enumerate() {
            let by_hand = 0.5 * parts[i] + 0.25 * parts[own + i] + 0.25 * parts[2 * own + i];
            assert_eq!(*sum, by_hand);
        }
    }
}
