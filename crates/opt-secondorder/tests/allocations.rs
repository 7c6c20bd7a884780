//! A step allocates nothing, but for the first. (The only test of this file, as the count is the
//! process's.)

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use opt_core::{
    Error, GaussNewton, HessianDiag, HessianProduct, Objective, ParamMap, PerSample, each_parallel,
};
use opt_secondorder::{MAX_NEWTON, zoo};

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

impl HessianDiag<f32> for Bowl {
    fn hessian_diag(&mut self, _: &[f32], h: &mut [f32]) -> Result<(), Error> {
        h.fill(1.0);
        Ok(())
    }
}

impl HessianProduct<f32> for Bowl {
    fn hessian_product(&mut self, _: &[f32], v: &[f32], out: &mut [f32]) -> Result<(), Error> {
        out.copy_from_slice(v);
        Ok(())
    }
}

impl GaussNewton<f32> for Bowl {
    fn gauss_newton_product(&mut self, _: &[f32], v: &[f32], out: &mut [f32]) -> Result<(), Error> {
        out.copy_from_slice(v);
        Ok(())
    }
}

impl PerSample<f32> for Bowl {
    fn samples(&self) -> usize {
        1
    }

    fn grad_moments(&mut self, x: &[f32], g: &mut [f32], s: &mut [f32]) -> Result<f32, Error> {
        each_parallel(s, x, [], |_, x, []| (x * x, []));
        self.grad(x, g)
    }
}

#[test]
fn steps_do_not_allocate() {
    // Called from outside of its pool, rayon's queue allocates a block for every sixty or so
    // jobs; inside, a thread allocates when it takes its first.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
    pool.unwrap().install(|| {
        let busy = || (0..2_000_000_u64).fold(1, |a, b| black_box(a ^ b));
        for _ in 0..20 {
            rayon::join(busy, busy);
        }
        for (segments, len) in [(40, 5_000), (1, 60)] {
            let shapes = (0..segments).map(|i| (format!("w{i}"), vec![len]));
            let mut bowl = Bowl(ParamMap::new(shapes).unwrap());
            let n = bowl.0.len();
            for entry in zoo::<f32, Bowl>() {
                if entry.name() == "newton" && n > MAX_NEWTON {
                    continue;
                }
                let mut method = entry.build(&[], &bowl.0).unwrap();
                let mut x = vec![1.0_f32; n];
                // Hessian-free makes room for iterates as it needs more of them.
                let first = if entry.name() == "hessian-free" {
                    10
                } else {
                    2
                };
                // Far enough for vSGD's collecting to end, and for ESGD's second draw.
                for round in 0..30 {
                    let before = COUNT.load(Ordering::Relaxed);
                    method.step(&mut bowl, &mut x).unwrap();
                    let count = COUNT.load(Ordering::Relaxed) - before;
                    assert!(round < first || count == 0, "{}: {count}", entry.name());
                }
            }
        }
    });
}
