//! A prompt that names pictures to what OmniGen reads: token numbers, and pictures between them, as
//! diffusers' `OmniGenMultiModalProcessor` puts them in order.

use std::collections::BTreeSet;

use crate::models::tokenizers::llama::Tokenizer;
use crate::{Error, Result};

/// A part of what the network reads: text, or a picture by its place in the request, from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(Vec<i64>),
    Picture(usize),
}

impl Piece {
    /// The place of the picture, where it is one.
    pub(crate) fn picture(&self) -> Option<usize> {
        match self {
            Self::Picture(place) => Some(*place),
            Self::Text(_) => None,
        }
    }
}

/// What the second row of the guidance reads where a request says nothing: the default of
/// `OmniGenMultiModalProcessor.__call__` in diffusers.
pub(crate) const NEGATIVE_PROMPT: &str = "low quality, jpeg artifacts, ugly, duplicate, morbid, \
    mutilated, extra fingers, mutated hands, poorly drawn hands, poorly drawn face, mutation, \
    deformed, blurry, dehydrated, bad anatomy, bad proportions, extra limbs, cloned face, \
    disfigured, gross proportions, malformed limbs, missing arms, missing legs, extra arms, \
    extra legs, fused fingers, too many fingers.";

/// What stands before and behind every prompt (`add_prefix_instruction` in diffusers).
const FRAME: [&str; 2] = [
    "<|user|>\nGenerate an image according to the following instructions\n",
    "<|end|>\n<|assistant|>\n<|diffusion|>",
];

/// The token that begins a text, which stands once in a prompt however many pieces it has. diffusers
/// drops this number, whatever the tokenizer calls it.
const BEGIN: i64 = 1;

/// What the network reads of `prompt`, in which `pictures` pictures are named `<|image_1|>` and so on.
/// A picture stands as often as it is named.
///
/// # Errors
/// Those of [`check`], and [`Error::InvalidFile`] where the tokenizer has no token for a character.
pub(crate) fn instruction(
    tokenizer: &Tokenizer,
    prompt: &str,
    pictures: usize,
) -> Result<Vec<Piece>> {
    check(prompt, pictures)?;
    let text = format!("{}{prompt}{}", FRAME[0], FRAME[1]);

    // Each text is tokenised alone, as if it began a prompt.
    let mut pieces = Vec::new();
    let mut start = 0;
    for placeholder in placeholders(&text) {
        add_text(tokenizer, &text[start..placeholder.start], &mut pieces)?;
        start = placeholder.start + placeholder.text.len();
        pieces.extend(placeholder.number.map(|number| Piece::Picture(number - 1)));
    }
    add_text(tokenizer, &text[start..], &mut pieces)?;
    Ok(pieces)
}

/// What the network reads of a prompt without pictures, in which everything is text: the negative one.
///
/// # Errors
/// [`Error::InvalidFile`] where the tokenizer has no token for a character.
pub(crate) fn text_only(tokenizer: &Tokenizer, prompt: &str) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    add_text(tokenizer, &format!("{}{prompt}{}", FRAME[0], FRAME[1]), &mut pieces)?;
    Ok(pieces)
}

/// What the network reads of the pictures alone, all of them in the order of the request.
///
/// # Errors
/// [`Error::InvalidFile`] where the tokenizer has no token for a character.
pub(crate) fn images_only(tokenizer: &Tokenizer, pictures: usize) -> Result<Vec<Piece>> {
    let named: Vec<String> = (1..=pictures).map(framed).collect();
    instruction(tokenizer, &named.join(" "), pictures)
}

/// Refuses a `prompt` that does not name exactly the pictures 1 to `pictures`, each at least once as
/// `<img><|image_1|></img>`.
///
/// # Errors
/// [`Error::InvalidInput`] names the placeholder that is wrong or missing.
fn check(prompt: &str, pictures: usize) -> Result<()> {
    let expected = match pictures {
        0 => "no placeholders, because there are no images".to_owned(),
        1 => format!("{} for the image", framed(1)),
        _ => format!("{} to {} for the {pictures} images", framed(1), framed(pictures)),
    };
    let wrong = |found: String| Err(Error::invalid_input("prompt", &expected, found));
    let mut named = BTreeSet::new();
    for placeholder in placeholders(prompt) {
        match placeholder.number {
            Some(number) if (1..=pictures).contains(&number) => named.insert(number),
            _ => return wrong(placeholder.text.to_owned()),
        };
    }
    if pictures > 0 && named.is_empty() {
        return wrong("no placeholder".to_owned());
    }
    for number in 1..=pictures {
        if !named.contains(&number) {
            return wrong(format!("no <|image_{number}|>"));
        }
        if !prompt.contains(&framed(number)) {
            return wrong(format!("<|image_{number}|> without <img> and </img> around it"));
        }
    }
    Ok(())
}

/// How a prompt names a picture, counted from 1.
fn framed(number: usize) -> String {
    format!("<img><|image_{number}|></img>")
}

/// A picture's name in a text.
struct Placeholder<'a> {
    /// Where it begins, in bytes.
    start: usize,
    text: &'a str,
    /// `None` where it is not a number in the digits 0 to 9, is 0, or is too large for any memory.
    number: Option<usize>,
}

/// Every `<|image_n|>` in `text`, where `n` is of one or more digits of any script.
fn placeholders(text: &str) -> impl Iterator<Item = Placeholder<'_>> {
    text.match_indices("<|image_").filter_map(|(start, begin)| {
        let rest = &text[start + begin.len()..];
        let digits = &rest[..rest.find("|>")?];
        let is_number = !digits.is_empty() && digits.chars().all(char::is_numeric);
        is_number.then(|| Placeholder {
            start,
            text: &text[start..][..begin.len() + digits.len() + "|>".len()],
            number: digits.parse().ok().filter(|&number| number > 0),
        })
    })
}

/// Adds the tokens of `text` to `pieces`, where there are any.
fn add_text(tokenizer: &Tokenizer, text: &str, pieces: &mut Vec<Piece>) -> Result<()> {
    let mut ids = tokenizer.encode(text)?;
    if !pieces.is_empty() && ids.first() == Some(&BEGIN) {
        ids.remove(0);
    }
    if !ids.is_empty() {
        pieces.push(Piece::Text(ids));
    }
    Ok(())
}

#[cfg(test)]
#[path = "prompt_tests.rs"]
mod tests;
