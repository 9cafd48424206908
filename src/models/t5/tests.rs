//! Tokens against what transformers recorded, and what cannot be loaded.

use super::*;
use crate::Error;
use crate::models::golden::fixture;
use crate::models::sentencepiece::tests::{numbers, recorded};

#[test]
fn tokens_equal_transformers_for_any_text() {
    let recorded = recorded("T5Tokenizer");
    for (name, case) in &recorded.cases {
        let tokenizer = Tokenizer::open(case.folder().path()).unwrap();
        assert_eq!(tokenizer.max_length(), case.max_length, "{name}");
        assert_eq!(tokenizer.size(), case.size, "{name}");
        for (text, ids) in recorded.texts.iter().zip(&case.ids) {
            let found = tokenizer.encode(text, usize::MAX).unwrap();
            assert_eq!((&found.ids, found.cut), (ids, 0), "{name}: {text:?}");
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
        result.unwrap_err()
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
        let error = open("tokenizer.json", &content);
        assert!(matches!(error, Error::InvalidFile { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{expected}: {error}");
    }
    let error = open("spiece.model", "no model").to_string();
    assert!(error.contains("a SentencePiece model"), "{error}");
}

#[test]
fn flipped_bits_never_panic() {
    let whole = std::fs::read(fixture("sentencepiece/rules.model")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut number = numbers();
    let mut loaded = 0;
    for _ in 0..200 {
        let mut bytes = whole.clone();
        for _ in 0..=number(3) {
            let at = number(bytes.len());
            bytes[at] ^= 1 << number(8);
        }
        std::fs::write(folder.path().join("spiece.model"), bytes).unwrap();
        let Ok(tokenizer) = Tokenizer::open(folder.path()) else { continue };
        loaded += 1;
        for text in ["a photo of é 日本 \u{200b} 😀", "\0\u{1}", "", "ﬁ½ x-ray <sks> e\u{301}"]
        {
            drop(tokenizer.encode(text, 20));
        }
    }
    assert!(loaded > 20, "only {loaded} were still models");
}
