//! The `Location` of a reply to the URL that it sends to.

use reqwest::Url;

/// How often a download is sent elsewhere, at most: what Chromium and Firefox follow is 20, and a picture
/// needs one or two.
pub(super) const MAX_REDIRECTS: usize = 5;

/// Where `location`, which may be relative, leads from `url`; otherwise what is wrong with it.
pub(super) fn target(url: &Url, location: &str) -> Result<Url, String> {
    let next = url.join(location.trim()).map_err(|error| error.to_string())?;
    match next.scheme() {
        "http" | "https" => Ok(next),
        scheme => Err(format!("the scheme {scheme:?}")),
    }
}

/// A URL as errors tell of it: without its login and its query, which may hold signatures.
pub(super) fn place(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}
