//! The answer to a question for concepts to their names.

use super::items::{Item, items};
use super::{Answer, MAX_ITEM_CHARS, MAX_ITEMS, folded, phrases};
use crate::vlm::Questions;

/// Sentences about the image that name no concept.
const SENTENCES: [&str; 8] = [
    "the image ",
    "the style ",
    "the draft ",
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
        if is_sentence(&name) {
            return None;
        }
        let is_none = phrases::says_nothing(questions, &name) || phrases::is_category(&name);
        if !repeats && !is_none {
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
    const BEGINNINGS: [&str; 9] = [
        "the missing concept",
        "there is ",
        "there are ",
        "it seems",
        "it appears",
        "none of ",
        "no concepts ",
        "no missing ",
        "nothing is ",
    ];
    let name = folded(name);
    if BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)) {
        return true;
    }
    SENTENCES.iter().filter_map(|subject| name.strip_prefix(subject)).any(|rest| {
        let verb = rest.split(|c: char| !(c.is_alphanumeric() || c == '\'')).next();
        verb.is_some_and(|verb| super::is_one_of(verb, VERBS))
    })
}
