//! [`Chain`]: an error and its causes to one line.

use std::error::Error;
use std::fmt;

/// An error and all its causes in one line, the outermost first: `a: b: c`. A cause that the line
/// names already is left out.
///
/// ```
/// use imagerag::{Chain, Error};
///
/// fn log(line: Chain<'_>) -> String {
///     format!("ERROR {line}")
/// }
///
/// let error = Error::backend("a search", Error::io("vectors", std::io::Error::other("no disk")));
/// assert_eq!(log(error.chain()), "ERROR a search failed: cannot access vectors: no disk");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a>(&'a (dyn Error + 'static));

impl<'a> Chain<'a> {
    /// The line of `error`, of whichever type it is. Errors of this crate have
    /// [`chain`](crate::Error::chain).
    ///
    /// ```
    /// let error = std::io::Error::other("no disk");
    /// assert_eq!(imagerag::Chain::new(&error).to_string(), "no disk");
    /// ```
    pub const fn new(error: &'a (dyn Error + 'static)) -> Self {
        Self(error)
    }
}

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&with_causes(self.0, self.0.source()))
    }
}

/// `message` and the errors from `source` downwards, each once: `a: b: c`.
pub(crate) fn with_causes(
    message: impl ToString,
    source: Option<&(dyn Error + 'static)>,
) -> String {
    let (mut line, mut next) = (message.to_string(), source);
    while let Some(error) = next {
        let cause = error.to_string();
        if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
        next = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use crate::Error;

    #[test]
    fn a_chain_names_each_cause_once() {
        let io = std::io::Error::other("the disk is gone");
        let error = Error::backend("a search", Error::io("vectors", io));
        assert_eq!(error.to_string(), "a search failed");
        let chain = error.chain().to_string();
        assert_eq!(chain, "a search failed: cannot access vectors: the disk is gone");
        let told_already = Error::backend("x", Error::backend("the disk", "x failed"));
        assert_eq!(told_already.chain().to_string(), "x failed: the disk failed");
    }
}
