//! A NumPy file of embeddings, beside whole metadata.
#![no_main]

#[allow(dead_code, reason = "each target needs a part of it")]
mod support;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    support::clip_retrieval("img_emb/img_emb_0.npy", data, "metadata/metadata_0.parquet");
});
