//! Ctrl-C and SIGTERM: a run ends soon, after what is finished has been written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether, and by which signal, the run was asked to end. A second signal ends it at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    asked: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
}

impl Stop {
    /// Catches both signals.
    ///
    /// # Errors
    /// In one line, what the system refused.
    pub(crate) fn catch() -> Result<Self, String> {
        let stop = Self::default();
        for signal in [SIGINT, SIGTERM] {
            let number = signal.unsigned_abs() as usize;
            // In the order in which they act: the first signal finds nothing asked.
            let second =
                flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop.asked));
            let registered = second
                .and_then(|_| flag::register_usize(signal, Arc::clone(&stop.signal), number))
                .and_then(|_| flag::register(signal, Arc::clone(&stop.asked)));
            registered.map_err(|e| format!("cannot catch signal {signal}: {e}"))?;
        }
        Ok(stop)
    }

    #[cfg(test)]
    pub(crate) fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    pub(crate) fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// The signal's number, if there was one.
    pub(crate) fn signal(&self) -> Option<u8> {
        let signal = self.signal.load(Ordering::Relaxed);
        u8::try_from(signal).ok().filter(|_| self.asked())
    }
}
