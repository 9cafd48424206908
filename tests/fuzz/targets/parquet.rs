//! A Parquet file of metadata, beside whole embeddings.
#![no_main]

#[allow(dead_code, reason = "each target needs a part of it")]
mod support;

use libfuzzer_sys::fuzz_target;

fuzz_target!(
    // Its library panics on some damage, which imagerag catches: no end of the run.
    init: std::panic::set_hook(Box::new(|_| {})),
    |data: &[u8]| support::clip_retrieval("metadata/metadata_0.parquet", data, "img_emb/img_emb_0.npy")
);
