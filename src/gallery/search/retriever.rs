//! [`GalleryRetriever`]: captions to references from a gallery.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Found, SearchOptions};
use crate::embedder::{Embedder, Embedding};
use crate::gallery::store::record::Pixels;
use crate::gallery::{Fingerprint, Gallery};
use crate::reference::{Caption, Filter, Provenance, Reference, Source};
use crate::retriever::Retriever;
use crate::{Image, Result};

/// Gets the picture files that a gallery knows by their address alone.
#[async_trait]
pub trait Fetch: fmt::Debug + Send + Sync + 'static {
    /// The bytes of the picture file at `address`.
    async fn fetch(&self, address: &str) -> Result<Vec<u8>>;
}

/// Compares the embedding of a caption with those of a gallery's images: the paper's retrieval.
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// # use futures::executor::block_on;
/// # use imagerag::{Retriever, retriever::{Caption, Filter}, testing::FakeEmbedder};
/// # use imagerag::gallery::{Gallery, GalleryRetriever};
/// # let folder = std::env::temp_dir().join(format!("imagerag-doc-r-{}", std::process::id()));
/// # block_on(async {
/// let gallery = Gallery::open_or_create(&folder, &FakeEmbedder).await?;
/// let retriever = GalleryRetriever::new(gallery, FakeEmbedder)
///     .await?
///     .with_filter(Filter::all().licenses(["CC0-1.0", "CC-BY-4.0"]))
///     .without_near_duplicates(0.94);
/// let found = retriever.retrieve(&[Caption::concept("a quetzal")], 3).await?;
/// # assert!(found[0].is_empty());
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok::<(), imagerag::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct GalleryRetriever<E> {
    gallery: Gallery,
    embedder: E,
    options: SearchOptions,
    fetch: Option<Arc<dyn Fetch>>,
    skips_unreadable: bool,
}

impl<E: Embedder> GalleryRetriever<E> {
    /// Retrieves from all images of `gallery`, which `embedder` has embedded.
    ///
    /// # Errors
    /// [`Error::Incompatible`](crate::Error::Incompatible) when another encoder, or another
    /// preprocessing, made the gallery's vectors; it names both. Those of the embedder.
    pub async fn new(gallery: Gallery, embedder: E) -> Result<Self> {
        gallery.fingerprint().check(&Fingerprint::of(&embedder).await?)?;
        let options = SearchOptions::new(0);
        Ok(Self { gallery, embedder, options, fetch: None, skips_unreadable: false })
    }

    /// Retrieves only images that `filter` lets through.
    #[must_use]
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.options.filter = filter;
        self
    }

    /// Leaves out images whose cosine similarity to a better one is `threshold`, in (0, 1], or more.
    #[must_use]
    pub const fn without_near_duplicates(mut self, threshold: f32) -> Self {
        self.options.near_duplicates = Some(threshold);
        self
    }

    /// Gets pictures that are not on this machine through `fetch`.
    #[must_use]
    pub fn with_fetch(mut self, fetch: impl Fetch) -> Self {
        self.fetch = Some(Arc::new(fetch));
        self
    }

    /// Passes over images whose picture cannot be read or fetched, or is another by now, and takes
    /// the next best; otherwise they are errors. Links die: galleries of addresses need this.
    #[must_use]
    pub const fn skipping_unreadable(mut self) -> Self {
        self.skips_unreadable = true;
        self
    }

    /// The gallery.
    pub const fn gallery(&self) -> &Gallery {
        &self.gallery
    }

    /// As many references as wanted and there, from those `found` on.
    async fn references(
        &self,
        query: &Embedding,
        mut found: Vec<Found>,
        caption: &Caption,
        limit: usize,
    ) -> Result<Vec<Reference>> {
        let mut wide = limit;
        loop {
            let last = found.len() < wide || limit == 0;
            let mut list = Vec::with_capacity(found.len());
            for found in found {
                match self.reference(found, caption, list.len()).await {
                    Err(_) if self.skips_unreadable => {}
                    reference => list.push(reference?),
                }
                if list.len() == limit {
                    return Ok(list);
                }
            }
            if last {
                return Ok(list);
            }
            wide = wide.saturating_mul(4);
            let options = SearchOptions { limit: wide, ..self.options.clone() };
            let queries = std::slice::from_ref(query);
            found = self.gallery.search(queries, &options)?.into_iter().flatten().collect();
        }
    }

    async fn reference(&self, found: Found, caption: &Caption, rank: usize) -> Result<Reference> {
        let record = found.entry.record;
        let image = match (&record.pixels, &self.fetch) {
            (Pixels::Remote, Some(fetch)) => Image::decode(&fetch.fetch(&record.source).await?)?,
            _ => record.image()?,
        };
        let source = Source::Uri(record.source);
        let mut provenance = Provenance::new(source, self, found.score, rank);
        provenance.license = record.metadata.license;
        provenance.author = record.metadata.author;
        provenance.origin = record.metadata.origin;
        provenance.stored_caption = record.metadata.caption;
        Ok(Reference { image, caption: caption.clone(), provenance })
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<E: Embedder> Retriever for GalleryRetriever<E> {
    async fn retrieve(&self, captions: &[Caption], limit: usize) -> Result<Vec<Vec<Reference>>> {
        let texts: Vec<&str> = captions.iter().map(|caption| caption.text.as_str()).collect();
        let queries = self.embedder.embed_texts(&texts).await?;
        let options = SearchOptions { limit, ..self.options.clone() };
        let found = self.gallery.search(&queries, &options)?;
        let mut lists = Vec::with_capacity(captions.len());
        for ((caption, query), found) in captions.iter().zip(&queries).zip(found) {
            lists.push(self.references(query, found, caption, limit).await?);
        }
        Ok(lists)
    }
}

impl<E: Embedder> fmt::Display for GalleryRetriever<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gallery({}, {}", self.embedder, self.gallery.index_name())?;
        if !self.options.filter.is_all() {
            write!(f, ", {}", self.options.filter)?;
        }
        f.write_str(")")
    }
}
