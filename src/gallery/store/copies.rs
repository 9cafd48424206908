//! The licenses that copies of one image have to the one that none of them contradicts.

use serde_json::{Map, Value};

use crate::reference::Metadata;

/// The field of [`Metadata::json`] with the licenses of copies that contradict each other, by
/// source.
const FIELD: &str = "licenses_of_copies";

/// The licenses that are said of the copies of one image, by source.
#[derive(Debug, Default)]
pub(crate) struct Copies(Map<String, Value>);

impl Copies {
    /// Those that `metadata` holds.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        match object(metadata).remove(FIELD) {
            Some(Value::Object(licenses)) => Self(licenses),
            _ => Self::default(),
        }
    }

    pub(crate) fn insert(&mut self, source: &str, license: &str) {
        self.0.insert(source.to_owned(), license.into());
    }

    /// Takes out what is said of the copy at `source`.
    pub(crate) fn remove(&mut self, source: &str) -> Option<String> {
        self.0.remove(source)?.as_str().map(str::to_owned)
    }

    /// Keeps the copies whose source `keeps` says.
    pub(crate) fn retain(&mut self, keeps: impl Fn(&str) -> bool) {
        self.0.retain(|source, _| keeps(source));
    }

    /// Has `metadata`, with the license that is said of the image at `source`, have none where a copy
    /// contradicts it, and hold all of them.
    pub(crate) fn settle(mut self, metadata: &mut Metadata, source: &str) {
        self.0.remove(source);
        if let Some(own) = metadata.license.take() {
            self.0.retain(|_, other| other.as_str().is_none_or(|other| !is_same(&own, other)));
            if self.0.is_empty() {
                metadata.license = Some(own);
            } else {
                self.insert(source, &own);
            }
        }
        let mut json = object(metadata);
        let held = json.remove(FIELD).is_some();
        if !self.0.is_empty() {
            json.insert(FIELD.to_owned(), Value::Object(self.0));
        } else if !held {
            return;
        }
        metadata.json = (!json.is_empty()).then(|| Value::Object(json).to_string());
    }
}

/// Whether two texts name the same license.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    one.trim().eq_ignore_ascii_case(other.trim())
}

fn object(metadata: &Metadata) -> Map<String, Value> {
    metadata.json.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_license_is_one_that_no_copy_contradicts() {
        let said = |license: Option<&str>| Metadata {
            license: license.map(str::to_owned),
            json: Some(r#"{"a":1}"#.to_owned()),
            ..Metadata::default()
        };
        let of = |other: &str| Copies(Map::from_iter([("b".to_owned(), other.into())]));
        for (other, own, expected) in [
            ("MIT", Some("CC0-1.0"), None),
            ("cc0-1.0 ", Some("CC0-1.0"), Some("CC0-1.0")),
            ("MIT", None, None),
        ] {
            let mut metadata = said(own);
            of(other).settle(&mut metadata, "a");
            assert_eq!(metadata.license.as_deref(), expected, "{own:?} and {other}");
            assert_eq!(
                Copies::of(&metadata).0.contains_key("a"),
                own.is_some() && expected.is_none()
            );
            // Nothing else of the JSON is lost, and what is mended leaves nothing behind.
            metadata.license = own.map(str::to_owned);
            Copies::default().settle(&mut metadata, "a");
            assert_eq!(metadata, said(own));
        }
    }
}
