//! [`MilvusRetriever`]: retrieves references whose vectors and metadata are in Milvus.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{MilvusImage, MilvusIndex, expression};
use crate::embedder::Embedder;
use crate::index::{Neighbor, VectorIndex};
use crate::reference::{Caption, Filter, Picture, Provenance, Reference, Source};
use crate::retriever::{RetrieveRequest, Retriever};
use crate::{Error, Image, Result, pool};

/// Reads the pixels of an image.
type Read = dyn Fn(&MilvusImage) -> Result<Image> + Send + Sync;

/// Compares the embedding of a caption with those of a collection: the paper's retrieval with a
/// Milvus server.
///
/// An image that is removed during the search is left out.
///
/// ```no_run
/// # async fn retriever(embedder: impl imagerag::Embedder) -> imagerag::Result<()> {
/// use imagerag::Image;
/// use imagerag::reference::Filter;
/// use imagerag::retriever::{Milvus, MilvusRetriever};
///
/// let milvus = Milvus::connect("http://localhost:19530").await?;
/// let retriever = MilvusRetriever::new(embedder, milvus.open("birds").await?)?
///     .with_filter(Filter::all().licenses(["CC0-1.0", "CC-BY-4.0"]))?
///     .with_pixels(|image| Image::open(format!("/mnt/birds/{}.jpg", image.id)));
/// # let builder = imagerag::RagPipeline::builder();
/// let builder = builder.retriever(retriever);
/// # Ok(())
/// # }
/// ```
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
            let expected = format!("{} values an embedding", index.dim());
            return Err(Error::incompatible(&index, &embedder, expected, embedder.dim()));
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

    /// Gets pixels through `read`, for example from an archive or an address. `read` is called on a
    /// thread that may block.
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

    fn reference(
        &self,
        image: &MilvusImage,
        caption: &Caption,
        score: f32,
        rank: usize,
    ) -> Reference {
        let source = Source::Uri(image.source.clone());
        let provenance =
            Provenance::new(source, self, score, rank).with_metadata(image.metadata.clone());
        let (read, image) = (Arc::clone(&self.read), Arc::new(image.clone()));
        let picture = Picture::lazy(image.source.clone(), move || {
            let (read, image) = (Arc::clone(&read), Arc::clone(&image));
            pool::run("reading a picture", move || read(&image))
        });
        Reference { picture, caption: caption.clone(), provenance }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<E: Embedder> Retriever for MilvusRetriever<E> {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        let queries = request.embeddings(&self.embedder).await?;
        let found = self.index.search_filtered(&queries, request.limit, &self.filter).await?;
        let mut ids: Vec<u64> = found.iter().flatten().map(|neighbor| neighbor.id).collect();
        ids.sort_unstable();
        ids.dedup();
        let images = self.index.images(&ids).await?;
        let lists = request.captions.iter().zip(found).map(|(caption, neighbors)| {
            let mut list = Vec::with_capacity(neighbors.len());
            for Neighbor { id, score } in neighbors {
                if let Ok(place) = images.binary_search_by_key(&id, |image| image.id) {
                    list.push(self.reference(&images[place], caption, score, list.len()));
                }
            }
            list
        });
        Ok(lists.collect())
    }
}

impl<E: Embedder> fmt::Display for MilvusRetriever<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Embedding(")?;
        fmt::Display::fmt(&self.embedder, f)?; // `{:#}` is for the parts inside too.
        f.write_str(", ")?;
        fmt::Display::fmt(&self.index, f)?;
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
