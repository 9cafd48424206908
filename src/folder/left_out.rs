//! Files that are no pictures to their number, by kind, with the names of the first.

use std::collections::BTreeMap;
use std::fmt;

/// Names of a kind that are kept; of the others the number.
const NAMES: usize = 10;

/// Why a file that was found is neither taken in nor rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LeftOutKind {
    /// An operating system or a program left it there: `Thumbs.db`, `.DS_Store`, `desktop.ini`,
    /// AppleDouble files such as `._bee.jpg`, editors' copies such as `bee.txt~`. The folders
    /// `__MACOSX`, `@eaDir`, `$RECYCLE.BIN` and others of this kind are not entered, and count as
    /// one.
    System,
    /// Its name begins with a dot. A folder of such a name is not entered, and counts as one.
    Hidden,
    /// A caption or metadata, and there is no picture of its name.
    WithoutPicture,
    /// It is no picture: a text, a film, an archive.
    Other,
}

/// Files that were found and left out, by kind.
///
/// ```
/// use imagerag::retriever::{LeftOut, LeftOutKind};
///
/// /// Says which captions belong to no picture; of many, the first ten.
/// fn tell(left_out: &LeftOut) {
///     println!("{left_out}"); // 3 left out (2 system, 1 text without a picture)
///     for name in left_out.names(LeftOutKind::WithoutPicture) {
///         println!("no picture has the name of {name}");
///     }
/// }
/// assert_eq!(LeftOut::default().total(), 0);
/// # tell(&LeftOut::default());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct LeftOut {
    #[serde(flatten)]
    kinds: BTreeMap<LeftOutKind, Files>,
}

/// The files of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
struct Files {
    count: u64,
    /// The first of them.
    names: Vec<String>,
}

impl LeftOut {
    /// The number of files of all kinds.
    pub fn total(&self) -> u64 {
        self.kinds.values().map(|files| files.count).sum()
    }

    /// The number of files of `kind`.
    pub fn count(&self, kind: LeftOutKind) -> u64 {
        self.kinds.get(&kind).map_or(0, |files| files.count)
    }

    /// The sources of the first ten files of `kind`.
    pub fn names(&self, kind: LeftOutKind) -> &[String] {
        self.kinds.get(&kind).map_or(&[], |files| &files.names)
    }

    /// Counts the file at `name` too.
    pub(crate) fn push(&mut self, kind: LeftOutKind, name: String) {
        self.add(kind, 1, [name]);
    }

    /// Counts everything of `other` too.
    #[cfg(feature = "gallery")]
    pub(crate) fn append(&mut self, other: Self) {
        for (kind, Files { count, names }) in other.kinds {
            self.add(kind, count, names);
        }
    }

    fn add(&mut self, kind: LeftOutKind, count: u64, names: impl IntoIterator<Item = String>) {
        let files = self.kinds.entry(kind).or_default();
        files.count += count;
        let room = NAMES.saturating_sub(files.names.len());
        files.names.extend(names.into_iter().take(room));
    }
}

impl LeftOutKind {
    const fn noun(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Hidden => "hidden",
            Self::WithoutPicture => "text without a picture",
            Self::Other => "no picture",
        }
    }
}

impl fmt::Display for LeftOutKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.noun())
    }
}

impl fmt::Display for LeftOut {
    /// The number, and that of each kind: `3 left out (2 system, 1 no picture)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} left out", self.total())?;
        for (number, (kind, files)) in self.kinds.iter().enumerate() {
            let open = if number == 0 { " (" } else { ", " };
            write!(f, "{open}{} {kind}", files.count)?;
        }
        if self.kinds.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_by_kind_and_the_first_named() {
        let mut left_out = LeftOut::default();
        assert_eq!(left_out.to_string(), "0 left out");
        (0..12).for_each(|n| left_out.push(LeftOutKind::Other, format!("{n}.zip")));
        left_out.push(LeftOutKind::System, "Thumbs.db".to_owned());
        assert_eq!((left_out.total(), left_out.count(LeftOutKind::Other)), (13, 12));
        assert_eq!(left_out.names(LeftOutKind::Other).len(), 10);
        assert_eq!(left_out.names(LeftOutKind::Hidden), [""; 0]);
        assert_eq!(left_out.to_string(), "13 left out (1 system, 12 no picture)");
        let json = serde_json::to_value(&left_out).unwrap();
        assert_eq!(json["other"]["count"], 12);
        assert_eq!(json["system"]["names"][0], "Thumbs.db");
    }
}
