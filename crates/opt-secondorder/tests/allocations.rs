//! A step allocates nothing, but for the first. (The only test of this file, as the count is the
//! process's.)
#![allow(clippy::unwrap_used)] // helpers of tests

use opt_core::{Objective, ParamMap};
use opt_secondorder::{MAX_NEWTON, zoo};
use opt_testkit::{Counting, Quadratic, in_warm_pool};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn steps_do_not_allocate() {
    in_warm_pool(|| {
        for (segments, len) in [(40, 5_000), (1, 60)] {
            let shapes = (0..segments).map(|i| (format!("w{i}"), vec![len]));
            let params = ParamMap::new(shapes).unwrap();
            let mut bowl = Quadratic::<f32>::new(params, |_| 1.0, |_| 0.0);
            let params = bowl.params().clone();
            for entry in zoo::<f32, Quadratic<f32>>() {
                if entry.name() == "newton" && params.len() > MAX_NEWTON {
                    continue;
                }
                let mut method = entry.build(&[], &bowl).unwrap();
                let mut x = vec![1.0; params.len()];
                // Hessian-free makes room for iterates as it needs more of them.
                let first = if entry.name() == "hessian-free" {
                    10
                } else {
                    2
                };
                // Far enough for vSGD's collecting to end, and for ESGD's second draw.
                for round in 0..30 {
                    let before = Counting::all();
                    method.step(&mut bowl, &mut x).unwrap();
                    let count = Counting::all() - before;
                    assert!(round < first || count == 0, "{}: {count}", entry.name());
                }
            }
        }
    });
}
