//! What stands around a yes or no to whether it takes the answer back.

use super::answer_words::Told;
use super::is_one_of;

/// What an image has that does not match. Who has none of them means yes, whatever was asked.
const FLAWS: &str = "difference|differences|issue|issues|problem|problems|discrepancy|discrepancies|\
    mismatch|mismatches|missing|lack|lacks|lacking|deviation|deviations|error|errors|flaw|flaws|\
    inconsistency|inconsistencies|doubt|exception|exceptions|except|wrong|incorrect|instead|absent|\
    omitted|fault|faults|miss|misses|change|changes|fix|improve|add";

/// Those that contradict a yes wherever they stand.
const GRAVE_FLAWS: &str = "difference|differences|discrepancy|discrepancies|mismatch|mismatches|\
    missing|lacks|lacking|exception|exceptions|except|wrong|incorrect|instead|absent|omitted";

/// What denies a flaw.
const DENIALS: &str = "no|not|any|without|nothing|none|zero|never";

/// What takes back a yes beside it, or gives it a condition. Contractions with `n't` do so as well.
const HEDGES: &str = "but|however|although|though|except|excepting|without|not|no|none|nothing|never|\
    nowhere|neither|nor|cannot|only|partially|partly|partial|mostly|nearly|almost|somewhat|otherwise|\
    despite|while|whereas|differs|differ|different|differing|differently|unlike|fails|fail|failed|\
    apart|aside|unfortunately|sadly|inaccurate|omits|omit|excludes|excluded|hardly|barely|minus|sans|\
    unless|if|nope|nonetheless|nevertheless|mismatched|unclear|else|just|alas|cropped|hidden";

/// What gives an answer of either kind a condition: "If you only look at the dog, yes".
const CONDITIONS: &str = "if|unless|regarding|concerning|ignoring|disregarding|apart|\
    aside|only|terms|except|kind|sort|kinda|partly|partially|mostly|\
    somewhat";

/// What is said of an image that matches.
const MATCHES: &str = "match|matches|matched|matching|present|correct|correctly|accurate|accurately|\
    perfect|perfectly|fits|faithful|faithfully|identical|same|visible|depicted|included|does|\
    everything|both|satisfies|satisfied|yes|good|fine|right";

/// What a question asks for to which a yes means that the image matches.
const ASKED: &str = "match|matches|show|shows|depict|depicts|yes|fit|fits|contain|contains|correspond|\
    corresponds|align|aligns|reflect|reflects|follow|follows";

/// What stands before the reason for an answer.
const REASONS: [&str; 5] =
    ["explanation:", "reason:", "reasoning:", "rationale:", "justification:"];

/// Sentences behind an answer that say nothing about it.
const FAREWELLS: [&str; 10] = [
    "let me know",
    "please let me know",
    "feel free",
    "i hope",
    "if you need",
    "if you want",
    "if you have",
    "if you'd like",
    "if you would like",
    "hope ",
];

/// What the clauses of a text say about an image.
#[derive(Default)]
struct Said {
    /// "Nothing is missing."
    flawless: bool,
    /// "It matches."
    matches: bool,
    /// "The bird is missing."
    grave: bool,
    /// Anything with a word of doubt: "but", "without", "not".
    doubts: bool,
}

/// Whether the English text around the answer `told` says the opposite, doubts it, or sets it under a
/// condition: "Yes, it does not match", "No, there are no differences", "For the dog only, yes".
/// `text` is folded and plain.
pub(super) fn takes_back(text: &str, told: Told) -> bool {
    let (before, after) = (&text[..told.start], &text[told.end..]);
    let around = said(before).and(said(after));
    if !told.is_english {
        return match told.meaning {
            true => around.grave,
            false => around.is_of_a_match(),
        };
    }
    if answers_another_question(before) {
        return true;
    }
    let is_conditional =
        !told.labelled && words(last_sentence(before)).any(|word| is_one_of(word, CONDITIONS));
    is_conditional
        || match told.meaning {
            true => {
                let beside = if told.labelled { "" } else { last_sentences(before) };
                let hesitates = words(after).any(|word| is_one_of(word, "hmm|wait"));
                around.grave || hesitates || said(beside).doubts || said(after).doubts
            }
            false => around.is_of_a_match() || says_yes(after),
        }
}

/// Whether `text`, which gives the reason for an answer, is one for the opposite. What stands before a
/// yes may have been weighed and found wanting.
pub(super) fn is_for_the_opposite(text: &str, meaning: bool, is_behind: bool) -> bool {
    let said = said(text);
    if meaning {
        said.grave || (is_behind && said.doubts)
    } else {
        said.matches && !said.doubts && !said.grave
    }
}

/// Whether `name` is what an image has that does not match: `missing_concepts`, `hasMismatch`.
pub(super) fn names_a_flaw(name: &str) -> bool {
    GRAVE_FLAWS.split('|').chain(["issues", "problems", "errors"]).any(|flaw| name.contains(flaw))
}

impl Said {
    fn and(self, other: Self) -> Self {
        Self {
            flawless: self.flawless || other.flawless,
            matches: self.matches || other.matches,
            grave: self.grave || other.grave,
            doubts: self.doubts || other.doubts,
        }
    }

    const fn is_of_a_match(&self) -> bool {
        (self.flawless || self.matches) && !self.doubts && !self.grave
    }
}

fn said(text: &str) -> Said {
    let mut said = Said::default();
    let text = text.replace("left out", "omitted");
    for sentence in sentences(&text).filter(|sentence| !says_nothing_about_it(sentence)) {
        for clause in sentence.split([',', ';', ':', '—', '–', '(', '.', '!']) {
            let words: Vec<&str> = words(clause).collect();
            let denies = |word: &&str| is_one_of(word, DENIALS) || word.ends_with("n't");
            let flaws = words.iter().enumerate().filter(|(_, word)| is_one_of(word, FLAWS));
            let (mut is_flawless, mut is_flawed) = (false, false);
            for (at, word) in flaws {
                match words[at.saturating_sub(6)..at].iter().any(denies) {
                    true => is_flawless = true,
                    false => {
                        is_flawed = true;
                        said.grave |= is_one_of(word, GRAVE_FLAWS);
                    }
                }
            }
            let is_hedged =
                words.iter().any(|word| is_one_of(word, HEDGES) || word.ends_with("n't"));
            let doubts = is_flawed || (is_hedged && !is_flawless);
            said.flawless |= is_flawless;
            said.doubts |= doubts;
            said.matches |= !doubts && words.iter().any(|word| is_one_of(word, MATCHES));
        }
    }
    said
}

/// A question, the words of the choice, or a farewell.
fn says_nothing_about_it(sentence: &str) -> bool {
    let is_choice = ["yes or no", "yes/no"].iter().any(|choice| sentence.contains(choice))
        || (sentence.contains("yes\" or \"no"));
    let is_farewell = FAREWELLS.iter().any(|farewell| sentence.trim().starts_with(farewell));
    is_question(sentence) || is_choice || is_farewell
}

/// Whether an answer of "no" goes on with "yes", other than in its reason.
fn says_yes(after: &str) -> bool {
    let is_reason =
        |sentence: &str| REASONS.iter().any(|reason| sentence.trim().starts_with(reason));
    sentences(after)
        .filter(|sentence| !is_reason(sentence) && !says_nothing_about_it(sentence))
        .any(|sentence| words(sentence).any(|word| word == "yes"))
}

/// Whether the last question before the answer is another one than whether the image matches: "Is
/// anything missing? No."
fn answers_another_question(before: &str) -> bool {
    let Some(question) = sentences(before).filter(|sentence| is_question(sentence)).last() else {
        return false;
    };
    let is_of_flaws = words(question).any(|word| {
        is_one_of(word, FLAWS)
            || is_one_of(word, "differ|differs|different|fail|fails|else|other|need")
    });
    is_of_flaws || !words(question).any(|word| is_one_of(word, ASKED))
}

fn is_question(sentence: &str) -> bool {
    sentence.trim_end_matches(['"', '”', '\'', ')', ' ', '\n']).ends_with(['?', '？'])
}

/// The sentences of `text`, each with what ends it.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let is_blank = |sentence: &&str| !sentence.contains(char::is_alphanumeric);
    text.split_inclusive(['.', '!', '?', '\n', '。', '！', '？']).filter(move |one| !is_blank(one))
}

/// The sentence in which `text` ends; blank where it ends with a whole one.
fn last_sentence(text: &str) -> &str {
    let end = text.rfind(['.', '!', '?', '\n', '。', '！', '？']).map_or(0, |at| at + 1);
    text.get(end..).unwrap_or_default()
}

/// The sentence in which `text` ends and the one before it.
fn last_sentences(text: &str) -> &str {
    let all: Vec<&str> = sentences(text).collect();
    let first = all[..all.len().saturating_sub(2)].iter().map(|sentence| sentence.len()).sum();
    text.get(first..).unwrap_or(text)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '\'')).filter(|word| !word.is_empty())
}
