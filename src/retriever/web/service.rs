//! [`Service`]: an image search on the web, by how it is asked and how its answer is read.

use reqwest::Url;
use serde_json::Value;

use super::candidate::Candidate;
use crate::net::config::Api;

/// No variable of the environment: whoever builds a retriever says where it searches, and with which key.
pub(super) const NO_VARIABLE: &str = "";
/// The longest answer to a search that is read, in bytes: 200 results of Brave are half a megabyte.
pub(super) const MAX_ANSWER: usize = 8 << 20;

/// One kind of service.
pub(super) struct Service {
    /// Its name in traces and errors.
    pub(super) name: &'static str,
    pub(super) api: Api,
    /// What is asked, under the base URL.
    pub(super) path: &'static str,
    /// The longest query, in characters.
    pub(super) max_chars: usize,
    /// The most results of one search, without a key and with one.
    pub(super) max_results: [usize; 2],
    /// What is asked for.
    pub(super) query: fn(&Search) -> Vec<(&'static str, String)>,
    /// The pictures in an answer, the best first; `None` where it is no answer. Addresses may be
    /// relative to that of the service.
    pub(super) read: fn(&Value, &Url) -> Option<Vec<Candidate>>,
    /// What to do about an error with this status.
    pub(super) advice: Option<(u16, &'static str)>,
}

/// One search.
pub(super) struct Search<'a> {
    pub(super) words: &'a str,
    pub(super) count: usize,
    /// The licenses that are wanted, by the names that references have for them.
    pub(super) licenses: Option<&'a [String]>,
    /// Whether what is not fit for everybody is left out.
    pub(super) is_safe: bool,
}

/// The pictures that `read` finds in `results`; `None` where these are no results, which are JSON objects.
pub(super) fn pictures<'a>(
    results: impl IntoIterator<Item = &'a Value>,
    read: impl Fn(&'a Value) -> Option<Candidate>,
) -> Option<Vec<Candidate>> {
    let results: Vec<&Value> = results.into_iter().collect();
    let is_list = results.is_empty() || results.iter().any(|result| result.is_object());
    is_list.then(|| results.into_iter().filter_map(read).collect())
}
