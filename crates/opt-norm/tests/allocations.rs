//! Nothing is allocated after the first call at a size.
//!
//! Counted on the only thread of a rayon pool, so that neither the test harness nor rayon's queue
//! for jobs from outside is in the count.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::alloc::{GlobalAlloc, System};
use std::cell::Cell;

use opt_norm::{BatchNorm, Cache, Layout, Running};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator as it came; the counter is a plain cell
// without a destructor, which neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: std::alloc::Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: std::alloc::Layout) {
        // SAFETY: the caller's contract is passed on, for a pointer from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

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
            let before = COUNT.get();
            norm.forward(layout, x, &gamma, &beta, &mut cache).unwrap();
            cache.backward(delta, &gamma, &mut dg, &mut db).unwrap();
            running.update(&norm, &cache).unwrap();
            running.forward(&norm, layout, x, &gamma, &beta).unwrap();
            COUNT.get() - before
        };
        assert!(step(200) > 0, "the counter counts");
        assert_eq!([200, 50, 2, 199, 200].map(step), [0; 5]);
    });
}
