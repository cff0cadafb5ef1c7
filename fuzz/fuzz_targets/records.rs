//! [`pelton_fuzz::records`] under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pelton_fuzz::records::run(input));
