//! Headers of balancers: see `checks`. Seeds are in `seeds/announced`.
#![no_main]

#[path = "../checks/mod.rs"]
#[expect(dead_code, reason = "each target runs one of the checks")]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::announced(bytes));
