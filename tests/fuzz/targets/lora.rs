//! A LoRA of OminiControl.
#![no_main]

#[allow(dead_code, reason = "each target needs a part of it")]
mod support;

use imagerag::models::inventory;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = inventory("omini", support::file("lora.safetensors", data));
});
