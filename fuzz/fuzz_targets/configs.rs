//! [`pelton_fuzz::configs`] under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pelton_fuzz::configs::run(input));
