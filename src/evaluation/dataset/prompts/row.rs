//! One row of a list, whose columns have many names, to the parts of an item.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::super::{Notes, RealImage, files};
use crate::{Error, Result};

/// Names of the same thing in lower case, in the order in which they are believed: ours, DrawBench's,
/// FactIP's, and what is usual.
const PROMPT: [&str; 5] = ["prompt", "prompts", "image_prompt", "caption", "text"];
const ID: [&str; 3] = ["id", "item_id", "prompt_id"];
const CLASS: [&str; 3] = ["class", "class_name", "ip_name"];
/// `tag` is GenEval's.
const CATEGORY: [&str; 2] = ["category", "tag"];
/// `gt_image` is KnowGen's.
const REFERENCE: [&str; 10] = [
    "reference",
    "references",
    "gt_image",
    "gt_images",
    "reference_image",
    "reference_images",
    "ref_image",
    "ref_images",
    "image",
    "images",
];

/// One row: its fields by their names in lower case.
#[derive(Debug)]
pub(super) struct Row {
    place: String,
    fields: Vec<(String, Value)>,
}

impl Row {
    /// A row of a table, which is at `place`, such as `line 3`.
    pub(super) fn new(place: String, fields: impl IntoIterator<Item = (String, Value)>) -> Self {
        let fields = fields.into_iter().map(|(name, value)| (name.trim().to_lowercase(), value));
        Self { place, fields: fields.collect() }
    }

    /// A row of a prompt alone.
    pub(super) fn of_prompt(place: String, prompt: String) -> Self {
        Self::new(place, [("prompt".to_owned(), prompt.into())])
    }

    /// A row of a JSON object, or of a text.
    pub(super) fn of_json(place: String, value: Value) -> Result<Self, Value> {
        match value {
            Value::Object(fields) => Ok(Self::new(place, fields)),
            Value::String(prompt) => Ok(Self::of_prompt(place, prompt)),
            other => Err(other),
        }
    }

    /// The same with this identifier, where it has none.
    pub(super) fn with_id(mut self, id: String) -> Self {
        if self.id().is_none() {
            self.fields.push(("id".to_owned(), id.into()));
        }
        self
    }

    /// Whether one of these names is that of a prompt.
    pub(super) fn has_prompt<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
        names.any(|name| PROMPT.contains(&&*name.trim().to_lowercase()))
    }

    /// The names of fields that say something and are not read; also those of which another one was believed.
    pub(super) fn unread(&self) -> impl Iterator<Item = &str> {
        let read = |names: &[&'static str]| {
            names.iter().copied().find(|name| self.text(&[*name]).is_some())
        };
        let read = [&PROMPT[..], &ID, &CLASS, &CATEGORY].map(read);
        let known = move |name: &str| {
            read.contains(&Some(name))
                || REFERENCE.contains(&name)
                || ["seed", "meta"].contains(&name)
        };
        let says_something = |value: &Value| !value.is_null() && value != "";
        let unread =
            self.fields.iter().filter(move |(name, value)| !known(name) && says_something(value));
        unread.map(|(name, _)| &**name)
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn prompt(&self) -> Option<String> {
        self.text(&PROMPT)
    }

    pub(super) fn id(&self) -> Option<String> {
        self.text(&ID)
    }

    pub(super) fn class(&self) -> Option<String> {
        self.text(&CLASS)
    }

    /// The category, which KnowGen has in the field `meta`.
    pub(super) fn category(&self) -> Option<String> {
        let meta = || self.values(&["meta"]).find_map(|meta| text(meta.get("category")?));
        self.text(&CATEGORY).or_else(meta)
    }

    pub(super) fn seed(&self, file: &Path) -> Result<Option<u64>> {
        let Some(seed) = self.text(&["seed"]) else { return Ok(None) };
        // Tables with gaps hold whole numbers as floating point.
        let whole = seed.strip_suffix(".0").unwrap_or(&seed).parse().ok();
        let invalid = || {
            let what = format!("seed in {}", self.place);
            Error::invalid_file(file, what, "a whole number from 0 on", &seed)
        };
        whole.ok_or_else(invalid).map(Some)
    }

    /// The first of `names` that says something.
    fn text(&self, names: &[&str]) -> Option<String> {
        self.values(names).find_map(text)
    }

    fn values(&self, names: &[&str]) -> impl Iterator<Item = &Value> {
        let of = |name: &&str| {
            let name = (*name).to_owned();
            self.fields.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value)
        };
        names.iter().flat_map(of).collect::<Vec<_>>().into_iter()
    }

    /// The paths of its real images, as they are written.
    fn references(&self) -> Vec<String> {
        fn add(value: &Value, paths: &mut Vec<String>) {
            match value {
                Value::Array(values) => values.iter().for_each(|value| add(value, paths)),
                Value::Object(fields) => path_in(fields, paths),
                value => paths.extend(text(value)),
            }
        }
        fn path_in(fields: &Map<String, Value>, paths: &mut Vec<String>) {
            let path = ["path", "file", "image"].iter().find_map(|name| fields.get(*name));
            paths.extend(path.and_then(text));
        }
        let mut paths = Vec::new();
        self.values(&REFERENCE).for_each(|value| add(value, &mut paths));
        paths
    }
}

/// What `value` says, as text; none where that is nothing.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// The pictures that rows name, by paths from the list's folder on.
pub(super) struct References {
    folder: PathBuf,
}

impl References {
    pub(super) fn of(list: &Path) -> Self {
        Self { folder: list.parent().map(Path::to_owned).unwrap_or_default() }
    }

    /// The pictures of `row`; what is not there is noted. In a table, several paths have `;` between them.
    pub(super) fn images(&mut self, row: &Row, notes: &mut Notes) -> Vec<RealImage> {
        let mut images: Vec<RealImage> = Vec::new();
        for written in row.references() {
            let paths = match self.folder.join(&written).is_file() {
                true => vec![&*written],
                false => {
                    written.split(';').map(str::trim).filter(|path| !path.is_empty()).collect()
                }
            };
            for path in paths {
                let file = self.folder.join(path);
                if path.starts_with("http://") || path.starts_with("https://") {
                    notes.count("references on the web, which are not downloaded", path);
                } else if !file.is_file() {
                    notes.count("references that are not there", format!("{path} ({})", row.place));
                } else if images.iter().all(|image| image.path.as_ref() != Some(&file)) {
                    let id = files::id(&self.folder, &file);
                    images.push(RealImage::file(id, file));
                }
            }
        }
        images
    }
}
