//! [`Milvus`]: collections of images that a Milvus server searches.
#![allow(clippy::result_large_err, reason = "the SDK's errors are; each becomes ours at once")]

mod builder;
mod client;
mod collection;
mod expression;
mod image;
mod index;
mod retriever;
mod schema;
mod search;

use std::fmt;

use milvus::v2::prelude::{
    ClientV2, ConsistencyLevel, DescribeCollectionRequest, DescribeIndexRequest,
    DropCollectionRequest, HasCollectionRequest,
};

use crate::retriever::milvus::client::Client;
use crate::{Error, Result};

pub use builder::MilvusBuilder;
pub use image::MilvusImage;
pub use index::MilvusIndex;
pub use retriever::MilvusRetriever;
pub use schema::MilvusIndexType;

/// A connection to Milvus. Clones share it.
///
/// It survives restarts of the server: a call that cannot reach the server is retried for as long as
/// [`MilvusBuilder::patience`] says. Any executor will do: network requests run on a thread of the
/// crate.
///
/// ```no_run
/// use imagerag::embedder::Embedding;
/// use imagerag::reference::Filter;
/// use imagerag::retriever::{Milvus, MilvusImage, MilvusIndexType};
///
/// # async fn run() -> imagerag::Result<()> {
/// let milvus = Milvus::connect("http://localhost:19530").await?;
/// let index = milvus.create("birds", 512, MilvusIndexType::Flat).await?;
/// # let embedding = Embedding::new(vec![1.0; 512])?;
/// # let query = embedding.clone();
/// let mut image = MilvusImage::new(7, "photos/quetzal.jpg");
/// image.metadata.license = Some("CC0-1.0".into());
/// index.add(&[(image, embedding)], |done, of| eprintln!("{done} of {of}")).await?;
///
/// let free = Filter::all().licenses(["CC0-1.0", "CC-BY-4.0"]);
/// let found = index.search_filtered(&[query], 3, &free).await?;
/// println!("{}", index.images(&[found[0][0].id]).await?[0].source);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Milvus {
    client: Client,
    consistency: Consistency,
}

/// The consistency level of a search: which writes it must see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Consistency {
    /// Everything that was written before, by anybody.
    #[default]
    Strong,
    /// Everything that this process wrote before.
    Session,
    /// All but the last seconds; faster in a cluster.
    Bounded,
    /// Whatever the server has at hand; the fastest.
    Eventual,
}

impl From<Consistency> for ConsistencyLevel {
    fn from(consistency: Consistency) -> Self {
        match consistency {
            Consistency::Strong => Self::Strong,
            Consistency::Session => Self::Session,
            Consistency::Bounded => Self::Bounded,
            Consistency::Eventual => Self::Eventually,
        }
    }
}

impl Milvus {
    /// Connects to the server at `address`, such as `http://localhost:19530`, without a login.
    ///
    /// # Errors
    /// As [`MilvusBuilder::connect`].
    pub async fn connect(address: impl Into<String> + Send) -> Result<Self> {
        Self::builder(address).connect().await
    }

    /// Settings for a connection to the server at `address`.
    pub fn builder(address: impl Into<String>) -> MilvusBuilder {
        MilvusBuilder::new(address.into())
    }

    /// Whether there is a collection called `name`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when `name` is no name for a collection; [`Error::Connection`],
    /// [`Error::Timeout`] and [`Error::Service`], as every call of a server.
    pub async fn has(&self, name: &str) -> Result<bool> {
        schema::check_name(name)?;
        let request = HasCollectionRequest::builder().collection_name(name).build();
        let has = |sdk: ClientV2, request| async move { sdk.has_collection(request).await };
        Ok(self.client.ask(request, has).await?.exists())
    }

    /// Makes an empty collection of vectors of `dim` values, which are found by cosine similarity.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when there is a collection called `name`, when it is no name for one
    /// (letters, digits and `_`), or when `dim` is not 2 to 32,768; those of every call of a server.
    pub async fn create(
        &self,
        name: &str,
        dim: usize,
        index: MilvusIndexType,
    ) -> Result<MilvusIndex> {
        self.create_noted(name, dim, index, None).await
    }

    /// The same, with a note that [`MilvusIndex::note`] reads back, such as who made the vectors.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub async fn create_noted(
        &self,
        name: &str,
        dim: usize,
        index: MilvusIndexType,
        note: Option<String>,
    ) -> Result<MilvusIndex> {
        schema::check_dim(dim)?;
        if self.has(name).await? {
            let expected = format!("one that {} does not have", self.client.about);
            return Err(Error::invalid_input("name of a new collection", expected, name));
        }
        let request = schema::request(name, dim, index, note);
        let create = |sdk: ClientV2, request| async move { sdk.create_collection(request).await };
        self.client.ask(request, create).await?;
        self.open(name).await
    }

    /// The collection called `name`, loaded for searching.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when `name` is no name for a collection; [`Error::Incompatible`] when
    /// the collection is not one that [`create`](Self::create) makes; [`Error::Service`] when there
    /// is none; those of every call of a server.
    pub async fn open(&self, name: &str) -> Result<MilvusIndex> {
        schema::check_name(name)?;
        let request = DescribeCollectionRequest::builder().collection_name(name).build();
        let describe = |sdk: ClientV2, name| async move { sdk.describe_collection(name).await };
        let described = self.client.ask(request, describe).await?;
        let dim = schema::dim(name, described.description())?;
        let note = described.description().get_properties().get(schema::NOTE).cloned();

        let request = DescribeIndexRequest::builder().collection_name(name);
        let request = request.field_name(schema::VECTOR).build();
        let describe = |sdk: ClientV2, name| async move { sdk.describe_index(name).await };
        schema::check_metric(name, self.client.ask(request, describe).await?.indexes())?;

        MilvusIndex::load(self.clone(), name.to_owned(), dim, note).await
    }

    /// Removes the collection called `name` with all that is in it, if there is one.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when `name` is no name for a collection; those of every call of a
    /// server.
    pub async fn drop_collection(&self, name: &str) -> Result<()> {
        if !self.has(name).await? {
            return Ok(());
        }
        let request = DropCollectionRequest::builder().collection_name(name).build();
        let drop = |sdk: ClientV2, request| async move { sdk.drop_collection(request).await };
        self.client.ask(request, drop).await
    }
}

impl fmt::Display for Milvus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.about.fmt(f)
    }
}

impl fmt::Debug for Milvus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Milvus")
            .field("address", &self.client.about.address)
            .field("consistency", &self.consistency)
            .finish_non_exhaustive()
    }
}
