//! A table to LaTeX with the package `booktabs`.

use std::fmt::Write;

use super::markdown::is_turning;
use super::{Cell, Column, Table, number};

impl Table {
    /// The table in LaTeX, as the paper sets its own: needs `\usepackage{booktabs}`, and for names
    /// beyond Latin letters XeLaTeX or LuaLaTeX. Best in bold, an arrow behind each metric, `±` before
    /// the standard error; what was left out of a mean is in a comment below.
    pub fn to_latex(&self) -> String {
        let mut sets: Vec<(&str, usize)> = Vec::new();
        for Column { dataset, .. } in &self.columns {
            match sets.last_mut() {
                Some((last, count)) if last == dataset => *count += 1,
                _ => sets.push((dataset, 1)),
            }
        }
        let mut latex =
            format!("\\begin{{tabular}}{{l{}}}\n\\toprule\n", "c".repeat(self.columns.len()));
        let (mut heads, mut rules, mut at) = (String::new(), String::new(), 2);
        for (set, count) in &sets {
            let _ = write!(heads, " & \\multicolumn{{{count}}}{{c}}{{{}}}", escaped(set));
            let _ = write!(rules, "\\cmidrule(lr){{{at}-{}}}", at + count - 1);
            at += count;
        }
        let _ = writeln!(latex, "{heads} \\\\\n{rules}");
        for column in &self.columns {
            let arrow = if column.higher_is_better { "\\uparrow" } else { "\\downarrow" };
            let _ = write!(latex, " & {} ${arrow}$", escaped(&column.metric));
        }
        latex += " \\\\\n\\midrule\n";
        let mut notes = String::new();
        for row in &self.rows {
            latex += &escaped(&row.system);
            for (cell, column) in row.cells.iter().zip(&self.columns) {
                let _ = write!(latex, " & {}", text(cell, column));
                let left_out = cell.left_out();
                if !left_out.is_empty() {
                    let names = [&row.system, &column.dataset, &column.metric];
                    let names = names.map(|name| one_line(name)).join(", ");
                    let _ = writeln!(notes, "% {names}: {left_out}");
                }
            }
            latex += " \\\\\n";
        }
        latex + "\\bottomrule\n\\end{tabular}\n" + &notes
    }
}

fn text(cell: &Cell, column: &Column) -> String {
    let Some(mean) = cell.summary.mean else { return "--".to_owned() };
    let mean = number(mean, column.decimals);
    let mean = if cell.best { format!("\\mathbf{{{mean}}}") } else { mean };
    let error = cell.summary.standard_error;
    let error = error.map_or(String::new(), |e| format!(" \\pm {}", number(e, column.decimals)));
    let words =
        cell.difference.as_ref().map_or(String::new(), |difference| difference.words(column));
    let difference = match words.split_once(" (p ") {
        None if words.is_empty() => words,
        None => format!(" \\; ({words})"),
        Some((value, p)) => format!(" \\; ({value},\\, p {}", p),
    };
    format!("${mean}{error}{difference}$")
}

/// Text as LaTeX sets it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', c]),
            '\\' => escaped += "\\textbackslash{}",
            '~' => escaped += "\\textasciitilde{}",
            '^' => escaped += "\\textasciicircum{}",
            '<' => escaped += "\\textless{}",
            '>' => escaped += "\\textgreater{}",
            '|' => escaped += "\\textbar{}",
            '"' => escaped += "\\textquotedbl{}",
            'Σ' => escaped += "$\\Sigma$",
            c if c.is_control() || is_turning(c) => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Text that ends no comment.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_turning(c) { ' ' } else { c }).collect()
}
