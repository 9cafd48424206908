//! The words of a service to the same without the pictures in them: base64 tells nobody anything.

/// How long a run of base64 is at least that is taken for a file, in characters. Keys and names are
/// shorter.
const SHORTEST: usize = 200;

/// `text` with the length of each long run of base64 in its place; what stands before it in a data URL
/// is kept.
pub(super) fn without_pictures(text: &str) -> String {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_' | '=');
    let (mut kept, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find(is_base64) {
        let (before, from) = rest.split_at(start);
        let (run, behind) = from.split_at(from.find(|c| !is_base64(c)).unwrap_or(from.len()));
        kept += before;
        match is_file(run) {
            true => kept += &format!("[{} characters of base64]", run.len()),
            false => kept += run,
        }
        rest = behind;
    }
    kept + rest
}

/// Whether a run of base64 is long, and of more than one kind of characters, as all files are.
fn is_file(run: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| run.as_bytes().iter().any(kind);
    run.len() >= SHORTEST && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_left_out_and_words_are_kept() {
        let picture = "iVBORw0KGgo/+AAA".repeat(20) + "==";
        let url = format!("cannot read data:image/png;base64,{picture} of image[0]");
        assert_eq!(
            without_pictures(&url),
            "cannot read data:image/png;base64,[322 characters of base64] of image[0]"
        );
        assert_eq!(without_pictures(&picture), "[322 characters of base64]");
        for words in
            ["", "a key: sk-proj-3xAmPl3", "é 参数 seed", &"a".repeat(500), &"a b".repeat(500)]
        {
            assert_eq!(without_pictures(words), words);
        }
    }
}
