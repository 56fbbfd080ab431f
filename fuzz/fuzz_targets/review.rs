//! A review as the API server sends it.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| stateward_fuzz::review(input));
