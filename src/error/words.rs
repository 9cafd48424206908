//! What an error holds to the words of its message.

use std::time::Duration;

use super::{BoxError, Error};

/// The most characters of a service's words in an error.
pub(super) const MAX_WORDS: usize = 2_000;

/// What a service asks for, behind its words.
pub(super) fn wait(retry_after: Option<Duration>) -> String {
    match retry_after {
        None | Some(Duration::ZERO | Duration::MAX) => String::new(),
        Some(wait) => format!(" (asks to wait {})", length(wait)),
    }
}

/// A time in seconds, to a tenth above one; in days from one on.
fn length(time: Duration) -> String {
    const DAY: u64 = 24 * 60 * 60;
    match time.as_secs() {
        0 => format!("{} s", time.as_secs_f64()),
        seconds @ 1..DAY => match time.subsec_millis() {
            0 => format!("{seconds} s"),
            _ => format!("{} s", (time.as_secs_f64() * 10.0).ceil() / 10.0),
        },
        DAY => "1 day".into(),
        seconds => format!("{} days", seconds.div_ceil(DAY)),
    }
}

/// What became of a call without an answer, by what the transport said.
pub(super) fn unanswered(source: &BoxError) -> &'static str {
    match is_broken_off(source) {
        true => "was reached, but its reply broke off",
        false => "could not be reached",
    }
}

/// Whether the transport said that the service was reached.
pub(crate) fn is_broken_off(source: &BoxError) -> bool {
    let kind = source.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    kind == Some(std::io::ErrorKind::UnexpectedEof)
}

/// Errors with all their causes, in one line: `1: a; 2: b: c`.
pub(super) fn numbered(errors: &[Error]) -> String {
    let lines = errors.iter().enumerate().map(|(n, error)| format!("{}: {}", n + 1, error.chain()));
    lines.collect::<Vec<_>>().join("; ")
}

pub(super) fn shortened(words: &str) -> String {
    match words.char_indices().nth(MAX_WORDS) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words.to_owned(),
    }
}
