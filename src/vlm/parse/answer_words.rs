//! A text to what it says by the words for yes and no that answer in it.

use std::cmp::Reverse;

use super::{folded, is_one_of};
use crate::vlm::Questions;

/// What an answer is called that stands before it: "Final answer: no".
pub(super) const LABELS: &str = "answer|final answer|my answer|short answer|decision|verdict|conclusion|result|\
    response|final|reply|output|judgement|judgment|match|matches|assessment|in short|in conclusion|\
    yes/no|yes or no|the answer is|my answer is|the final answer is|answer is|the answer would be";

/// What may stand before a yes or no at the end of a clause: "so no", "I'd say no".
const LEADS: &str = "say|answer|so|therefore|thus|hence|be|definitely|clearly|simply|then|but|and|\
    actually|rather|conclude";

/// What follows a "no" that answers and is followed by words: "No it does not", "No the bird …".
const PRONOUNS: &str = "it|this|that|there|the|i|they|its|it's|because|since|as|not";

/// What an answer says, and where.
#[derive(Clone, Copy)]
pub(super) struct Told {
    pub meaning: bool,
    /// Whether the text begins with it.
    pub begins: bool,
    /// Whether it stands behind a label such as "Answer:".
    pub labelled: bool,
    /// Whether it is the English "yes" or "no".
    pub is_english: bool,
    /// Where the word begins and ends in the text.
    pub start: usize,
    pub end: usize,
}

/// The words for yes and no, folded, the longest first.
pub(super) struct Words(Vec<(String, bool)>);

/// A word for yes or no in a text.
#[derive(Clone, Copy)]
struct Found<'a> {
    start: usize,
    word: &'a str,
    meaning: bool,
}

impl Found<'_> {
    const fn end(&self) -> usize {
        self.start + self.word.len()
    }
}

impl Words {
    pub(super) fn new(questions: &Questions, template: &str) -> Self {
        let mut words = questions.answers_to(template);
        for (word, _) in &mut words {
            *word = folded(word.trim());
        }
        // The sort is stable: of equal words the first one is read, which is the English one if there is.
        words.sort_by_key(|(word, _)| Reverse(word.len()));
        Self(words)
    }

    /// The words in `text`, in order. Of words that overlap the longest counts.
    fn find(&self, text: &str) -> Vec<Found<'_>> {
        let (mut is_taken, mut found) = (vec![false; text.len()], Vec::new());
        for (word, meaning) in &self.0 {
            for (start, _) in text.match_indices(word.as_str()) {
                let place = &mut is_taken[start..start + word.len()];
                if !place.contains(&true) && is_whole(text, start, word) {
                    place.fill(true);
                    found.push(Found { start, word, meaning: *meaning });
                }
            }
        }
        found.sort_unstable_by_key(|one| one.start);
        found
    }

    /// The word that `text` begins with, if it answers there.
    pub(super) fn at_the_start(&self, text: &str) -> Option<Told> {
        self.in_prose(text, false).filter(|told| told.begins)
    }

    /// What `text` says: the word that it begins with, or else what all others say.
    pub(super) fn in_prose(&self, text: &str, cut_off: bool) -> Option<Told> {
        let found = without_alternatives(text, self.find(text));
        let answers: Vec<(Found, bool)> = found
            .into_iter()
            .filter(|one| !is_asked(text, one))
            .filter_map(|one| answers_there(text, &one).map(|begins| (one, begins)))
            .collect();
        let &(first, begins) = answers.first()?;
        let agree = answers.iter().all(|(other, _)| other.meaning == first.meaning);
        // After an answer at the start, only another answer on its own is heard.
        let is_english = matches!(first.word, "yes" | "no");
        let decides = agree || (begins && !is_english);
        // Whatever was cut off may have gone on to take back what it says in passing.
        (decides && (begins || !cut_off)).then(|| Told {
            meaning: first.meaning,
            begins,
            labelled: false,
            is_english,
            start: first.start,
            end: first.end(),
        })
    }
}

/// `found` without those that only name the choice: "yes or no", "yes/no".
fn without_alternatives<'a>(text: &str, found: Vec<Found<'a>>) -> Vec<Found<'a>> {
    let mut kept: Vec<Found> = Vec::new();
    for one in found {
        if let Some(last) = kept.last().filter(|last| last.meaning != one.meaning) {
            let between = &text[last.end()..one.start];
            let connector = between.trim_matches(|c: char| !c.is_alphanumeric());
            let is_short = connector.chars().count() <= 4 && !connector.contains(' ');
            let joins =
                !connector.is_empty() || between.contains(['/', '|', ',']) || between.is_empty();
            if is_short && joins && !between.contains(['.', '!', '?', '\n', '。', ';']) {
                kept.pop();
                continue;
            }
        }
        kept.push(one);
    }
    kept
}

/// Whether the sentence of the word is a question, such as the one that was asked.
fn is_asked(text: &str, one: &Found) -> bool {
    let after = &text[one.end()..];
    let end = after.find(['.', '!', '?', '\n', '。', '！', '？']);
    end.is_some_and(|end| after[end..].starts_with(['?', '？']))
}

/// Whether the word answers where it stands, and there begins the text: `None` where it is part of a
/// sentence about something else. Only English words are judged by what stands around them.
fn answers_there(text: &str, one: &Found) -> Option<bool> {
    let (before, after) = (&text[..one.start], &text[one.end()..]);
    let begins = !before.contains(char::is_alphanumeric);
    if !matches!(one.word, "yes" | "no") {
        return Some(begins);
    }
    // "a no-go", "no-smoking", and what a sign says: "'yes' is printed on it".
    let begins_with_letter = |text: &str| text.starts_with(char::is_alphanumeric);
    let is_compound =
        after.strip_prefix('-').is_some_and(begins_with_letter) || before.ends_with('-');
    let is_quoted = before.ends_with(['"', '\'', '“', '‘'])
        && begins_with_letter(
            after.trim_start_matches(['"', '\'', '”', '’']).trim_start_matches(' '),
        );
    if is_compound || (is_quoted && after.starts_with(['"', '\'', '”', '’'])) {
        return None;
    }
    let rest = after.trim_start_matches(['"', '\'', '”', '’', '`', ')', ' ']);
    let ends = rest.starts_with(|c: char| !c.is_alphanumeric()) || rest.is_empty();
    let next = rest.split(|c: char| !(c.is_alphanumeric() || c == '\'')).next().unwrap_or_default();
    let sentence = sentence_before(before);
    let opens = !sentence.contains(char::is_alphanumeric);
    if opens {
        let answers = ends || one.word == "yes" || is_one_of(next, PRONOUNS);
        return answers.then_some(begins);
    }
    let clause_at = sentence.rfind([',', ';', ':', '：', '—', '–', '-', '(']);
    let clause = clause_at.map_or(sentence, |at| &sentence[at..]);
    let lead = clause.rsplit(|c: char| !(c.is_alphanumeric() || c == '\'')).find(|w| !w.is_empty());
    let denied =
        ["not", "n't", "cannot", "never", "maybe", "might", "could", "if", "whether", "nor"];
    let is_denied = denied.iter().any(|word| clause.contains(word));
    let closes = rest.is_empty() || rest.starts_with(['.', '!', '\n', '。', '！']);
    let label = |label: &str| is_one_of(label.trim_matches(|c: char| !c.is_alphanumeric()), LABELS);
    let answers = match lead {
        // "Based on the image, no." and "Answer: no".
        None => match sentence[..clause_at?].rsplit(['.', ',', ';']).next() {
            Some(before) if sentence[clause_at?..].starts_with([':', '：']) => label(before),
            _ => closes,
        },
        Some("is" | "would" | "a" | "with" | "clear" | "definite") => {
            ends && (clause.contains("answer")
                || clause.contains("it's a")
                || clause.contains("that's a")
                || clause.contains("it is a")
                || clause.contains("go with"))
        }
        Some(lead) => ends && is_one_of(lead, LEADS),
    };
    (answers && !is_denied).then_some(false)
}

/// The part of the sentence that stands before.
fn sentence_before(before: &str) -> &str {
    let start = before.char_indices().rev().find(|&(at, c)| match c {
        '\n' | '。' | '！' | '？' => true,
        '.' | '!' | '?' => {
            before[at + 1..].is_empty() || before[at + 1..].starts_with([' ', '"', '”', '\'', '*'])
        }
        _ => false,
    });
    start.map_or(before, |(at, c)| &before[at + c.len_utf8()..])
}

/// Whether `word` is whole where it is at `start` of `text`: begins and ends where words do.
fn is_whole(text: &str, start: usize, word: &str) -> bool {
    // Scripts that put no space between words: Thai and Lao, Myanmar, Khmer, Chinese and Japanese.
    let is_unspaced = |c: char| {
        matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
            | '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9f}'
            | '\u{20000}'..='\u{3ffff}')
    };
    let joins = |before: Option<char>, after: Option<char>| match (before, after) {
        (Some(before), Some(after)) => {
            [before, after].iter().all(|&c| c.is_alphanumeric() && !is_unspaced(c))
        }
        _ => false,
    };
    let (before, after) = (&text[..start], &text[start + word.len()..]);
    !joins(before.chars().next_back(), word.chars().next())
        && !joins(word.chars().next_back(), after.chars().next())
}
