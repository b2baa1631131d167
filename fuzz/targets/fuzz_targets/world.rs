#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| neap_fuzz::run("world", data));
