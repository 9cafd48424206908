//! Towers, whole models and tokens against what transformers recorded.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tch::Kind;

use super::*;
use crate::Error;
use crate::models::common::fields::Fields;
use crate::models::common::golden::{
    assert_close, assert_invalid_file, copy, device, fixture, kind, pictures, recorded, rows, texts,
};
use crate::models::common::json::read_json;
use crate::models::common::preprocess::{Family, Preprocessor};
use crate::models::tokenizers::clip::Tokenizer;
use serde::Deserialize;

fn folder(name: &str) -> PathBuf {
    fixture("clip").join(name)
}

fn text_model(name: &str, kind: Kind) -> TextModel {
    let folder = folder(name);
    let weights = Weights::open(&folder, device(), kind).unwrap();
    TextModel::new(&weights, &TextConfig::open(&folder).unwrap()).unwrap()
}

/// Fails unless `found` is what transformers recorded of a `part` of the tower in the folder `name`.
fn check(name: &str, part: &str, found: &Tensor) {
    let expected = recorded(&folder(name).join("io.safetensors"), part);
    assert_close(&format!("{name} {part}"), found, &expected, 1e-5);
}

#[test]
fn text_towers_equal_transformers() {
    for (name, projects) in
        [("text_encoder", false), ("text_encoder_plain", false), ("text_encoder_2", true)]
    {
        let io = folder(name).join("io.safetensors");
        let ids = rows(&recorded(&io, "ids"));
        let model = text_model(name, kind());
        let found = model.forward(&ids).unwrap();
        let check = |part: &str, tensor: &Tensor| check(name, part, tensor);
        check("penultimate", &found.penultimate);
        check("last", &found.last);
        check("pooled", &found.pooled);
        assert_eq!(found.projected.is_some(), projects);
        if let Some(projected) = &found.projected {
            check("projected", projected);
        }
    }
}

#[test]
fn image_towers_equal_transformers() {
    for (name, projects) in [("image_encoder", true), ("image_encoder_plain", false)] {
        let io = folder(name).join("io.safetensors");
        let pixels = recorded(&io, "pixels");
        let model = VisionModel::open(&folder(name), device(), kind()).unwrap();
        let found = model.forward(&pixels).unwrap();
        let check = |part: &str, tensor: &Tensor| check(name, part, tensor);
        check("penultimate", &found.penultimate);
        check("penultimate", &model.penultimate(&pixels).unwrap());
        check("pooled", &found.pooled);
        assert_eq!(found.projected.is_some(), projects);
        if let Some(projected) = &found.projected {
            check("projected", projected);
        }
    }
}

#[test]
fn half_precision_stays_near() {
    for (kind, tolerance) in [(Kind::Half, 1e-2), (Kind::BFloat16, 6e-2)] {
        let io = folder("text_encoder_2").join("io.safetensors");
        let model = text_model("text_encoder_2", kind);
        let found = model.forward(&rows(&recorded(&io, "ids"))).unwrap();
        assert_eq!(found.penultimate.kind(), kind);
        assert_close("text", &found.last, &recorded(&io, "last"), tolerance);
        let io = folder("image_encoder").join("io.safetensors");
        let model = VisionModel::open(&folder("image_encoder"), device(), kind).unwrap();
        let found = model.penultimate(&recorded(&io, "pixels")).unwrap();
        assert_close("vision", &found, &recorded(&io, "penultimate"), tolerance);
    }
}

#[test]
fn the_whole_model_equals_transformers() {
    let path = folder("model");
    let io = path.join("io.safetensors");
    let weights = Weights::open(&path, device(), kind()).unwrap();
    let config = ClipConfig::read(&path.join("config.json")).unwrap();
    let model = ClipModel::new(&weights, &config).unwrap();
    let tokenizer = Tokenizer::open(&path).unwrap();
    let encode = |text: &String| tokenizer.encode(text, 32).unwrap();
    let mut ids: Vec<Vec<i64>> = texts(&path).iter().map(encode).collect();
    ids.iter_mut().for_each(|ids| tokenizer.pad(ids, 32));
    let found = model.text_features(&ids).unwrap();
    assert_close("texts", &found, &recorded(&io, "text_features"), 1e-5);
    let preprocessor = Preprocessor::open(&path, model.vision.image_size(), Family::Clip).unwrap();
    let pixels = preprocessor.forward(&pictures(&path));
    assert_close("pixels", &pixels, &recorded(&io, "pixels"), 1e-6);
    let found = model.image_features(&pixels).unwrap();
    assert_close("images", &found, &recorded(&io, "image_features"), 1e-5);
}

#[derive(Deserialize)]
struct Tokens {
    texts: Vec<String>,
    long: HashMap<String, String>,
    folders: HashMap<String, Recorded>,
}

#[derive(Deserialize)]
struct Recorded {
    max_length: Option<usize>,
    ids: Vec<Vec<i64>>,
    long: HashMap<String, Vec<i64>>,
    padded: Vec<i64>,
}

#[test]
fn tokens_equal_transformers_for_any_text() {
    let tokens: Tokens = read_json(&folder("tokens.json")).unwrap();
    assert!(tokens.texts.len() > 400 && tokens.folders.len() == 5);
    for (name, expected) in &tokens.folders {
        let tokenizer = Tokenizer::open(&folder(name)).unwrap();
        assert_eq!(tokenizer.max_length(), expected.max_length, "{name}");
        for (text, ids) in tokens.texts.iter().zip(&expected.ids) {
            assert_eq!(&tokenizer.encode(text, usize::MAX).unwrap(), ids, "{name}: {text:?}");
        }
        let length = expected.max_length.unwrap_or(77);
        for (long, ids) in &expected.long {
            let found = tokenizer.encode_padded(&tokens.long[long], length).unwrap();
            assert_eq!(&found, ids, "{name}: {long}");
        }
        let found = tokenizer.encode_padded("a photo of a bird!", length).unwrap();
        assert_eq!(found, expected.padded, "{name}");
    }
}

#[test]
fn what_is_cut_off_a_text_is_its_end() {
    let tokens: Tokens = read_json(&folder("tokens.json")).unwrap();
    let tokenizer = Tokenizer::open(&folder("tokenizer")).unwrap();
    for text in tokens.texts.iter().chain(tokens.long.values()) {
        let whole = tokenizer.encode(text, usize::MAX).unwrap().len();
        for limit in [2, 3, 7, whole - 1, whole, whole + 1, usize::MAX] {
            let unread = tokenizer.unread(text, limit).unwrap();
            assert_eq!(unread.is_some(), limit.max(2) < whole, "{limit} of {text:?}");
            assert!(unread.is_none_or(|end| text.trim().ends_with(end)), "{limit} of {text:?}");
        }
        // All tokens are in some row, in order.
        let rows = tokenizer.encode_chunks(text, 12).unwrap();
        let joined: Vec<_> = rows.iter().flat_map(|row| &row[1..row.len() - 1]).copied().collect();
        let expected = tokenizer.encode(text, usize::MAX).unwrap();
        assert_eq!(joined[..whole - 2], expected[1..whole - 1], "{text:?}");
        assert!(
            rows.iter().all(|row| row.len() == 12) && rows.len() == (whole - 2).div_ceil(10).max(1)
        );
    }
    // From the first token that is not read, which may be the rest of a word.
    assert_eq!(tokenizer.unread("bird, fly away", 3).unwrap(), Some("d, fly away"));
    assert_eq!(tokenizer.unread("bird, fly away", 4).unwrap(), Some(", fly away"));
}

/// The files of `tokenizer`, each changed.
fn tokenizer_with(change: impl Fn(&str, String) -> String) -> crate::Result<Tokenizer> {
    let copied = copy(&folder("tokenizer"));
    for entry in std::fs::read_dir(copied.path()).unwrap().map(Result::unwrap) {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let name = entry.file_name();
        std::fs::write(entry.path(), change(name.to_str().unwrap(), text)).unwrap();
    }
    Tokenizer::open(copied.path())
}

#[test]
fn files_of_a_tokenizer_are_read_as_editors_and_programs_write_them() {
    let merges = |change: fn(String) -> String| {
        move |name: &str, text| if name == "merges.txt" { change(text) } else { text }
    };
    let plain = tokenizer_with(|_, text| text).unwrap();
    let marked = |_: &str, text| format!("\u{feff}{text}");
    let not_finite = |name: &str, text: String| match name {
        "tokenizer_config.json" => text.replacen('{', r#"{"dropout": NaN, "other": -Infinity,"#, 1),
        _ => text,
    };
    for (what, found) in [
        ("marks", tokenizer_with(marked)),
        ("not finite", tokenizer_with(not_finite)),
        ("returns", tokenizer_with(merges(|text| text.replace('\n', "\r\n")))),
        ("no version", tokenizer_with(merges(|text| text.split_once('\n').unwrap().1.to_owned()))),
        ("blank lines", tokenizer_with(merges(|text| text + "\n \n\n"))),
        ("blanks", tokenizer_with(merges(|text| text.replace('\n', " \n")))),
    ] {
        let found = found.unwrap_or_else(|error| panic!("{what}: {error}"));
        for text in ["a photo of a bird's nest", "naïve 🐝 it isn't"] {
            assert_eq!(found.encode(text, 77).unwrap(), plain.encode(text, 77).unwrap(), "{what}");
        }
    }
}

#[test]
fn a_broken_merge_is_named_by_file_and_line() {
    let second = |merge: &'static str| {
        tokenizer_with(move |name, text| match name {
            "merges.txt" => text.replacen('\n', &format!("\n{merge}\n"), 1),
            _ => text,
        })
    };
    for (merge, words) in [
        ("a b c", "merges.txt: line 2: expected two tokens, found \"a b c\""),
        ("ab", "merges.txt: line 2: expected two tokens, found \"ab\""),
        ("a zebra", "merges.txt: line 2: expected tokens of vocab.json, found \"zebra\""),
        ("! !", "merges.txt: line 2: expected tokens of vocab.json, found \"!!\""),
    ] {
        assert_invalid_file(second(merge), words);
    }
    let broken = |name: &'static str| {
        tokenizer_with(move |file, text| if file == name { text + "}" } else { text })
    };
    for name in ["vocab.json", "tokenizer_config.json", "special_tokens_map.json"] {
        assert_invalid_file(broken(name), name);
    }
}

#[test]
fn token_numbers_a_tower_does_not_know_are_errors() {
    let model = text_model("text_encoder", kind());
    let known = TextConfig::open(&folder("text_encoder")).unwrap().sizes.vocab_size;
    let uneven = vec![vec![0, 1], vec![0]];
    let rows = [vec![0; 21], vec![], vec![0, -1], vec![known]].map(|row| vec![row]);
    for ids in rows.into_iter().chain([vec![], uneven]) {
        assert!(matches!(model.forward(&ids), Err(Error::InvalidInput { .. })), "{ids:?}");
    }
    let model = VisionModel::open(&folder("image_encoder"), device(), kind()).unwrap();
    let pixels = Tensor::zeros([1, 3, 28, 27], (Kind::Float, tch::Device::Cpu));
    let error = model.forward(&pixels).unwrap_err().to_string();
    assert_eq!(error, "pixels: expected [b, 3, 28, 28], found [1, 3, 28, 27]");
}

#[test]
fn settings_that_make_no_sense_are_errors_that_name_them() {
    let fields = |json: &str| Fields::parse(Path::new("config.json"), json);
    let text = |json: &str| TextConfig::alone(&fields(json)?);
    let vision = |json: &str| VisionConfig::alone(&fields(json)?);
    let typed =
        |json: &str, name: &str| json.replacen('{', &format!("{{\"model_type\": {name:?},"), 1);
    for (json, named) in [
        ("{", "JSON"),
        (r#"{"hidden_act": "gelu_10"}"#, "gelu_10"),
        (r#"{"hidden_size": "wide"}"#, "wide"),
        (r#"{"hidden_size": 0}"#, "hidden_size"),
        (r#"{"hidden_size": 513}"#, "multiple of 8"),
        (r#"{"num_attention_heads": 0}"#, "num_attention_heads"),
        (r#"{"num_hidden_layers": 9223372036854775807}"#, "num_hidden_layers"),
        (r#"{"vocab_size": -1}"#, "vocab_size"),
        (r#"{"layer_norm_eps": -1.0}"#, "layer_norm_eps"),
        (
            r#"{"architectures": ["CLIPTextModelWithProjection"], "projection_dim": 0}"#,
            "projection_dim",
        ),
    ] {
        let error = text(&typed(json, "clip_text_model")).unwrap_err().to_string();
        assert!(error.contains("config.json") && error.contains(named), "{json}: {error}");
    }
    for (json, named) in [
        (r#"{"patch_size": 0}"#, "patch_size"),
        (r#"{"image_size": 16}"#, "image_size"),
        (r#"{"image_size": 1000000000}"#, "image_size"),
        (r#"{"num_channels": 4}"#, "num_channels"),
    ] {
        assert_invalid_file(vision(&typed(json, "clip_vision_model")), named);
    }
    for json in [r#"{"_class_name": "AutoencoderKL"}"#, r#"{"model_type": "clip"}"#, "{}"] {
        assert_invalid_file(text(json), "clip_text_model");
    }
    let alone = fields(r#"{"text_config": {}}"#).unwrap();
    assert_invalid_file(ClipConfig::new(&alone), "vision_config");
}

#[test]
fn tokenizers_that_make_no_sense_are_errors() {
    let temp = tempfile::tempdir().unwrap();
    for (vocab, merges, config) in [
        ("[]", "", ""),
        (r#"{"a": -1}"#, "", ""),
        (r#"{"a": 0}"#, "a b c\n", ""),
        (r#"{"a": 0}"#, "a b\n", ""),
        (r#"{"a": 0}"#, "", r#"{"bos_token": 3}"#),
        (r#"{"a": 0}"#, "", r#"{"padding_side": "left"}"#),
        (r#"{"a": 0}"#, "", r#"{"added_tokens_decoder": {"x": {"content": "y"}}}"#),
    ] {
        let config = if config.is_empty() { "{}" } else { config };
        for (name, text) in
            [("vocab.json", vocab), ("merges.txt", merges), ("tokenizer_config.json", config)]
        {
            std::fs::write(temp.path().join(name), text).unwrap();
        }
        let error = Tokenizer::open(temp.path()).unwrap_err();
        assert!(matches!(error, Error::InvalidFile { .. }), "{vocab} {merges} {config}: {error}");
    }
    let gone = temp.path().to_owned();
    drop(temp);
    assert!(matches!(Tokenizer::open(&gone), Err(Error::Io { .. })));
}
