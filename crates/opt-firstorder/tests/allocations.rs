//! A step allocates nothing, but for the first. (The only test of this file, as the count is the
//! process's.)
#![allow(clippy::unwrap_used)] // helpers of tests

use opt_core::{Objective, ParamMap};
use opt_firstorder::zoo;
use opt_testkit::{Counting, Quadratic, in_warm_pool};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn steps_do_not_allocate() {
    in_warm_pool(|| {
        let shapes = (0..40).map(|i| (format!("w{i}"), vec![5_000]));
        let params = ParamMap::new(shapes).unwrap();
        let mut bowl = Quadratic::<f32>::new(params, |_| 1.0, |_| 0.0);
        let params = bowl.params().clone();
        for entry in zoo::<f32, Quadratic<f32>>() {
            let mut method = entry.build(&[], &params).unwrap();
            let (mut x, g) = (vec![1.0; params.len()], vec![0.5; params.len()]);
            let mut parts: Vec<_> = x.chunks_mut(5_000).collect();
            let g: Vec<_> = g.chunks(5_000).collect();
            let mut elementwise = entry.elementwise(&[], &params).transpose().unwrap();
            let mut whole = vec![1.0; params.len()];
            // The first step makes the gradient's buffer.
            for round in 0..4 {
                let before = Counting::all();
                method.step(&mut bowl, &mut whole).unwrap();
                method.set(entry.fields()[0].name, 0.01).unwrap();
                if let Some(method) = &mut elementwise {
                    method.apply_parts(&mut parts, &g).unwrap();
                }
                let count = Counting::all() - before;
                assert!(round < 2 || count == 0, "{}: {count}", entry.name());
            }
        }
    });
}
