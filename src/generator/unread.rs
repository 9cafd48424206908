//! Prompts that are longer than their encoders read to a note with the words that are left out.

use crate::Result;

/// The end of a text that an encoder does not read.
#[derive(Debug)]
pub(super) struct Unread {
    /// `prompt` or `negative prompt`.
    pub(super) text: &'static str,
    /// The folder of the encoder, such as `text_encoder_2`.
    pub(super) encoder: &'static str,
    /// The most tokens that it reads, special ones included.
    pub(super) tokens: usize,
    pub(super) words: String,
}

/// A prompt and, where there is one, a negative prompt to what `unread` finds that encoders leave out
/// of each.
pub(super) fn note(
    prompt: &str,
    negative: Option<&str>,
    unread: impl Fn(&'static str, &str) -> Result<Vec<Unread>>,
) -> Result<Option<String>> {
    let mut all = unread("prompt", prompt)?;
    if let Some(negative) = negative {
        all.extend(unread("negative prompt", negative)?);
    }
    // Encoders that leave out the same are named together.
    let same = |one: &Unread, other: &Unread| {
        (one.text, one.tokens, &one.words) == (other.text, other.tokens, &other.words)
    };
    let sentence = |group: &[Unread]| {
        let Unread { text, tokens, words, .. } = &group[0];
        let encoders: Vec<_> = group.iter().map(|one| one.encoder).collect();
        let (encoders, verb) = match encoders.as_slice() {
            [one] => ((*one).to_owned(), "reads"),
            several => (several.join(" and "), "read"),
        };
        format!("{encoders} {verb} {tokens} tokens; not read of the {text}: \"{words}\"")
    };
    let sentences: Vec<_> = all.chunk_by(same).map(sentence).collect();
    Ok((!sentences.is_empty()).then(|| sentences.join(". ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoders_that_leave_out_the_same_are_named_together() {
        // Encoders that read this many letters.
        let note = |lengths: [usize; 2], negative| {
            note("abcd", negative, |text, prompt| {
                let encoders = ["text_encoder", "text_encoder_2"].into_iter().zip(lengths);
                let long = encoders.filter(|(_, tokens)| *tokens < prompt.len());
                let unread = long.map(|(encoder, tokens)| Unread {
                    text,
                    encoder,
                    tokens,
                    words: prompt[tokens..].to_owned(),
                });
                Ok(unread.collect())
            })
        };
        assert_eq!(note([4, 4], Some("x")).unwrap(), None);
        assert_eq!(
            note([3, 3], None).unwrap().unwrap(),
            "text_encoder and text_encoder_2 read 3 tokens; not read of the prompt: \"d\""
        );
        assert_eq!(
            note([2, 4], Some("vwxyz")).unwrap().unwrap(),
            "text_encoder reads 2 tokens; not read of the prompt: \"cd\". \
             text_encoder reads 2 tokens; not read of the negative prompt: \"xyz\". \
             text_encoder_2 reads 4 tokens; not read of the negative prompt: \"z\""
        );
    }
}
