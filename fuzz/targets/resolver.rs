#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| volgate_fuzz::run(bytes, volgate_fuzz::targets::resolver));
