//! A reply to the answer in it: without what the model thought aloud, and without the marks of its
//! chat template.

use std::borrow::Cow;
use std::ops::Range;

use super::marks::{self, Mark, Meaning};

/// Pairs that are taken out of each other at most.
const MAX_DEPTH: usize = 8;

/// What stands behind the thoughts in `reply`; `None` where nothing does: the thought was cut off, or
/// it cannot be told where it ends.
///
/// - A thought ends with its own closing mark; thoughts may be nested and repeated.
/// - A closing mark without an opening one ends a thought that the chat template opened.
/// - A mark in quotation marks, or in the middle of a sentence after a whole thought, is only
///   mentioned.
/// - An unknown pair that stands before everything else is a thought too; one that holds everything
///   holds the answer.
pub(super) fn answer(reply: &str) -> Option<Behind> {
    let message = final_channel(reply)?;
    let mut tags = Vec::new();
    let text = behind_thoughts(one_turn(&message), MAX_DEPTH, &mut tags)?;
    Some(Behind { text, tags })
}

/// What stands behind the thoughts in a reply.
pub(super) struct Behind {
    pub text: String,
    /// The names of the unknown pairs that held all of it, the outermost first.
    pub tags: Vec<String>,
}

/// The message in the final channel of gpt-oss's harmony format, also where its marks were removed as
/// special tokens; `None` where another channel was cut off. Other replies are what they are.
fn final_channel(reply: &str) -> Option<Cow<'_, str>> {
    const CHANNEL: &str = "<|channel|>";
    if reply.contains(CHANNEL) {
        let messages =
            reply.split(CHANNEL).skip(1).filter_map(|part| part.split_once("<|message|>"));
        let last = messages.filter(|(channel, _)| channel.trim().starts_with("final")).last()?.1;
        let end = ["<|end|>", "<|return|>", "<|start|>", "<|call|>"];
        let end = end.iter().filter_map(|end| last.find(end)).min().unwrap_or(last.len());
        return Some(last[..end].into());
    }
    // "analysisThe draft …assistantfinalNo": the names of the channels are text.
    match reply.trim_start().strip_prefix("analysis") {
        Some(thought) if thought.starts_with(|c: char| c.is_uppercase()) => {
            thought.rsplit_once("assistantfinal").map(|(_, last)| last.into())
        }
        _ => Some(reply.into()),
    }
}

/// `text` between the marks that begin and end the turn of an assistant.
fn one_turn(text: &str) -> &str {
    let mut text = without_blank_lines(text);
    while let Some(rest) = marks::turn_start(text.trim_start()) {
        text = without_blank_lines(rest);
    }
    marks::turn_end(text).map_or(text, |end| text[..end].trim_end())
}

/// `text` without blank lines around it. The white space before its first word stays where that begins a
/// line: it says to what level of a list the line belongs.
fn without_blank_lines(text: &str) -> &str {
    let blank = &text[..text.len() - text.trim_start().len()];
    text[blank.rfind('\n').map_or(0, |at| at + 1)..].trim_end()
}

/// A part of a reply that stands in no other.
enum Part<'a> {
    Plain(&'a str),
    /// The name of the pair and what it holds.
    Pair(String, &'a str),
}

fn behind_thoughts(text: &str, depth: usize, tags: &mut Vec<String>) -> Option<String> {
    let marks = marks::find(text);
    if marks.len() > marks::MAX_MARKS {
        return None;
    }
    let depth = depth.checked_sub(1)?;
    if marks.is_empty() {
        return Some(without_blank_lines(text).to_owned()).filter(|text| !text.is_empty());
    }
    let (mut parts, mut answers): (Vec<Part>, Vec<&str>) = (Vec::new(), Vec::new());
    let (mut from, mut next, mut thought) = (0, 0, false);
    while let Some(mark) = marks.get(next) {
        let before = &text[from..mark.range.start];
        let after = &text[mark.range.end..];
        next += 1;
        let pair = if mark.opens { closing(&marks, next - 1) } else { None };
        let inner = pair.map(|close| &text[mark.range.end..marks[close].range.start]);
        match (mark.meaning, mark.opens, inner) {
            (Meaning::Thought, true, None) => return None, // Cut off.
            (Meaning::Thought, true, Some(_)) => {
                thought = true;
                parts.push(Part::Plain(before));
            }
            (Meaning::Thought, false, _) => match place(text, &mark.range) {
                _ if after.trim().is_empty() && thought => parts.push(Part::Plain(before)),
                _ if after.trim().is_empty() => return None, // A thought without an answer.
                Place::Boundary => {
                    thought = true;
                    parts.clear();
                    answers.clear();
                }
                Place::Mention => continue,
                Place::Unclear if thought => continue,
                Place::Unclear => return None,
            },
            (Meaning::Answer, true, inner) => {
                parts.push(Part::Plain(before));
                answers.push(inner.unwrap_or(after));
                if inner.is_none() {
                    from = text.len();
                    break;
                }
            }
            (Meaning::Answer, false, _) if answers.is_empty() => answers.push(before),
            (Meaning::Answer, false, _) => {}
            (Meaning::Unknown, true, Some(inner)) => {
                parts.push(Part::Plain(before));
                parts.push(Part::Pair(mark.name.clone(), inner));
            }
            (Meaning::Unknown, true, None) if text[..mark.range.start].trim().is_empty() => {
                return None; // Cut off.
            }
            (Meaning::Unknown, false, _) if after.trim().is_empty() => {
                parts.push(Part::Plain(before));
            }
            (Meaning::Unknown, false, _) if place(text, &mark.range) == Place::Boundary => {
                return None;
            }
            (Meaning::Unknown, ..) => continue, // Words in angle brackets.
        }
        let last = pair.unwrap_or(next - 1);
        (from, next) = (marks[last].range.end, last + 1);
    }
    parts.push(Part::Plain(&text[from..]));
    if !answers.is_empty() {
        return behind_thoughts(&answers.join("\n"), depth, tags);
    }
    outside_of_pairs(&parts, depth, tags)
}

/// The answer among parts of which none is known to be it.
fn outside_of_pairs(parts: &[Part], depth: usize, tags: &mut Vec<String>) -> Option<String> {
    let is_blank = |part: &Part| matches!(part, Part::Plain(text) if text.trim().is_empty());
    let mut rest: Vec<&Part> = parts.iter().filter(|part| !is_blank(part)).collect();
    let is_pair = |part: &&Part| matches!(part, Part::Pair(..));
    if rest.iter().all(is_pair) {
        let mut names = rest.iter().filter_map(|part| match part {
            Part::Pair(name, _) => Some(name.trim_end_matches(|c: char| c.is_ascii_digit())),
            Part::Plain(_) => None,
        });
        let first = names.next()?;
        if names.any(|name| name != first) {
            return None; // Which of them is the answer?
        }
        tags.push(first.to_owned());
        let inner: Vec<&str> = rest.iter().map(|part| part.text()).collect();
        return behind_thoughts(&inner.join("\n"), depth, tags);
    }
    // Pairs before the answer are thoughts, pairs after it explain it.
    while rest.first().is_some_and(is_pair) {
        rest.remove(0);
    }
    while rest.last().is_some_and(is_pair) {
        rest.pop();
    }
    let plain: String = rest.iter().map(|part| part.text()).collect();
    (!rest.iter().any(is_pair)).then(|| without_blank_lines(&plain).to_owned())
}

impl<'a> Part<'a> {
    const fn text(&self) -> &'a str {
        match self {
            Self::Plain(text) | Self::Pair(_, text) => text,
        }
    }
}

/// The number of the mark that closes mark `open`, over pairs of the same name inside it.
fn closing(marks: &[Mark], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let same = marks.iter().enumerate().skip(open).filter(|(_, one)| one.name == marks[open].name);
    for (number, mark) in same {
        depth = if mark.opens { depth + 1 } else { depth.checked_sub(1)? };
        if depth == 0 {
            return Some(number);
        }
    }
    None
}

/// What a closing mark without an opening one does where it stands.
#[derive(PartialEq)]
enum Place {
    /// It ends what is before it.
    Boundary,
    /// A sentence speaks of it.
    Mention,
    Unclear,
}

fn place(text: &str, mark: &Range<usize>) -> Place {
    let line_before = text[..mark.start].rsplit('\n').next().unwrap_or_default();
    let line_after = text[mark.end..].split('\n').next().unwrap_or_default();
    if line_before.trim().is_empty() || line_after.trim().is_empty() {
        return Place::Boundary;
    }
    if line_after.starts_with(['.', ',', ';', ':', '!', '?', ')']) {
        return Place::Mention;
    }
    let ends_a_sentence = line_before.trim_end().ends_with(['.', '!', '?', '…', '。', '！', '？']);
    let is_apart = line_before.ends_with(' ') && line_after.starts_with(' ');
    let begins_a_sentence = line_after.trim_start().starts_with(char::is_uppercase);
    match is_apart && !ends_a_sentence && !begins_a_sentence {
        true => Place::Unclear,
        false => Place::Boundary,
    }
}
