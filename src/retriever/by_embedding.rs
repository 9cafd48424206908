//! [`EmbeddingRetriever`]: finds the images whose embeddings are closest to that of a caption.

use std::fmt;

use async_trait::async_trait;
use futures::future::join_all;

use crate::embedder::{Embedder, check_dim};
use crate::forward::check_count;
use crate::image::Image;
use crate::index::{FlatIndex, Neighbor, VectorIndex, check_ids};
use crate::reference::{Caption, Picture, Reference};
use crate::retriever::{Catalog, CatalogEntry, RetrieveRequest, Retriever};
use crate::{Error, Result, Usage};

/// Compares the embedding of a caption with those of all images: the paper's retrieval, with CLIP
/// as the embedder.
#[derive(Clone, Debug)]
pub struct EmbeddingRetriever<E, I = FlatIndex> {
    embedder: E,
    index: I,
    catalog: Catalog,
    build_usage: Usage,
}

/// A picture that could not be embedded, and why.
#[derive(Debug)]
pub struct Skipped {
    /// The picture, by its source.
    pub source: String,
    /// Why it is not in the gallery.
    pub reason: Error,
}

/// Pictures that are decoded and embedded together.
const BATCH: usize = 32;

impl<E: Embedder> EmbeddingRetriever<E> {
    /// Embeds every picture of `catalog` into an exact index. Pictures that cannot be read are left
    /// out and returned with the reason. `progress` is called with the number of pictures that are
    /// done and that of all. What the embedder used is the
    /// [`build_usage`](Self::build_usage) of the result.
    ///
    /// # Errors
    /// Those of the embedder; [`Error::Backend`] when it gives another number of embeddings than of
    /// pictures, or another dimension than it says; [`Error::InvalidInput`] when no picture is left.
    pub async fn build(
        embedder: E,
        catalog: Catalog,
        progress: impl Fn(usize, usize) + Send + Sync,
    ) -> Result<(Self, Vec<Skipped>)> {
        let mut index = FlatIndex::new(embedder.dim())?;
        let (mut kept, mut skipped) = (Vec::new(), Vec::new());
        let mut build_usage = Usage::default();
        let total = catalog.len();
        for (number, batch) in catalog.entries().chunks(BATCH).enumerate() {
            let mut images: Vec<Image> = Vec::with_capacity(batch.len());
            let pictures: Vec<Picture> = batch.iter().map(CatalogEntry::picture).collect();
            let decoded = join_all(pictures.iter().map(Picture::load)).await;
            for (entry, image) in batch.iter().zip(decoded) {
                match image {
                    Ok(image) => {
                        images.push(image);
                        kept.push(entry.clone());
                    }
                    Err(reason) => {
                        skipped.push(Skipped { source: entry.source.to_string(), reason });
                    }
                }
            }
            let embeddings = embedder.embed_images(&images).await?;
            build_usage += embeddings.usage.unwrap_or_default();
            check_count(&embedder, "embeddings", images.len(), embeddings.len())?;
            check_dim(&embedder, &embeddings)?;
            for embedding in &embeddings {
                index.add(embedding)?;
            }
            progress(number * BATCH + batch.len(), total);
        }
        if kept.is_empty() {
            let expected = "at least one picture that can be read";
            return Err(Error::invalid_input("gallery", expected, format!("none of {total}")));
        }
        let catalog = Catalog::new(kept);
        Ok((Self { embedder, index, catalog, build_usage }, skipped))
    }
}

impl<E: Embedder, I: VectorIndex> EmbeddingRetriever<E, I> {
    /// A retriever over an index whose vector `n` belongs to picture `n` of the catalog.
    ///
    /// # Errors
    /// [`Error::Incompatible`] when the dimensions of embedder and index, or the numbers of vectors
    /// and pictures differ; [`Error::InvalidInput`] when there is no picture; those of the index.
    pub async fn new(embedder: E, index: I, catalog: Catalog) -> Result<Self> {
        if embedder.dim() != index.dim() {
            let expected = format!("{} values an embedding", index.dim());
            return Err(Error::incompatible(&index, &embedder, expected, embedder.dim()));
        }
        let count = index.count().await?;
        if count != catalog.len() {
            let expected = format!("{count} pictures");
            return Err(Error::incompatible(&index, "the catalog", expected, catalog.len()));
        }
        if catalog.is_empty() {
            return Err(Error::invalid_input("gallery", "at least one picture", "none"));
        }
        Ok(Self { embedder, index, catalog, build_usage: Usage::default() })
    }

    /// The pictures that are searched.
    pub const fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// What the embedder used for the pictures in [`build`](Self::build), if its service says;
    /// nothing after [`new`](Self::new). What it uses for captions is in the trace of each request.
    ///
    #[cfg_attr(feature = "testing", doc = "```")]
    #[cfg_attr(not(feature = "testing"), doc = "```ignore")]
    /// use futures::executor::block_on;
    /// use imagerag::retriever::{Catalog, CatalogEntry, EmbeddingRetriever};
    /// use imagerag::testing::{FakeEmbedder, solid};
    /// use imagerag::{Price, Usage};
    ///
    /// let catalog = Catalog::new([CatalogEntry::new("red.png", solid(8, 8, [200, 0, 0]))]);
    /// let (retriever, _) = block_on(EmbeddingRetriever::build(FakeEmbedder, catalog, |_, _| {}))?;
    /// assert_eq!(retriever.build_usage(), Usage::default()); // The fake is free.
    ///
    /// let price = Price { per_million_prompt_tokens: 0.02, ..Price::default() };
    /// println!("the index cost ${:.4}", retriever.build_usage().cost(&price));
    /// # Ok::<(), imagerag::Error>(())
    /// ```
    pub const fn build_usage(&self) -> Usage {
        self.build_usage
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<E: Embedder, I: VectorIndex> Retriever for EmbeddingRetriever<E, I> {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        let queries = request.embeddings(&self.embedder).await?;
        let found = self.index.search(&queries, request.limit).await?;
        check_count(&self.index, "lists", queries.len(), found.len())?;
        let pictures = self.catalog.len() as u64;
        check_ids(&self.index, &found, format!("less than {pictures}"), |id| id < pictures)?;
        let name = self.to_string();
        let list = |(caption, neighbors): (&Caption, Vec<Neighbor>)| {
            let each = neighbors.into_iter().enumerate();
            each.map(|(rank, Neighbor { id, score })| {
                self.catalog.reference(id, caption, name.clone(), score, rank)
            })
            .collect()
        };
        request.captions.iter().zip(found).map(list).collect()
    }
}

impl<E: Embedder, I: VectorIndex> fmt::Display for EmbeddingRetriever<E, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Embedding(")?;
        fmt::Display::fmt(&self.embedder, f)?; // `{:#}` is for the parts inside too.
        f.write_str(", ")?;
        fmt::Display::fmt(&self.index, f)?;
        f.write_str(")")
    }
}
