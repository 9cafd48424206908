//! [`WebRetrieverBuilder`]: settings of a [`WebRetriever`], checked before anything is sent.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lru::LruCache;
use tokio::sync::Semaphore;

use super::brave::BRAVE;
use super::cache::Cache;
use super::commons::COMMONS;
use super::openverse::OPENVERSE;
use super::searxng::SEARXNG;
use super::service::Service;
use super::{Web, WebRetriever};
use crate::Result;
use crate::embedder::Embedder;
use crate::error::{at_least_one, require};
use crate::image::decode::MAX_PIXELS;
use crate::net::config::ClientConfig;
use crate::net::guarded_download::Downloads;
use crate::net::settings::client_settings;
use crate::reference::Filter;

/// Searches that are remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(256).unwrap();
/// The most requests on their way that can be set: more are no more polite, whatever the service.
const MAX_CONCURRENCY: usize = 64;

/// Settings of a [`WebRetriever`]; each setter names its default.
///
/// ```
/// use std::time::Duration;
/// use imagerag::retriever::WebRetriever;
///
/// // An instance of SearXNG on this machine, and at most 5 MB a picture.
/// let retriever = WebRetriever::searxng("http://localhost:8888")
///     .max_bytes(5 << 20)
///     .timeout(Duration::from_secs(10))
///     .build()?;
/// assert_eq!(retriever.to_string(), "Web(SearXNG)");
/// # Ok::<(), imagerag::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct WebRetrieverBuilder {
    service: &'static Service,
    needs_key: bool,
    client: ClientConfig,
    contact: Option<String>,
    filter: Filter,
    safe_search: bool,
    embedder: Option<Arc<dyn Embedder>>,
    candidates: Option<usize>,
    max_bytes: usize,
    max_pixels: u64,
    concurrency: usize,
    time_limit: Duration,
    allow_private_addresses: bool,
    cache: Option<PathBuf>,
    cache_bytes: u64,
    picture_age: Duration,
    search_age: Duration,
}

impl WebRetriever {
    /// Searches [Openverse](https://openverse.org): openly licensed pictures of Flickr, museums, Wikimedia
    /// Commons and others, each with its license and its author. It needs no key; without one it allows
    /// 20 searches a minute and 200 a day.
    pub fn openverse() -> WebRetrieverBuilder {
        WebRetrieverBuilder::new(&OPENVERSE)
    }

    /// Searches [Wikimedia Commons](https://commons.wikimedia.org), whose pictures are free, most of them
    /// with a license that asks to name the author. Set a [`contact`](WebRetrieverBuilder::contact), as
    /// its [policy](https://foundation.wikimedia.org/wiki/Policy:User-Agent_policy) asks.
    pub fn commons() -> WebRetrieverBuilder {
        WebRetrieverBuilder::new(&COMMONS)
    }

    /// Searches the web with [Brave](https://brave.com/search/api/), for which `key` is the subscription
    /// token. It says nothing of licenses: a filter of licenses refuses everything.
    pub fn brave(key: impl Into<String>) -> WebRetrieverBuilder {
        let brave = WebRetrieverBuilder::new(&BRAVE).api_key(key);
        WebRetrieverBuilder { needs_key: true, ..brave }
    }

    /// Searches the web through the instance of [SearXNG](https://docs.searxng.org) at `url`, such as
    /// `http://localhost:8888`, whose `settings.yml` must list `json` in `search.formats`. It says nothing
    /// of licenses: a filter of licenses refuses everything.
    pub fn searxng(url: impl Into<String>) -> WebRetrieverBuilder {
        WebRetrieverBuilder::new(&SEARXNG).base_url(url)
    }
}

impl WebRetrieverBuilder {
    fn new(service: &'static Service) -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self {
            service,
            needs_key: false,
            client: ClientConfig { timeout: Duration::from_secs(30), ..ClientConfig::default() },
            contact: None,
            filter: Filter::all(),
            safe_search: true,
            embedder: None,
            candidates: None,
            max_bytes: 20 << 20,
            max_pixels: MAX_PIXELS,
            concurrency: 4,
            time_limit: Duration::from_secs(120),
            allow_private_addresses: false,
            cache: None,
            cache_bytes: 1 << 30,
            picture_age: day * 30,
            search_age: day,
        }
    }

    /// The URL of the service's API; its public one by default. It may be on this machine or beside it,
    /// such as a proxy of your own or another wiki: `https://wiki.example/w`.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.client.base_url = Some(url.into());
        self
    }

    /// The key of the service: an access token of Openverse, Brave's subscription token. It is sent to the
    /// service alone. None by default.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.client.api_key = Some(key.into());
        self
    }

    /// Whom the operators of a service may write to: an address or a page. It is added to the
    /// `User-Agent` of every request, of downloads too. None by default. Wikimedia asks for it.
    pub fn contact(mut self, contact: impl Into<String>) -> Self {
        self.contact = Some(contact.into());
        self
    }

    /// The longest that one attempt of a search or a download may take, from opening the connection to
    /// the last byte; 30 s by default.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.client.timeout = timeout;
        self
    }

    client_settings!();

    /// Finds only pictures that `filter` lets through, by what the service says of them. It is applied
    /// before anything is downloaded. A picture of which the service says nothing, such as no license,
    /// does not pass. Licenses are spelled as [`WebRetriever`] says. By default all pass.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Whether what is not fit for everybody is left out, as far as the service knows. On by default.
    /// Commons has no such setting.
    pub const fn safe_search(mut self, yes: bool) -> Self {
        self.safe_search = yes;
        self
    }

    /// Orders what is found by the similarity of caption and picture; all candidates are downloaded for
    /// it. None by default.
    pub fn embedder(mut self, embedder: impl Embedder) -> Self {
        self.embedder = Some(Arc::new(embedder));
        self
    }

    /// The most pictures that are looked at for one caption, and so the most that are returned, at least
    /// 1: at most 20 for Openverse without a key and 50 with one, 50 for Commons, 200 for the others. 20
    /// by default.
    pub const fn candidates(mut self, candidates: usize) -> Self {
        self.candidates = Some(candidates);
        self
    }

    /// The most bytes of one download, at least 1; 20 MiB by default.
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// The most pixels of one picture, width times height, at least 1; 89,478,485 by default, Pillow's
    /// limit.
    pub const fn max_pixels(mut self, pixels: u64) -> Self {
        self.max_pixels = pixels;
        self
    }

    /// How many searches and downloads may be on their way at once, 1 to 64, over all requests of this
    /// retriever and its clones; 4 by default.
    pub const fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests;
        self
    }

    /// The longest that the downloads of one request may take, all together, where an
    /// [`embedder`](Self::embedder) needs them; what is not there by then counts as missing. 2 minutes
    /// by default.
    pub const fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Whether pictures may come from addresses that are not on the public internet: this machine, the
    /// network that it is in, the cloud's metadata. Off by default, because what a search finds is
    /// written by strangers. Turn it on for a search over your own network.
    pub const fn allow_private_addresses(mut self, yes: bool) -> Self {
        self.allow_private_addresses = yes;
        self
    }

    /// Keeps pictures and the results of searches in `folder`, which is made if it is not there. Several
    /// processes may share it. None by default: then searches are kept in memory, and pictures are not.
    /// No key is written to it.
    pub fn cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Some(folder.into());
        self
    }

    /// The most that the [`cache`](Self::cache) takes, in bytes; what was written first goes first. 1 GiB
    /// by default.
    pub const fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// How long a picture in the [`cache`](Self::cache) is used; 30 days by default.
    pub const fn picture_age(mut self, age: Duration) -> Self {
        self.picture_age = age;
        self
    }

    /// How long the result of a search is used again, from memory or the [`cache`](Self::cache); one day
    /// by default. 0 asks the service each time.
    pub const fn search_age(mut self, age: Duration) -> Self {
        self.search_age = age;
        self
    }

    /// The retriever. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) for an address or a proxy that is no `http` or
    /// `https` URL, a key, contact or header that HTTP cannot carry, no key where one is needed, a
    /// certificate that is not in PEM, or a number out of its range; [`Error::Io`](crate::Error::Io) when
    /// the folder of the cache cannot be made; [`Error::Unavailable`](crate::Error::Unavailable) when the
    /// machine has no certificates to check `https` with.
    pub fn build(self) -> Result<WebRetriever> {
        let key = self.client.api_key.as_deref().map_or("", str::trim);
        let name = self.service.name;
        require(!self.needs_key || !key.is_empty(), format!("key of {name}"), "a key", "none")?;
        let max_results = self.service.max_results[usize::from(!key.is_empty())];
        let candidates = self.candidates.unwrap_or(20);
        let most = format!("1 to {max_results} for {name}");
        require((1..=max_results).contains(&candidates), "candidates", most, candidates)?;
        at_least_one("bytes of a picture", self.max_bytes)?;
        require(self.max_pixels > 0, "pixels of a picture", "at least 1", 0)?;
        let requests = self.concurrency;
        let most = format!("1 to {MAX_CONCURRENCY}");
        require((1..=MAX_CONCURRENCY).contains(&requests), "requests at once", most, requests)?;
        require(!self.time_limit.is_zero(), "time limit", "more than 0 s", "0 s")?;

        let user_agent = self.user_agent_with_contact();
        let config = ClientConfig { user_agent, ..self.client };
        let client = config.build(&self.service.api, name)?.without_advice();
        let max_age = [self.picture_age, self.search_age];
        let cache = self.cache.map(|folder| Cache { folder, max_bytes: self.cache_bytes, max_age });
        cache.iter().try_for_each(Cache::create)?;
        Ok(WebRetriever(Arc::new(Web {
            service: self.service,
            base: client.address(),
            downloads: Downloads::new(&config, self.max_bytes, self.allow_private_addresses)?,
            client,
            filter: self.filter,
            is_safe: self.safe_search,
            embedder: self.embedder,
            candidates,
            max_results,
            max_bytes: self.max_bytes,
            max_pixels: self.max_pixels,
            concurrency: self.concurrency,
            turns: Semaphore::new(self.concurrency),
            time_limit: self.time_limit,
            cache,
            search_age: self.search_age,
            searches: Mutex::new(LruCache::new(REMEMBERED)),
        })))
    }

    /// `imagerag/0.1.0 (you@example.org; https://…)`, or what the caller calls itself.
    fn user_agent_with_contact(&self) -> String {
        let agent = &self.client.user_agent;
        let is_ours = *agent == ClientConfig::default().user_agent;
        let pages = is_ours.then(|| env!("CARGO_PKG_REPOSITORY").to_owned());
        let about: Vec<String> = self.contact.iter().cloned().chain(pages).collect();
        if about.is_empty() { agent.clone() } else { format!("{agent} ({})", about.join("; ")) }
    }
}

impl fmt::Debug for WebRetrieverBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebRetrieverBuilder")
            .field("service", &self.service.name)
            .finish_non_exhaustive()
    }
}
