//! A question in a URL to what a service answers in JSON.

use reqwest::{Method, RequestBuilder, Url};

use super::client::{Client, unwatched};
use super::reply::Reply;
use super::stream::Body;
use crate::Result;

impl Client {
    /// What `read` makes of the JSON that `endpoint`, a path under the base URL, answers by GET to the
    /// fields of `query`; asked again as [`post_json`](Self::post_json) is.
    pub(crate) async fn get_query<T: Send>(
        &self,
        endpoint: &str,
        query: &[(&str, String)],
        expected: &str,
        read: impl Fn(Body) -> Result<T> + Sync,
    ) -> Result<T> {
        let with = |request: RequestBuilder| Ok(request.query(query));
        let read = |reply: Reply| read(self.words(&reply, expected)?);
        self.call(Method::GET, endpoint, with, &unwatched, read).await
    }

    /// The base URL with no query, which may hold a key.
    pub(crate) fn address(&self) -> Url {
        let mut base = self.base.clone();
        base.set_query(None);
        base
    }

    /// The same client, for a service whose base URL does not end in a version.
    pub(crate) fn without_advice(mut self) -> Self {
        self.service.advice = None;
        self
    }
}
