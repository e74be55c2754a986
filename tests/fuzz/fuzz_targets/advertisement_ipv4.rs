#![no_main]
//! Advertisements over IPv4.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| catamaran_fuzz::advertisement::<4>(data));
