//! [`MilvusRetriever`]: captions to references whose vectors and descriptions are in Milvus.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{MilvusImage, MilvusIndex, expression};
use crate::embedder::Embedder;
use crate::index::VectorIndex;
use crate::reference::{Caption, Filter, Provenance, Reference, Source};
use crate::retriever::Retriever;
use crate::{Error, Image, Result, net};

/// Reads the pixels of an image.
type Read = dyn Fn(&MilvusImage) -> Result<Image> + Send + Sync;

/// Compares the embedding of a caption with those of a collection: the paper's retrieval, on as many
/// machines as Milvus runs on.
///
/// An image that was removed while it was found is left out.
#[derive(Clone)]
pub struct MilvusRetriever<E> {
    embedder: E,
    index: MilvusIndex,
    filter: Filter,
    read: Arc<Read>,
}

impl<E: Embedder> MilvusRetriever<E> {
    /// Retrieves from all images of `index`. Their pixels are read from the files that their sources
    /// name.
    ///
    /// # Errors
    /// [`Error::Incompatible`] when the vectors of the two have different dimensions.
    pub fn new(embedder: E, index: MilvusIndex) -> Result<Self> {
        if embedder.dim() != index.dim() {
            return Err(Error::Incompatible {
                left: index.to_string(),
                right: embedder.to_string(),
                expected: format!("{} values an embedding", index.dim()),
                found: embedder.dim().to_string(),
            });
        }
        let read = Arc::new(|image: &MilvusImage| Image::open(&image.source));
        Ok(Self { embedder, index, filter: Filter::all(), read })
    }

    /// Retrieves only images that `filter` lets through.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when Milvus cannot express it, as
    /// [`MilvusIndex::search_filtered`] says.
    pub fn with_filter(mut self, filter: Filter) -> Result<Self> {
        expression::of(&filter)?;
        self.filter = filter;
        Ok(self)
    }

    /// Gets pixels through `read`, on a thread that may wait for them: from an archive, from an
    /// address, from wherever they are.
    #[must_use]
    pub fn with_pixels(
        mut self,
        read: impl Fn(&MilvusImage) -> Result<Image> + Send + Sync + 'static,
    ) -> Self {
        self.read = Arc::new(read);
        self
    }

    /// The collection.
    pub const fn index(&self) -> &MilvusIndex {
        &self.index
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<E: Embedder> Retriever for MilvusRetriever<E> {
    async fn retrieve(&self, captions: &[Caption], limit: usize) -> Result<Vec<Vec<Reference>>> {
        let texts: Vec<&str> = captions.iter().map(|caption| caption.text.as_str()).collect();
        let queries = self.embedder.embed_texts(&texts).await?;
        let (collection, expression) =
            (self.index.collection().clone(), expression::of(&self.filter)?);
        let (found, images) = net::run("Milvus", async move {
            let found = collection.search(&queries, limit, &expression).await?;
            let mut ids: Vec<u64> = found.iter().flatten().map(|neighbor| neighbor.id).collect();
            ids.sort_unstable();
            ids.dedup();
            let images = collection.images(&ids).await?;
            Ok((found, images))
        })
        .await?;
        let read = Arc::clone(&self.read);
        let (images, pixels) = net::run_blocking("reading pictures", move || {
            let pixels: Vec<Image> =
                images.iter().map(|image| read(image)).collect::<Result<_>>()?;
            Ok((images, pixels))
        })
        .await?;
        let name = self.to_string();
        let reference = |caption: &Caption, id: u64, score: f32, rank: usize| {
            let place = images.binary_search_by_key(&id, |image| image.id).ok()?;
            let MilvusImage { source, metadata, .. } = images[place].clone();
            let mut provenance = Provenance::new(Source::Uri(source), &name, score, rank);
            provenance.license = metadata.license;
            provenance.author = metadata.author;
            provenance.origin = metadata.origin;
            provenance.stored_caption = metadata.caption;
            let (image, caption) = (pixels[place].clone(), caption.clone());
            Some(Reference { image, caption, provenance })
        };
        let lists = captions.iter().zip(found).map(|(caption, neighbors)| {
            let mut list = Vec::with_capacity(neighbors.len());
            for neighbor in neighbors {
                list.extend(reference(caption, neighbor.id, neighbor.score, list.len()));
            }
            list
        });
        Ok(lists.collect())
    }
}

impl<E: Embedder> fmt::Display for MilvusRetriever<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Embedding({}, {}", self.embedder, self.index)?;
        if !self.filter.is_all() {
            write!(f, ", {}", self.filter)?;
        }
        f.write_str(")")
    }
}

impl<E: Embedder> fmt::Debug for MilvusRetriever<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MilvusRetriever")
            .field("embedder", &self.embedder)
            .field("index", &self.index)
            .field("filter", &self.filter)
            .finish_non_exhaustive()
    }
}
