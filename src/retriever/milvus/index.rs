//! [`MilvusIndex`]: a collection of Milvus as a [`VectorIndex`], with the images' metadata.

use std::{fmt, slice};

use async_trait::async_trait;
use futures::stream::{self, Stream, TryStreamExt};

use super::collection::Collection;
use super::{Milvus, MilvusImage, expression, schema};
use crate::embedder::Embedding;
use crate::index::{Hits, IdSet, VectorIndex, check_dim};
use crate::reference::Filter;
use crate::{Error, Result, net};

/// Images that are written in one call.
const ROWS: usize = 1_000;
/// Bytes that are written in one call, about.
const BYTES: usize = 8 << 20;

/// A collection of Milvus. Clones share it.
///
/// Scores are cosine similarities; ids are the caller's. Every call waits for the server, as long
/// as [`MilvusBuilder`](super::MilvusBuilder) says, and then returns [`Error::Connection`],
/// [`Error::Timeout`] or [`Error::Service`].
///
/// ```no_run
/// # async fn tidy() -> imagerag::Result<()> {
/// use futures::{StreamExt, pin_mut};
/// use imagerag::reference::Filter;
/// use imagerag::retriever::{Milvus, MilvusIndex};
///
/// let milvus = Milvus::connect("http://localhost:19530").await?;
/// let index: MilvusIndex = milvus.open("birds").await?.with_parameter("nprobe", 32);
/// let without = Filter::all().caption("watermark");
/// println!("{} of {} have one", index.count_filtered(&without).await?, index.ids().await?.len());
///
/// let images = index.iter(&without)?;
/// pin_mut!(images);
/// let mut gone = Vec::new();
/// while let Some(image) = images.next().await {
///     gone.push(image?.0.id);
/// }
/// index.remove(&gone).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MilvusIndex {
    collection: Collection,
    note: Option<String>,
}

impl MilvusIndex {
    pub(super) async fn load(
        milvus: Milvus,
        name: String,
        dim: usize,
        note: Option<String>,
    ) -> Result<Self> {
        let Milvus { client, consistency } = milvus;
        let collection = Collection { client, name, dim, consistency, parameters: [].into() };
        let index = Self { collection, note };
        index.run(|collection| async move { collection.load().await }).await?;
        Ok(index)
    }

    /// Sets what each search takes from Milvus' own settings, such as `nprobe` or `ef`.
    #[must_use]
    pub fn with_parameter(mut self, name: impl Into<String>, value: u32) -> Self {
        self.collection.parameters.insert(name.into(), value.to_string());
        self
    }

    /// The collection's name.
    pub fn name(&self) -> &str {
        &self.collection.name
    }

    /// The note with which the collection was made.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The ids of all images, rising.
    ///
    /// # Errors
    /// Those of every call of a server.
    pub async fn ids(&self) -> Result<Vec<u64>> {
        self.run(|collection| async move { collection.ids().await }).await
    }

    /// Writes images with their embeddings, over those with the same ids. `progress` is called with
    /// the number of images that are written and that of all. If a call to the server fails, the
    /// images before it stay written.
    ///
    /// # Errors
    /// [`Error::InvalidInput`], before anything is written, when an embedding is of another
    /// dimension, an id is above 2^63 - 1, a text is longer than 65,535 bytes, or the JSON is no
    /// object; those of every call of a server.
    pub async fn add(
        &self,
        images: &[(MilvusImage, Embedding)],
        progress: impl Fn(usize, usize) + Send + Sync,
    ) -> Result<()> {
        for (image, embedding) in images {
            image.check()?;
            check_dim(self, slice::from_ref(embedding))?;
        }
        let mut written = 0;
        while written < images.len() {
            let batch = self.batch(&images[written..]).to_vec();
            written += batch.len();
            self.run(move |collection| async move { collection.upsert(&batch).await }).await?;
            progress(written, images.len());
        }
        Ok(())
    }

    /// As many of the first images as are written in one call.
    fn batch<'a>(&self, images: &'a [(MilvusImage, Embedding)]) -> &'a [(MilvusImage, Embedding)] {
        let mut bytes = 0;
        let fitting = images.iter().take(ROWS).take_while(|(image, _)| {
            bytes += image.size() + 4 * self.collection.dim;
            bytes <= BYTES
        });
        &images[..fitting.count().max(1)]
    }

    /// Removes images; ids that are not there are ignored.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when an id is above 2^63 - 1; those of every call of a server.
    pub async fn remove(&self, ids: &[u64]) -> Result<()> {
        let ids = ids.to_vec();
        self.run(|collection| async move { collection.remove(&ids).await }).await
    }

    /// How many images there are that `filter` lets through.
    ///
    /// # Errors
    /// As [`search_filtered`](Self::search_filtered).
    pub async fn count_filtered(&self, filter: &Filter) -> Result<usize> {
        let expression = expression::of(filter)?;
        self.run(|collection| async move { collection.count(&expression).await }).await
    }

    /// The `limit` nearest images of each query among those that `filter` lets through.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when a query is of another dimension, when `limit` and the number of
    /// images are above 16,384, or when Milvus cannot express the filter: no value may hold control
    /// characters, no caption `%`, `_` or `\`. Those of every call of a server.
    pub async fn search_filtered(
        &self,
        queries: &[Embedding],
        limit: usize,
        filter: &Filter,
    ) -> Result<Hits> {
        check_dim(self, queries)?;
        let (queries, expression) = (queries.to_vec(), expression::of(filter)?);
        self.run(|collection| async move { collection.search(&queries, limit, &expression).await })
            .await
    }

    /// The images with these ids that are there, by rising id.
    ///
    /// # Errors
    /// Those of every call of a server.
    pub async fn images(&self, ids: &[u64]) -> Result<Vec<MilvusImage>> {
        let ids = ids.to_vec();
        self.run(|collection| async move { collection.images(&ids).await }).await
    }

    /// All images that `filter` lets through with their embeddings, by rising id, few of them in
    /// memory at a time. Those written meanwhile may come or not.
    ///
    /// # Errors
    /// As [`search_filtered`](Self::search_filtered), the server's as items.
    pub fn iter(
        &self,
        filter: &Filter,
    ) -> Result<impl Stream<Item = Result<(MilvusImage, Embedding)>> + Send + use<>> {
        let (index, expression) = (self.clone(), expression::of(filter)?);
        let page = move |last: Option<u64>| {
            let (index, asked) = (index.clone(), expression::after(&expression, last));
            async move {
                let page = index.page(asked).await?;
                let last = page.last().map(|(image, _)| Some(image.id));
                Ok::<_, Error>(last.map(|last| (stream::iter(page.into_iter().map(Ok)), last)))
            }
        };
        Ok(stream::try_unfold(None, page).try_flatten())
    }

    /// The first images that `expression` lets through, with their vectors.
    async fn page(&self, expression: String) -> Result<Vec<(MilvusImage, Embedding)>> {
        self.run(|collection| async move {
            let fields = [&schema::DESCRIPTION[..], &[schema::VECTOR]].concat();
            let page = collection.page(&expression, &fields).await?;
            let lacks = || collection.client.about.senseless("a vector", "none");
            let rows = page.into_iter();
            rows.map(|(image, vector)| Ok((image, vector.ok_or_else(lacks)?))).collect()
        })
        .await
    }

    /// Makes the server write to its disk what it holds in memory. Nothing is lost without it; it
    /// makes searching faster after much was added.
    ///
    /// # Errors
    /// Those of every call of a server.
    pub async fn flush(&self) -> Result<()> {
        self.run(|collection| async move { collection.flush().await }).await
    }

    /// What `work` gives, on the network's thread.
    async fn run<T, F>(&self, work: impl FnOnce(Collection) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        net::run("Milvus", work(self.collection.clone())).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl VectorIndex for MilvusIndex {
    fn dim(&self) -> usize {
        self.collection.dim
    }

    async fn count(&self) -> Result<usize> {
        self.count_filtered(&Filter::all()).await
    }

    async fn search(&self, queries: &[Embedding], limit: usize) -> Result<Hits> {
        self.search_filtered(queries, limit, &Filter::all()).await
    }

    async fn search_among(&self, queries: &[Embedding], limit: usize, ids: &IdSet) -> Result<Hits> {
        check_dim(self, queries)?;
        // Milvus has none above.
        let ids: Vec<u64> = ids.iter().take_while(|&id| id <= i64::MAX as u64).collect();
        let queries = queries.to_vec();
        self.run(|collection| async move { collection.search_among(&queries, limit, &ids).await })
            .await
    }
}

impl fmt::Display for MilvusIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Milvus({})", self.collection.name)
    }
}

impl fmt::Debug for MilvusIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MilvusIndex")
            .field("address", &self.collection.client.about.address)
            .field("name", &self.collection.name)
            .field("dim", &self.collection.dim)
            .field("parameters", &self.collection.parameters)
            .finish()
    }
}
