//! A name to what it says of a license, if it is one that Creative Commons has for its own.

use super::{CreativeCommons, ELEMENTS, Reading, is_language, kind_of};

/// What the parts of Creative Commons' long names are in its short ones, the longest first. SPDX writes
/// some in several words, and versions up to 3.0 have had other endings.
const LONG: [(&str, &str); 17] = [
    ("CREATIVE COMMONS", "CC"),
    ("PUBLIC DOMAIN MARK", "CC PDM"),
    ("PD MARK", "CC PDM"),
    ("CC ZERO", "CC0"),
    ("CC 0", "CC0"),
    ("ATTRIBUTION", "BY"),
    ("NON COMMERCIAL", "NC"),
    ("NONCOMMERCIAL", "NC"),
    ("SHARE ALIKE", "SA"),
    ("SHAREALIKE", "SA"),
    ("NO DERIVATIVE WORKS", "ND"),
    ("NO DERIVATIVES", "ND"),
    ("NO DERIVS", "ND"),
    ("NODERIVATIVES", "ND"),
    ("NODERIVS", "ND"),
    ("PUBLIC DOMAIN DEDICATION", "DEDICATION"),
    ("PUBLIC DOMAIN", "DEDICATION"),
];

/// What `name` says, such as `CC BY-SA 3.0 de`, `CC0` or `Attribution-ShareAlike 4.0 International (CC
/// BY-SA 4.0)`.
pub(super) fn read(name: &str) -> Reading {
    let words = words(name);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if words.iter().all(|word| *word == "CC") {
        return Reading::Nothing;
    }
    let is_theirs = words.iter().any(|word| matches!(*word, "CC" | "CC0"));
    let Some((mut said, mut left)) = license(&words) else { return Reading::Other };
    let is_version = |word: &&str| said.version(word).is_some();
    if said.version.is_some() && !left.is_empty() && left.iter().all(is_version) {
        return Reading::Versions(said.kind);
    }
    while !left.is_empty() {
        // Some names give the short one too.
        let again = license(left).and_then(|(next, rest)| Some((said.agreed(next)?, rest)));
        match again {
            Some(again) => (said, left) = again,
            None if is_theirs => return Reading::Unclear,
            None => return Reading::Other,
        }
    }
    match words[0] {
        _ if is_theirs => Reading::License(said),
        first if name.to_uppercase().starts_with(first) => Reading::Code(said),
        _ => Reading::Title(said),
    }
}

/// The words of `name` in capital letters, with those of long names in their short form.
fn words(name: &str) -> Vec<String> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '+');
    let spaced = name.to_uppercase().replace(|c| !is_part(c), " ");
    let spaced: Vec<&str> = spaced.split(' ').map(|word| word.trim_matches('.')).collect();
    let spaced: Vec<&str> = spaced.into_iter().filter(|word| !word.is_empty()).collect();
    let mut text = format!(" {} ", spaced.join(" "));
    for (long, short) in LONG {
        text = text.replace(&format!(" {long} "), &format!(" {short} "));
    }
    text.split_whitespace().map(str::to_owned).collect()
}

/// The license that `words` begin with, and the words behind it.
fn license<'a>(words: &'a [&'a str]) -> Option<(CreativeCommons, &'a [&'a str])> {
    let mut left = after(words, |word| word == "CC");
    let kind = match *left.first()? {
        "CC0" | "0" | "ZERO" => "0",
        "PDM" => "PDM",
        _ => {
            let behind = after(left, |word| ELEMENTS.contains(&word));
            let elements = &left[..left.len() - behind.len()];
            left = behind;
            kind_of(elements.iter().copied())?
        }
    };
    let mut said = CreativeCommons { kind, version: None, jurisdiction: None };
    if said.is_of_no_law() {
        left = &left[1..];
    }
    if let ["VERSION", rest @ ..] = left {
        left = rest;
    }
    if let [word, rest @ ..] = left {
        said.version = said.version(word.strip_prefix('V').unwrap_or(word));
        if said.version.is_some() {
            left = rest;
        }
    }
    if let [word, rest @ ..] = left {
        said.jurisdiction = said.jurisdiction(word);
        if said.jurisdiction.is_some() || is_language(word) {
            left = rest;
        }
    }
    // What the licenses that are of no jurisdiction are called, by their version.
    if let ["GENERIC" | "UNPORTED" | "INTERNATIONAL" | "UNIVERSAL", rest @ ..] = left
        && said.jurisdiction.is_none()
    {
        said.jurisdiction = Some("");
        left = rest;
    }
    let left = after(left, |word| match word {
        "PUBLIC" | "LICENSE" | "LICENCE" | "DEED" => true,
        "DEDICATION" => said.is_of_no_law(),
        _ => false,
    });
    Some((said, left))
}

/// `words` behind those at their beginning that are `taken`.
fn after<'a>(words: &'a [&'a str], taken: impl Fn(&str) -> bool) -> &'a [&'a str] {
    let count = words.iter().take_while(|word| taken(word)).count();
    &words[count..]
}
