//! [`Collection`]: what is written to one collection and read from it, as calls to Milvus.

use std::collections::HashMap;

use milvus::v2::prelude::{
    ClientV2, ConsistencyLevel, DeleteRequest, FlushRequest, InsertRequest, LoadCollectionRequest,
    QueryRequest, UpsertRequest,
};

use super::client::{Client, SdkResult, is_not_loaded};
use super::{Consistency, MilvusImage, expression, image, schema};
use crate::embedder::Embedding;
use crate::{Error, Result};

/// Ids in one expression.
pub(super) const IDS: usize = 10_000;
/// The most images in one answer.
const ROWS: usize = 1_000;
/// Bytes of images and vectors in one answer, about: answers above 4 MB are not read.
const PAGE: usize = 2 << 20;

/// One collection.
#[derive(Clone)]
pub(super) struct Collection {
    pub(super) client: Client,
    pub(super) name: String,
    pub(super) dim: usize,
    pub(super) consistency: Consistency,
    /// Settings of each search, as Milvus names them.
    pub(super) parameters: HashMap<String, String>,
}

impl Collection {
    /// Makes the server ready to search it.
    pub(super) async fn load(&self) -> Result<()> {
        let request = LoadCollectionRequest::builder().collection_name(&self.name).sync(true);
        let load = |sdk: ClientV2, request| async move { sdk.load_collection(request).await };
        self.client.call(request.build(), load).await
    }

    /// As [`Client::call`]; loads the collection where the server has not done so.
    pub(super) async fn call<R, T, F>(
        &self,
        request: SdkResult<R>,
        operation: impl Fn(ClientV2, R) -> F + Send + Sync,
    ) -> Result<T>
    where
        R: Clone + Send + Sync,
        F: Future<Output = SdkResult<T>> + Send,
    {
        match self.client.call(request.clone(), &operation).await {
            Err(error) if is_not_loaded(&error) => {
                self.load().await?;
                self.client.call(request, operation).await
            }
            outcome => outcome,
        }
    }

    /// Writes images over those with the same ids.
    pub(super) async fn upsert(&self, batch: &[(MilvusImage, Embedding)]) -> Result<()> {
        let insert = InsertRequest::builder().collection_name(&self.name);
        let request = insert.columns(image::columns(batch)?).build();
        let request = request.and_then(|insert| UpsertRequest::builder().insert(insert).build());
        let upsert = |sdk: ClientV2, request| async move { sdk.upsert(request).await };
        self.call(request, upsert).await.map(|_| ())
    }

    pub(super) async fn remove(&self, ids: &[u64]) -> Result<()> {
        for ids in ids.chunks(IDS) {
            ids.iter().try_for_each(|&id| image::id(id).map(drop))?;
            let request = DeleteRequest::builder().collection_name(&self.name);
            let request = request.filter(expression::among("", ids)).build();
            let delete = |sdk: ClientV2, request| async move { sdk.delete(request).await };
            self.call(request, delete).await?;
        }
        Ok(())
    }

    pub(super) async fn flush(&self) -> Result<()> {
        let request = FlushRequest::builder().collection_names([&self.name]).build();
        let flush = |sdk: ClientV2, request| async move { sdk.flush(request).await };
        self.call(request, flush).await.map(|_| ())
    }

    /// How many images `expression` lets through.
    pub(super) async fn count(&self, expression: &str) -> Result<usize> {
        let request = QueryRequest::builder()
            .collection_name(&self.name)
            .filter(expression)
            .output_fields(["count(*)"])
            .consistency_level(ConsistencyLevel::Strong)
            .build();
        let query = |sdk: ClientV2, request| async move { sdk.query(request).await };
        let answer = self.call(request, query).await?;
        let counted = answer.results().get_output_field("count(*)").and_then(|f| f.as_int64());
        let counted = counted.and_then(|counted| usize::try_from(*counted.first()?).ok());
        counted.ok_or_else(|| self.client.about.senseless("a count", "none"))
    }

    /// The images with these ids that are there, by rising id.
    pub(super) async fn images(&self, ids: &[u64]) -> Result<Vec<MilvusImage>> {
        let mut images = Vec::with_capacity(ids.len());
        for ids in ids.chunks(IDS) {
            images.extend(self.all(&expression::among("", ids)).await?);
        }
        Ok(images)
    }

    /// The ids of all images, rising.
    pub(super) async fn ids(&self) -> Result<Vec<u64>> {
        Ok(self.all("").await?.into_iter().map(|image| image.id).collect())
    }

    /// The images that `expression` lets through, by rising id.
    async fn all(&self, expression: &str) -> Result<Vec<MilvusImage>> {
        let (mut images, mut last) = (Vec::new(), None);
        loop {
            let after = expression::after(expression, last);
            let page = self.page(&after, &schema::DESCRIPTION).await?;
            let Some((image, _)) = page.last() else { return Ok(images) };
            last = Some(image.id);
            images.extend(page.into_iter().map(|(image, _)| image));
        }
    }

    /// The first images that `expression` lets through, by rising id; as many as are read at once.
    pub(super) async fn page(&self, expression: &str, fields: &[&str]) -> Result<Vec<image::Row>> {
        let mut rows = (PAGE / (4 * self.dim + 512)).clamp(1, ROWS);
        loop {
            let request = QueryRequest::builder()
                .collection_name(&self.name)
                .filter(expression)
                .output_fields(fields.iter().copied())
                .limit(rows as i64)
                // Else the rows come in any order.
                .extra_params(HashMap::from([("iterator".to_owned(), "true".to_owned())]))
                .consistency_level(ConsistencyLevel::Strong)
                .build();
            let query = |sdk: ClientV2, request| async move { sdk.query(request).await };
            match self.call(request, query).await {
                Ok(answer) => return image::rows(&self.client.about, answer.results()),
                Err(error) if rows > 1 && is_too_long(&error) => rows = (rows / 4).max(1),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether an answer was above what is read of one.
fn is_too_long(error: &Error) -> bool {
    matches!(error, Error::Service { status: 400, message, .. } if message.contains("too large"))
}
