//! A table, and any rows of text, to Markdown.

use std::fmt::Write;

use super::{Cell, Column, Table, number};

impl Table {
    /// The table in Markdown: best in bold, `±` before the standard error, an arrow behind each metric
    /// that tells whether more is better, and what was left out of each mean. Names are text: nothing of
    /// them is markup.
    pub fn to_markdown(&self) -> String {
        let mut head = vec!["System".to_owned()];
        let sets: Vec<_> = self.columns.iter().map(|column| &column.dataset).collect();
        let is_one = sets.windows(2).all(|pair| pair[0] == pair[1]);
        head.extend(self.columns.iter().map(|column| match is_one {
            true => format!("{} {}", escaped(&column.metric), column.arrow()),
            false => {
                let (set, metric) = (escaped(&column.dataset), escaped(&column.metric));
                format!("{set} {metric} {}", column.arrow())
            }
        }));
        let rows = self.rows.iter().map(|row| {
            let cells =
                row.cells.iter().zip(&self.columns).map(|(cell, column)| text(cell, column));
            [escaped(&row.system)].into_iter().chain(cells).collect()
        });
        let mut table = String::new();
        if is_one && let Some(set) = sets.first() {
            let _ = writeln!(table, "**{}**\n", escaped(set));
        }
        table + &markdown(1, &head, rows)
    }
}

fn text(cell: &Cell, column: &Column) -> String {
    let mean = match cell.summary.mean {
        None => "–".to_owned(),
        Some(mean) if cell.best => format!("**{}**", number(mean, column.decimals)),
        Some(mean) => number(mean, column.decimals),
    };
    let error = cell.summary.standard_error;
    let error = error.map_or(String::new(), |e| format!(" ± {}", number(e, column.decimals)));
    let left_out = match cell.left_out() {
        words if words.is_empty() => words,
        words => format!(" ({words})"),
    };
    let difference = match &cell.difference {
        Some(difference) if difference.paired.mean.is_some() => {
            format!("<br>{} {}", difference.arrow(column), difference.words(column))
        }
        _ => String::new(),
    };
    format!("{mean}{error}{left_out}{}", difference.replace("<br> ", "<br>"))
}

/// A table whose first `texts` columns are texts and whose others are numbers.
pub(in crate::evaluation::report) fn markdown(
    texts: usize,
    head: &[String],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule =
        format!("|{}{}\n", "---|".repeat(texts), "---:|".repeat(head.len().saturating_sub(texts)));
    line(head) + &rule + &rows.into_iter().map(|row| line(&row)).collect::<String>()
}

/// Text as Markdown shows it, in one line.
pub(in crate::evaluation::report) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' | '#' => escaped.extend(['\\', c]),
            c if c.is_control() || is_turning(c) => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Whether a character turns the direction of what follows.
pub(super) const fn is_turning(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
