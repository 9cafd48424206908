//! A link to what it says of a license, if it leads to Creative Commons.

use super::{CreativeCommons, Reading, is_language, kind_of};

/// What the address `url` says, such as `https://creativecommons.org/licenses/by-sa/3.0/de/deed.en`.
pub(super) fn read(url: &str) -> Reading {
    let Some(path) = path(url.trim()) else { return Reading::Nothing };
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (place, kind, rest) = match parts.as_slice() {
        [place @ ("licenses" | "publicdomain"), kind, rest @ ..] => (*place, *kind, rest),
        _ => return Reading::Nothing, // A page about licenses, or about something else.
    };
    let kind = match (place, kind) {
        ("publicdomain", "zero") => Some("0"),
        ("publicdomain", "mark") => Some("PDM"),
        ("licenses", kind) => kind_of(kind.split('-')),
        _ => None,
    };
    let Some(kind) = kind else { return Reading::Other };
    let mut said = CreativeCommons { kind, version: None, jurisdiction: None };
    if let Some(version) = rest.first() {
        said.version = said.version(version);
        if said.version.is_none() {
            return Reading::Unclear;
        }
    }
    if let Some(behind) = rest.get(1) {
        said.jurisdiction = said.jurisdiction(behind);
        let is_page = ["deed", "legalcode", "rdf"].iter().any(|page| behind.starts_with(page));
        if said.jurisdiction.is_none() && !is_page && !is_language(behind) {
            return Reading::Unclear;
        }
    }
    Reading::License(said)
}

/// The path of `url` in small letters, if Creative Commons has the page there.
fn path(url: &str) -> Option<String> {
    let url = url.to_ascii_lowercase();
    // MediaWiki writes links without a scheme.
    let (behind, port) = [("https://", ":443"), ("http://", ":80"), ("//", ":443")]
        .iter()
        .find_map(|(scheme, port)| Some((url.strip_prefix(scheme)?, port)))?;
    let (host, path) = behind.split_once('/')?;
    let host = host.strip_suffix(port).unwrap_or(host);
    let is_theirs = matches!(host, "creativecommons.org" | "www.creativecommons.org");
    let path = path.split(['?', '#']).next().unwrap_or_default();
    is_theirs.then(|| path.to_owned())
}
