//! The fields that data sets write beside their images to [`Metadata`].

use serde_json::{Map, Value};

use crate::reference::Metadata;

/// Names of the same thing, in the order in which they are believed: img2dataset's and
/// clip-retrieval's, LAION's, and those of `catalog.json`. Case does not matter.
const CAPTION: [&str; 2] = ["caption", "text"];
const LICENSE: [&str; 2] = ["license", "licence"];
const AUTHOR: [&str; 3] = ["author", "artist", "creator"];
const ORIGIN: [&str; 3] = ["url", "origin", "source"];

/// What `fields` say; those without a place of their own are kept as JSON.
pub(super) fn metadata(mut fields: Map<String, Value>) -> Metadata {
    let mut metadata = Metadata {
        caption: take_text(&mut fields, &CAPTION),
        license: take_text(&mut fields, &LICENSE),
        author: take_text(&mut fields, &AUTHOR),
        origin: take_text(&mut fields, &ORIGIN),
        width: take_side(&mut fields, "width"),
        height: take_side(&mut fields, "height"),
        json: None,
    };
    fields.retain(|_, value| !value.is_null());
    metadata.json = (!fields.is_empty()).then(|| Value::Object(fields).to_string());
    metadata
}

/// The first of `names` that says something; `?` is LAION's word for unknown.
fn take_text(fields: &mut Map<String, Value>, names: &[&str]) -> Option<String> {
    let said = names.iter().find_map(|name| {
        let (key, value) = fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        let text = value.as_str()?.trim();
        (!matches!(text, "" | "?")).then(|| (key.clone(), text.to_owned()))
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
        metadata(fields)
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
}
