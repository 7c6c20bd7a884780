//! Memory grows with the bytes that are there, not with what a line or the caller claims.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use opt_data::{
    FirstIndex, Rated, Svmlight, read_cifar10_from, read_idx_from, read_rated_text_from,
};

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// Follows how many bytes a thread has, and the most that it had.
struct Peak;

#[global_allocator]
static ALLOCATOR: Peak = Peak;

fn add(bytes: isize) {
    LIVE.set(LIVE.get().saturating_add(bytes));
    PEAK.set(PEAK.get().max(LIVE.get()));
}

// SAFETY: every call goes to the system's allocator as it came; the counters are plain cells without
// a destructor, which neither allocate nor unwind.
unsafe impl GlobalAlloc for Peak {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size() as isize);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size() as isize);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        add(-(layout.size() as isize));
        // SAFETY: the caller's contract is passed on, for a pointer from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The most bytes that `work` has at a time.
fn peak(work: impl FnOnce()) -> isize {
    let before = LIVE.get();
    PEAK.set(before);
    work();
    PEAK.get() - before
}

type Work<'a> = &'a dyn Fn(&[u8]);

#[test]
fn claims_cost_nothing() {
    let claims = "9 4294967294:1\n1 0:1 4294967293:2\n".repeat(100);
    let wide = Svmlight {
        columns: u32::MAX as usize,
        first: FirstIndex::Zero,
    };
    let one_column = "1\ta\n-1\ta\n".repeat(100);
    let works: [(&[u8], Work<'_>); 5] = [
        (claims.as_bytes(), &|bytes| {
            let data = wide.read_from(bytes, "made", Rated::stars);
            if let Ok(data) = data {
                assert_eq!(
                    data.frequent(9).ok(),
                    Some(vec![4_294_967_293, 0, 4_294_967_294])
                );
                assert!(data.columns(&[4_294_967_293]).is_ok());
                assert!(data.split(10, 0).is_ok());
            } else {
                panic!("{data:?}");
            }
        }),
        (one_column.as_bytes(), &|bytes| {
            assert!(read_rated_text_from(bytes, "made", Rated::sign).is_ok());
        }),
        (&[9; 3_072], &|bytes| {
            assert!(read_cifar10_from(bytes, "made").is_err());
        }),
        (
            &[0, 0, 8, 3, 255, 255, 255, 255, 0, 0, 0, 28, 0, 0, 0, 28, 7],
            &|bytes| {
                assert!(read_idx_from(bytes, "made").is_err());
            },
        ),
        (b"9 1:1 18446744073709551615:1", &|bytes| {
            assert!(wide.read_from(bytes, "made", Rated::stars).is_err());
        }),
    ];
    for (bytes, work) in works {
        let bytes_held = peak(|| work(bytes));
        let bound = 64 * bytes.len() as isize + (1 << 16);
        assert!(bytes_held < bound, "{bytes_held} for {}", bytes.len());
    }
}
