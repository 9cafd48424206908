//! The index of a checkpoint's shards, and after a byte of 0 the one shard beside it.
#![no_main]

#[allow(dead_code, reason = "each target needs a part of it")]
mod support;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (index, shard) = match data.iter().position(|&byte| byte == 0) {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &data[..0]),
    };
    support::file("a.safetensors", shard);
    let index = support::file("model.safetensors.index.json", index);
    let _ = imagerag::fuzzing::checkpoint(&index);
    let _ = imagerag::fuzzing::checkpoint(&support::folder().join("a.safetensors"));
});
