//! Towers, whole models and tokens against what transformers recorded.

use std::path::PathBuf;

use serde_json::{Value, json};
use tch::Tensor;

use super::*;
use crate::Result;
use crate::models::common::golden::{
    self, assert_close, assert_invalid_file, assert_invalid_input, device, fixture, kind, rows,
    texts,
};
use crate::models::common::json::read_json;
use crate::models::tokenizers::sentencepiece::tests::{TEXTS, flipped, numbers, recorded};
use crate::models::tokenizers::siglip::Tokenizer;

fn folder(name: &str) -> PathBuf {
    fixture("siglip").join(name)
}

fn open(name: &str, kind: Kind) -> SiglipModel {
    let config = SiglipConfig::read(&folder(name).join("config.json")).unwrap();
    SiglipModel::new(&Weights::open(&folder(name), device(), kind).unwrap(), &config).unwrap()
}

#[test]
fn towers_equal_transformers_layer_by_layer() {
    for (name, layers) in [("model", 2), ("model_2", 1)] {
        let io = folder(name).join("io.safetensors");
        let recorded = |part: &str| golden::recorded(&io, part);
        let model = open(name, kind());
        let check = |part: &str, found: &Tensor| {
            assert_close(&format!("{name} {part}"), found, &recorded(part), 1e-5);
        };
        let (ids, pixels) = (rows(&recorded("ids")), recorded("pixels"));
        for (tower, x, encoder) in [
            ("text", model.text.embeddings.forward(&ids).unwrap(), &model.text.encoder),
            ("vision", model.vision.embed(&pixels).unwrap(), &model.vision.encoder),
        ] {
            check(&format!("{tower}.0"), &x);
            let (penultimate, last) = encoder.forward(&x);
            check(&format!("{tower}.{}", layers - 1), &penultimate);
            check(&format!("{tower}.{layers}"), &last);
        }
        check("text_features", &model.text.forward(&ids).unwrap());
        check("image_features", &model.vision.forward(&pixels).unwrap());
    }
}

#[test]
fn half_precision_stays_near() {
    let io = folder("model").join("io.safetensors");
    let recorded = |part: &str| golden::recorded(&io, part);
    for (kind, tolerance) in [(Kind::Half, 1e-2), (Kind::BFloat16, 6e-2)] {
        let model = open("model", kind);
        let found = model.text.forward(&rows(&recorded("ids"))).unwrap();
        assert_eq!(found.kind(), kind);
        assert_close("text", &found, &recorded("text_features"), tolerance);
        let found = model.vision.forward(&recorded("pixels")).unwrap();
        assert_close("vision", &found, &recorded("image_features"), tolerance);
    }
}

#[test]
fn texts_and_pixels_that_do_not_fit_are_errors() {
    let model = open("model", Kind::Float);
    for (ids, expected) in [
        (vec![], "1 to 16, found 0"),
        (vec![vec![1; 17]], "1 to 16, found 17"),
        (vec![vec![1, 2], vec![1]], "expected 2, found 1"),
        (vec![vec![190]], "0 to 189, the text encoder's vocabulary, found 190"),
        (vec![vec![-1]], "found -1"),
    ] {
        assert_invalid_input(model.text.forward(&ids), expected);
    }
    let pixels = Tensor::zeros([1, 3, 24, 25], (Kind::Float, tch::Device::Cpu));
    let error = model.vision.forward(&pixels).unwrap_err().to_string();
    assert!(error.contains("[b, 3, 24, 24], found [1, 3, 24, 25]"), "{error}");
}

#[test]
fn settings_that_make_no_sense_are_errors_that_name_them() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let whole: Value = read_json(&folder("model/config.json")).unwrap();
    let read = |tower: &str, field: &str, value: Value| -> Result<SiglipConfig> {
        let mut changed = whole.clone();
        changed[tower][field] = value;
        std::fs::write(file.path(), changed.to_string()).unwrap();
        SiglipConfig::read(file.path())
    };
    assert_eq!(read("text_config", "vocab_size", json!(190)).unwrap().dim(), 32);
    for (tower, field, value, expected) in [
        ("text_config", "vocab_size", json!(0), "vocab_size"),
        ("text_config", "max_position_embeddings", json!(0), "max_position_embeddings"),
        ("text_config", "hidden_size", json!(25), "a multiple of 3"),
        ("text_config", "num_attention_heads", json!(0), "num_attention_heads"),
        ("text_config", "layer_norm_eps", json!(-1), "layer_norm_eps"),
        ("text_config", "projection_size", json!(24), "32, the image tower's hidden_size"),
        ("text_config", "hidden_act", json!("gelu_10"), "gelu_10"),
        ("vision_config", "num_channels", json!(1), "num_channels"),
        ("vision_config", "vision_use_head", json!(false), "vision_use_head"),
        ("vision_config", "image_size", json!(6), "7, the patch_size"),
        ("vision_config", "patch_size", json!(0), "patch_size"),
        ("vision_config", "num_hidden_layers", json!(-2), "num_hidden_layers"),
    ] {
        assert_invalid_file(read(tower, field, value), expected);
    }
}

#[test]
fn tokens_equal_transformers_for_any_text() {
    let recorded = recorded("SiglipTokenizer");
    for (name, case) in &recorded.cases {
        let length = case.max_length.unwrap();
        let folder = case.folder();
        let tokenizer = Tokenizer::open(folder.path(), 1000).unwrap();
        let pad = *case.padded.last().unwrap();
        for (text, ids) in recorded.texts.iter().zip(&case.ids) {
            let mut expected = ids.clone();
            if ids.len() > length {
                expected.truncate(length - 1);
                expected.push(*ids.last().unwrap());
            }
            expected.resize(length, pad);
            assert_eq!(tokenizer.encode(text).unwrap(), expected, "{name}: {text:?}");
        }
        for (kind, text) in &recorded.long {
            assert_eq!(tokenizer.encode(text).unwrap(), case.long[kind], "{name}: {kind}");
        }
        assert_eq!(tokenizer.encode("a photo of a bird!").unwrap(), case.padded, "{name}");
        // The network may have fewer places than the files say.
        let short = Tokenizer::open(folder.path(), 5).unwrap();
        assert_eq!(short.encode("a photo of a bird!").unwrap().len(), 5, "{name}");
    }
}

#[test]
fn whole_tokenizers_are_read_as_they_are() {
    // Gemma's, as SigLIP 2 has it.
    let ids = rows(&golden::recorded(&folder("model_2/io.safetensors"), "ids"));
    let tokenizer = Tokenizer::open(&folder("model_2"), 20).unwrap();
    for (text, ids) in texts(&folder("model_2")).iter().zip(ids) {
        assert_eq!(tokenizer.encode(text).unwrap(), ids, "{text:?}");
    }
    // A map of characters that leads out of its bounds is no tokenizer.
    let path = tempfile::tempdir().unwrap();
    let mut whole: Value = read_json(&folder("model_2/tokenizer.json")).unwrap();
    whole["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": "BAAAAAD//w8="});
    std::fs::write(path.path().join("tokenizer.json"), whole.to_string()).unwrap();
    assert_invalid_file(Tokenizer::open(path.path(), 20), "a trie within its bounds");
}

#[test]
fn flipped_bits_in_a_tokenizer_never_panic() {
    let place = tempfile::tempdir().unwrap();
    let (mut number, mut loaded) = (numbers(), 0);
    for name in ["model/spiece.model", "model_2/tokenizer.json"] {
        let whole = std::fs::read(folder(name)).unwrap();
        let path = place.path().join(PathBuf::from(name).file_name().unwrap());
        for _ in 0..60 {
            std::fs::write(&path, flipped(&whole, &mut number)).unwrap();
            let Ok(tokenizer) = Tokenizer::open(place.path(), 20) else { continue };
            loaded += 1;
            TEXTS.iter().for_each(|text| drop(tokenizer.encode(text)));
        }
        std::fs::remove_file(path).unwrap();
    }
    assert!(loaded > 20, "only {loaded} were still tokenizers");
}
