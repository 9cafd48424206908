//! A caption to the pictures that a service knows for it, as far as they are wanted.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use serde_json::Value;

use super::Web;
use super::cache::Kind;
use super::candidate::Candidate;
use super::service::Search;
use super::words::words;
use crate::net::stream::Body;
use crate::reference::{Caption, Clause};
use crate::{Error, Result, net, pool};

impl Web {
    /// The pictures for `caption`, the best first, none twice: those for its text, or else for its
    /// concept, because a search wants all words of a long text in one description.
    pub(super) async fn candidates(self: Arc<Self>, caption: Caption) -> Result<Vec<Candidate>> {
        let mut asked = String::new();
        for text in [&caption.text, &caption.concept] {
            let words = words(text, self.service.max_chars);
            if words.is_empty() || words == asked {
                continue;
            }
            let found = self.searched(&words).await?;
            let wanted = self.wanted(&found);
            if !wanted.is_empty() {
                return Ok(wanted);
            }
            asked = words;
        }
        Ok(Vec::new())
    }

    /// Those of `found` that may be downloaded, with what all that is said of an address leaves of its
    /// license.
    fn wanted(&self, found: &[Candidate]) -> Vec<Candidate> {
        let mut wanted: Vec<Candidate> = Vec::new();
        for one in found {
            let copies = || found.iter().filter(|other| other.url == one.url);
            let is_new = wanted.iter().all(|other| other.url != one.url);
            let is_fit = !(self.is_safe && copies().any(|copy| copy.is_sensitive));
            if is_new && is_fit {
                let one = one.with_copies(copies());
                if self.filter.matches(&one.metadata) {
                    wanted.push(one);
                }
            }
        }
        wanted.truncate(self.candidates);
        wanted
    }

    /// What the service finds for `words`, from the memory or the cache where it was asked lately.
    async fn searched(self: &Arc<Self>, words: &str) -> Result<Arc<[Candidate]>> {
        let query = self.query(words);
        // Without the key: one that is not allowed to see something is refused.
        let key = format!("{}?{query:?}", self.base);
        let age = self.search_age;
        let lock = || self.searches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((asked, found)) = lock().get(&key)
            && asked.elapsed() < age
        {
            return Ok(Arc::clone(found));
        }
        let found: Arc<[Candidate]> = match self.kept(&key).await? {
            Some(found) => found.into(),
            None => {
                let found = self.ask(query).await?;
                if found.is_empty() {
                    // That may be a bad moment of a service that asks others.
                    return Ok(found.into());
                }
                self.keep(&key, &found).await?;
                found.into()
            }
        };
        lock().put(key, (Instant::now(), Arc::clone(&found)));
        Ok(found)
    }

    fn query(&self, words: &str) -> Vec<(&'static str, String)> {
        let licenses = self.filter.clauses().iter().find_map(|clause| match clause {
            Clause::License(allowed) => Some(allowed.as_slice()),
            _ => None,
        });
        // What the filter refuses takes no place of what it lets through.
        let count = if self.filter.is_all() { self.candidates } else { self.max_results };
        (self.service.query)(&Search { words, count, licenses, is_safe: self.is_safe })
    }

    async fn ask(self: &Arc<Self>, query: Vec<(&'static str, String)>) -> Result<Vec<Candidate>> {
        let web = Arc::clone(self);
        let search = async move {
            let _turn = web.turns.acquire().await;
            let expected = "the results of an image search";
            let base = web.base.clone();
            let read = |body: Body| {
                let found = match &body {
                    Body::Whole(answer) => (web.service.read)(answer, &base),
                    Body::Stream(..) => None,
                };
                found.ok_or_else(|| {
                    let found = match &body {
                        Body::Whole(answer) => answer.to_string(),
                        Body::Stream(..) => "a stream".into(),
                    };
                    web.client.service().invalid_reply(expected, &found)
                })
            };
            web.client.get_query(web.service.path, &query, expected, read).await
        };
        net::run(self.service.name, search).await.map_err(|error| self.advised(error))
    }

    /// `error` with what to do about it, where that is known.
    fn advised(&self, error: Error) -> Error {
        match (error, self.service.advice) {
            (Error::Service { service, status, message, retry_after }, Some((of, advice)))
                if status == of =>
            {
                let message = format!("{message}; {advice}");
                Error::Service { service, status, message, retry_after }
            }
            (error, _) => error,
        }
    }

    /// What the cache has for a search.
    async fn kept(&self, key: &str) -> Result<Option<Vec<Candidate>>> {
        let Some(cache) = self.cache.clone() else { return Ok(None) };
        let key = key.to_owned();
        let read = move || {
            let kept = cache.read(Kind::Searches, &key);
            Ok(kept.and_then(|json| serde_json::from_slice(&json).ok()))
        };
        pool::run("reading the cache", read).await
    }

    async fn keep(&self, key: &str, found: &[Candidate]) -> Result<()> {
        let Some(cache) = self.cache.clone() else { return Ok(()) };
        let json = serde_json::to_value(found).as_ref().map(Value::to_string).unwrap_or_default();
        // A service may repeat the key that it was asked with.
        let json = self.client.service().secrets.hide(&json);
        let key = key.to_owned();
        let write = move || {
            cache.write(Kind::Searches, &key, json.as_bytes());
            Ok(())
        };
        pool::run("writing the cache", write).await
    }
}
