#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| udpr_fuzz::addr::run(data));
