//! A size.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| stateward_fuzz::quantity(input));
