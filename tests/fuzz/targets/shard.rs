//! A WebDataset shard.
#![no_main]

#[allow(dead_code, reason = "each target needs a part of it")]
mod support;

use imagerag::gallery::ingest::WebDataset;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(shard) = WebDataset::open(support::file("00000.tar", data)) {
        shard.for_each(drop);
    }
});
