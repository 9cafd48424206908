//! An [`Analysis`] to a table for people and one for programs.

use std::fmt::Write;

use super::analysis::Analysis;
use crate::evaluation::statistics::{Confidence, Interval};
use crate::{Error, Result};

impl Analysis {
    /// The tables and all that was left out, as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write_markdown(&mut text);
        text
    }

    fn write_markdown(&self, text: &mut String) -> std::fmt::Result {
        let confidence = self.confidence().map_or_else(|| "95 %".into(), percent_of);
        writeln!(text, "## Study {} ({})\n", cell(&self.study), cell(&self.version))?;
        write!(text, "{} participants, {} answers", self.participants, self.answers)?;
        writeln!(text, "; {} of them did not answer everything.", self.partial)?;
        if self.unchecked > 0 {
            writeln!(text, "{} of them left attention checks unanswered.", self.unchecked)?;
        }
        if !self.preferences.is_empty() {
            writeln!(
                text,
                "\n| question | method | over | preferred | {confidence}, over participants | {confidence}, \
                 Wilson | choices | participants | α |\n|---|---|---|---:|---|---|---:|---:|---:|"
            )?;
        }
        for p in &self.preferences {
            let (question, method, base) = (cell(&p.question), cell(&p.method), cell(&p.base));
            let (over, wilson) = (interval(p.over_participants), interval(p.wilson));
            let (n, people, alpha) = (p.choices.n(), p.participants, number(p.agreement));
            let rate = percent(p.rate);
            writeln!(
                text,
                "| {question} | {method} | {base} | {rate} | {over} | {wilson} | {n} | {people} | {alpha} |"
            )?;
        }
        if let Some(rate) = self.left.rate() {
            let range = interval(self.left.wilson(Confidence::default()));
            writeln!(
                text,
                "\nThe left picture was chosen in {} of all choices ({range}).",
                percent(rate)
            )?;
        }
        if !self.strengths.is_empty() {
            writeln!(
                text,
                "\n| question | system | strength (log) | {confidence}, over participants |"
            )?;
            writeln!(text, "|---|---|---:|---|")?;
        }
        for s in &self.strengths {
            let range = s
                .over_participants
                .map_or_else(|| "–".into(), |i| format!("{:.2} to {:.2}", i.low, i.high));
            writeln!(
                text,
                "| {} | {} | {:.2} | {range} |",
                cell(&s.question),
                cell(&s.system),
                s.strength
            )?;
        }
        if !self.contains.is_empty() {
            writeln!(
                text,
                "\n| question | system | yes | {confidence}, over participants | {confidence}, Wilson | \
                 answers | participants | α |\n|---|---|---:|---|---|---:|---:|---:|"
            )?;
        }
        for c in &self.contains {
            let (question, system, rate) = (cell(&c.question), cell(&c.system), percent(c.rate));
            let (over, wilson) = (interval(c.over_participants), interval(c.wilson));
            let (n, people, alpha) = (c.answers.n(), c.participants, number(c.agreement));
            writeln!(
                text,
                "| {question} | {system} | {rate} | {over} | {wilson} | {n} | {people} | {alpha} |"
            )?;
        }
        if !self.paired.is_empty() {
            writeln!(
                text,
                "\n| question | before | after | no to yes | yes to no | unchanged | undecided | \
                 McNemar's p |\n|---|---|---|---:|---:|---:|---:|---:|"
            )?;
        }
        for p in &self.paired {
            let (question, base, method) = (cell(&p.question), cell(&p.base), cell(&p.method));
            let (gained, lost, same) = (p.items.gained, p.items.lost, p.items.unchanged);
            let (undecided, value) = (p.undecided, p_value(p.p_value));
            writeln!(
                text,
                "| {question} | {base} | {method} | {gained} | {lost} | {same} | {undecided} | {value} |"
            )?;
        }
        if !self.dropped.is_empty() || !self.left_out.is_empty() {
            writeln!(text, "\nLeft out:\n")?;
        }
        for d in &self.dropped {
            let (who, failed, checks) = (cell(&d.participant), d.failed, d.checks);
            writeln!(text, "- participant {who}: failed {failed} of {checks} attention checks")?;
        }
        self.left_out
            .iter()
            .try_for_each(|l| writeln!(text, "- {}: {}", cell(&l.file), cell(&l.reason)))
    }

    /// One line for each share: `question,system,base,share,low,high,wilson_low,wilson_high,n,
    /// participants,alpha`. `low` and `high` are over participants. `base` is empty for shares of yes.
    ///
    /// # Errors
    /// When the writer fails, which it does not in memory.
    pub fn csv(&self) -> Result<String> {
        let failed = |error: csv::Error| Error::backend("CSV writer", error);
        let mut writer = csv::Writer::from_writer(Vec::new());
        let header = [
            "question",
            "system",
            "base",
            "share",
            "low",
            "high",
            "wilson_low",
            "wilson_high",
            "n",
            "participants",
            "alpha",
        ];
        writer.write_record(header).map_err(failed)?;
        let ends = |interval: Option<Interval>| (interval.map(|i| i.low), interval.map(|i| i.high));
        for p in &self.preferences {
            let (over, wilson) = (ends(p.over_participants), ends(p.wilson));
            let (n, alpha) = (p.choices.n(), p.agreement);
            let row =
                (&p.question, &p.method, &p.base, p.rate, over, wilson, n, p.participants, alpha);
            writer.serialize(row).map_err(failed)?;
        }
        for c in &self.contains {
            let (over, wilson) = (ends(c.over_participants), ends(c.wilson));
            let (n, alpha) = (c.answers.n(), c.agreement);
            let row = (&c.question, &c.system, "", c.rate, over, wilson, n, c.participants, alpha);
            writer.serialize(row).map_err(failed)?;
        }
        let bytes =
            writer.into_inner().map_err(|e| Error::backend("CSV writer", e.into_error()))?;
        String::from_utf8(bytes).map_err(|error| Error::backend("CSV writer", error))
    }

    /// The confidence of the intervals, where there are any.
    fn confidence(&self) -> Option<f64> {
        let preferences = self.preferences.iter().filter_map(|p| p.wilson);
        let mut all = preferences.chain(self.contains.iter().filter_map(|c| c.wilson));
        Some(all.next()?.confidence.get())
    }
}

/// A text that neither ends a cell nor begins markup.
fn cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '\\' | '`' | '*' | '<' | '[' => cell.extend(['\\', c]),
            c if c.is_control() => cell.push(' '),
            c => cell.push(c),
        }
    }
    cell
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn percent_of(confidence: f64) -> String {
    format!("{} %", (1000.0 * confidence).round() / 10.0)
}

fn interval(interval: Option<Interval>) -> String {
    interval
        .map_or_else(|| "–".into(), |i| format!("{:.1} to {:.1} %", 100.0 * i.low, 100.0 * i.high))
}

fn number(number: Option<f64>) -> String {
    number.map_or_else(|| "–".into(), |number| format!("{number:.2}"))
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".into() } else { format!("{p:.3}") }
}
