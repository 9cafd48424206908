//! What a collection looks like: its name, its fields and its index, made here and checked here.

use std::collections::HashMap;
use std::fmt;

use milvus::v2::prelude::{CollectionDesc, CreateCollectionRequest, DataType};
use milvus::v2::prelude::{CollectionSchema, ConsistencyLevel, FieldSchema, IndexParam};
use milvus::v2::prelude::{IndexDesc, IndexType, MetricType};

use super::client::SdkResult;
use crate::{Error, Result};

pub(super) const ID: &str = "id";
pub(super) const VECTOR: &str = "vector";
pub(super) const SOURCE: &str = "source";
pub(super) const LICENSE: &str = "license";
pub(super) const AUTHOR: &str = "author";
pub(super) const ORIGIN: &str = "origin";
pub(super) const CAPTION: &str = "caption";
pub(super) const WIDTH: &str = "width";
pub(super) const HEIGHT: &str = "height";
pub(super) const JSON: &str = "json";
pub(super) const EXTRA: &str = "extra";

/// The collection's property in which whoever made it keeps a note.
pub(super) const NOTE: &str = "imagerag";

/// Fields of text that may be absent.
pub(super) const TEXTS: [&str; 5] = [LICENSE, AUTHOR, ORIGIN, CAPTION, EXTRA];
/// Everything but the vector.
pub(super) const DESCRIPTION: [&str; 10] =
    [ID, SOURCE, LICENSE, AUTHOR, ORIGIN, CAPTION, EXTRA, WIDTH, HEIGHT, JSON];

/// The longest text that Milvus stores in a field, in bytes.
pub(super) const LONGEST_TEXT: usize = 65_535;
/// The longest name of a collection, in characters.
const LONGEST_NAME: usize = 255;
/// Vectors of Milvus have from 2 to this many values.
const MOST_DIM: usize = 32_768;

/// How Milvus finds nearest vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MilvusIndexType {
    /// Compares every vector: exact.
    #[default]
    Flat,
    /// Compares the vectors of the nearest inverted lists; a search's parameter `nprobe` is their
    /// number.
    IvfFlat {
        /// Number of inverted lists, 1 to 65,536.
        nlist: u32,
    },
    /// Searches a graph of neighbors; a search's parameter `ef` is the number of candidates.
    Hnsw {
        /// Neighbors per vector, 2 to 2,048.
        m: u32,
        /// Number of candidates while the graph is built, 1 or more.
        ef_construction: u32,
    },
    /// The server chooses.
    Auto,
}

impl fmt::Display for MilvusIndexType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flat => f.write_str("Flat"),
            Self::IvfFlat { nlist } => write!(f, "IVF{nlist},Flat"),
            Self::Hnsw { m, .. } => write!(f, "HNSW{m}"),
            Self::Auto => f.write_str("Auto"),
        }
    }
}

impl MilvusIndexType {
    fn parameters(self) -> IndexParam {
        let (index, extra) = match self {
            Self::Flat => (IndexType::Flat, vec![]),
            Self::IvfFlat { nlist } => (IndexType::IvfFlat, vec![("nlist", nlist)]),
            Self::Hnsw { m, ef_construction } => {
                (IndexType::Hnsw, vec![("M", m), ("efConstruction", ef_construction)])
            }
            Self::Auto => (IndexType::AutoIndex, vec![]),
        };
        let extra = extra.into_iter().map(|(name, value)| (name.to_owned(), value.to_string()));
        let index = IndexParam::new().field_name(VECTOR).index_type(index);
        index.metric_type(MetricType::Cosine).extra_params(extra.collect::<HashMap<_, _>>())
    }
}

/// # Errors
/// [`Error::InvalidInput`] when Milvus would not take `name` for a collection.
pub(super) fn check_name(name: &str) -> Result<()> {
    let mut characters = name.chars();
    let first = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let rest = characters.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if first && rest && name.len() <= LONGEST_NAME {
        return Ok(());
    }
    let expected = format!("a letter or _, then letters, digits and _, at most {LONGEST_NAME}");
    Err(Error::invalid_input("name of a collection", expected, format!("{name:?}")))
}

/// # Errors
/// [`Error::InvalidInput`] when Milvus stores no vectors of `dim` values.
pub(super) fn check_dim(dim: usize) -> Result<()> {
    if (2..=MOST_DIM).contains(&dim) {
        return Ok(());
    }
    Err(Error::invalid_input("dimension of a collection", format!("2 to {MOST_DIM}"), dim))
}

/// The request that makes a collection called `name`.
pub(super) fn request(
    name: &str,
    dim: usize,
    index: MilvusIndexType,
    note: Option<String>,
) -> SdkResult<CreateCollectionRequest> {
    let field = |name: &str, of: DataType| FieldSchema::new().name(name).data_type(of);
    let text = |name: &str| field(name, DataType::VarChar).max_length(LONGEST_TEXT as u32);
    let mut schema = CollectionSchema::new()
        .add_field(field(ID, DataType::Int64).primary_key(true))
        .add_field(field(VECTOR, DataType::FloatVector).dimension(dim as u32))
        .add_field(text(SOURCE));
    for name in TEXTS {
        schema = schema.add_field(text(name).nullable(true));
    }
    for name in [WIDTH, HEIGHT] {
        schema = schema.add_field(field(name, DataType::Int64).nullable(true));
    }
    CreateCollectionRequest::builder()
        .collection_name(name)
        .description("images of imagerag")
        .schema(schema.add_field(field(JSON, DataType::Json).nullable(true)))
        .consistency_level(ConsistencyLevel::Strong)
        .index_param(index.parameters())
        .properties(note.map(|note| (NOTE.to_owned(), note)).into_iter().collect())
        .build()
}

/// The values a vector of the collection that `found` describes.
///
/// # Errors
/// [`Error::Incompatible`] when it has other fields than [`request`] gives it.
pub(super) fn dim(collection: &str, found: &CollectionDesc) -> Result<usize> {
    let fields = found.get_schema().get_fields();
    let named = |name: &str| fields.iter().find(|field| field.get_name() == name);
    for name in DESCRIPTION {
        named(name).ok_or_else(|| differs(collection, format!("a field {name}"), "none"))?;
    }
    let vector = named(VECTOR).filter(|field| field.get_data_type() == DataType::FloatVector);
    let expected = || differs(collection, format!("a field {VECTOR} of f32 vectors"), "none");
    Ok(vector.ok_or_else(expected)?.get_dimension() as usize)
}

fn differs(collection: &str, expected: impl Into<String>, found: impl ToString) -> Error {
    Error::incompatible("imagerag", format!("the collection {collection}"), expected, found)
}

/// # Errors
/// [`Error::Incompatible`] when vectors are not compared by cosine similarity or, which is the same
/// for vectors of length 1, by inner product.
pub(super) fn check_metric(collection: &str, indexes: &[IndexDesc]) -> Result<()> {
    let metrics: Vec<MetricType> = indexes.iter().map(|index| index.get_metric_type()).collect();
    if metrics.iter().any(|metric| matches!(metric, MetricType::Cosine | MetricType::Ip)) {
        return Ok(());
    }
    Err(differs(collection, "an index of cosine similarity", format!("{metrics:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_milvus_takes() {
        for good in ["birds", "_1", "Birds_2", &"x".repeat(255)] {
            check_name(good).unwrap();
        }
        for bad in ["", "1a", "a b", "a-b", "é", "a\";drop", "a.b", &"x".repeat(256)] {
            assert!(matches!(check_name(bad), Err(Error::InvalidInput { .. })), "{bad}");
        }
    }

    #[test]
    fn dimensions_that_milvus_takes() {
        assert!(check_dim(2).is_ok() && check_dim(32_768).is_ok());
        assert!(check_dim(0).is_err() && check_dim(1).is_err() && check_dim(32_769).is_err());
    }

    #[test]
    fn the_request_holds_every_field() {
        let index = MilvusIndexType::Hnsw { m: 16, ef_construction: 200 };
        let request = request("birds", 8, index, None).unwrap();
        let fields = request.schema().as_ref().unwrap().get_fields();
        let names: Vec<_> = fields.iter().map(|field| field.get_name()).collect();
        assert!(DESCRIPTION.iter().all(|name| names.contains(name)), "{names:?}");
        assert_eq!(names.len(), DESCRIPTION.len() + 1);
    }
}
