//! One reader of files, guided by coverage: the one that is named by `OPT_READER`, a folder of `corpus/`.
//!
//! `OPT_READER=idx cargo +nightly fuzz run --fuzz-dir torture --features fuzz reader torture/corpus/idx`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| opt_torture::fuzzed(bytes));
