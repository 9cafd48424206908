//! [`Retriever`]: finds reference images for captions.
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! use futures::executor::block_on;
//! use imagerag::reference::Caption;
//! use imagerag::retriever::{Catalog, CatalogEntry, EmbeddingRetriever, Skipped};
//! use imagerag::retriever::{RetrieveRequest, Retriever};
//! use imagerag::testing::{FakeEmbedder, solid};
//!
//! let mut red = CatalogEntry::new("red.png", solid(8, 8, [200, 0, 0]));
//! red.metadata.license = Some("CC0-1.0".into());
//! let blue = CatalogEntry::new("blue.png", solid(8, 8, [0, 0, 200]));
//! let catalog = Catalog::new([red, blue]); // Or `Catalog::from_folder("photos")?`.
//!
//! let progress = |done, all| println!("{done} of {all} pictures");
//! let built = EmbeddingRetriever::build(FakeEmbedder, catalog, progress);
//! let (retriever, skipped) = block_on(built)?;
//! for Skipped { source, reason } in &skipped {
//!     eprintln!("{source} is left out: {}", reason.chain());
//! }
//!
//! let captions = [Caption::concept("a red car"), Caption::concept("a blue car")];
//! let found = block_on(retriever.retrieve(&RetrieveRequest::new(captions, 1)))?;
//! let sources = found.iter().map(|list| list[0].provenance.source.to_string());
//! assert_eq!(sources.collect::<Vec<_>>(), ["red.png", "blue.png"]);
//! # Ok::<(), imagerag::Error>(())
//! ```

mod by_embedding;
mod catalog;
mod fuse;
#[cfg(feature = "milvus")]
mod milvus;
mod rerank;
mod threshold;
#[cfg(feature = "openai")]
mod web;

use std::fmt::{Debug, Display};

use async_trait::async_trait;

use crate::Result;
use crate::embedder::{Embedder, Embedding, check_dim};
use crate::forward::{check_count, forward_part};
use crate::reference::{Caption, Reference};
use crate::vlm::ExchangeLog;

#[cfg(all(feature = "image", feature = "serde"))]
pub use crate::folder::{LeftOut, LeftOutKind};
pub use by_embedding::{EmbeddingRetriever, Skipped};
pub use catalog::{Catalog, CatalogEntry};
pub use fuse::Fuse;
#[cfg(feature = "milvus")]
pub use milvus::{
    Consistency, Milvus, MilvusBuilder, MilvusImage, MilvusIndex, MilvusIndexType, MilvusRetriever,
};
pub use rerank::{
    Bm25, CaptionWriter, Idf, Mmr, Ranking, Rerank, RerankRequest, Reranker, VlmReranker,
};
pub use threshold::Threshold;
#[cfg(feature = "openai")]
pub use web::{WebRetriever, WebRetrieverBuilder};

/// Finds images that show what captions describe.
///
/// One of your own, with the suite that checks it:
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use imagerag::reference::{Caption, Provenance, Reference, Source};
/// use imagerag::retriever::{RetrieveRequest, Retriever};
/// use imagerag::testing::{conformance, solid};
/// use imagerag::{Result, async_trait};
///
/// /// Has one picture, and finds it for everything.
/// #[derive(Debug)]
/// struct OnlyOne; // It has a `Display` too, by which traces and errors call it.
/// # impl std::fmt::Display for OnlyOne {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
/// #         f.write_str("OnlyOne")
/// #     }
/// # }
///
/// #[async_trait]
/// impl Retriever for OnlyOne {
///     async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
///         let find = |caption: &Caption| Reference {
///             picture: solid(64, 64, [0, 140, 70]).into(),
///             caption: caption.clone(),
///             provenance: Provenance::new(Source::Uri("quetzal.png".into()), self, 1.0, 0),
///         };
///         let limit = request.limit.min(1);
///         let list = |caption| std::iter::repeat_n(find(caption), limit).collect();
///         Ok(request.captions.iter().map(list).collect())
///     }
/// }
///
/// let captions = [Caption::concept("a quetzal")];
/// futures::executor::block_on(conformance::retriever(&OnlyOne, &captions));
/// ```
///
/// # Contract
/// - One list per caption, in the order of the captions.
/// - Each list is sorted by falling score. It holds at most `request.limit` references, and no
///   image twice. `provenance.rank` counts from 0. `caption` is the one that the reference was
///   found for.
/// - The same call gives the same lists, ties included.
/// - If nothing is found, the list is empty; that is no error. `limit` 0 gives empty lists.
/// - Pictures are not decoded, unless the order depends on their pixels: the pipeline refuses most
///   references without decoding them.
/// - `provenance` has the source and the metadata with which the image was stored, and the picture
///   has its pixels. A retriever with a [`Filter`](crate::reference::Filter) gives the list that it
///   gives without one, less the images that the filter does not match.
///
/// The suite `testing::conformance::retriever` sends the captions that it is given, all together
/// and the first alone, with the limits 0, 1 and 3; and no caption at all.
#[async_trait]
pub trait Retriever: Display + Debug + Send + Sync + 'static {
    /// The best references for each caption.
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>>;
}

/// What to look for.
///
/// ```
/// use imagerag::reference::Caption;
/// use imagerag::retriever::RetrieveRequest;
///
/// let request = RetrieveRequest::new([Caption::concept("a quetzal")], 3);
/// assert_eq!((request.captions.len(), request.limit), (1, 3));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RetrieveRequest {
    /// The captions, each looked for on its own.
    pub captions: Vec<Caption>,
    /// The most references per caption.
    pub limit: usize,
    /// Records every exchange with a VLM, such as a re-ranker's. If your retriever works on another
    /// thread, move a clone of the request there.
    pub log: ExchangeLog,
}

impl RetrieveRequest {
    /// Asks for the best `limit` references of each caption.
    pub fn new(captions: impl Into<Vec<Caption>>, limit: usize) -> Self {
        Self { captions: captions.into(), limit, log: ExchangeLog::default() }
    }

    /// Records exchanges in `log`.
    #[must_use]
    pub fn with_log(mut self, log: ExchangeLog) -> Self {
        self.log = log;
        self
    }

    /// The same with another limit.
    #[must_use]
    pub const fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The embedding of each caption.
    pub(crate) async fn embeddings(&self, embedder: &impl Embedder) -> Result<Vec<Embedding>> {
        let texts: Vec<_> = self.captions.iter().map(|caption| caption.text.as_str()).collect();
        let embeddings = embedder.embed_texts(&texts).await?;
        self.log.record_usage("embedding captions", embedder, embeddings.usage);
        check_count(embedder, "embeddings", texts.len(), embeddings.len())?;
        check_dim(embedder, &embeddings)?;
        Ok(embeddings.embeddings)
    }
}

forward_part!(Retriever {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        (**self).retrieve(request).await
    }
});

/// The lists that `retriever` found, where there is one a caption as its contract says.
pub(crate) fn one_list_each(
    retriever: &dyn Retriever,
    captions: &[Caption],
    found: Vec<Vec<Reference>>,
) -> Result<Vec<Vec<Reference>>> {
    check_count(retriever, "lists", captions.len(), found.len())?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedder::Embedded;
    use crate::image::Image;

    /// Gives one embedding too many.
    #[derive(Debug)]
    struct OneMore;

    impl Display for OneMore {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("OneMore")
        }
    }

    #[async_trait]
    impl Embedder for OneMore {
        fn dim(&self) -> usize {
            1
        }
        async fn embed_texts(&self, texts: &[&str]) -> Result<Embedded> {
            (0..=texts.len()).map(|_| Embedding::new([1.0])).collect()
        }
        async fn embed_images(&self, _: &[Image]) -> Result<Embedded> {
            Ok(Embedded::default())
        }
    }

    #[test]
    fn an_embedding_too_many_is_no_caption_moved() {
        let request = RetrieveRequest::new([Caption::concept("a"), Caption::concept("b")], 1);
        let error = futures::executor::block_on(request.embeddings(&OneMore)).unwrap_err();
        assert_eq!(error.chain().to_string(), "OneMore failed: expected 2 embeddings, found 3");
    }
}
