//! A stream of manifests, judged and reported.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| stateward_fuzz::manifest(input));
