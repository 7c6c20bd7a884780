//! Panics that are caught, with what they say.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Panics inside of [`caught`] print nothing from now on.
pub(crate) fn hush() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let inside = CAUGHT.with_borrow_mut(|caught| match caught {
            Some(what) => {
                *what = info.to_string().replace('\n', " ");
                true
            }
            None => false,
        });
        if !inside {
            loud(info);
        }
    }));
}

/// What `f` returns, or what it panicked with.
pub(crate) fn caught<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    CAUGHT.set(Some(String::new()));
    let result = catch_unwind(AssertUnwindSafe(f));
    let what = CAUGHT.take().unwrap_or_default();
    result.map_err(|_| what)
}
