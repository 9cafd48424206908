//! The words of a VLM to what they mean: yes or no, a list, a refusal.

use super::Questions;

/// Items beyond this many are dropped.
const MAX_ITEMS: usize = 64;
/// An item is cut after this many characters.
const MAX_ITEM_CHARS: usize = 1_000;

/// A reply to `template` as yes or no; `None` where it says neither or cannot be told.
///
/// The first word decides where it is yes or no; else the one of the two that the reply holds as a
/// whole word. "eyes" is no yes, "know" is no no. Of words that overlap the longest counts: "不是" is
/// no "是".
pub(crate) fn yes_or_no(questions: &Questions, template: &str, reply: &str) -> Option<bool> {
    let mut words = questions.answers_to(template);
    for (word, _) in &mut words {
        *word = folded(word.trim());
    }
    // The sort is stable: of equal words the first one is read, which is the English one if there is.
    words.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
    let reply = folded(without_thoughts(reply));
    let (mut is_taken, mut said) = (vec![false; reply.len()], Vec::new());
    for (word, meaning) in &words {
        for (start, _) in reply.match_indices(word) {
            let place = &mut is_taken[start..start + word.len()];
            if !place.contains(&true) && is_whole(&reply, start, word) {
                place.fill(true);
                said.push((start, *meaning));
            }
        }
    }
    said.sort_unstable();
    let (&(start, first), others) = said.split_first()?;
    let begins = !reply[..start].contains(char::is_alphanumeric);
    (begins || others.iter().all(|&(_, other)| other == first)).then_some(first)
}

/// Whether `word`, which is at `start` of `text`, begins and ends where words do.
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

/// `text` as it is compared: in lower case, with straight apostrophes.
fn folded(text: &str) -> String {
    text.to_lowercase().replace(['\u{2019}', '\u{2bc}'], "'")
}

/// The items of a list, one a line, in order and each once: numbering, bullets, emphasis, quotes
/// around an item, code fences and an introduction that ends with a colon are taken off;
/// apostrophes and inner quotes stay. "None" and its like are no items.
pub(crate) fn list(questions: &Questions, reply: &str) -> Vec<String> {
    let reply = without_thoughts(reply);
    let lines: Vec<&str> =
        reply.lines().map(str::trim).filter(|line| !line.starts_with("```")).collect();
    let mut items: Vec<String> = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let item = item(line);
        let introduces = line.ends_with([':', '：']) && number + 1 < lines.len();
        let repeats = items.iter().any(|known| known.to_lowercase() == item.to_lowercase());
        if introduces || repeats || says_nothing(questions, &item) {
            continue;
        }
        items.push(item);
        if items.len() == MAX_ITEMS {
            break;
        }
    }
    items
}

/// The numbers of a reply that should name some of `count` things by their index from 0, in the
/// order of the reply and each once; none where it names none.
///
/// Of several groups of numbers the first one counts where the reply begins with it, else the
/// longest, the last of equals: "the 3 best of these are 2, 0, 5" names 2, 0 and 5. Numbers that no
/// thing has are passed over. A group that holds `count` and no 0 was counted from 1.
pub(crate) fn indices(reply: &str, count: usize) -> Vec<usize> {
    fn words(line: &str) -> impl Iterator<Item = &str> {
        let fills = |word: &str| {
            matches!(&*word.to_lowercase(), "" | "-" | "image" | "images" | "index" | "and")
        };
        line.split(|c: char| !(c.is_alphanumeric() || c == '-')).filter(move |word| !fills(word))
    }
    let mut groups: Vec<Vec<usize>> = vec![Vec::new()];
    for line in without_thoughts(reply).lines().map(str::trim) {
        // "1. 3" is the first line and names 3.
        let numbered = without_number(line);
        let names = words(numbered).next().is_some_and(|word| word.parse::<usize>().is_ok());
        for word in words(if names { numbered } else { line }) {
            match (word.parse(), groups.last_mut()) {
                (Ok(number), Some(group)) => group.push(number),
                _ => groups.push(Vec::new()),
            }
        }
    }
    let mut groups = groups.into_iter();
    let group = match groups.next() {
        Some(first) if !first.is_empty() => first,
        // `max_by_key` takes the last of equals.
        _ => groups.max_by_key(Vec::len).unwrap_or_default(),
    };
    let first = usize::from(group.contains(&count) && !group.contains(&0));
    let mut named: Vec<usize> = Vec::new();
    for number in group.into_iter().filter_map(|number| number.checked_sub(first)) {
        if number < count && !named.contains(&number) {
            named.push(number);
        }
    }
    named
}

/// A reply that should be one text, such as a rephrased prompt; `None` where it is blank.
pub(crate) fn text(reply: &str) -> Option<String> {
    let text = unquoted(without_thoughts(reply).trim());
    (!text.is_empty()).then(|| text.chars().take(MAX_ITEM_CHARS * 4).collect())
}

/// Whether the model declines to answer (appendix D): "I'm unable to respond", "I can't help with
/// that". A listed concept that merely holds such a word is no refusal.
pub(crate) fn is_refusal(questions: &Questions, reply: &str) -> bool {
    const BEGINNINGS: &str = "sorry|i'm sorry|i am sorry|i apologize|i apologise|unfortunately|\
        i'm unable|i am unable|unable to|i can't|i cannot|i can not|i'm not able|i am not able|\
        i won't|as an ai";
    const INABILITIES: [&str; 6] =
        ["unable to ", "can't ", "cannot ", "can not ", "not able to ", "couldn't "];
    const TASKS: &str = "respond|identify|determine|answer|provide|assist|help|see|view|process|\
        comply|analyze|analyse|tell";
    let reply = folded(without_thoughts(reply));
    let reply = reply.trim_start_matches(|c: char| !c.is_alphanumeric());
    BEGINNINGS.split('|').any(|beginning| reply.starts_with(beginning))
        || questions.refusals.iter().any(|phrase| reply.starts_with(&folded(phrase.trim())))
        || INABILITIES.iter().any(|inability| {
            reply.match_indices(inability).any(|(at, _)| {
                let rest = &reply[at + inability.len()..];
                TASKS.split('|').any(|task| rest.starts_with(task))
            })
        })
}

/// The reply without what a reasoning model thought aloud, `<think>…</think>`.
fn without_thoughts(reply: &str) -> &str {
    match reply.rfind("</think>") {
        Some(end) => &reply[end + "</think>".len()..],
        None => reply,
    }
}

/// One line of a list as its item.
fn item(line: &str) -> String {
    let line = without_number(
        line.trim_start_matches(['-', '*', '•', '–', '—', '·', '・', '#', '>', ' ', '\t']),
    );
    let line = line.trim().trim_matches('*').trim();
    unquoted(line).chars().take(MAX_ITEM_CHARS).collect()
}

/// `line` without a leading `1.`, `10)`, `(2)`, `3:` or `4、` that numbers it.
fn without_number(line: &str) -> &str {
    let open = line.strip_prefix(['(', '（']).unwrap_or(line);
    let rest = open.trim_start_matches(|c: char| c.is_ascii_digit());
    if rest.len() == open.len() {
        return line;
    }
    if let Some(after) = rest.strip_prefix(['、', '．', '）', '：']) {
        return after; // No space follows these.
    }
    match rest.strip_prefix(['.', ')', ':']) {
        // "3.5 inch disk" begins with a number that is part of it.
        Some(after) if after.is_empty() || after.starts_with(char::is_whitespace) => after,
        _ => line,
    }
}

/// `text` without one pair of quotation marks that holds all of it.
fn unquoted(text: &str) -> &str {
    const PAIRS: [(char, char); 9] = [
        ('"', '"'),
        ('\'', '\''),
        ('\u{201c}', '\u{201d}'),
        ('\u{2018}', '\u{2019}'),
        ('`', '`'),
        ('\u{201e}', '\u{201c}'),
        ('«', '»'),
        ('「', '」'),
        ('『', '』'),
    ];
    PAIRS
        .iter()
        .find_map(|&(open, close)| {
            let inner = text.strip_prefix(open)?.strip_suffix(close)?;
            (!inner.contains([open, close])).then_some(inner)
        })
        .map_or(text, str::trim)
}

/// Whether an item is blank or says that nothing is missing.
fn says_nothing(questions: &Questions, item: &str) -> bool {
    const NOTHING: &str = "none|n/a|nothing|no|yes|nothing is missing|no missing concepts|\
        there are no missing concepts|no differences";
    let plain = folded(item.trim_end_matches(['.', '!', '。', '！']));
    let Questions { yes, no, none, .. } = questions;
    !item.chars().any(char::is_alphanumeric)
        || NOTHING.split('|').any(|nothing| plain == nothing)
        || [yes, no, none].into_iter().flatten().any(|nothing| plain == folded(nothing.trim()))
}

#[cfg(test)]
mod tests;
