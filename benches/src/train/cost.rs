//! Where the time of an update goes.

use std::time::Instant;

use opt_core::Objective;

use crate::results::Cost;
use crate::train::session::Session;

impl Session<'_> {
    /// Of the updates that this process made; none if there were too few to tell.
    ///
    /// Afterwards the network has evaluated more than its run asked for.
    pub(super) fn cost(&mut self, elementwise: bool) -> Option<Cost> {
        let mut steps = std::mem::take(&mut self.steps);
        if steps.len() < 10 {
            return None;
        }
        // By the median and what is far above it, so that a stall of the machine is no refresh of a
        // method that has none.
        steps.sort_by(f64::total_cmp);
        let usual = steps[steps.len() / 2];
        let long = steps.iter().filter(|&&step| step > 2.0 * usual);
        let refresh = match elementwise {
            true => 0.0,
            false => long.map(|step| step - usual).sum::<f64>() / steps.len() as f64,
        };
        let network = self.gradient().unwrap_or(usual).min(usual);
        Some(Cost {
            network,
            method: usual - network,
            refresh,
        })
    }

    /// Seconds of one gradient of the minibatch that is loaded, taken alone: the median of a few.
    fn gradient(&mut self) -> Option<f64> {
        let mut g = vec![0.0; self.x.len()];
        let mut times = [0.0; 5];
        for time in &mut times {
            let begin = Instant::now();
            self.network.inner.grad(&self.x, &mut g).ok()?;
            *time = begin.elapsed().as_secs_f64();
        }
        times.sort_by(f64::total_cmp);
        Some(times[2])
    }
}
