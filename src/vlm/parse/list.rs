//! The answer to a question for concepts to their names.

use super::concept::{self, Named};
use super::items::items;
use super::{Answer, MAX_ITEM_CHARS, MAX_ITEMS, folded, phrases};
use crate::vlm::Questions;

/// The names of the concepts, in order and each once; `None` where there are none, or where of one item
/// it cannot be told what is missing.
pub(super) fn concepts(questions: &Questions, answer: &Answer) -> Option<Vec<String>> {
    // Captions that were sent along are no concepts.
    let above = phrases::above_and_below_captions(&answer.text).and_then(|(above, _)| {
        let above = Answer { text: above.to_owned(), cut_off: false, tags: Vec::new() };
        in_list(questions, &above)
    });
    above.or_else(|| in_list(questions, answer))
}

fn in_list(questions: &Questions, answer: &Answer) -> Option<Vec<String>> {
    let items = items(answer);
    let sentences = items.iter().any(concept::is_explained);
    let mut named: Vec<String> = Vec::new();
    for item in &items {
        let name: String = match concept::named(questions, item, sentences) {
            Named::Concept(name) => name.chars().take(MAX_ITEM_CHARS).collect(),
            Named::Nothing => continue,
            Named::Unclear => return None,
        };
        let name = name.trim();
        if !name.is_empty() && !named.iter().any(|known| folded(known) == folded(name)) {
            named.push(name.to_owned());
        }
        if named.len() == MAX_ITEMS {
            break;
        }
    }
    (!named.is_empty()).then_some(named)
}
