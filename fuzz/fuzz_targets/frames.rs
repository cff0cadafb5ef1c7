//! [`pelton_fuzz::frames`] under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pelton_fuzz::frames::run(input));
