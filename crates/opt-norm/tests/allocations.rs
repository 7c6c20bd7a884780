//! Nothing is allocated after the first call at a size.
//!
//! Counted on the only thread of a rayon pool, so that neither the test harness nor rayon's queue
//! for jobs from outside is in the count.
#![allow(clippy::unwrap_used)] // helpers of tests

use opt_norm::{BatchNorm, Cache, Layout, Running};
use opt_testkit::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn none_after_the_first_call() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1);
    pool.build().unwrap().install(|| {
        let (norm, features) = (BatchNorm::default(), 300);
        let mut x: Vec<f32> = (0..200 * features).map(|i| (i as f32).sin()).collect();
        let mut delta = x.clone();
        let (gamma, beta) = (vec![1.5; features], vec![0.5; features]);
        let (mut dg, mut db) = (gamma.clone(), beta.clone());
        let (mut cache, mut running) = (Cache::default(), Running::new(features));
        let mut step = |batch: usize| {
            let layout = Layout::features(batch, features);
            let (x, delta) = (&mut x[..batch * features], &mut delta[..batch * features]);
            let before = Counting::of_this_thread();
            norm.forward(layout, x, &gamma, &beta, &mut cache).unwrap();
            cache.backward(delta, &gamma, &mut dg, &mut db).unwrap();
            running.update(&norm, &cache).unwrap();
            running.forward(&norm, layout, x, &gamma, &beta).unwrap();
            Counting::of_this_thread() - before
        };
        assert!(step(200) > 0, "the counter counts");
        assert_eq!([200, 50, 2, 199, 200].map(step), [0; 5]);
    });
}
