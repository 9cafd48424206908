//! What a person types for a checkpoint to a repository, a path in it and a revision.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// The revision that is meant where none is named.
pub(super) const MAIN: &str = "main";

/// A repository on the hub, or a folder or file in it: `OWNER/NAME[/PATH][@REVISION]`.
///
/// ```
/// use imagerag::hub::Place;
///
/// let place: Place = "h94/IP-Adapter/models/image_encoder@main".parse()?;
/// assert_eq!(place.repo(), "h94/IP-Adapter");
/// assert_eq!(place.path(), "models/image_encoder");
/// assert!("../secrets".parse::<Place>().is_err());
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    repo: String,
    path: String,
    revision: String,
}

impl Place {
    /// The repository, as `OWNER/NAME`.
    pub fn repo(&self) -> &str {
        &self.repo
    }

    /// The folder or file in the repository, with `/`; empty for the whole of it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The branch, tag or commit.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Owner and name.
    pub(super) fn owner_and_name(&self) -> (&str, &str) {
        self.repo.split_once('/').unwrap_or(("", &self.repo))
    }
}

impl FromStr for Place {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |why: &str| {
            let expected = "OWNER/NAME[/PATH][@REVISION] of letters, digits and . _ -";
            Error::invalid_input("repository", expected, format!("{text:?} ({why})"))
        };
        let (place, revision) = text.split_once('@').unwrap_or((text, MAIN));
        let mut parts = place.splitn(3, '/');
        let (owner, name, path) = (parts.next(), parts.next(), parts.next().unwrap_or(""));
        let (Some(owner), Some(name)) = (owner, name) else { return Err(invalid("no owner")) };
        if !is_name(owner) || !is_name(name) {
            return Err(invalid("not a name"));
        }
        let path = path.trim_end_matches('/');
        if !path.is_empty() && !is_safe(path) {
            return Err(invalid("not a path within a repository"));
        }
        if !is_safe(revision) {
            return Err(invalid("not a revision"));
        }
        let repo = format!("{owner}/{name}");
        Ok(Self { repo, path: path.into(), revision: revision.into() })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repo)?;
        if !self.path.is_empty() {
            write!(f, "/{}", self.path)?;
        }
        write!(f, "@{}", self.revision)
    }
}

/// The hub's own rule for owners and names.
fn is_name(name: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=96).contains(&name.len())
        && name.chars().all(inside)
        && !name.starts_with(['.', '-'])
        && !name.ends_with(['.', '-'])
        && !name.contains("..")
        && !name.contains("--")
}

/// Whether a path with `/` stays where it is put, on any operating system.
pub(super) fn is_safe(path: &str) -> bool {
    let part = |part: &str| {
        !matches!(part, "" | "." | "..")
            && !part.contains(|c: char| c.is_control() || matches!(c, '\\' | ':'))
    };
    path.len() <= 1024 && path.split('/').all(part)
}

/// Whether a revision is a commit, whose files never change.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.chars().all(|c| c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in ["a/b@main", "h94/IP-Adapter/models/image_encoder@main", "a/b/c.json@refs/pr/1"]
        {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
        assert_eq!("a/b".parse::<Place>().unwrap().revision(), "main");
    }

    #[test]
    fn refuses_what_is_no_repository() {
        let texts = "|gpt2|a/|/b|../b|a/..|a/b/../../c|a/b//c|a b/c|a/b@|a/b@..|a/b@/x|a/b\\c|C:/b|\
            a/-b|a/b--c|a/b/c\n|a/b@x:y|https://huggingface.co/a/b";
        for text in texts.split('|') {
            let error = text.parse::<Place>().expect_err(text);
            assert!(error.to_string().starts_with("repository: expected OWNER/NAME"), "{error}");
        }
    }
}
