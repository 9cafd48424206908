//! Wikimedia Commons, or another wiki with MediaWiki's extension CommonsMetadata.
//!
//! By <https://www.mediawiki.org/wiki/API:Imageinfo>, <https://www.mediawiki.org/wiki/API:Search>,
//! <https://www.mediawiki.org/wiki/Help:CirrusSearch> and
//! <https://commons.wikimedia.org/wiki/Commons:Machine-readable_data>.

use reqwest::Url;
use serde_json::{Value, json};

use super::candidate::{Candidate, Said};
use super::service::{MAX_ANSWER, NO_VARIABLE, Search, Service, pictures};
use crate::license::license;
use crate::net::config::{Api, Key};

pub(super) static COMMONS: Service = Service {
    name: "Commons",
    api: Api {
        default_url: "https://commons.wikimedia.org/w",
        base_url_variable: NO_VARIABLE,
        api_key_variable: NO_VARIABLE,
        key: Key::Bearer,
        endpoint: "api.php",
        max_reply: MAX_ANSWER,
    },
    path: "api.php",
    // CirrusSearch takes 300, of which `KINDS` takes some.
    max_chars: 300 - KINDS.len(),
    // The most that `iiprop` answers for in one request of somebody who is no bot.
    max_results: [50, 50],
    query,
    read,
    advice: Some((403, "Wikimedia wants to know whom to write to: see the setting contact")),
};

/// The kinds of files, as Commons' own search page asks for them: no films, sounds or documents.
const KINDS: &str = "filetype:bitmap|drawing ";
/// The width that larger pictures are scaled down to, in pixels: a standard size, as Wikimedia makes no
/// other (<https://www.mediawiki.org/wiki/Common_thumbnail_sizes>).
const WIDTH: u32 = 1280;

/// The fields of the files' descriptions that are read.
const FIELDS: [&str; 8] = [
    "Artist",
    "Attribution",
    "Credit",
    "ImageDescription",
    "LicenseShortName",
    "LicenseUrl",
    "ObjectName",
    "Restrictions",
];

fn query(search: &Search) -> Vec<(&'static str, String)> {
    vec![
        ("action", "query".into()),
        ("format", "json".into()),
        ("generator", "search".into()),
        ("gsrnamespace", "6".into()), // Files.
        ("gsrsearch", format!("{KINDS}{}", search.words)),
        ("gsrlimit", search.count.to_string()),
        ("prop", "imageinfo".into()),
        ("iiprop", "url|size|mime|extmetadata".into()),
        ("iiurlwidth", WIDTH.to_string()),
        ("iiextmetadatafilter", FIELDS.join("|")),
        ("iiextmetadatalanguage", "en".into()),
    ]
}

fn read(answer: &Value, base: &Url) -> Option<Vec<Candidate>> {
    let pages = &answer["query"]["pages"];
    let mut pages: Vec<&Value> = match pages {
        Value::Object(pages) => pages.values().collect(),
        Value::Array(pages) => pages.iter().collect(), // With `formatversion=2` in the base URL.
        // Where nothing is found, there are no pages, and maybe no query, but an answer that is complete.
        Value::Null => {
            let is_complete = answer["batchcomplete"] != Value::Null && answer["query"].is_null();
            let is_empty = answer["query"].is_object() || answer["query"] == json!([]);
            return (is_complete || is_empty).then(Vec::new);
        }
        _ => return None,
    };
    // They come by their ids; `index` is the place that the search gave them.
    pages.sort_by_key(|page| page["index"].as_u64().unwrap_or(u64::MAX));
    pictures(pages, |page| picture(page, base))
}

fn picture(page: &Value, base: &Url) -> Option<Candidate> {
    let file = &page["imageinfo"][0];
    let kind = file["mime"].as_str().unwrap_or("image/");
    if !kind.starts_with("image/") || kind.contains("djvu") {
        return None; // A book or a film, of another wiki.
    }
    let described = |name: &str| &file["extmetadata"][name]["value"];
    let text = |name: &str| described(name).as_str().unwrap_or_default();
    let mut said = Said::new(COMMONS.name, base);
    said.license(license(&super::html::text(text("LicenseShortName")), text("LicenseUrl")));
    said.html("author", described("Artist"));
    said.address("origin", &file["descriptionurl"]);
    let title = page["title"].as_str().map(title);
    let name = json!(title);
    said.text("title", &name);
    said.html("caption", described("ObjectName"));
    said.text("caption", &name);
    said.html("caption", described("ImageDescription"));
    said.pixels("width", &file["width"]);
    said.pixels("height", &file["height"]);
    said.address("license_url", described("LicenseUrl"));
    said.html("attribution", described("Attribution"));
    said.html("credit", described("Credit"));
    said.text("restrictions", described("Restrictions"));
    said.at(&file["url"], &file["thumburl"], false)
}

/// `Resplendent quetzal` of `File:Resplendent quetzal.jpg`.
fn title(page: &str) -> &str {
    let name = page.split_once(':').map_or(page, |(_, name)| name);
    name.rsplit_once('.').map_or(name, |(name, _)| name)
}
