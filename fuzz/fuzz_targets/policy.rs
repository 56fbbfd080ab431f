//! A policy file, and what it makes of one review.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| stateward_fuzz::policy(input));
