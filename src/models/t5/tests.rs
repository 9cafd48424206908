//! States and tokens against what transformers recorded, and what cannot be loaded.

use std::path::PathBuf;

use tch::Kind;

use super::encoder::buckets;
use super::*;
use crate::Error;
use crate::models::common::golden::{
    self, assert_close, assert_invalid_file, assert_invalid_input, device, fixture, kind, rows,
};
use crate::models::common::weights::Weights;
use crate::models::tokenizers::sentencepiece::tests::{TEXTS, flipped, numbers, recorded};
use crate::models::tokenizers::t5::Tokenizer;

fn folder(name: &str) -> PathBuf {
    fixture("t5").join(name)
}

fn open(name: &str, kind: Kind) -> T5Encoder {
    let config = T5Config::open(&folder(name)).unwrap();
    T5Encoder::new(&Weights::open(&folder(name), device(), kind).unwrap(), &config).unwrap()
}

#[test]
fn states_equal_transformers_block_by_block() {
    for (name, batches) in [("encoder", 3), ("encoder_relu", 1)] {
        let io = folder(name).join("io.safetensors");
        let recorded = |part: &str| golden::recorded(&io, part);
        let encoder = open(name, kind());
        // 1. Each block, from what the one before it gave in transformers.
        let ids = recorded("ids.0").to_kind(Kind::Int64).to_device(device());
        let bias = encoder.bias(ids.size()[1]);
        assert_close(&format!("{name} bias"), &bias.narrow(2, 0, 1), &recorded("bias"), 0.0);
        assert_close(name, &encoder.tokens.forward(&ids), &recorded("states.0"), 0.0);
        // The last one's states are only recorded after the norm that follows it.
        let recorded_blocks = encoder.blocks.len() - 1;
        for (i, block) in encoder.blocks[..recorded_blocks].iter().enumerate() {
            let before = recorded(&format!("states.{i}")).to_device(device());
            let after = recorded(&format!("states.{}", i + 1));
            assert_close(&format!("{name} {i}"), &block.forward(&before, &bias), &after, 1e-5);
        }
        // 2. The whole.
        for batch in 0..batches {
            let ids = rows(&recorded(&format!("ids.{batch}")));
            let found = encoder.forward(&ids).unwrap();
            assert_close(name, &found, &recorded(&format!("last.{batch}")), 1e-5);
        }
    }
}

#[test]
fn half_precision_stays_near() {
    let io = folder("encoder").join("io.safetensors");
    let ids = rows(&golden::recorded(&io, "ids.0"));
    let expected = golden::recorded(&io, "last.0");
    for (kind, tolerance) in [(Kind::Half, 1e-2), (Kind::BFloat16, 1.5e-1)] {
        let found = open("encoder", kind).forward(&ids).unwrap();
        assert_eq!(found.kind(), kind);
        assert_close(&format!("{kind:?}"), &found, &expected, tolerance);
    }
    // Sums that leave the range of f16 are brought back into it, as transformers does.
    let io = folder("encoder_loud").join("io.safetensors");
    let found = open("encoder_loud", Kind::Half);
    let found = found.forward(&rows(&golden::recorded(&io, "ids.0"))).unwrap();
    assert_close("loud", &found, &golden::recorded(&io, "last.0"), 1e-2);
}

#[test]
fn distances_fall_into_sets() {
    // `T5Attention._relative_position_bucket` in transformers, of keys 0, 1, 7, 8, 15, 16, 127 and
    // 128 tokens behind, then ahead.
    let sets = buckets(300, 32, 128);
    let at = |query: i64, key: i64| sets.int64_value(&[query, key]);
    let distances = [0, 1, 7, 8, 15, 16, 127, 128, 299];
    assert_eq!(distances.map(|d| at(299, 299 - d)), [0, 1, 7, 8, 9, 10, 15, 15, 15]);
    assert_eq!(distances.map(|d| at(0, d)), [0, 17, 23, 24, 25, 26, 31, 31, 31]);
}

#[test]
fn token_numbers_the_encoder_does_not_know_are_errors() {
    let encoder = open("encoder_relu", Kind::Float);
    assert_eq!(encoder.vocab_size(), 40);
    for (ids, expected) in [
        (vec![], "at least 1, found 0"),
        (vec![vec![]], "at least 1, found 0"),
        (vec![vec![1, 2], vec![1]], "expected 2, found 1"),
        (vec![vec![1, 40]], "0 to 39, the text encoder's vocabulary, found 40"),
        (vec![vec![-1]], "found -1"),
    ] {
        assert_invalid_input(encoder.forward(&ids), expected);
    }
}

#[test]
fn settings_that_make_no_sense_are_errors_that_name_them() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let read = |fields: &str| {
        std::fs::write(file.path(), format!("{{{fields}}}")).unwrap();
        T5Config::read(file.path())
    };
    let base = read(r#""model_type": "t5""#).unwrap();
    assert_eq!((base.d_model, base.num_layers, base.feed_forward_proj.gated), (512, 6, false));
    for (expected, fields) in [
        ("model_type: expected t5, found no such field", ""),
        ("model_type: expected t5, found clip", r#""model_type": "clip""#),
        ("d_model", r#""model_type": "t5", "d_model": 0"#),
        ("num_heads", r#""model_type": "t5", "num_heads": -1"#),
        ("vocab_size", r#""model_type": "t5", "vocab_size": 0"#),
        ("num_buckets", r#""model_type": "t5", "relative_attention_num_buckets": 6"#),
        ("more than 8", r#""model_type": "t5", "relative_attention_max_distance": 8"#),
        ("layer_norm_epsilon", r#""model_type": "t5", "layer_norm_epsilon": -1"#),
        ("gelu_10", r#""model_type": "t5", "feed_forward_proj": "gated-gelu_10""#),
    ] {
        assert_invalid_file(read(fields), expected);
    }
}

#[test]
fn what_is_missing_in_a_checkpoint_is_named() {
    let mut config = T5Config::open(&folder("encoder")).unwrap();
    config.num_layers = 4;
    let weights = Weights::open(&folder("encoder"), tch::Device::Cpu, Kind::Float).unwrap();
    let error = T5Encoder::new(&weights, &config).unwrap_err().to_string();
    assert!(error.contains("encoder.block.3.layer.0"), "{error}");
    config.vocab_size = 61;
    let error = T5Encoder::new(&weights, &config).unwrap_err().to_string();
    assert!(error.contains("shared.weight") && error.contains("[60, 24]"), "{error}");
}

#[test]
fn tokens_equal_transformers_for_any_text() {
    let recorded = recorded("T5Tokenizer");
    for (name, case) in &recorded.cases {
        let tokenizer = Tokenizer::open(case.folder().path()).unwrap();
        for (text, ids) in recorded.texts.iter().zip(&case.ids) {
            let found = tokenizer.encode(text, usize::MAX).unwrap();
            assert_eq!((&found.ids, found.cut), (ids, 0), "{name}: {text:?}");
            for limit in [1, 2, 5, ids.len() - 1, ids.len(), usize::MAX] {
                let unread = tokenizer.unread(text, limit).unwrap();
                assert_eq!(unread.is_some(), limit.max(1) < ids.len(), "{limit} of {text:?}");
                assert!(unread.is_none_or(|end| text.trim().ends_with(end)), "{limit} of {text:?}");
            }
        }
        let length = case.max_length.unwrap_or(77);
        for (kind, text) in &recorded.long {
            let found = tokenizer.encode_padded(text, length).unwrap();
            assert_eq!(found.ids, case.long[kind], "{name}: {kind}");
            let whole = tokenizer.encode(text, usize::MAX).unwrap().ids.len();
            assert_eq!(found.cut, whole.saturating_sub(length), "{name}: {kind}");
        }
        let found = tokenizer.encode_padded("a photo of a bird!", length).unwrap();
        assert_eq!(found.ids, case.padded, "{name}");
        for length in [0, 1, 2] {
            let found = tokenizer.encode_padded("a photo of a bird!", length).unwrap();
            assert_eq!(found.ids.len(), length.max(1), "{name}");
        }
    }
}

#[test]
fn broken_tokenizers_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let result = Tokenizer::open(folder.path());
        std::fs::remove_file(path).unwrap();
        result
    };
    assert!(matches!(Tokenizer::open(folder.path()), Err(Error::Io { .. })));
    let model = |model: &str, normalizer: &str| {
        format!("{{\"model\": {model}, \"normalizer\": {normalizer}}}")
    };
    let vocab = r#"{"vocab": [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0]], "unk_id": 2}"#;
    for (expected, content) in [
        ("JSON", "{".to_owned()),
        ("Unigram, found BPE", model(r#"{"type": "BPE", "vocab": []}"#, "null")),
        ("`vocab`", model("{}", "null")),
        ("a Unigram model", model(r#"{"vocab": [["a", 0.0]], "unk_id": 1}"#, "null")),
        ("a Unigram model", model(r#"{"vocab": []}"#, "null")),
        ("base64", model(vocab, r#"{"precompiled_charsmap": "§"}"#)),
        ("a trie", model(vocab, r#"{"normalizers": [{"precompiled_charsmap": "AAAA"}]}"#)),
    ] {
        assert_invalid_file(open("tokenizer.json", &content), expected);
    }
    assert_invalid_file(open("spiece.model", "no model"), "a SentencePiece model");
}

#[test]
fn flipped_bits_never_panic() {
    let whole = std::fs::read(fixture("sentencepiece/rules.model")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut number = numbers();
    let mut loaded = 0;
    for _ in 0..200 {
        let bytes = flipped(&whole, &mut number);
        std::fs::write(folder.path().join("spiece.model"), bytes).unwrap();
        let Ok(tokenizer) = Tokenizer::open(folder.path()) else { continue };
        loaded += 1;
        TEXTS.iter().for_each(|text| drop(tokenizer.encode(text, 20)));
    }
    assert!(loaded > 20, "only {loaded} were still models");
}
