//! Texts to short names that differ where the texts do.

/// 16 hexadecimal digits of the BLAKE3 of `texts`, each with its length, so that no two lists of texts
/// are one.
pub(super) fn hash_of<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = blake3::Hasher::new();
    for text in texts {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}
