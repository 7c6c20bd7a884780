//! The system's allocator, which knows how many bytes live: of the whole process, and the peak of a
//! thread while it reads one input.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, Ordering};

/// The `#[global_allocator]`.
pub(crate) struct Live;

static ALL: AtomicI64 = AtomicI64::new(0);

thread_local! {
    static OWN: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

/// Bytes that the process has now.
pub(crate) fn live() -> i64 {
    ALL.load(Ordering::Relaxed)
}

/// The greatest number of bytes that this thread had at once while `f` ran, beyond those of before.
pub(crate) fn peak<T>(f: impl FnOnce() -> T) -> (T, i64) {
    let before = OWN.get();
    PEAK.set(before);
    let value = f();
    (value, PEAK.get() - before)
}

fn count(bytes: i64) {
    ALL.fetch_add(bytes, Ordering::Relaxed);
    let own = OWN.get() + bytes;
    OWN.set(own);
    PEAK.set(PEAK.get().max(own));
}

// SAFETY: every call goes to the system's allocator as it came; the counters are an atomic and plain
// cells without a destructor, which neither allocate nor unwind.
unsafe impl GlobalAlloc for Live {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The old block and the new are there together while the one is copied to the other.
        count(size as i64);
        count(-(layout.size() as i64));
        // SAFETY: the caller's contract is passed on, for a pointer from `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: the caller's contract is passed on, for a pointer from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}
