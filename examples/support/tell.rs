//! A line to standard output, whatever is in it and whether or not somebody reads it.

use std::io::{ErrorKind, Write};

/// Prints a line as `println!` does, but for control characters, which are escaped: file names may
/// hold some that a terminal would obey. It does not matter that nobody reads on, as behind `| head`.
macro_rules! tell {
    ($($part:tt)*) => { $crate::command::tell::line(&format!($($part)*)) };
}

pub(crate) use tell;

pub(crate) fn line(text: &str) {
    let written = writeln!(std::io::stdout(), "{}", escaped(text));
    if let Err(error) = written.and_then(|()| std::io::stdout().flush())
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _ = writeln!(std::io::stderr(), "error: standard output: {error}");
        std::process::exit(1);
    }
}

/// `text` with its control characters as JSON escapes them.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => escaped += "\\n",
            c if c.is_control() => escaped += &format!("\\u{:04x}", u32::from(c)),
            c => escaped.push(c),
        }
    }
    escaped
}
