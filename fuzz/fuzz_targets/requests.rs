//! [`pelton_fuzz::requests`] under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pelton_fuzz::requests::run(input));
