#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| udpr_fuzz::error_queue::run(data));
