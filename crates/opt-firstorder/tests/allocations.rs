//! A step allocates nothing. (The only test of this file, as the count is the process's.)

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use opt_core::{Error, Objective, ParamMap};
use opt_firstorder::zoo;

struct Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is handed to the system's allocator as it is; counting touches no memory of
// the caller's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// f(x) = ½ Σ x², which allocates nothing itself.
struct Bowl(ParamMap);

impl Objective<f32> for Bowl {
    fn params(&self) -> &ParamMap {
        &self.0
    }

    fn value(&mut self, x: &[f32]) -> Result<f32, Error> {
        Ok((0.5 * opt_core::dot(x, x)) as f32)
    }

    fn grad(&mut self, x: &[f32], g: &mut [f32]) -> Result<f32, Error> {
        g.copy_from_slice(x);
        self.value(x)
    }
}

#[test]
fn steps_do_not_allocate() {
    // Called from outside of its pool, rayon's queue allocates a block for every sixty or so
    // jobs; inside, a thread allocates when it takes its first.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .build()
        .unwrap();
    pool.install(|| {
        let busy = || (0..2_000_000_u64).fold(1, |a, b| black_box(a ^ b));
        for _ in 0..20 {
            rayon::join(busy, busy);
        }
        let shapes = (0..40).map(|i| (format!("w{i}"), vec![5_000]));
        let mut bowl = Bowl(ParamMap::new(shapes).unwrap());
        let n = bowl.0.len();
        for entry in zoo::<f32, Bowl>() {
            let mut method = entry.build(&[], &bowl.0).unwrap();
            let (mut x, g) = (vec![1.0_f32; n], vec![0.5_f32; n]);
            let mut parts: Vec<_> = x.chunks_mut(5_000).collect();
            let g: Vec<_> = g.chunks(5_000).collect();
            let mut elementwise = entry.elementwise(&[], &bowl.0).transpose().unwrap();
            let mut whole = vec![1.0_f32; n];
            // The first step makes the gradient's buffer.
            for round in 0..4 {
                let before = COUNT.load(Ordering::Relaxed);
                method.step(&mut bowl, &mut whole).unwrap();
                method.set(entry.fields()[0].name, 0.01).unwrap();
                if let Some(method) = &mut elementwise {
                    method.apply_parts(&mut parts, &g).unwrap();
                }
                let count = COUNT.load(Ordering::Relaxed) - before;
                assert!(round < 2 || count == 0, "{}: {count}", entry.name());
            }
        }
    });
}
