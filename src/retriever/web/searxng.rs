//! An instance of SearXNG, which asks several image searches and says nothing of licenses.
//!
//! By `searx/result_types/image.py`, `searx/engines/` and `docs/dev/search_api.rst` of
//! <https://github.com/searxng/searxng>.

use reqwest::Url;
use serde_json::Value;

use super::candidate::{Candidate, Said};
use super::service::{MAX_ANSWER, NO_VARIABLE, Search, Service, pictures};
use crate::net::config::{Api, Key};

pub(super) static SEARXNG: Service = Service {
    name: "SearXNG",
    api: Api {
        default_url: "http://localhost:8888", // Its own default; the caller says which.
        base_url_variable: NO_VARIABLE,
        api_key_variable: NO_VARIABLE,
        key: Key::Bearer,
        endpoint: "search",
        max_reply: MAX_ANSWER,
    },
    path: "search",
    max_chars: 400, // It says nothing of a limit; the engines behind it have theirs.
    // It gives what its engines give, and cannot be asked for a number.
    max_results: [200, 200],
    query,
    read,
    advice: Some((
        403,
        "it answers in JSON only where its settings.yml lists json in search.formats",
    )),
};

fn query(search: &Search) -> Vec<(&'static str, String)> {
    vec![
        ("q", search.words.to_owned()),
        ("categories", "images".into()),
        ("format", "json".into()),
        ("safesearch", if search.is_safe { "2" } else { "0" }.into()),
    ]
}

fn read(answer: &Value, base: &Url) -> Option<Vec<Candidate>> {
    pictures(answer["results"].as_array()?, |one| picture(one, base))
}

fn picture(one: &Value, base: &Url) -> Option<Candidate> {
    let mut said = Said::new(SEARXNG.name, base);
    said.text("author", &one["author"]);
    said.address("origin", &one["url"]);
    said.html("caption", &one["content"]);
    said.html("caption", &one["title"]);
    said.html("title", &one["title"]);
    said.text("engine", &one["engine"]);
    let (width, height) = sides(one["resolution"].as_str().unwrap_or_default());
    said.pixels("width", &Value::from(width));
    said.pixels("height", &Value::from(height));
    said.at(&one["img_src"], &Value::Null, false)
}

/// The sides in `1920 x 1080`, `1920x1080` or `1920 × 1080 px`; none where it says something else.
fn sides(resolution: &str) -> (Option<u32>, Option<u32>) {
    let text = resolution.trim().trim_end_matches("px").trim_end();
    let sides = text.split_once(['x', '×', 'X', '*']);
    let sides = sides.and_then(|(w, h)| Some((w.trim().parse().ok()?, h.trim().parse().ok()?)));
    sides.map_or((None, None), |(width, height)| (Some(width), Some(height)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolutions_are_read_in_every_spelling() {
        for text in ["1920 x 1080", "1920x1080", "1920 × 1080 px", " 1920X1080px"] {
            assert_eq!(sides(text), (Some(1920), Some(1080)), "{text}");
        }
        for text in ["", "large", "1920", "1920 x", "2 MP", "x"] {
            assert_eq!(sides(text), (None, None), "{text}");
        }
    }
}
