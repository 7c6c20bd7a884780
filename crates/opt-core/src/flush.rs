//! Denormal numbers count as 0 within a pass.
//!
//! Arithmetic on them is done by microcode on many processors: a gradient of 1e-40, or of 1e-22 whose
//! square is one, makes a step ten to a hundred times slower, and the decaying averages of a unit
//! that is dead pass through that range. x86 can take them for 0, by two bits of a register of the
//! thread.

/// Runs `pass` with denormal numbers taken for 0, as operands and as results, on x86 with SSE2;
/// elsewhere as it is. The thread's setting is restored, also if `pass` panics.
pub(crate) fn flushing<R>(pass: impl FnOnce() -> R) -> R {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    let _guard = mxcsr::Flushing::begin();
    pass()
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod mxcsr {
    use std::arch::asm;
    use std::marker::PhantomData;

    /// Flush results to 0 (bit 15), take operands for 0 (bit 6).
    const BITS: u32 = 1 << 15 | 1 << 6;

    /// Restores the thread's setting when it is dropped; bound to the thread.
    pub(super) struct Flushing(u32, PhantomData<*const ()>);

    impl Flushing {
        pub(super) fn begin() -> Self {
            let before = get();
            set(before | BITS);
            Self(before, PhantomData)
        }
    }

    impl Drop for Flushing {
        fn drop(&mut self) {
            set(self.0);
        }
    }

    pub(super) fn get() -> u32 {
        let mut now = 0_u32;
        // SAFETY: stores the register into a variable of ours of its size, and does nothing else.
        unsafe { asm!("stmxcsr [{}]", in(reg) &mut now, options(nostack, preserves_flags)) };
        now
    }

    fn set(to: u32) {
        // SAFETY: reads a variable of ours. `to` is a value that the register had, or that with the
        // two bits, which all processors of x86_64 have: no reserved bit is set, which would fault,
        // and exceptions stay masked as they were. Rust takes the setting to be the default one, so
        // that what is computed between the two calls may be flushed or not where the compiler has
        // moved or folded it; a value that is no more than denormal in either case, in numbers
        // that are written to memory and never indices or lengths: no memory access depends on it.
        // The blocks may touch memory for all that the compiler knows (no `nomem`), so that loads
        // and stores of the loop between stay between them, and with them what is computed from
        // one to the other.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &to, options(nostack)) };
    }

    #[cfg(test)]
    mod tests {
        use super::get;
        use crate::flush::flushing;
        use crate::kernel::each;

        #[test]
        fn flushed_within_and_restored_after() {
            // Without the flags of what has happened.
            let control = || get() & !0x3f;
            let before = control();
            let tiny = [f32::MIN_POSITIVE / 2.0; 40];
            let add = |x: &mut [f32; 40]| each(x, &tiny, [], move |x, g, []| (x + g, []));
            let (mut plain, mut flushed) = ([0.0; 40], [0.0; 40]);
            add(&mut plain);
            flushing(|| add(&mut flushed));
            add(&mut plain);
            assert_eq!((plain, flushed), ([f32::MIN_POSITIVE; 40], [0.0; 40]));
            assert_eq!(control(), before);
            std::panic::catch_unwind(|| flushing(|| panic!("on purpose"))).unwrap_err();
            assert_eq!(control(), before);
        }
    }
}
