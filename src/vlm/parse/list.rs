//! The answer to a question for concepts to their names.

use super::items::{Item, items};
use super::{Answer, MAX_ITEM_CHARS, MAX_ITEMS, folded, phrases};
use crate::vlm::Questions;

/// Sentences about the image that name no concept.
const SENTENCES: [&str; 6] = [
    "the image ",
    "this image ",
    "the picture ",
    "the given image ",
    "the generated image ",
    "the prompt ",
];

/// What such sentences go on with.
const VERBS: &str = "is|does|doesn't|lacks|shows|has|contains|matches|appears|depicts|features|was|\
    already|should|asks|needs|seems|looks|requires|specifies|fully|accurately|only|did|also|includes";

/// The names of the concepts, in order and each once; `None` where there are none.
pub(super) fn concepts(questions: &Questions, answer: &Answer) -> Option<Vec<String>> {
    let mut named: Vec<String> = Vec::new();
    for item in items(answer) {
        let name = name(&item);
        let repeats = named.iter().any(|known| folded(known) == folded(&name));
        if !repeats && !phrases::says_nothing(questions, &name) && !is_sentence(&name) {
            named.push(name);
        }
        if named.len() == MAX_ITEMS {
            break;
        }
    }
    (!named.is_empty()).then_some(named)
}

/// What an item of a list of concepts is called: what follows its label explains it.
fn name(item: &Item) -> String {
    let name = item.label.as_ref().unwrap_or(&item.text);
    name.chars().take(MAX_ITEM_CHARS).collect::<String>().trim().to_owned()
}

fn is_sentence(name: &str) -> bool {
    let name = folded(name);
    SENTENCES.iter().filter_map(|subject| name.strip_prefix(subject)).any(|rest| {
        let verb = rest.split(|c: char| !(c.is_alphanumeric() || c == '\'')).next();
        verb.is_some_and(|verb| super::is_one_of(verb, VERBS))
    })
}
