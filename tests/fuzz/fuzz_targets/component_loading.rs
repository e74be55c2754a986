//! Bytes that claim to be a plugin.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| catamaran_fuzz::wasm::component(data));
