//! What a resize sees, from which the next action is decided.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| stateward_fuzz::step(input));
