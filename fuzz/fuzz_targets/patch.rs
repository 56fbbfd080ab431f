//! A new StatefulSet, whose patches have to fit and to come to rest.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| stateward_fuzz::patch(input));
