//! Captions against diffusers'; see tests/fixtures/pixart_captions.py.

use super::*;
use crate::generator::MAX_PROMPT_CHARS;
use crate::models::common::golden::fixture;
use crate::models::common::json::read_json;

#[test]
fn captions_equal_diffusers() {
    let recorded: Vec<[String; 2]> = read_json(&fixture("pixart/captions.json")).unwrap();
    assert!(recorded.len() >= 300);
    let wrong: Vec<_> = recorded
        .iter()
        .map(|[caption, cleaned]| (caption, cleaned, clean(caption)))
        .filter(|(_, cleaned, found)| *cleaned != found)
        .collect();
    assert!(wrong.is_empty(), "{} of {}: {:#?}", wrong.len(), recorded.len(), wrong);
}

/// Compares the captions in the file that `IMAGERAG_CAPTIONS` names, one `[caption, cleaned]` a line.
#[test]
#[ignore = "needs a file of random captions"]
fn random_captions_equal_diffusers() {
    let path = std::env::var("IMAGERAG_CAPTIONS").unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let mut wrong = 0;
    for line in text.lines() {
        let [caption, cleaned]: [String; 2] = serde_json::from_str(line).unwrap();
        let found = clean(&caption);
        if found != cleaned {
            wrong += 1;
            println!("{caption:?}\n  expected {cleaned:?}\n  found    {found:?}");
        }
    }
    assert_eq!(wrong, 0, "of {}", text.lines().count());
}

/// Long words, and HTML that never ends: of the expressions that are tried from every place on, none
/// may come to much more than the length of the caption. A square of it would take minutes here.
#[test]
fn the_longest_captions_are_cleaned_whatever_is_in_them() {
    for unit in
        ["a-", "a.", "a.com", "http://", "<", "<a ", "<a/", "<a b='", "<!--", "&#", "\"", "-"]
    {
        let caption = unit.repeat(MAX_PROMPT_CHARS / unit.len());
        let cleaned = clean(&caption);
        // A blank may come behind each letter.
        assert!(cleaned.len() <= 2 * caption.len(), "{unit}: {}", cleaned.len());
    }
    // What is found last is found in them too.
    let words = format!("{}a.com", "a-".repeat(10_000));
    assert_eq!(clean(&words), "");
}
