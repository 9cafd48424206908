//! The lines of a plan of edits to the texts that may be instructions.

use super::edits::Told;
use super::instruction::{instructs, is_reason, is_step, label, refers_back, wishes, without_step};
use super::items::Item;
use super::line::{self, Line, Marker};
use super::{is_one_of, outline, phrases, words};
use crate::vlm::Questions;

/// What of a plan is passed over.
#[derive(Clone, Copy, PartialEq)]
enum Skipped {
    Nothing,
    /// The reason of one item, up to the next one.
    Reason,
    /// What stands below a heading such as "Analysis", up to the next heading.
    Section,
}

/// The texts that may be instructions, without the last line if it is not whole.
pub(super) fn in_lines(questions: &Questions, text: &str, is_last_cut: bool) -> Vec<Told> {
    let text = outline::unwrapped(&outline::one_a_line(text));
    let mut lines = line::lines(&text);
    if is_last_cut {
        lines.pop();
    }
    let lines = &lines[below_heading(&lines)..];
    let is_marked = |line: &Line| matches!(line.marker, Marker::Number | Marker::Bullet);
    // In another language the question may be answered with a line for each edit.
    let are_items = !lines.iter().any(is_marked)
        && lines.len() > 1
        && questions.edits != Questions::default().edits;
    let mut told: Vec<Told> = Vec::new();
    let (mut skipped, mut top): (Skipped, Option<&Line>) = (Skipped::Nothing, None);
    for (number, line) in lines.iter().enumerate() {
        let next = lines.get(number + 1);
        let item = Item::read(line.text);
        let is_labelled_step = item.kind.as_deref().is_some_and(is_step)
            || item.label.as_deref().is_some_and(is_step)
            || without_step(line.text).len() < line.text.len();
        if is_heading(line, next) {
            let is_part = top.is_some() && !line.is_apart && line.marker == Marker::None;
            skipped = match is_aside(phrases::bare(line.text)) {
                true if is_part => Skipped::Reason,
                true => Skipped::Section,
                false => Skipped::Nothing,
            };
            continue;
        }
        let is_new = is_marked(line) && top.is_none_or(|top| line.indent <= top.indent + 1);
        if is_labelled_step || (skipped == Skipped::Reason && is_new) {
            skipped = Skipped::Nothing;
        }
        if skipped != Skipped::Nothing {
            continue;
        }
        let is_below = top.is_some_and(|top| {
            let is_lesser = top.marker == Marker::Number && line.marker == Marker::Bullet;
            line.indent > top.indent + 1 || line.marker == Marker::None || is_lesser
        });
        let is_under = |below: &&Line| {
            let is_lesser = line.marker == Marker::Number && below.marker == Marker::Bullet;
            below.indent > line.indent + 1 || is_lesser
        };
        let mut below = lines[number + 1..].iter().take_while(is_under);
        let instructs_below = below.any(|line| instructs(without_step(&line::cleaned(line.text))));
        if is_marked(line) && !is_below {
            top = Some(line);
        }
        let Some(text) = instruction(&item).filter(|_| !is_aside_line(line.text)) else { continue };
        let has_list_below =
            top.is_none() && !is_marked(line) && lines[number..].iter().any(is_marked);
        if has_list_below && wishes(&text) && !instructs(&text) {
            continue; // "The car is blue, but it should be red."
        }
        let is_title = instructs_below && !instructs(&text);
        if let Some(last) = told.last_mut().filter(|_| is_below && !is_labelled_step) {
            let is_phrase = words(&last.text).len() > 1 || !last.text.is_ascii();
            let is_edit = instructs(&last.text) || (last.is_item && is_phrase);
            if line.marker == Marker::None
                && !line.is_apart
                && outline::continues(&last.text, line.text)
            {
                last.text = format!("{} {text}", last.text);
                continue;
            }
            // "1. Add a dog." and below "Make it brown."
            let is_deeper = top.is_some_and(|top| line.indent > top.indent + 1);
            if is_edit && instructs(&text) && (is_deeper || refers_back(&text)) {
                let mark = if last.text.ends_with(['.', '!']) { "" } else { "." };
                last.text = format!("{}{mark} {text}", last.text);
                continue;
            }
            if is_edit && !line.is_apart {
                told.push(Told { text, is_item: false });
                continue;
            }
        }
        let is_item = (is_marked(line) || is_labelled_step || are_items) && !is_title;
        let is_farewell = !is_marked(line) && phrases::takes_leave(line.text) && !instructs(&text);
        told.push(Told { text, is_item: is_item && !is_farewell });
    }
    told
}

/// Where the plan begins below a heading such as `**Edit plan:**`: below the final one, or the first if
/// nothing above it instructs.
fn below_heading(lines: &[Line]) -> usize {
    const ORDINALS: &str = "first|second|third|fourth|fifth|next|last";
    let is_plan = |line: &Line| {
        let is_one = |word: &String| {
            is_one_of(word, ORDINALS) || word.contains(|c: char| c.is_ascii_digit())
        };
        is_step(line.text) && !words(line.text).iter().any(is_one)
    };
    let Some(last) = lines.iter().rposition(is_plan).filter(|last| last + 1 < lines.len()) else {
        return 0;
    };
    let is_final = words(lines[last].text).iter().any(|word| word == "final");
    let instructs_above =
        || lines[..last].iter().any(|line| instructs(without_step(&line::cleaned(line.text))));
    if is_final || !instructs_above() { last + 1 } else { 0 }
}

/// Whether a line is a heading: one of Markdown, all in bold, or before a colon, with something below
/// it, or a label without anything behind it.
fn is_heading(line: &Line, next: Option<&Line>) -> bool {
    let bare = phrases::bare(line.text);
    if is_step(bare) || (line.marker == Marker::Heading && !instructs(bare)) {
        return true;
    }
    let ends_open = outline::ends_with_colon(line.text);
    // "- **Add a hat**:" is an edit if what is below it is none.
    let is_open_item = line.marker != Marker::None
        && instructs(bare)
        && !next.is_some_and(|next| instructs(next.text));
    let is_title = ends_open && (!is_open_item || is_aside(bare));
    let is_bold = line.marker == Marker::None && outline::is_bold(line.text) && !instructs(bare);
    is_title || (is_bold && next.is_some() && !phrases::is_nothing(bare))
}

/// Whether what a label or heading says is beside the plan.
fn is_aside(label: &str) -> bool {
    is_reason(label) || phrases::is_aside(label) || phrases::is_recap(label)
}

fn is_aside_line(text: &str) -> bool {
    let text = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    label(text).is_some_and(|(label, _)| is_aside(label))
}

/// What an item instructs to do, `None` where its label says that it is something else.
pub(super) fn instruction(item: &Item) -> Option<String> {
    let text = item.text.as_str();
    if item.kind.as_deref().is_some_and(is_aside) {
        return None;
    }
    let is_verb = |label: &str| instructs(label) && !is_one_of(&label.to_lowercase(), "edit|fix");
    let text = match (&item.label, &item.kind) {
        (None, Some(kind)) if is_step(kind) => format!("{kind}: {text}"),
        (None, _) => text.to_owned(),
        (Some(label), _) if instructs(label) && !is_step(label) && phrases::is_nothing(text) => {
            return None;
        }
        (Some(label), _) if instructs(text) && words(text).len() > 1 => {
            match refers_back(text) && !is_step(label) {
                true => format!("{label}: {text}"),
                false => text.to_owned(),
            }
        }
        (Some(label), _)
            if is_verb(label) && words(label).len() == 1 && !phrases::is_nothing(text) =>
        {
            format!("{label} {text}")
        }
        (Some(label), _) if is_step(label) => format!("{label}: {text}"),
        (Some(label), _) if instructs(label) => label.clone(),
        (Some(label), _) if is_aside(label) => return None,
        (Some(label), _) => format!("{label}: {text}"),
    };
    Some(text)
}
