//! [`pelton_fuzz::log_files`] under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pelton_fuzz::log_files::run(input));
