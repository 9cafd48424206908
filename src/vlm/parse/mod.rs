//! The replies of a VLM to what they mean: yes or no, a list, captions, indices, edits, a text.
//!
//! What a model thought aloud is never read, nor is what it declines to say. A reply that can be
//! read in two ways is read in none: then the question is asked again, while a wrong reading would
//! go unnoticed.

mod answer_words;
mod captions;
mod concept;
mod contradiction;
mod decision;
mod edit_fields;
mod edit_lines;
mod edit_words;
mod edits;
mod indices;
mod instruction;
mod items;
mod json;
mod line;
mod list;
mod marks;
mod outline;
mod phrases;
mod refusal;
#[cfg(feature = "evaluation")]
mod scores;
mod table;
mod text;
mod thoughts;

use super::{ChatReply, Questions};
#[cfg(feature = "evaluation")]
pub(crate) use scores::{Asked, Unscored, scores};

/// Items beyond this many are dropped.
const MAX_ITEMS: usize = 64;
/// An item is cut after this many characters.
const MAX_ITEM_CHARS: usize = 1_000;
/// What follows this many characters of an answer counts as cut off.
const MAX_ANSWER_CHARS: usize = 20_000;

/// What stands in a reply behind the model's thoughts.
struct Answer {
    text: String,
    /// Whether the longest reply was reached before its end.
    cut_off: bool,
    /// The names of the unknown tags that held all of it: `<mismatch>yes</mismatch>`.
    tags: Vec<String>,
}

/// The answer in `reply`; `None` where the service says that the model refused, or where nothing
/// stands behind a thought.
fn answer(reply: &ChatReply) -> Option<Answer> {
    let behind = thoughts::answer(&reply.text).filter(|_| reply.refusal.is_none())?;
    let thoughts::Behind { mut text, tags } = behind;
    let end = text.char_indices().nth(MAX_ANSWER_CHARS).map(|(end, _)| end);
    text.truncate(end.unwrap_or(text.len()));
    let cut_off = reply.cut_off || end.is_some();
    if cut_off && end.is_none() && reply.text.ends_with('\n') {
        text.push('\n'); // Its last line is whole.
    }
    Some(Answer { text, cut_off, tags })
}

/// The same; `None` also where the model declines in words.
fn willing_answer(questions: &Questions, reply: &ChatReply) -> Option<Answer> {
    answer(reply).filter(|answer| !refusal::is_refusal(questions, &answer.text))
}

/// A reply to `template` as yes or no; `None` where it says neither, declines, or cannot be told.
pub(crate) fn yes_or_no(questions: &Questions, template: &str, reply: &ChatReply) -> Option<bool> {
    decision::decide(questions, template, &answer(reply)?)
}

/// The concepts that a reply names, in order and each once; `None` where it names none, declines, or
/// cannot be told. Of a reply that was cut off, the last item is left out.
pub(crate) fn concepts(questions: &Questions, reply: &ChatReply) -> Option<Vec<String>> {
    list::concepts(questions, &willing_answer(questions, reply)?)
}

/// The caption that a reply has for each of `concepts`, `None` for those without; `None` where it
/// has none at all, declines, or cannot be told.
pub(crate) fn captions(
    questions: &Questions,
    reply: &ChatReply,
    concepts: &[String],
) -> Option<Vec<Option<String>>> {
    let answer = answer(reply)?;
    // A note below captions that the model cannot see the image takes none of them back.
    let willing = refusal::without_notes(&answer.text);
    (!refusal::is_refusal(questions, &willing)).then_some(())?;
    captions::pair(questions, &answer, concepts)
}

/// The edits that a reply plans, in order and each once, none where it says that none is needed; `None`
/// where it declines or cannot be told. Of a reply that was cut off, the last item is left out.
pub(crate) fn edits(questions: &Questions, reply: &ChatReply) -> Option<Vec<String>> {
    let answer = answer(reply)?;
    let edits = edits::planned(questions, &answer)?;
    // "… and include a picture of a cat" asks for no picture.
    let declines = match instruction::are_instructions(&edits) {
        true => refusal::begins_to_decline(questions, &answer.text),
        // "I couldn't find any differences" is an answer.
        false if edits.is_empty() => {
            refusal::begins_to_decline(questions, &answer.text)
                || refusal::declines_after_all(questions, &answer.text)
        }
        false => refusal::is_refusal(questions, &answer.text),
    };
    (!declines).then_some(edits)
}

/// The numbers of a reply that should name some of `count` things by their index from 0, in the
/// order of the reply and each once; none where it names none.
pub(crate) fn indices(questions: &Questions, reply: &ChatReply, count: usize) -> Vec<usize> {
    willing_answer(questions, reply).map_or_else(Vec::new, |answer| indices::named(&answer, count))
}

/// A reply that should be one text, such as a rephrased prompt, without the words around it; `None`
/// where it declines, is blank, was cut off, or cannot be told.
pub(crate) fn text(questions: &Questions, reply: &ChatReply) -> Option<String> {
    text::only(questions, &willing_answer(questions, reply)?)
}

/// Whether a reply declines in words, in English.
#[cfg(feature = "evaluation")]
pub(crate) fn is_refusal(reply: &ChatReply) -> bool {
    answer(reply).is_some_and(|answer| refusal::is_refusal(&Questions::default(), &answer.text))
}

/// `text` as it is compared: in lower case, with straight apostrophes.
fn folded(text: &str) -> String {
    text.to_lowercase().replace(['\u{2019}', '\u{2bc}'], "'")
}

/// The words of `text`, in lower case.
fn words(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_alphanumeric() || c == '\'';
    folded(text).split(|c| !is_part(c)).filter(|word| !word.is_empty()).map(Into::into).collect()
}

/// Whether `word` is one of `words`, which have `|` between them.
fn is_one_of(word: &str, words: &str) -> bool {
    words.split('|').any(|one| one == word)
}

#[cfg(test)]
mod tests;
