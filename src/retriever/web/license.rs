//! What services call a license to one spelling of it: SPDX's, such as `CC-BY-SA-4.0`.

/// A license of Creative Commons.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CreativeCommons {
    /// `BY`, `BY-SA`, …, `0` or `PDM`.
    kind: String,
    version: String,
    /// Of a version that was adapted to a law, such as `DE`.
    jurisdiction: Option<String>,
}

/// The license that a service calls `name`, such as `CC BY-SA 4.0` or `by-sa 4.0`, and says to be found
/// at `url`.
///
/// What is of Creative Commons is spelled as SPDX does it, with the jurisdiction behind it where the
/// license has one (SPDX lists some of these). Any other name stays as it is. There is no license where
/// name and address are of different ones, or where the version is not known.
pub(super) fn license(name: &str, url: &str) -> Option<String> {
    let name = name.trim();
    let (named, linked) = (by_name(name), by_url(url));
    match (named, linked) {
        (Some(named), Some(linked)) => named.agreed(linked),
        (None, Some(linked)) if name.is_empty() || is_kind_of(name, &linked) => Some(linked),
        (None, Some(_)) if is_kind(name) => None,
        (named, _) => named,
    }
    .map(|license| license.spdx())
    .or_else(|| {
        let is_other = by_name(name).is_none() && !is_kind(name) && !name.is_empty();
        is_other.then(|| name.to_owned())
    })
}

impl CreativeCommons {
    fn spdx(&self) -> String {
        let Self { kind, version, jurisdiction } = self;
        let name = match kind.as_str() {
            "0" => format!("CC0-{version}"),
            kind => format!("CC-{kind}-{version}"),
        };
        jurisdiction.iter().fold(name, |name, law| format!("{name}-{law}"))
    }

    /// The same license as `other`, with what either knows of the jurisdiction.
    fn agreed(self, other: Self) -> Option<Self> {
        let same_law = match (&self.jurisdiction, &other.jurisdiction) {
            (Some(one), Some(another)) => one == another,
            _ => true,
        };
        let is_same = same_law && (&self.kind, &self.version) == (&other.kind, &other.version);
        is_same.then(|| Self { jurisdiction: self.jurisdiction.or(other.jurisdiction), ..self })
    }
}

/// The license in `CC BY-SA 3.0 de`, `by-sa 3.0`, `CC0` or `pdm 1.0`.
fn by_name(name: &str) -> Option<CreativeCommons> {
    let name = name.to_ascii_uppercase();
    let mut words =
        name.split([' ', '-', '_', '\u{a0}']).filter(|word| !word.is_empty()).peekable();
    words.next_if_eq(&"CC");
    let first = words.next()?;
    let kind = match first {
        "CC0" | "ZERO" | "0" => "0".to_owned(),
        "PDM" => first.to_owned(),
        "BY" => {
            let mut kind = first.to_owned();
            while let Some(word) = words.next_if(|word| matches!(*word, "NC" | "ND" | "SA")) {
                kind = format!("{kind}-{word}");
            }
            kind_of(&kind)?.to_owned()
        }
        _ => return None,
    };
    // There is one version of these.
    let only = matches!(kind.as_str(), "0" | "PDM").then_some("1.0");
    let version = words.next().or(only).filter(|word| is_version(word))?.to_owned();
    let jurisdiction = words.next().map(str::to_owned);
    let is_law = |law: &String| law.bytes().all(|byte| byte.is_ascii_uppercase()) && law.len() < 9;
    if words.next().is_some() || !jurisdiction.iter().all(is_law) {
        return None;
    }
    // What Commons says of the licenses that are of no jurisdiction.
    let jurisdiction = jurisdiction.filter(|law| !matches!(law.as_str(), "UNPORTED" | "UNIVERSAL"));
    Some(CreativeCommons { kind, version, jurisdiction })
}

/// The license at `https://creativecommons.org/licenses/by-sa/3.0/de/deed.en`, or under `publicdomain`.
fn by_url(url: &str) -> Option<CreativeCommons> {
    let url = url.trim().to_ascii_lowercase();
    let (_, path) = url.split_once("creativecommons.org/")?;
    let path = path.split(['?', '#']).next()?;
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (place, kind, version, rest) = match parts.as_slice() {
        [place, kind, version, rest @ ..] => (*place, *kind, *version, rest),
        _ => return None,
    };
    let kind = match (place, kind) {
        ("licenses", kind) => kind_of(&kind.to_ascii_uppercase())?,
        ("publicdomain", "zero") => "0",
        ("publicdomain", "mark") => "PDM",
        _ => return None,
    };
    let law = rest.first().filter(|part| part.bytes().all(|byte| byte.is_ascii_lowercase()));
    let law = law.filter(|part| !matches!(**part, "deed" | "legalcode" | "rdf"));
    is_version(version).then(|| CreativeCommons {
        kind: kind.to_owned(),
        version: version.to_owned(),
        jurisdiction: law.map(|law| law.to_ascii_uppercase()),
    })
}

/// The kinds of licenses by their elements, which are put in this order.
fn kind_of(elements: &str) -> Option<&'static str> {
    Some(match elements {
        "BY" => "BY",
        "BY-SA" => "BY-SA",
        "BY-ND" => "BY-ND",
        "BY-NC" => "BY-NC",
        "BY-NC-SA" | "BY-SA-NC" => "BY-NC-SA",
        "BY-NC-ND" | "BY-ND-NC" => "BY-NC-ND",
        _ => return None,
    })
}

/// Whether `name` is a kind of licenses and no license: it has no version.
fn is_kind(name: &str) -> bool {
    by_name(&format!("{name} 1.0")).is_some() && by_name(name).is_none()
}

/// Whether `license` is one of the kind `name`.
fn is_kind_of(name: &str, license: &CreativeCommons) -> bool {
    by_name(&format!("{name} {}", license.version)).is_some_and(|named| named.kind == license.kind)
}

fn is_version(text: &str) -> bool {
    matches!(text.as_bytes(), [major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_one() {
        for (name, url, expected) in [
            ("CC BY-SA 4.0", "https://creativecommons.org/licenses/by-sa/4.0", "CC-BY-SA-4.0"),
            ("by-sa 4.0", "https://creativecommons.org/licenses/by-sa/4.0/", "CC-BY-SA-4.0"),
            ("cc-by-sa-4.0", "", "CC-BY-SA-4.0"),
            ("CC-BY-SA-4.0", "", "CC-BY-SA-4.0"),
            ("CC_BY_SA_4.0", "", "CC-BY-SA-4.0"),
            ("", "http://www.creativecommons.org/licenses/by-nc/2.0/deed.en", "CC-BY-NC-2.0"),
            ("by", "https://creativecommons.org/licenses/by/2.0/", "CC-BY-2.0"),
            ("by-nc-nd 2.0", "", "CC-BY-NC-ND-2.0"),
            ("CC BY-ND-NC 2.0", "", "CC-BY-NC-ND-2.0"),
            (
                "CC BY-SA 3.0 de",
                "https://creativecommons.org/licenses/by-sa/3.0/de/deed.en",
                "CC-BY-SA-3.0-DE",
            ),
            ("by 3.0", "https://creativecommons.org/licenses/by/3.0/igo/", "CC-BY-3.0-IGO"),
            ("CC BY 2.0 kr", "", "CC-BY-2.0-KR"),
            ("CC BY 3.0 us", "https://creativecommons.org/licenses/by/3.0/", "CC-BY-3.0-US"),
            ("CC BY-SA 3.0 Unported", "", "CC-BY-SA-3.0"),
            ("CC0", "http://creativecommons.org/publicdomain/zero/1.0/deed.en", "CC0-1.0"),
            ("cc0 1.0", "", "CC0-1.0"),
            ("cc0", "", "CC0-1.0"),
            ("CC-Zero", "", "CC0-1.0"),
            ("pdm 1.0", "https://creativecommons.org/publicdomain/mark/1.0/", "CC-PDM-1.0"),
            ("pdm", "", "CC-PDM-1.0"),
            // What is not of Creative Commons, or of several versions, is what the service calls it.
            ("Public domain", "", "Public domain"),
            ("GFDL 1.2", "https://www.gnu.org/copyleft/fdl.html", "GFDL 1.2"),
            ("CC BY-SA 4.0,3.0,2.5,2.0,1.0", "", "CC BY-SA 4.0,3.0,2.5,2.0,1.0"),
            ("CC SA 1.0", "http://creativecommons.org/licenses/sa/1.0/", "CC SA 1.0"),
            ("sampling+ 1.0", "", "sampling+ 1.0"),
            ("Attribution", "", "Attribution"),
            ("MIT", "", "MIT"),
        ] {
            assert_eq!(license(name, url).as_deref(), Some(expected), "{name} at {url}");
        }
    }

    #[test]
    fn what_is_not_sure_is_no_license() {
        for (name, url) in [
            ("", ""),
            (" ", "https://example.org/license"),
            ("by", ""),
            ("by-nc", "https://creativecommons.org/licenses/by/2.0/"),
            ("CC BY 4.0", "https://creativecommons.org/licenses/by-nc/4.0/"),
            ("CC BY 4.0", "https://creativecommons.org/licenses/by/3.0/"),
            ("CC BY 3.0 de", "https://creativecommons.org/licenses/by/3.0/at/"),
            ("cc0 1.0", "https://creativecommons.org/licenses/by/4.0/"),
        ] {
            assert_eq!(license(name, url), None, "{name} at {url}");
        }
    }
}
