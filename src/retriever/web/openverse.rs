//! Openverse: openly licensed pictures of Flickr, museums, Wikimedia Commons and others.
//!
//! By the API's own source, `api/api/serializers/` and `api/conf/settings/` of
//! <https://github.com/WordPress/openverse>.

use reqwest::Url;
use serde_json::Value;

use super::candidate::{Candidate, Said};
use super::service::{MAX_ANSWER, NO_VARIABLE, Search, Service, pictures};
use crate::license::license;
use crate::net::config::{Api, Key};

pub(super) static OPENVERSE: Service = Service {
    name: "Openverse",
    api: Api {
        default_url: "https://api.openverse.org/v1",
        base_url_variable: NO_VARIABLE,
        api_key_variable: NO_VARIABLE,
        key: Key::Bearer,
        endpoint: "images",
        max_reply: MAX_ANSWER,
    },
    path: "images/", // Without the slash it redirects.
    max_chars: 200,
    // Above the first it answers 401 without a token; what it gives with one has changed, and was never
    // less than the second.
    max_results: [20, 50],
    query,
    read,
    advice: Some((
        401,
        "an access token that is no longer valid is refused; they live for 12 hours",
    )),
};

/// The kinds of licenses by the names that the API and references have for them.
const KINDS: [(&str, &str); 8] = [
    ("cc0", "CC0-"),
    ("pdm", "CC-PDM-"),
    ("by", "CC-BY-"),
    ("by-sa", "CC-BY-SA-"),
    ("by-nd", "CC-BY-ND-"),
    ("by-nc", "CC-BY-NC-"),
    ("by-nc-sa", "CC-BY-NC-SA-"),
    ("by-nc-nd", "CC-BY-NC-ND-"),
];

fn query(search: &Search) -> Vec<(&'static str, String)> {
    let mut query = vec![("q", search.words.to_owned()), ("page_size", search.count.to_string())];
    if !search.is_safe {
        query.push(("mature", "true".into()));
    }
    // Versions cannot be asked for, so these are more than are wanted.
    let kinds: Vec<&str> = KINDS
        .iter()
        .filter(|(_, start)| {
            let is_kind = |license: &String| {
                let version = license.strip_prefix(start);
                version.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            };
            search.licenses.unwrap_or_default().iter().any(is_kind)
        })
        .map(|(kind, _)| *kind)
        .collect();
    if !kinds.is_empty() {
        query.push(("license", kinds.join(",")));
    }
    query
}

fn read(answer: &Value, base: &Url) -> Option<Vec<Candidate>> {
    pictures(answer["results"].as_array()?, |one| picture(one, base))
}

fn picture(one: &Value, base: &Url) -> Option<Candidate> {
    let mut said = Said::new(OPENVERSE.name, base);
    let text = |name: &str| one[name].as_str().unwrap_or_default();
    let (code, version) = (text("license").trim(), text("license_version").trim());
    let kind = KINDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(code));
    let name = match kind {
        Some((_, start)) => format!("{start}{version}"),
        None => format!("{code} {version}"),
    };
    said.license(license(&name, text("license_url")));
    said.text("author", &one["creator"]);
    said.address("origin", &one["foreign_landing_url"]);
    said.text("caption", &one["title"]);
    said.text("title", &one["title"]);
    said.pixels("width", &one["width"]);
    said.pixels("height", &one["height"]);
    said.address("license_url", &one["license_url"]);
    said.address("author_url", &one["creator_url"]);
    said.text("attribution", &one["attribution"]);
    said.text("provider", &one["source"]);
    said.at(&one["url"], &Value::Null, one["mature"] == true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(licenses: &[&str]) -> Option<String> {
        let licenses: Vec<String> = licenses.iter().map(ToString::to_string).collect();
        let search = Search { words: "bee", count: 20, licenses: Some(&licenses), is_safe: true };
        let query = query(&search);
        assert_eq!(query[0], ("q", "bee".to_owned()));
        query.into_iter().find(|(name, _)| *name == "license").map(|(_, kinds)| kinds)
    }

    #[test]
    fn kinds_of_licenses_are_asked_for_by_the_services_names() {
        assert_eq!(asked(&["CC0-1.0", "CC-BY-4.0"]).as_deref(), Some("cc0,by"));
        assert_eq!(
            asked(&["CC-BY-NC-SA-2.0", "CC-BY-SA-3.0-DE"]).as_deref(),
            Some("by-sa,by-nc-sa")
        );
        assert_eq!(asked(&["CC-PDM-1.0", "MIT"]).as_deref(), Some("pdm"));
        assert_eq!(asked(&["MIT"]), None);
        assert_eq!(asked(&[]), None);
    }
}
