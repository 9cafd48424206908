//! The reply of a judge to the numbers that it gives.

mod labels;
mod number;
mod refused;

use super::json::{self, Json};
use super::table::table;
use super::{answer, folded, refusal};
use crate::vlm::{ChatReply, Questions};
use labels::Reader;

/// Why a reply gives no numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Unscored {
    /// The model declines, in these words.
    Refused(String),
    /// It cannot be told what it gives: what was found.
    Unclear(String),
}

/// What a reply is asked to give a number for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) name: &'a str,
    /// The number where the reply says that there is none: `null`, `N/A`.
    pub(crate) not_applicable: Option<f64>,
}

/// What a judge calls its only number, when it does not call it `Score`. "Note" is left out, which is a
/// remark in English.
const OTHER_WORDS: [&str; 26] = [
    "rating",
    "grade",
    "mark",
    "points",
    "得分",
    "评分",
    "評分",
    "分数",
    "分數",
    "打分",
    "スコア",
    "点数",
    "得点",
    "評価",
    "점수",
    "평점",
    "puntuación",
    "puntuacion",
    "puntaje",
    "calificación",
    "pontuação",
    "punteggio",
    "bewertung",
    "punktzahl",
    "оценка",
    "puan",
];

/// The number that a reply gives for each of `asked`, of which each must have exactly one: `Score: 3`,
/// `**Score:** 3/4`, `{"score": 3}`, a heading with a number below it, a table with a column of scores. A
/// scale that ends at another number than `max`, as in `3/5`, a range, a mixed fraction and a percentage
/// are no numbers; thoughts are not read.
pub(crate) fn scores(
    reply: &ChatReply,
    asked: &[Asked<'_>],
    max: f64,
) -> Result<Vec<f64>, Unscored> {
    if let Some(reason) = &reply.refusal {
        return Err(Unscored::Refused(reason.clone()));
    }
    let Some(answer) = answer(reply) else {
        return Err(Unscored::Unclear("no answer behind a thought".into()));
    };
    let text = plain(&answer.text);
    let values = json::values(&answer.text);
    let of = |one: &Asked<'_>| {
        let not_applicable = one.not_applicable;
        let reader = Reader { max, not_applicable, cut_off: answer.cut_off };
        let whole = Reader { cut_off: false, ..reader };
        let name = joined(one.name);
        let mut found = Vec::new();
        values.iter().for_each(|value| whole.in_json(value, &name, &mut found));
        let other_words = || match (asked, &*name) {
            ([_], "score") => {
                OTHER_WORDS.iter().flat_map(|word| reader.in_text(&text, word)).collect()
            }
            _ => Vec::new(),
        };
        let alone = || match asked {
            [_] => reader.alone(&text).into_iter().collect(),
            _ => Vec::new(),
        };
        let others: [&dyn Fn() -> Vec<f64>; 4] = [
            &|| whole.in_table(&answer.text, &name),
            &|| reader.in_text(&text, &name),
            &other_words,
            &alone,
        ];
        for other in others {
            if found.is_empty() {
                found = other();
            }
        }
        found
    };
    let found: Vec<Vec<f64>> = asked.iter().map(of).collect();
    let is_silent = found.iter().all(Vec::is_empty);
    if refused::declines(&text) || is_silent && refusal::is_refusal(&Questions::default(), &text) {
        return Err(Unscored::Refused(shortened(&answer.text)));
    }
    let one = |(Asked { name, .. }, found): (&Asked<'_>, Vec<f64>)| match *found {
        [value] => Ok(value),
        ref other => {
            let (count, text) = (other.len(), shortened(&answer.text));
            Err(Unscored::Unclear(format!(
                "expected one number for {name}, found {count} in: {text}"
            )))
        }
    };
    asked.iter().zip(found).map(one).collect()
}

/// `text` in lower case, with ASCII's digits and slash in place of the wide ones.
fn plain(text: &str) -> String {
    let narrow = |c: char| match c {
        '０'..='９' | '／' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        c => c,
    };
    folded(text).chars().map(narrow).collect()
}

/// The beginning of what was said; all of it is in the exchanges.
fn shortened(text: &str) -> String {
    const MOST: usize = 300;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What is between the words of a name left out: `Visual Correctness` is `visualcorrectness`.
fn joined(name: &str) -> String {
    folded(name).chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Whether the field, heading or column `found` is that of `name`, which are both [`joined`].
fn is_named(found: &str, name: &str) -> bool {
    found == name || found.strip_suffix("score") == Some(name)
}

impl Reader {
    /// Adds the numbers of the fields called `name`.
    fn in_json(self, value: &Json, name: &str, found: &mut Vec<f64>) {
        match value {
            Json::List(list) => list.iter().for_each(|value| self.in_json(value, name, found)),
            Json::Fields(fields) => {
                for (field, value) in fields {
                    let is_it = is_named(&joined(field), name);
                    match is_it.then(|| self.of_field(value)).flatten() {
                        Some(number) => found.push(number),
                        None => self.in_json(value, name, found),
                    }
                }
            }
            _ => {}
        }
    }

    /// The number in the field of a criterion: itself, as text, or in a field of its own beside a reason.
    fn of_field(self, value: &Json) -> Option<f64> {
        match value {
            Json::Number(number) => Some(*number),
            Json::Text(text) => self.alone(&plain(text)),
            Json::Null => self.not_applicable,
            Json::Fields(fields) => {
                let is_number = |name: &str| ["score", "rating", "value"].contains(&&*joined(name));
                let mut numbers = fields.iter().filter(|(name, _)| is_number(name));
                let (_, number) = numbers.next()?;
                numbers.next().is_none().then(|| self.of_field(number))?
            }
            _ => None,
        }
    }

    /// The numbers for `name` in a table of Markdown: in the row that begins with it, in a column of
    /// scores, or in the column with its name where there is one row.
    fn in_table(self, text: &str, name: &str) -> Vec<f64> {
        let Some(table) = table(text) else { return Vec::new() };
        let header: Vec<String> = table.header.iter().map(|cell| joined(cell)).collect();
        let number = |row: &[String], column: usize| self.alone(&plain(row.get(column)?));
        let is_scores = |cell: &String| cell == "score" || OTHER_WORDS.contains(&&**cell);
        if let Some(column) = header.iter().skip(1).position(is_scores).map(|at| at + 1) {
            let own = table
                .rows
                .iter()
                .filter(|row| row.first().is_some_and(|cell| is_named(&joined(cell), name)));
            let found: Vec<f64> = own.filter_map(|row| number(row, column)).collect();
            if !found.is_empty() {
                return found;
            }
        }
        match (&*table.rows, header.iter().position(|cell| is_named(cell, name))) {
            ([row], Some(column)) => number(row, column).into_iter().collect(),
            _ => Vec::new(),
        }
    }
}
