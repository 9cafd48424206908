//! [`MilvusImage`]s to the columns that Milvus stores, and back.

use milvus::v2::prelude::{FieldData, QueryResults, ResultRow, ResultValue};
use serde_json::Value;

use super::client::{About, SdkResult};
use super::schema::{
    AUTHOR, CAPTION, EXTRA, HEIGHT, ID, JSON, LICENSE, LONGEST_TEXT, ORIGIN, SOURCE, VECTOR, WIDTH,
};
use crate::embedder::Embedding;
use crate::reference::Metadata;
use crate::{Error, Result};

/// An image of a collection, without its pixels and its vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MilvusImage {
    /// The image's number, at most 2^63 - 1.
    pub id: u64,
    /// Its path or address.
    pub source: String,
    /// What else is known of it; what a [`Filter`](crate::reference::Filter) looks at.
    pub metadata: Metadata,
    /// Text that comes back as it was given. A gallery keeps its image's hash and place here.
    pub extra: Option<String>,
}

impl MilvusImage {
    /// Image `id` from `source`; nothing else is known.
    pub fn new(id: u64, source: impl Into<String>) -> Self {
        Self { id, source: source.into(), metadata: Metadata::default(), extra: None }
    }

    /// # Errors
    /// [`Error::InvalidInput`] when Milvus cannot store it.
    pub(super) fn check(&self) -> Result<()> {
        id(self.id)?;
        for (name, text) in self.texts() {
            let length = text.map_or(0, String::len);
            if length > LONGEST_TEXT {
                let what = format!("{name} of image {}", self.id);
                let expected = format!("at most {LONGEST_TEXT} bytes");
                return Err(Error::invalid_input(what, expected, length));
            }
        }
        self.json().map(|_| ())
    }

    /// Bytes that it takes on the wire, about.
    pub(super) fn size(&self) -> usize {
        64 + self.texts().into_iter().filter_map(|(_, text)| text).map(String::len).sum::<usize>()
    }

    fn texts(&self) -> [(&str, Option<&String>); 7] {
        let Metadata { license, author, origin, caption, json, .. } = &self.metadata;
        [
            (SOURCE, Some(&self.source)),
            (LICENSE, license.as_ref()),
            (AUTHOR, author.as_ref()),
            (ORIGIN, origin.as_ref()),
            (CAPTION, caption.as_ref()),
            (JSON, json.as_ref()),
            (EXTRA, self.extra.as_ref()),
        ]
    }

    fn json(&self) -> Result<Option<Value>> {
        let Some(text) = &self.metadata.json else { return Ok(None) };
        serde_json::from_str(text).ok().filter(Value::is_object).map(Some).ok_or_else(|| {
            let what = format!("{JSON} of image {}", self.id);
            Error::invalid_input(what, "the text of a JSON object", text)
        })
    }
}

/// An id as Milvus counts.
///
/// # Errors
/// [`Error::InvalidInput`] when it is above 2^63 - 1.
pub(super) fn id(id: u64) -> Result<i64> {
    let too_big = |_| Error::invalid_input("id of an image", "at most 2^63 - 1", id);
    i64::try_from(id).map_err(too_big)
}

/// The images and their vectors, column by column.
pub(super) fn columns(batch: &[(MilvusImage, Embedding)]) -> Result<Vec<FieldData>> {
    let images = || batch.iter().map(|(image, _)| image);
    let ids = images().map(|image| id(image.id)).collect::<Result<_>>()?;
    let vectors = batch.iter().map(|(_, embedding)| embedding.values().to_vec()).collect();
    let sources = images().map(|image| image.source.clone()).collect();
    let json: Vec<Option<Value>> = images().map(MilvusImage::json).collect::<Result<_>>()?;
    let text = |name: &str, of: fn(&MilvusImage) -> &Option<String>| {
        nullable(images().map(|image| of(image).clone()), |texts| FieldData::varchar(name, texts))
    };
    let number = |name: &str, of: fn(&MilvusImage) -> Option<u32>| {
        nullable(images().map(|image| of(image).map(i64::from)), |n| FieldData::int64(name, n))
    };
    Ok(vec![
        FieldData::int64(ID, ids),
        FieldData::float_vector(VECTOR, vectors),
        FieldData::varchar(SOURCE, sources),
        text(LICENSE, |image| &image.metadata.license),
        text(AUTHOR, |image| &image.metadata.author),
        text(ORIGIN, |image| &image.metadata.origin),
        text(CAPTION, |image| &image.metadata.caption),
        text(EXTRA, |image| &image.extra),
        number(WIDTH, |image| image.metadata.width),
        number(HEIGHT, |image| image.metadata.height),
        nullable(json.into_iter(), |values| FieldData::json(JSON, values)),
    ])
}

/// A column in which some rows have no value.
fn nullable<T>(
    values: impl Iterator<Item = Option<T>>,
    column: impl Fn(Vec<T>) -> FieldData,
) -> FieldData {
    let (mut present, mut valid_data) = (Vec::new(), Vec::new());
    for value in values {
        valid_data.push(value.is_some());
        present.extend(value);
    }
    FieldData::Nullable { data: Box::new(column(present)), valid_data }
}

/// An image with its vector, where that was asked for.
pub(super) type Row = (MilvusImage, Option<Embedding>);

/// The rows of an answer.
///
/// # Errors
/// [`Error::InvalidReply`] when a column is missing or of another type.
pub(super) fn rows(about: &About, answer: &QueryResults) -> Result<Vec<Row>> {
    let rows = answer.rows().map_err(|error| about.error(error))?;
    rows.map(|row| {
        let (id, image) = image(&row).map_err(|error| about.error(error))?;
        let vector = match row.get(VECTOR) {
            Ok(ResultValue::FloatVector(values)) => Some(Embedding::new(values)?),
            _ => None,
        };
        let id = u64::try_from(id).map_err(|_| about.senseless("ids from 0", id.to_string()))?;
        Ok((MilvusImage { id, ..image }, vector))
    })
    .collect()
}

/// A row's id, which may be no image's, and the rest of it.
fn image(row: &ResultRow<'_>) -> SdkResult<(i64, MilvusImage)> {
    let json = match row.get(JSON)? {
        ResultValue::Json(value) if !value.is_null() => Some(value.to_string()),
        _ => None,
    };
    let metadata = Metadata {
        license: text(row, LICENSE)?,
        author: text(row, AUTHOR)?,
        origin: text(row, ORIGIN)?,
        caption: text(row, CAPTION)?,
        width: number(row, WIDTH)?,
        height: number(row, HEIGHT)?,
        json,
    };
    let source = row.get_str(SOURCE)?.to_owned();
    Ok((row.get_i64(ID)?, MilvusImage { id: 0, source, metadata, extra: text(row, EXTRA)? }))
}

fn text(row: &ResultRow<'_>, name: &str) -> SdkResult<Option<String>> {
    Ok(if row.is_null(name)? { None } else { Some(row.get_str(name)?.to_owned()) })
}

fn number(row: &ResultRow<'_>, name: &str) -> SdkResult<Option<u32>> {
    Ok(if row.is_null(name)? { None } else { u32::try_from(row.get_i64(name)?).ok() })
}
