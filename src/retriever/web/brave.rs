//! Brave's image search, which says nothing of licenses.
//!
//! By `src/tools/images/` of Brave's own client, <https://github.com/brave/brave-search-mcp-server>.

use reqwest::Url;
use serde_json::Value;

use super::candidate::{Candidate, Said};
use super::service::{MAX_ANSWER, NO_VARIABLE, Search, Service, pictures};
use crate::net::config::{Api, Key};

pub(super) static BRAVE: Service = Service {
    name: "Brave",
    api: Api {
        default_url: "https://api.search.brave.com/res/v1",
        base_url_variable: NO_VARIABLE,
        api_key_variable: NO_VARIABLE,
        key: Key::Header("x-subscription-token"),
        endpoint: "images/search",
        max_reply: MAX_ANSWER,
    },
    path: "images/search",
    max_chars: 400,
    max_results: [200, 200],
    query,
    read,
    advice: None,
};

fn query(search: &Search) -> Vec<(&'static str, String)> {
    let safe_search = if search.is_safe { "strict" } else { "off" };
    vec![
        ("q", search.words.to_owned()),
        ("count", search.count.to_string()),
        ("safesearch", safe_search.into()),
    ]
}

fn read(answer: &Value, base: &Url) -> Option<Vec<Candidate>> {
    let results = match &answer["results"] {
        Value::Array(results) => results.as_slice(),
        Value::Null if answer["type"] == "images" => &[],
        _ => return None,
    };
    let picture = |one: &Value| {
        let mut said = Said::new(BRAVE.name, base);
        said.address("origin", &one["url"]);
        said.text("caption", &one["title"]);
        said.text("title", &one["title"]);
        said.pixels("width", &one["properties"]["width"]);
        said.pixels("height", &one["properties"]["height"]);
        said.at(&one["properties"]["url"], &Value::Null, false)
    };
    pictures(results, picture)
}
