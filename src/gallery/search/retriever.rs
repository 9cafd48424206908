//! [`GalleryRetriever`]: retrieves references from a gallery.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Found, SearchOptions};
use crate::embedder::Embedder;
use crate::gallery::Gallery;
use crate::gallery::store::record::{ImageRecord, Pixels};
use crate::reference::{Caption, Filter, Picture, Provenance, Reference, Source};
use crate::retriever::{RetrieveRequest, Retriever};
use crate::{Image, Result, pool};

/// Downloads the images of which a gallery has only the address.
///
/// ```
/// use imagerag::gallery::Fetch;
/// use imagerag::{Error, Result, async_trait};
///
/// /// Reads from a copy of the web that is mounted here; a real one downloads.
/// #[derive(Debug)]
/// struct Mirror(std::path::PathBuf);
///
/// #[async_trait]
/// impl Fetch for Mirror {
///     async fn fetch(&self, address: &str) -> Result<Vec<u8>> {
///         let path = self.0.join(address.trim_start_matches("https://"));
///         std::fs::read(&path).map_err(|source| Error::io(path, source))
///     }
/// }
///
/// // `GalleryRetriever::with_fetch` takes it; `skipping_unreadable` passes over dead links.
/// let mirror = Mirror("/mnt/web".into());
/// let gone = futures::executor::block_on(mirror.fetch("https://example.org/gone.jpg"));
/// assert!(gone.is_err());
/// ```
#[async_trait]
pub trait Fetch: fmt::Debug + Send + Sync + 'static {
    /// The bytes of the image file at `address`.
    async fn fetch(&self, address: &str) -> Result<Vec<u8>>;
}

/// Compares the embedding of a caption with those of a gallery's images: the paper's retrieval.
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// # use futures::executor::block_on;
/// # use imagerag::{Retriever, reference::{Caption, Filter}, testing::FakeEmbedder};
/// # use imagerag::retriever::RetrieveRequest;
/// # use imagerag::gallery::{Gallery, GalleryRetriever};
/// # let folder = std::env::temp_dir().join(format!("imagerag-doc-r-{}", std::process::id()));
/// # block_on(async {
/// let gallery = Gallery::open_or_create(&folder, &FakeEmbedder).await?;
/// let retriever = GalleryRetriever::new(FakeEmbedder, gallery)
///     .await?
///     .with_filter(Filter::all().licenses(["CC0-1.0", "CC-BY-4.0"]))
///     .without_near_duplicates(0.94);
/// let request = RetrieveRequest::new([Caption::concept("a quetzal")], 3);
/// let found = retriever.retrieve(&request).await?;
/// # assert!(found[0].is_empty());
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok::<(), imagerag::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct GalleryRetriever<E> {
    embedder: E,
    gallery: Gallery,
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
    pub async fn new(embedder: E, gallery: Gallery) -> Result<Self> {
        gallery.check_embedder(&embedder).await?;
        let options = SearchOptions::new(0);
        Ok(Self { embedder, gallery, options, fetch: None, skips_unreadable: false })
    }

    /// Retrieves only images that `filter` lets through.
    #[must_use]
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.options.filter = filter;
        self
    }

    /// Leaves out an image whose cosine similarity to a better one is at least `threshold`,
    /// in (0, 1].
    #[must_use]
    pub const fn without_near_duplicates(mut self, threshold: f32) -> Self {
        self.options.near_duplicates = Some(threshold);
        self
    }

    /// Gets images that are not on this machine through `fetch`.
    #[must_use]
    pub fn with_fetch(mut self, fetch: impl Fetch) -> Self {
        self.fetch = Some(Arc::new(fetch));
        self
    }

    /// Marks the pictures as [`Picture::skipping_unreadable`] does. If one cannot be read or
    /// fetched, or has changed since, the pipeline takes the next best, for up to 64 pictures of one
    /// caption; without this setting it returns an error. Galleries of addresses need this, because links die.
    #[must_use]
    pub const fn skipping_unreadable(mut self) -> Self {
        self.skips_unreadable = true;
        self
    }

    /// The gallery.
    pub const fn gallery(&self) -> &Gallery {
        &self.gallery
    }

    fn reference(&self, found: Found, caption: &Caption, rank: usize) -> Reference {
        let record = Arc::new(found.entry.record);
        let source = Source::Uri(record.source.clone());
        let provenance =
            Provenance::new(source, self, found.score, rank).with_metadata(record.metadata.clone());
        let (key, fetch) = (record.hash.to_string(), self.fetch.clone());
        let mut picture = Picture::lazy(key, move || read(Arc::clone(&record), fetch.clone()));
        if self.skips_unreadable {
            picture = picture.skipping_unreadable();
        }
        Reference { picture, caption: caption.clone(), provenance }
    }
}

/// The picture of `record`, from this machine or from its address.
async fn read(record: Arc<ImageRecord>, fetch: Option<Arc<dyn Fetch>>) -> Result<Image> {
    let fetched = match (&record.pixels, fetch) {
        (Pixels::Remote, Some(fetch)) => Some(fetch.fetch(&record.source).await?),
        _ => None,
    };
    let decode = move || fetched.map_or_else(|| record.image(), |bytes| Image::decode(&bytes));
    pool::run("reading a picture", decode).await
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<E: Embedder> Retriever for GalleryRetriever<E> {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        let queries = request.embeddings(&self.embedder).await?;
        let options = SearchOptions { limit: request.limit, ..self.options.clone() };
        let found = self.gallery.search(&queries, &options).await?;
        let list = |(caption, found): (&Caption, Vec<Found>)| {
            let each = found.into_iter().enumerate();
            each.map(|(rank, found)| self.reference(found, caption, rank)).collect()
        };
        Ok(request.captions.iter().zip(found).map(list).collect())
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
