//! [`Retriever`]: captions to reference images.

mod by_embedding;
mod catalog;
mod fuse;
#[cfg(feature = "milvus")]
mod milvus;
mod rerank;
mod threshold;

use std::fmt::{Debug, Display};

use async_trait::async_trait;

use crate::forward::forward_part;
use crate::reference::{Caption, Reference};
use crate::{Error, Result};

pub use by_embedding::{EmbeddingRetriever, Skipped};
pub use catalog::{Catalog, CatalogEntry};
pub use fuse::Fuse;
#[cfg(feature = "milvus")]
pub use milvus::{
    Consistency, Milvus, MilvusBuilder, MilvusImage, MilvusIndex, MilvusIndexType, MilvusRetriever,
};
pub use rerank::{Bm25, CaptionWriter, Idf, Mmr, Ranking, Rerank, Reranker, VlmReranker};
pub use threshold::Threshold;

/// Finds images that show what captions describe.
///
/// # Contract
/// - One list a caption, in the order of the captions.
/// - Each list is sorted by falling score, holds at most `limit` references and no image twice;
///   their `provenance.rank` counts from 0, their `caption` is the one they were found for.
/// - The same call gives the same lists, ties included.
/// - Nothing found is an empty list, not an error; `limit` 0 gives empty lists.
#[async_trait]
pub trait Retriever: Display + Debug + Send + Sync + 'static {
    /// The best `limit` references for each caption.
    async fn retrieve(&self, captions: &[Caption], limit: usize) -> Result<Vec<Vec<Reference>>>;
}

forward_part!(Retriever {
    async fn retrieve(&self, captions: &[Caption], limit: usize) -> Result<Vec<Vec<Reference>>> {
        (**self).retrieve(captions, limit).await
    }
});

/// The lists that `retriever` found, where there is one a caption as its contract says.
pub(crate) fn one_list_each(
    retriever: &dyn Retriever,
    captions: &[Caption],
    found: Vec<Vec<Reference>>,
) -> Result<Vec<Vec<Reference>>> {
    if found.len() != captions.len() {
        return Err(Error::backend(
            retriever.to_string(),
            format!(
                "expected {} lists for as many captions, found {}",
                captions.len(),
                found.len()
            ),
        ));
    }
    Ok(found)
}
