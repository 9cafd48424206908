//! A picture file.
#![no_main]

use imagerag::Image;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = Image::decode(data);
});
