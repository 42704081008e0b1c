//! See `oprc_crm_fuzz::units`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oprc_crm_fuzz::units(bytes));
