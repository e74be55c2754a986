//! A plugin that calls the host in any order with any arguments, and an
//! endpoint that answers anything.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| catamaran_fuzz::wasm::calls(data));
