//! [`pelton_fuzz::group_records`] under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pelton_fuzz::group_records::run(input));
