//! Models against what SentencePiece says of them, damaged ones, and what transformers recorded.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::Precompiled;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};

use super::*;
use crate::models::common::golden::{assert_invalid_file, fixture};
use crate::models::common::json::read_json;

/// What transformers made of texts with one folder.
#[derive(Deserialize)]
pub(crate) struct Case {
    class: String,
    model: Option<String>,
    files: HashMap<String, Value>,
    pub(crate) max_length: Option<usize>,
    pub(crate) ids: Vec<Vec<i64>>,
    pub(crate) long: HashMap<String, Vec<i64>>,
    pub(crate) padded: Vec<i64>,
}

/// The texts, and what was made of them.
#[derive(Deserialize)]
pub(crate) struct Recorded {
    pub(crate) texts: Vec<String>,
    pub(crate) long: HashMap<String, String>,
    pub(crate) cases: BTreeMap<String, Case>,
}

/// What transformers' `class` made of texts.
pub(crate) fn recorded(class: &str) -> Recorded {
    let mut recorded: Recorded = read_json(&fixture("sentencepiece/tokens.json")).unwrap();
    recorded.cases.retain(|_, case| case.class == class);
    assert!(recorded.texts.len() > 300 && recorded.cases.len() > 3);
    recorded
}

impl Case {
    /// The folder that transformers read.
    pub(crate) fn folder(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        if let Some(model) = &self.model {
            let from = fixture("sentencepiece").join(model);
            std::fs::copy(from, folder.path().join("spiece.model")).unwrap();
        }
        for (name, content) in &self.files {
            std::fs::write(folder.path().join(name), content.to_string()).unwrap();
        }
        folder
    }
}

#[test]
fn models_hold_what_was_trained() {
    let open = |name: &str| Model::open(&fixture("sentencepiece").join(name)).unwrap();
    let rules = open("rules.model");
    let kinds: Vec<_> = rules.pieces[..6].iter().map(|p| (p.text.as_str(), p.kind)).collect();
    use PieceType::{Byte, Control, Unknown, UserDefined};
    let expected = [
        ("<pad>", Control),
        ("</s>", Control),
        ("<unk>", Unknown),
        ("<ctl>", Control),
        ("<sks>", UserDefined),
        ("x-ray", UserDefined),
    ];
    assert_eq!(kinds, expected);
    assert_eq!((rules.unknown, rules.byte_fallback, rules.add_dummy_prefix), (2, false, true));
    let map = rules.charsmap.unwrap();
    for (text, expected) in [
        ("e\u{301}x", Some((3, "e"))),
        ("日本", Some((6, "japan"))),
        ("日x", Some((3, "sun"))),
        ("\u{200b}", Some((3, ""))),
        ("e", None),
        ("", None),
        ("\0", None),
    ] {
        assert_eq!(map.longest(text.as_bytes()), expected, "{text:?}");
    }
    let bytes = open("bytes.model");
    assert!(bytes.byte_fallback && bytes.charsmap.is_none() && !bytes.add_dummy_prefix);
    assert!(!bytes.remove_extra_whitespaces);
    assert_eq!((bytes.pieces[3].text.as_str(), bytes.pieces[3].kind), ("<0x00>", Byte));
}

#[test]
fn damaged_models_are_errors() {
    let path = fixture("sentencepiece/rules.model");
    let whole = std::fs::read(&path).unwrap();
    let parse = |bytes: &[u8]| Model::parse(&path, bytes);
    // Cut short: the pieces before the cut may be whole, so not each is an error; none panics.
    for length in 0..whole.len() {
        drop(parse(&whole[..length]));
    }
    let error = parse(&whole[..whole.len() / 3 + 1]).unwrap_err().to_string();
    assert!(error.contains("rules.model") && error.contains("SentencePiece"), "{error}");
    let error = parse(&[]).unwrap_err().to_string();
    assert!(error.contains("pieces of type unknown: expected 1, found 0"), "{error}");
    // A piece twice, one without a text, one with a score that is no number, a type that is none.
    let piece = |fields: &[&[u8]]| {
        let message = fields.concat();
        [&[0x0a, message.len() as u8], message.as_slice()].concat()
    };
    let text: &[u8] = &[0x0a, 1, b'x'];
    for (expected, added) in [
        ("\"x\" again", [piece(&[text]), piece(&[text])].concat()),
        ("expected a text, found none", piece(&[&[0x18, 1]])),
        ("finite score, found NaN", piece(&[text, &[0x15, 0, 0, 0xc0, 0x7f]])),
        ("type 1 to 6, found 7", piece(&[text, &[0x18, 7]])),
        ("UTF-8", piece(&[&[0x0a, 1, 0xff]])),
        ("expected 1, found 2", piece(&[text, &[0x18, 2]])),
        ("Unigram, found 2", vec![0x12, 2, 0x18, 2]),
        ("treat_whitespace_as_suffix", vec![0x12, 3, 0xc0, 1, 1]),
        ("escape_whitespaces", vec![0x1a, 2, 0x28, 0]),
        ("a trie and replacements", vec![0x1a, 3, 0x12, 1, 0]),
        ("a trie within its bounds, found an empty", vec![0x1a, 6, 0x12, 4, 0, 0, 0, 0]),
    ] {
        assert_invalid_file(parse(&[whole.as_slice(), &added].concat()), expected);
    }
}

/// Numbers that look random, the same every time.
pub(crate) fn numbers() -> impl FnMut(usize) -> usize {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    }
}

/// `whole` with one to three bits flipped.
pub(crate) fn flipped(whole: &[u8], number: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
    let mut bytes = whole.to_owned();
    for _ in 0..=number(3) {
        let at = number(bytes.len());
        bytes[at] ^= 1 << number(8);
    }
    bytes
}

/// Texts with all that a tokenizer treats in some way of its own.
pub(crate) const TEXTS: [&str; 4] =
    ["a photo of é 日本 \u{200b} 😀", "\0\u{1}", "", "ﬁ½ x-ray <sks> e\u{301}"];

#[test]
fn flipped_bits_never_panic() {
    let (mut number, mut cut) = (numbers(), 0);
    for name in ["rules.model", "bytes.model"] {
        let path = fixture("sentencepiece").join(name);
        let whole = std::fs::read(&path).unwrap();
        for _ in 0..300 {
            let bytes = flipped(&whole, &mut number);
            let Ok(model) = Model::parse(&path, &bytes) else { continue };
            let map = model.charsmap.clone();
            let processor = Processor::new(model);
            for text in TEXTS {
                let known = |&number: &usize| number < processor.size();
                assert!(processor.encode(text).iter().all(known), "{text:?}");
                for start in 0..text.len() {
                    let _ = map.as_ref().map(|map| map.longest(&text.as_bytes()[start..]));
                }
                cut += 1;
            }
        }
    }
    assert!(cut > 100, "only {cut} texts were cut");
}

/// Why this folder is here. The `tokenizers` crate replaces a whole grapheme by what its first
/// character becomes; an accent that follows a ligature is lost.
#[test]
fn the_tokenizers_crate_cuts_texts_in_another_way() {
    let model = Model::open(&fixture("sentencepiece/nmt_nfkc.model")).unwrap();
    let pieces = model.pieces.iter().map(|piece| (piece.text.clone(), f64::from(piece.score)));
    let unigram = Unigram::from(pieces.collect(), Some(model.unknown), model.byte_fallback);
    let mut theirs = tokenizers::Tokenizer::new(unigram.unwrap());
    let map = Precompiled::from(model.charsmap.as_ref().unwrap().bytes()).unwrap();
    theirs.with_normalizer(Some(map)).unwrap();
    theirs.with_pre_tokenizer(Some(Metaspace::new(SPACE, PrependScheme::Always, false)));
    let ours = Processor::new(model);
    // What `SentencePieceProcessor.encode` of sentencepiece 0.2.3 gives, and what the crate gives.
    for (text, expected, crates) in [
        ("a photo of a bird", vec![5, 42, 11, 15, 5, 43], vec![5, 42, 11, 15, 5, 43]),
        ("ﬁ\u{301}", vec![59, 36, 2], vec![59, 36]),
    ] {
        assert_eq!(ours.encode(text), expected, "{text:?}");
        assert_eq!(theirs.encode(text, false).unwrap().get_ids(), crates, "{text:?}");
    }
}

#[test]
fn a_text_is_cut_where_its_pieces_are_likeliest() {
    let piece = |text: &str, score, kind| Piece { text: text.to_owned(), score, kind };
    let mut model = Model::open(&fixture("sentencepiece/rules.model")).unwrap();
    use PieceType::{Control, Normal, Unknown, Unused, UserDefined};
    model.pieces = vec![
        piece("?", 0.0, Unknown),
        piece("▁", -3.0, Normal),
        piece("a", -2.0, Normal),
        piece("b", -2.0, Normal),
        piece("ab", -3.5, Normal),
        piece("▁ab", -9.0, Normal),
        piece("bc", -1.0, UserDefined),
        piece("xy", -1.0, Control),
        piece("▁a", -1.0, Unused),
    ];
    model.unknown = 0;
    let processor = Processor::new(model);
    for (text, expected) in [
        ("", vec![]),
        ("  ", vec![]),
        ("ab", vec![1, 4]),
        ("  ab   ab ", vec![1, 4, 1, 4]),
        // A symbol is found whatever its score, and never taken apart.
        ("abc", vec![1, 2, 6]),
        // A run of unknown characters is one piece, and the one it spells where that has no text.
        ("aqqa", vec![1, 2, 0, 2]),
        ("xy", vec![1, 7]),
        ("xyx", vec![1, 0]),
    ] {
        assert_eq!(processor.encode(text), expected, "{text:?}");
    }
}
