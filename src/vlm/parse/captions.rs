//! The answer to a question for captions to the caption of each concept.

use super::items::{Item, items};
use super::line::unquoted;
use super::{Answer, MAX_ITEM_CHARS, folded, phrases, words};
use crate::vlm::Questions;

/// Words that say nothing about what a caption is of.
const COMMON: &str = "a|an|the|of|in|on|at|and|or|with|for|to|style|photo|photograph|image|picture|\
    painting style|by|its|is|from|as|concept";

/// The caption of each of `concepts`, `None` for those without; `None` where the answer has none.
///
/// Captions that name their concept belong to it. Of the others each belongs to the concept whose words
/// it has, where they are as many as the concepts and speak against nothing, to the one in its place.
pub(super) fn pair(
    questions: &Questions,
    answer: &Answer,
    concepts: &[String],
) -> Option<Vec<Option<String>>> {
    let below = phrases::above_and_below_captions(&answer.text).map(|(_, below)| Answer {
        text: below.to_owned(),
        cut_off: answer.cut_off,
        tags: Vec::new(),
    });
    let items = items(below.as_ref().unwrap_or(answer));
    let read = match alternating(&items, concepts) {
        Some(pairs) => pairs,
        None => items.iter().map(|item| labelled(item, concepts)).collect(),
    };
    let mut captions: Vec<(Option<usize>, String)> = Vec::new();
    let mut named_by_label = false;
    for (concept, text) in read {
        let text: String = text.chars().take(MAX_ITEM_CHARS).collect();
        if text.trim().is_empty() || phrases::says_nothing(questions, &text) {
            continue;
        }
        named_by_label |= concept.is_some();
        if !captions.iter().any(|(_, known)| folded(known) == folded(&text)) {
            captions.push((concept, text.trim().to_owned()));
        }
    }
    if captions.is_empty() {
        return None;
    }
    let mut paired = vec![None; concepts.len()];
    let texts: Vec<&str> = captions.iter().map(|(_, text)| text.as_str()).collect();
    let by_content = by_content(&texts, concepts);
    let in_order = texts.len() == concepts.len()
        && !named_by_label
        && !is_permuted(&by_content, concepts.len());
    for (place, ((concept, text), similar)) in captions.iter().zip(&by_content).enumerate() {
        let concept = match (concept, in_order) {
            (Some(concept), _) => Some(*concept),
            (None, true) => Some(place),
            (None, false) => *similar,
        };
        if let Some(concept) = concept.filter(|&concept| paired[concept].is_none()) {
            paired[concept] = Some(text.clone());
        }
    }
    paired.iter().any(Option::is_some).then_some(paired)
}

/// The captions where each is the item below its concept: `Concept: a sheep`, `Caption: A sheep on …`.
fn alternating(items: &[Item], concepts: &[String]) -> Option<Vec<(Option<usize>, String)>> {
    let is_plain = |item: &Item| item.label.is_none() && item.description.is_none();
    if items.is_empty() || !items.len().is_multiple_of(2) || !items.iter().all(is_plain) {
        return None;
    }
    let mut pairs: Vec<(Option<usize>, String)> = Vec::new();
    for pair in items.chunks(2) {
        let named = by_name(&pair[0].text, concepts)?;
        if pairs.iter().any(|(concept, _)| *concept == Some(named)) {
            return None;
        }
        pairs.push((Some(named), pair[1].text.clone()));
    }
    // Two concepts one below the other are no pair, and neither is one with the caption of another.
    let texts: Vec<&str> = pairs.iter().map(|(_, text)| text.as_str()).collect();
    let similar = by_content(&texts, concepts);
    let are_captions = pairs.iter().zip(similar).all(|((concept, text), similar)| {
        let is_own = similar.is_none() || similar == *concept;
        is_own && !concepts.iter().any(|concept| is_same(concept, text))
    });
    are_captions.then_some(pairs)
}

/// The only concept whose words hold all of those of `name`.
fn by_name(name: &str, concepts: &[String]) -> Option<usize> {
    if let Some(same) = concepts.iter().position(|concept| is_same(concept, name)) {
        return Some(same);
    }
    let name = stems(name);
    let holds = |concept: &String| {
        let words = stems(concept);
        !name.is_empty() && name.iter().all(|word| words.contains(word))
    };
    let mut holders = concepts.iter().enumerate().filter(|(_, concept)| holds(concept));
    let first = holders.next()?.0;
    holders.next().is_none().then_some(first)
}

/// The concept that an item names as its own, and the caption.
fn labelled(item: &Item, concepts: &[String]) -> (Option<usize>, String) {
    let find = |name: &str| concepts.iter().position(|concept| is_same(concept, name));
    let below = item.description.as_deref();
    if let Some(label) = &item.label {
        let concept = find(label);
        return (concept, item.text.clone());
    }
    // The concept on a line of its own, the caption below.
    if let (Some(concept), Some(below)) = (find(&item.text), below) {
        return (Some(concept), below.to_owned());
    }
    // "Caption 1 (a sheep): a photo of a sheep"
    if let Some((head, text)) = item.text.split_once("): ")
        && let Some((_, name)) = head.split_once('(')
        && let Some(concept) = find(name)
    {
        return (Some(concept), unquoted(text).to_owned());
    }
    // "a sheep: a photo of a sheep", without emphasis.
    let separators = [": ", "：", " - ", " – ", " — ", " → ", " -> "];
    let split = separators.iter().find_map(|separator| {
        let (label, text) = item.text.split_once(separator)?;
        Some((by_name(label, concepts)?, unquoted(text).to_owned()))
    });
    // What goes on below in lower case was wrapped.
    let whole = match below {
        Some(below) if below.starts_with(char::is_lowercase) && !item.text.ends_with('.') => {
            format!("{} {below}", item.text)
        }
        _ => item.text.clone(),
    };
    split.map_or((None, whole), |(concept, text)| (Some(concept), text))
}

/// Whether `name` is `concept`, perhaps as "Caption for the concept \"a sheep\"".
fn is_same(concept: &str, name: &str) -> bool {
    let plain = |text: &str| {
        let words = words(text);
        let skipped = words.iter().skip_while(|word| {
            super::is_one_of(word, "caption|image|for|the|concept|a|an|of|missing")
        });
        skipped.cloned().collect::<Vec<String>>()
    };
    let (one, other) = (plain(concept), plain(name));
    words(concept) == words(name) || (!one.is_empty() && one == other)
}

/// For each caption the concept whose words it has, if there is one such concept alone.
fn by_content(captions: &[&str], concepts: &[String]) -> Vec<Option<usize>> {
    let concepts: Vec<Vec<String>> = concepts.iter().map(|concept| stems(concept)).collect();
    let share = |caption: &[String], concept: &[String]| {
        let held = concept.iter().filter(|word| caption.contains(word)).count();
        if concept.is_empty() { 0.0 } else { held as f64 / concept.len() as f64 }
    };
    captions
        .iter()
        .map(|caption| {
            let caption = stems(caption);
            let shares: Vec<f64> =
                concepts.iter().map(|concept| share(&caption, concept)).collect();
            let best = shares.iter().copied().fold(0.0, f64::max);
            let mut holders = (0..shares.len()).filter(|&concept| shares[concept] == best);
            let first = holders.next()?;
            (best >= 0.5 && holders.next().is_none()).then_some(first)
        })
        .collect()
}

/// Whether as many captions as concepts stand in another order than these: what two of them have the
/// words of is not in their places.
fn is_permuted(similar: &[Option<usize>], concepts: usize) -> bool {
    let mut seen = vec![false; concepts];
    for &concept in similar.iter().flatten() {
        if std::mem::replace(&mut seen[concept], true) {
            return false; // Two captions of one concept: their words decide nothing.
        }
    }
    let is_elsewhere =
        |(place, concept): (usize, &Option<usize>)| concept.is_some_and(|c| c != place);
    similar.iter().enumerate().any(is_elsewhere)
}

/// The words of `text` that say what it is of, without the ending of a plural.
fn stems(text: &str) -> Vec<String> {
    let stem = |word: String| {
        let stem = word.strip_suffix("'s").unwrap_or(&word);
        let stem = match stem.len() > 3 && !stem.ends_with("ss") {
            true => stem.strip_suffix('s').unwrap_or(stem),
            false => stem,
        };
        stem.to_owned()
    };
    words(text).into_iter().filter(|word| !super::is_one_of(word, COMMON)).map(stem).collect()
}
