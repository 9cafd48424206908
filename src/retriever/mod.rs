//! [`Retriever`]: captions to reference images; [`Embedder`] and [`VectorIndex`], what most
//! retrievers are made of.

mod by_embedding;
mod catalog;
#[cfg(feature = "tch")]
mod clip;
mod embedder;
#[cfg(feature = "faiss")]
mod faiss;
mod filter;
mod flat_index;
mod fuse;
mod id_set;
mod index;
mod metadata;
#[cfg(feature = "milvus")]
mod milvus;
#[cfg(feature = "tch")]
mod open_embedder;
mod reference;
mod refine;
mod rerank;
#[cfg(feature = "tch")]
mod siglip;
mod threshold;
#[cfg(feature = "tch")]
mod two_towers;

use std::fmt::{Debug, Display};

use async_trait::async_trait;

use crate::forward::forward_part;
use crate::{Error, Result};

#[cfg(feature = "faiss-gpu")]
pub use self::faiss::Sharding;
#[cfg(feature = "faiss")]
pub use self::faiss::{FaissBuilder, FaissIndex};
pub use by_embedding::{EmbeddingRetriever, Skipped};
pub use catalog::{Catalog, CatalogEntry};
#[cfg(feature = "tch")]
pub use clip::ClipEmbedder;
pub use embedder::{Embedder, Embedding};
#[cfg(feature = "serde")]
pub use filter::FieldValue;
pub use filter::{Clause, Filter};
pub use flat_index::{FlatIndex, Precision, SharedRows};
pub use fuse::Fuse;
pub use id_set::IdSet;
pub use index::{Neighbor, VectorIndex};
pub use metadata::Metadata;
#[cfg(feature = "milvus")]
pub use milvus::{
    Consistency, Milvus, MilvusBuilder, MilvusImage, MilvusIndex, MilvusIndexType, MilvusRetriever,
};
#[cfg(feature = "tch")]
pub use open_embedder::open_embedder;
pub use reference::{Caption, Finding, Provenance, Reference, Source};
pub use refine::Refine;
pub use rerank::{Bm25, CaptionWriter, Idf, Mmr, Ranking, Rerank, Reranker, VlmReranker};
#[cfg(feature = "tch")]
pub use siglip::SiglipEmbedder;
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
