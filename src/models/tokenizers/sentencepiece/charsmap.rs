//! SentencePiece's `precompiled_charsmap` to replacements of characters: a double-array trie from
//! what is replaced to a place in a blob of what replaces it.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::{Error, Result};

/// Replacements of characters. Every path through it stays within it, which [`Self::parse`] has
/// made sure of.
#[derive(Clone, Debug)]
pub(crate) struct Charsmap {
    bytes: Vec<u8>,
    trie: Vec<u32>,
    /// Each ends in a NUL.
    replacements: String,
}

impl Charsmap {
    /// The map in `bytes`, which came from `path`: the length of the trie in bytes, the trie, and the
    /// replacements, numbers in 32 bits and little-endian.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let broken = |expected: &str, found| {
            Error::invalid_file(path, "precompiled_charsmap", expected, found)
        };
        let whole = || broken("a trie and replacements", format!("{} bytes", bytes.len()));
        let (length, rest) = bytes.split_first_chunk().ok_or_else(whole)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| whole())?;
        if length % 4 != 0 {
            return Err(broken("a trie of whole 32-bit numbers", format!("{length} bytes")));
        }
        let (trie, replacements) = rest.split_at_checked(length).ok_or_else(whole)?;
        let (numbers, _) = trie.as_chunks();
        let trie = numbers.iter().map(|&number| u32::from_le_bytes(number)).collect();
        let replacements = std::str::from_utf8(replacements)
            .map_err(|error| broken("replacements in UTF-8", error.to_string()))?
            .to_owned();
        let map = Self { bytes: bytes.to_owned(), trie, replacements };
        map.check().map_err(|found| broken("a trie within its bounds", found))?;
        Ok(map)
    }

    /// The map in the `normalizer` of the `tokenizer.json` at `path`: its own, or that of the first
    /// in a sequence that has one.
    pub(crate) fn of_normalizer(path: &Path, normalizer: Option<&Value>) -> Result<Option<Self>> {
        let Some(text) = normalizer.and_then(precompiled) else { return Ok(None) };
        let bytes = STANDARD
            .decode(text)
            .map_err(|error| Error::invalid_file(path, "precompiled_charsmap", "base64", error))?;
        Self::parse(path, &bytes).map(Some)
    }

    /// The map as it is stored.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes the longest replaceable beginning of `text` has, and what replaces it.
    pub(crate) fn longest(&self, text: &[u8]) -> Option<(usize, &str)> {
        let mut longest = None;
        let mut place = self.children(0);
        for (i, &byte) in text.iter().enumerate() {
            let node = place ^ usize::from(byte);
            if label(self.trie[node]) != u32::from(byte) {
                break;
            }
            place = self.children(node);
            if has_value(self.trie[node]) {
                longest = Some((i + 1, self.trie[place]));
            }
        }
        longest.map(|(length, value)| (length, self.replacement(value)))
    }

    /// The place that, xored with a byte, is that of the child for the byte.
    fn children(&self, node: usize) -> usize {
        let unit = self.trie[node];
        node ^ ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize
    }

    fn replacement(&self, value: u32) -> &str {
        let rest = &self.replacements[(value & !VALUE) as usize..];
        rest.split('\0').next().unwrap_or(rest)
    }

    /// Walks to all nodes that a text can lead to.
    fn check(&self) -> Result<(), String> {
        let mut seen = vec![false; self.trie.len()];
        let mut nodes = vec![0];
        while let Some(node) = nodes.pop() {
            match seen.get_mut(node) {
                None => return Err("an empty trie".to_owned()),
                Some(true) => continue,
                Some(seen) => *seen = true,
            }
            let place = self.children(node);
            if place | 0xff >= self.trie.len() {
                return Err(format!("node {node} with children at {place}"));
            }
            if has_value(self.trie[node]) {
                let start = (self.trie[place] & !VALUE) as usize;
                if !self.replacements.is_char_boundary(start) {
                    return Err(format!("node {node} with a replacement at {start}"));
                }
            }
            let is_child = |&byte: &usize| label(self.trie[place ^ byte]) as usize == byte;
            nodes.extend((0..=0xff).filter(is_child).map(|byte| place ^ byte));
        }
        Ok(())
    }
}

fn precompiled(normalizer: &Value) -> Option<&str> {
    let own = || normalizer.get("precompiled_charsmap")?.as_str();
    let first = || normalizer.get("normalizers")?.as_array()?.iter().find_map(precompiled);
    own().or_else(first)
}

/// Set in units that hold a value and no label.
const VALUE: u32 = 1 << 31;

/// The byte that leads to a node; more than a byte in units that hold a value.
const fn label(unit: u32) -> u32 {
    unit & (VALUE | 0xff)
}

/// Whether something ends at the node.
const fn has_value(unit: u32) -> bool {
    unit >> 8 & 1 == 1
}
