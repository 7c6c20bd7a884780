//! A mean over the ranks, ours in their order beside `MPI_Allreduce` in its own.

use std::time::Instant;

use mpi::collective::SystemOperation;
use mpi::topology::SimpleCommunicator;
use mpi::traits::CommunicatorCollectives;
use opt_core::{Error, Objective, ParamMap};
use opt_mpi::{AllReduced, Ranks};

use super::runs::Failure;

/// An objective that costs nothing.
struct Nothing(ParamMap);

impl Objective<f32> for Nothing {
    fn params(&self) -> &ParamMap {
        &self.0
    }

    fn value(&mut self, _: &[f32]) -> Result<f32, Error> {
        Ok(0.0)
    }

    fn grad(&mut self, _: &[f32], _: &mut [f32]) -> Result<f32, Error> {
        Ok(0.0)
    }
}

/// Milliseconds of both, for so many numbers: medians of eleven, in turns.
pub(crate) fn compare(ranks: &Ranks, numbers: usize) -> Result<[f64; 2], Failure> {
    let (x, mut g) = (vec![0.0_f32; 1], vec![1.0_f32; numbers]);
    let mut sum = g.clone();
    let mut all = AllReduced::weighted(Nothing(ParamMap::flat(1)?), ranks, |_| 1);
    let world = SimpleCommunicator::world();
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..11 {
        world.barrier();
        let start = Instant::now();
        all.grad(&x, &mut g)?;
        times[0].push(1e3 * start.elapsed().as_secs_f64());
        world.barrier();
        let start = Instant::now();
        world.all_reduce_into(&g[..], &mut sum[..], SystemOperation::sum());
        times[1].push(1e3 * start.elapsed().as_secs_f64());
    }
    Ok(times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }))
}
