//! The fields that data sets write beside their images to [`Metadata`].

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::reference::Metadata;

/// Names of the same thing, in the order in which they are believed: img2dataset's and
/// clip-retrieval's, LAION's, and those of `catalog.json`. Case does not matter.
const CAPTION: [&str; 2] = ["caption", "text"];
const LICENSE: [&str; 2] = ["license", "licence"];
const AUTHOR: [&str; 3] = ["author", "artist", "creator"];
const ORIGIN: [&str; 3] = ["url", "origin", "source"];

/// What is said of one image, by however many files, in their order: a field may be given twice.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Vec<(String, Value)>);

impl Fields {
    /// Has the field `name` be `value`, whatever was said of it before.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.0.push((name.to_owned(), value.into()));
    }

    /// The fields of `other` too. Of several of one name the last counts, but for licenses.
    pub(crate) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Takes the field `name` out; its last value.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().rposition(|(known, _)| known == name)?;
        let (_, value) = self.0.remove(at);
        self.0.retain(|(known, _)| known != name);
        Some(value)
    }

    /// That these are the fields of the sample `key`, as far as they say so: img2dataset writes the
    /// key, of digits, as `key`, and WebDataset's own tools write `__key__`. An error is the key
    /// that they are of.
    pub(crate) fn check_key(&self, key: &str) -> Result<(), String> {
        let digits = |key: &str| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit());
        let other = self.0.iter().find_map(|(name, value)| {
            let said = value.as_str()?;
            let own = said.rsplit('/').next() == Some(key);
            let is_key = name == "__key__" || (name == "key" && digits(said) && digits(key));
            (is_key && !own).then(|| said.to_owned())
        });
        other.map_or(Ok(()), Err)
    }

    /// What they say, and why there is no license where they name one that cannot be used. Fields
    /// without a place of their own are kept as JSON.
    pub(crate) fn metadata(self) -> (Metadata, Option<BadLicense>) {
        let license = license(&self.0);
        let mut fields: Map<String, Value> = self.0.into_iter().collect();
        if let Ok(Some(_)) = license {
            // They are all the same, or say nothing.
            fields
                .retain(|name, value| !is_one_of(name, &LICENSE) || license_text(value).is_none());
        }
        let (license, bad) = match license {
            Ok(license) => (license, None),
            Err(bad) => (None, Some(bad)),
        };
        let mut metadata = Metadata {
            caption: take_text(&mut fields, &CAPTION),
            license,
            author: take_text(&mut fields, &AUTHOR),
            origin: take_text(&mut fields, &ORIGIN),
            width: take_side(&mut fields, "width"),
            height: take_side(&mut fields, "height"),
            json: None,
        };
        fields.retain(|_, value| !value.is_null());
        metadata.json = (!fields.is_empty()).then(|| Value::Object(fields).to_string());
        (metadata, bad)
    }
}

impl From<Map<String, Value>> for Fields {
    fn from(fields: Map<String, Value>) -> Self {
        Self(fields.into_iter().collect())
    }
}

impl<'de> Deserialize<'de> for Fields {
    /// A JSON object with all its fields, also those that are given twice.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Fields::default();
                while let Some(field) = map.next_entry()? {
                    fields.0.push(field);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Why what is said of a license is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLicense {
    pub(crate) expected: &'static str,
    pub(crate) found: String,
}

/// The license that `fields` agree on, in characters that were read as they were written. A number,
/// as COCO and Flickr have it, a list or an object is no license that is known; beside a text it is
/// another one.
fn license(fields: &[(String, Value)]) -> Result<Option<String>, BadLicense> {
    let of = |name: &&'static str| {
        let name = *name;
        fields.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name))
    };
    let said = LICENSE.iter().flat_map(of).map(|(_, said)| said);
    let said: Vec<&Value> = said.filter(|said| !says_no_license(said)).collect();
    let Some(first) = said.iter().find_map(|said| license_text(said)) else { return Ok(None) };
    let same =
        |said: &&Value| license_text(said).is_some_and(|said| said.eq_ignore_ascii_case(first));
    let expected = match said.iter().all(same) {
        true if !first.contains(char::REPLACEMENT_CHARACTER) => return Ok(Some(first.to_owned())),
        true => "characters in UTF-8 or UTF-16",
        false => "one license",
    };
    let mut all: Vec<String> = said.into_iter().map(ToString::to_string).collect();
    all.dedup();
    Err(BadLicense { expected, found: all.join(" and ") })
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn says_no_license(value: &Value) -> bool {
    /// What data sets and programs write where they know of none.
    const UNKNOWN: [&str; 9] =
        ["unknown", "unspecified", "undefined", "none", "null", "nan", "n/a", "na", "-"];
    value.is_null()
        || value
            .as_str()
            .is_some_and(|said| text(value).is_none() || is_one_of(said.trim(), &UNKNOWN))
}

/// The license that `value` names; a number, also as a text, is one that a list elsewhere explains.
fn license_text(value: &Value) -> Option<&str> {
    text(value).filter(|said| !says_no_license(value) && said.parse::<f64>().is_err())
}

/// The text of `value`, where it says something; `?` is LAION's word for unknown.
fn text(value: &Value) -> Option<&str> {
    value.as_str().map(str::trim).filter(|text| !matches!(*text, "" | "?"))
}

/// The first of `names` that says something.
fn take_text(fields: &mut Map<String, Value>, names: &[&str]) -> Option<String> {
    let said = names.iter().find_map(|name| {
        let mut said = fields.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        said.find_map(|(key, value)| Some((key.clone(), text(value)?.to_owned())))
    });
    let (key, text) = said?;
    fields.remove(&key);
    Some(text)
}

/// A side in pixels. Tables with gaps hold whole numbers as floating point.
fn take_side(fields: &mut Map<String, Value>, name: &str) -> Option<u32> {
    let side = fields.get(name)?.as_f64()?;
    if side.fract() != 0.0 || !(1.0..=f64::from(u32::MAX)).contains(&side) {
        return None;
    }
    fields.remove(name);
    Some(side as u32)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(value: Value) -> Metadata {
        let Value::Object(fields) = value else { panic!("no object") };
        let (metadata, conflict) = Fields::from(fields).metadata();
        assert_eq!(conflict, None);
        metadata
    }

    /// The license of a JSON text, and those that do not agree.
    fn license_of(text: &str) -> (Option<String>, Option<String>) {
        let (metadata, bad) = serde_json::from_str::<Fields>(text).unwrap().metadata();
        (metadata.license, bad.map(|bad| bad.found))
    }

    #[test]
    fn every_writers_names_are_understood() {
        let laion = of(json!({
            "TEXT": " a bee ", "URL": "http://x/1.jpg", "LICENSE": "?", "WIDTH": 3, "width": 8.0,
            "height": 6, "similarity": 0.3, "exif": null
        }));
        assert_eq!(laion.caption.as_deref(), Some("a bee"));
        assert_eq!((laion.origin.as_deref(), laion.license), (Some("http://x/1.jpg"), None));
        assert_eq!((laion.width, laion.height), (Some(8), Some(6)));
        let rest = json!({"LICENSE": "?", "WIDTH": 3, "similarity": 0.3});
        assert_eq!(laion.json, Some(rest.to_string()));
        let ours = of(json!({"licence": "CC0-1.0", "creator": "me", "source": "here"}));
        assert_eq!(ours.license.as_deref(), Some("CC0-1.0"));
        assert_eq!((ours.author.as_deref(), ours.origin.as_deref()), (Some("me"), Some("here")));
    }

    #[test]
    fn what_makes_no_sense_stays_what_it_is() {
        let odd = of(json!({"caption": 7, "width": -1, "height": 1.5, "url": ""}));
        assert_eq!((odd.caption, odd.width, odd.height, odd.origin), (None, None, None, None));
        assert!(odd.json.unwrap().contains(r#""caption":7"#));
        assert_eq!(of(json!({"url": "x", "error_message": null})).json, None);
    }

    #[test]
    fn licenses_that_do_not_agree_are_none() {
        for text in [
            r#"{"license": "CC0-1.0", "licence": "all rights reserved"}"#,
            r#"{"license": "CC0-1.0", "license": "all rights reserved"}"#,
            r#"{"License": "CC0-1.0", "LICENSE": "MIT", "licence": "CC0-1.0"}"#,
            r#"{"license": "CC0-1.0", "licence": 4}"#,
            r#"{"license": ["MIT"], "licence": "CC0-1.0"}"#,
            r#"{"license": "4", "licence": "CC0-1.0"}"#,
        ] {
            let (license, conflict) = license_of(text);
            assert_eq!(license, None, "{text}");
            assert!(conflict.unwrap().contains(r#""CC0-1.0""#), "{text}");
        }
        let json = serde_json::from_str::<Fields>(r#"{"license": "a", "licence": "b"}"#);
        let kept = json.unwrap().metadata().0.json.unwrap();
        assert!(kept.contains(r#""license":"a""#) && kept.contains(r#""licence":"b""#), "{kept}");
    }

    #[test]
    fn licenses_that_agree_are_one() {
        for text in [
            r#"{"license": "CC0-1.0", "licence": " cc0-1.0 "}"#,
            r#"{"license": "?", "LICENSE": "CC0-1.0", "licence": null}"#,
            r#"{"license": "CC0-1.0", "license": "CC0-1.0"}"#,
            r#"{"license": "unknown", "licence": "CC0-1.0"}"#,
        ] {
            assert_eq!(license_of(text), (Some("CC0-1.0".to_owned()), None), "{text}");
        }
        // A number that a list elsewhere explains, and what else is no text.
        for text in
            [r#"{"license": 4}"#, r#"{"license": {"name": "CC0"}}"#, r#"{"license": ["a"]}"#]
        {
            assert_eq!(license_of(text), (None, None), "{text}");
            let fields: Fields = serde_json::from_str(text).unwrap();
            assert!(fields.metadata().0.json.unwrap().starts_with(r#"{"license":"#));
        }
    }

    #[test]
    fn what_names_no_license_is_kept_as_it_is() {
        for said in ["4", " 10 ", "4.0", "unknown", "Unknown ", "N/A", "none", "NaN", "?"] {
            let metadata = of(json!({ "license": said }));
            assert_eq!(metadata.license, None, "{said}");
            assert_eq!(metadata.json, Some(json!({ "license": said }).to_string()));
        }
        for said in ["CC BY 4.0", "The Unlicense", "0BSD", "http://x/4"] {
            assert_eq!(of(json!({ "license": said })).license.as_deref(), Some(said));
        }
    }

    #[test]
    fn a_license_that_was_not_read_as_it_was_written_is_none() {
        let fields = Fields::from(Map::from_iter([("license".into(), "\u{fffd} 2020 me".into())]));
        let (metadata, bad) = fields.metadata();
        assert_eq!(metadata.license, None);
        assert!(metadata.json.is_some());
        let bad = bad.unwrap();
        assert!(bad.expected.contains("UTF-8") && bad.found.contains("2020 me"), "{bad:?}");
    }

    #[test]
    fn the_key_of_another_sample_is_told() {
        let of = |text: &str| serde_json::from_str::<Fields>(text).unwrap();
        assert!(of(r#"{"key": "000000002"}"#).check_key("000000001").is_err());
        assert!(of(r#"{"__key__": "b"}"#).check_key("a").is_err());
        for text in [r#"{"key": "000000001"}"#, r#"{"__key__": "x/000000001"}"#, r#"{"key": "C#"}"#]
        {
            assert_eq!(of(text).check_key("000000001"), Ok(()), "{text}");
        }
    }
}
