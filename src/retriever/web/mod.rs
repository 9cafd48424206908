//! [`WebRetriever`]: captions to pictures on the web, with who made them and under which license.

mod brave;
mod builder;
mod cache;
mod candidate;
mod commons;
mod html;
mod openverse;
mod pictures;
mod rank;
mod search;
mod searxng;
mod service;
mod words;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::stream::{self, StreamExt, TryStreamExt};
use lru::LruCache;
use reqwest::Url;
use tokio::sync::Semaphore;

use self::cache::Cache;
use self::candidate::Candidate;
use self::service::Service;
use super::{RetrieveRequest, Retriever};
use crate::Result;
use crate::embedder::Embedder;
use crate::net::client::Client;
use crate::net::guarded_download::Downloads;
use crate::reference::{Filter, Reference};

pub use builder::WebRetrieverBuilder;

/// Asks an image search on the web, and downloads what it names.
///
/// | Service | made with | key | licenses |
/// |---|---|---|---|
/// | [Openverse](https://openverse.org) | [`openverse`](Self::openverse) | none needed | yes |
/// | [Wikimedia Commons](https://commons.wikimedia.org) | [`commons`](Self::commons) | none | yes |
/// | [Brave](https://brave.com/search/api/) | [`brave`](Self::brave) | needed | no |
/// | an instance of [SearXNG](https://docs.searxng.org) | [`searxng`](Self::searxng) | none | no |
///
/// Several services are several retrievers, which [`Fuse`](super::Fuse) merges.
///
/// ```no_run
/// use imagerag::reference::{Caption, Filter};
/// use imagerag::retriever::{RetrieveRequest, Retriever, WebRetriever};
///
/// # futures::executor::block_on(async {
/// let retriever = WebRetriever::openverse()
///     .contact("you@example.org")
///     .filter(Filter::all().licenses(["CC0-1.0", "CC-BY-4.0"]).width(512..=8192))
///     .cache("cache/web")
///     .build()?;
/// let request = RetrieveRequest::new([Caption::concept("a resplendent quetzal")], 3);
/// for reference in &retriever.retrieve(&request).await?[0] {
///     let about = &reference.provenance.metadata;
///     println!("{} by {:?}: {:?}", reference.provenance.source, about.author, about.license);
///     println!("{:?}", reference.image().await?);
/// }
/// # Ok::<(), imagerag::Error>(()) }).unwrap();
/// ```
///
/// # What a reference says
/// - The source is the address of the picture; its picture may be a copy that the service has scaled
///   down: Commons gives at most 1,280 pixels of width. `width` and `height` are those of the original.
/// - `license` is what the service says, in one spelling: `CC-BY-SA-4.0`, `CC-BY-SA-3.0-DE`, `CC0-1.0`,
///   `CC-PDM-1.0` as SPDX has them, and any other name as the service writes it, such as `Public domain`.
///   It is absent where the service says none, no version, or two that differ, be it for one address or,
///   with an embedder, for the same file at two; then the `note` of the provenance names them. Nobody has
///   checked whether the service is right.
/// - `author` is whom to credit, `origin` the page that the picture is on, `caption` its description or
///   title. `json` holds `service`, `title`, `license_url`, `author_url`, `attribution` (a line of credit)
///   and what else the service says of it.
///
/// **Most licenses have duties: to name the author and the license with a link to it, or to share alike.**
/// They may hold for images that are drawn from a reference. Which do is for you to judge; what you need
/// for it is in the provenance, which is in the trace.
///
/// # What is found
/// The service is asked for the text of a caption and, if it knows nothing that passes the
/// [`filter`](WebRetrieverBuilder::filter), for its concept. Signs that a search takes for commands are
/// left out. The filter is applied before anything is downloaded.
///
/// - **Without an embedder** the order is that of the service, and nothing is downloaded before somebody
///   needs the picture. The score is one over the rank: 1, 1/2, 1/3, …. So a
///   [`threshold`](crate::pipeline::RagConfig::threshold) of 0.2 takes the first five.
/// - **With an [`embedder`](WebRetrieverBuilder::embedder)** all candidates are downloaded, and the score is
///   the cosine similarity of caption and picture, in [-1, 1]. The same file at two addresses is found
///   once, and not at all where its licenses contradict each other and the filter wants one.
///
/// What cannot be had (a dead link, a page in place of a picture, SVG or film, too many bytes or pixels,
/// a file that is cut) is the last in the list of an embedder, with the score -1. Such pictures are marked as
/// [`Picture::skipping_unreadable`](crate::reference::Picture::skipping_unreadable): the pipeline takes the
/// next candidate, and its trace says which could not be read and why.
///
/// # What is sent
/// The service is sent the words of the captions, with the key if there is one. Whoever has the
/// pictures is sent a `GET` without any key, login, cookie or `Referer`. Only what is on the public
/// internet is downloaded: private, loopback, link-local and all other special addresses are refused
/// when the connection is opened, in every redirection too, whatever a name stood for before. No proxy of the
/// environment is used for downloads, because it would resolve the names; one that is
/// [set](WebRetrieverBuilder::proxy) is, and what it connects to is its own responsibility.
#[derive(Clone)]
pub struct WebRetriever(Arc<Web>);

/// What the clones share.
struct Web {
    service: &'static Service,
    client: Client,
    /// Where the service is; addresses in its answers may be relative to it.
    base: Url,
    downloads: Downloads,
    filter: Filter,
    is_safe: bool,
    embedder: Option<Arc<dyn Embedder>>,
    /// The most pictures of one caption, and what the service gives at most in an answer.
    candidates: usize,
    max_results: usize,
    max_bytes: usize,
    max_pixels: u64,
    concurrency: usize,
    /// As many as requests may be on their way.
    turns: Semaphore,
    time_limit: Duration,
    cache: Option<Cache>,
    search_age: Duration,
    /// The latest searches by what was asked.
    searches: Mutex<LruCache<String, Searched>>,
}

/// When a search was made, and what it found.
type Searched = (Instant, Arc<[Candidate]>);

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Retriever for WebRetriever {
    async fn retrieve(&self, request: &RetrieveRequest) -> Result<Vec<Vec<Reference>>> {
        if request.limit == 0 {
            return Ok(vec![Vec::new(); request.captions.len()]);
        }
        let (web, name) = (&self.0, self.to_string());
        let searches: Vec<_> = request
            .captions
            .iter()
            .map(|caption| Arc::clone(web).candidates(caption.clone()))
            .collect();
        let searches = stream::iter(searches).buffered(web.concurrency);
        let found: Vec<Vec<Candidate>> = searches.try_collect().await?;
        if let Some(embedder) = &web.embedder {
            return web.by_similarity(&name, request, found, embedder).await;
        }
        let lists = request.captions.iter().zip(found);
        Ok(lists.map(|(caption, all)| web.in_order(&name, caption, all, request.limit)).collect())
    }
}

impl fmt::Display for WebRetriever {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Web({}", self.0.service.name)?;
        if let Some(embedder) = &self.0.embedder {
            f.write_str(", ")?;
            fmt::Display::fmt(embedder, f)?; // `{:#}` is for the part inside too.
        }
        if !self.0.filter.is_all() {
            write!(f, ", {}", self.0.filter)?;
        }
        f.write_str(")")
    }
}

impl fmt::Debug for WebRetriever {
    /// Without keys and headers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebRetriever")
            .field("client", &self.0.client)
            .field("filter", &self.0.filter)
            .field("embedder", &self.0.embedder)
            .field("cache", &self.0.cache)
            .finish_non_exhaustive()
    }
}
