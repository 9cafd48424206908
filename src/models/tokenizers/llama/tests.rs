//! Folders that hold no Llama tokenizer, damaged ones, and how a reading is chosen. What texts become
//! is compared with diffusers in src/models/omnigen/prompt_tests.rs.

use std::fs;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::models::common::golden::{assert_invalid_file, fixture};
use crate::models::tokenizers::sentencepiece::tests::{TEXTS, flipped, numbers};

const READINGS: [TokenizerReading; 2] = [TokenizerReading::File, TokenizerReading::Transformers5];

fn source(kind: &str, name: &str) -> Vec<u8> {
    fs::read(fixture("omnigen_prompts").join(kind).join(name)).unwrap()
}

fn folder(name: &str, content: impl AsRef<[u8]>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), content).unwrap();
    folder
}

#[test]
fn folders_without_a_tokenizer_name_the_file() {
    for reading in READINGS {
        let empty = tempfile::tempdir().unwrap();
        let error = Tokenizer::open(empty.path(), reading).unwrap_err().to_string();
        assert!(error.contains("tokenizer.model"), "{error}");
        let not_json = folder("tokenizer.json", "{");
        assert_invalid_file(Tokenizer::open(not_json.path(), reading), "tokenizer.json");
        // A Unigram model, which T5 has.
        let unigram = fs::read(fixture("sentencepiece/bytes.model")).unwrap();
        let unigram = folder("tokenizer.model", unigram);
        let error = Tokenizer::open(unigram.path(), reading);
        assert_invalid_file(error, "model_type: expected 2, which is Bpe, found 1");
    }
}

#[test]
fn parts_that_do_not_fit_each_other_are_named() {
    let whole: Value = serde_json::from_slice(&source("phi-3", "tokenizer.json")).unwrap();
    let changed = |pointer: &str, value: Value| {
        let mut whole = whole.clone();
        *whole.pointer_mut(pointer).unwrap() = value;
        folder("tokenizer.json", whole.to_string())
    };
    for (pointer, value, words) in [
        ("/post_processor/special_tokens", json!({}), "post_processor: expected tokens"),
        ("/post_processor/single/1/Sequence/id", json!("B"), "post_processor: expected one text"),
        ("/model/merges/0", json!(["no", "such"]), "tokenizer.json"),
        ("/model/vocab", json!({}), "tokenizer.json"),
    ] {
        for reading in READINGS {
            let folder = changed(pointer, value.clone());
            assert_invalid_file(Tokenizer::open(folder.path(), reading), words);
        }
    }
    // Run as it is, another model is none of our business.
    let words = json!({"type": "WordLevel", "vocab": {"a": 0, "<unk>": 1}, "unk_token": "<unk>"});
    let folder = changed("/model", words);
    assert!(Tokenizer::open(folder.path(), TokenizerReading::File).is_ok());
    let error = Tokenizer::open(folder.path(), TokenizerReading::Transformers5);
    assert_invalid_file(error, "model: expected BPE, found WordLevel");
}

#[test]
fn flags_of_a_model_say_what_stands_around_a_text() {
    let model = source("old_model", "tokenizer.model");
    let ids = |config: &str, reading| {
        let folder = folder("tokenizer.model", &model);
        fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
        Tokenizer::open(folder.path(), reading).unwrap().encode("a bird").unwrap()
    };
    let [file, five] = READINGS.map(|reading| ids("{}", reading));
    assert_eq!(file, [&[1], five.as_slice()].concat());
    let both = r#"{"add_bos_token": true, "add_eos_token": true}"#;
    for reading in READINGS {
        assert_eq!(ids(both, reading), [&[1], five.as_slice(), &[2]].concat());
        assert_eq!(ids(r#"{"add_bos_token": false}"#, reading), five);
        let plain = ids(r#"{"add_prefix_space": false, "add_bos_token": false}"#, reading);
        assert_ne!(plain, five);
    }
}

#[test]
fn readings_have_names_and_a_class_decides() {
    for reading in READINGS {
        assert_eq!(reading.to_string().parse::<TokenizerReading>().unwrap(), reading);
        for class in ["PreTrainedTokenizerFast", "TokenizersBackend"] {
            assert_eq!(reading.of_class(class), TokenizerReading::File);
        }
        for class in ["LlamaTokenizer", "LlamaTokenizerFast"] {
            assert_eq!(reading.of_class(class), reading);
        }
    }
    let error = "transformers".parse::<TokenizerReading>().unwrap_err().to_string();
    assert!(error.contains("file or transformers5"), "{error}");
}

#[test]
fn flipped_bits_never_panic() {
    let (mut number, mut opened) = (numbers(), 0);
    for (kind, name) in [("phi-3", "tokenizer.json"), ("old_model", "tokenizer.model")] {
        let whole = source(kind, name);
        for _ in 0..150 {
            let folder = folder(name, flipped(&whole, &mut number));
            for reading in READINGS {
                let Ok(tokenizer) = Tokenizer::open(folder.path(), reading) else { continue };
                opened += 1;
                for text in TEXTS {
                    drop(tokenizer.encode(text));
                }
            }
        }
    }
    assert!(opened > 50, "{opened}");
}
