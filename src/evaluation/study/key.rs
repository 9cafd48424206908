//! Which picture is whose: the lines of `key.csv`.

use std::path::Path;

use super::settings::StudyKind;
use crate::{Error, Result};

/// A picture of a screen.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct KeyRow {
    pub study: String,
    pub version: String,
    pub kind: StudyKind,
    pub max_failed_checks: usize,
    /// How many answers a participant gives who answers everything.
    pub answers_per_participant: usize,
    pub salt: String,
    /// The screen that shows it; answers call it the item.
    pub screen: String,
    /// Its opaque name.
    pub picture: String,
    pub role: Role,
    pub system: String,
    /// The system that this one is compared with.
    pub base: String,
    pub dataset: String,
    pub item: String,
    pub seed: String,
    pub concept: String,
    pub prompt: String,
    /// What is asked of it: the questions of the study with tabs between them; of a check the one that it is
    /// about. Empty in keys of former versions.
    pub question: String,
    /// The lists that show it on the left, such as `L1 L4`; a picture that stands alone is in these.
    #[serde(default)]
    pub left_in: String,
    /// The lists that show it on the right.
    #[serde(default)]
    pub right_in: String,
}

/// What a picture is in its screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Role {
    /// That of the first system of a pair.
    #[default]
    Base,
    /// That of the second.
    Method,
    /// A picture that is rated by itself.
    Rated,
    /// The one to choose in a check, or the one that must be answered by yes.
    Right,
    /// The one not to choose in a check, or the one that must be answered by no.
    Wrong,
}

impl KeyRow {
    /// The questions that are asked of it.
    pub(super) fn questions(&self) -> impl Iterator<Item = &str> {
        self.question.split('\t').filter(|question| !question.is_empty())
    }

    /// Notes that list `number` shows the picture, on the left or on the right.
    pub(super) fn shown_in(&mut self, number: usize, is_left: bool) {
        let lists = if is_left { &mut self.left_in } else { &mut self.right_in };
        if !lists.is_empty() {
            lists.push(' ');
        }
        // A letter first: spreadsheets take digits for numbers.
        lists.push_str(&format!("L{number}"));
    }

    /// The lists that show the picture, by number, and whether it is on the left there.
    pub(super) fn lists(&self) -> impl Iterator<Item = (usize, bool)> {
        let of = |lists: &'_ str| -> Vec<usize> {
            lists
                .split_whitespace()
                .filter_map(|list| list.strip_prefix('L')?.parse().ok())
                .collect()
        };
        let right = of(&self.right_in).into_iter().map(|list| (list, false));
        of(&self.left_in).into_iter().map(|list| (list, true)).chain(right)
    }
}

impl Role {
    pub(super) const fn is_check(self) -> bool {
        matches!(self, Self::Right | Self::Wrong)
    }
}

/// The bytes of `key.csv`.
pub(super) fn to_csv(rows: &[KeyRow]) -> Result<Vec<u8>> {
    let failed = |error: csv::Error| Error::backend("CSV writer", error);
    let mut writer = csv::Writer::from_writer(Vec::new());
    rows.iter().try_for_each(|row| writer.serialize(row)).map_err(failed)?;
    writer.into_inner().map_err(|error| Error::backend("CSV writer", error.into_error()))
}

/// Reads `key.csv`, also as a spreadsheet saves it again.
pub(super) fn read(path: &Path) -> Result<Vec<KeyRow>> {
    let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
    let text = crate::lenient::text(&bytes);
    let header = text.lines().next().unwrap_or_default();
    let delimiter = [b',', b';', b'\t']
        .into_iter()
        .max_by_key(|&delimiter| header.bytes().filter(|&byte| byte == delimiter).count());
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter.unwrap_or(b',')).from_reader(text.as_bytes());
    let rows = reader.deserialize().collect::<Result<Vec<KeyRow>, _>>();
    let invalid = |found: String| {
        Error::invalid_file(path, "key of a study", "lines as Study::write wrote them", found)
    };
    let rows = rows.map_err(|error| invalid(error.to_string()))?;
    let Some(first) = rows.first() else { return Err(invalid("no line".into())) };
    let other =
        rows.iter().find(|row| (&row.study, &row.version) != (&first.study, &first.version));
    match other {
        None => Ok(rows),
        Some(other) => Err(invalid(format!(
            "lines of the study {} {} and of {} {}",
            first.study, first.version, other.study, other.version
        ))),
    }
}
