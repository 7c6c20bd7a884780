//! How often a program allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

/// The system's allocator, which counts its allocations. A test that is to count has it as its
/// `#[global_allocator]`.
#[derive(Clone, Copy, Debug)]
pub struct Counting;

static ALL: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static OWN: Cell<u64> = const { Cell::new(0) };
}

impl Counting {
    /// Allocations of the whole process so far: for a file with a single test.
    pub fn all() -> u64 {
        ALL.load(Ordering::Relaxed)
    }

    /// Those of the calling thread, such as the only one of a rayon pool.
    pub fn of_this_thread() -> u64 {
        OWN.get()
    }
}

// SAFETY: every call goes to the system's allocator as it came; the counters are an atomic and a
// plain cell without a destructor, which neither allocate nor unwind.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALL.fetch_add(1, Ordering::Relaxed);
        OWN.set(OWN.get() + 1);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is passed on, for a pointer from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs `f` inside a rayon pool of two threads that have worked before.
///
/// Called from outside of its pool, rayon's queue allocates a block for every sixty or so jobs;
/// inside, a thread allocates when it takes its first.
///
/// # Panics
/// If there is no pool to be had.
pub fn in_warm_pool(f: impl FnOnce() + Send) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
    pool.expect("two threads").install(|| {
        let busy = || (0..2_000_000_u64).fold(1, |a, b| black_box(a ^ b));
        for _ in 0..20 {
            rayon::join(busy, busy);
        }
        f();
    });
}
