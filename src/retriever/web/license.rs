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
    match (by_name(name), by_url(url)) {
        (Some(named), Some(linked)) => named.agreed(linked).map(|license| license.spdx()),
        (Some(named), None) => Some(named.spdx()),
        (None, Some(linked)) if name.is_empty() => Some(linked.spdx()),
        (None, Some(linked)) => match kind(name) {
            Some((kind, rest)) if kind == linked.kind => {
                Some(if rest.is_empty() { linked.spdx() } else { name.to_owned() })
            }
            None if name.eq_ignore_ascii_case("public domain") && linked.is_free() => {
                Some(name.to_owned())
            }
            _ => None,
        },
        (None, None) => {
            let is_unversioned = kind(name).is_some_and(|(_, rest)| rest.is_empty());
            (!name.is_empty() && !is_unversioned).then(|| name.to_owned())
        }
    }
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

    /// Whether it gives up or denies all rights.
    fn is_free(&self) -> bool {
        matches!(self.kind.as_str(), "0" | "PDM")
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
    let (kind, rest) = kind(name)?;
    // There is one version of these.
    let only = matches!(kind, "0" | "PDM").then_some("1.0");
    let (version, law) = match rest.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => (only?, None),
        [version] => (version, None),
        // What Commons says of the licenses that are of no jurisdiction.
        [version, "UNPORTED" | "UNIVERSAL" | "INTERNATIONAL"] => (version, None),
        [version, law] => (version, Some(law)),
        _ => return None,
    };
    let is_law = |law: &str| law.len() < 4 && law.bytes().all(|byte| byte.is_ascii_uppercase());
    (is_version(version) && law.is_none_or(is_law)).then(|| CreativeCommons {
        kind: kind.to_owned(),
        version: version.to_owned(),
        jurisdiction: law.map(str::to_owned),
    })
}

/// The kind of licenses that `name` begins with, and the words behind it in capital letters.
fn kind(name: &str) -> Option<(&'static str, Vec<String>)> {
    let name = name.to_ascii_uppercase();
    let mut words =
        name.split([' ', '-', '_', '\u{a0}']).filter(|word| !word.is_empty()).peekable();
    words.next_if_eq(&"CC");
    let kind = match words.next()? {
        "CC0" | "ZERO" | "0" => "0",
        "PDM" => "PDM",
        "BY" => {
            let mut elements = "BY".to_owned();
            while let Some(word) = words.next_if(|word| matches!(*word, "NC" | "ND" | "SA")) {
                elements = format!("{elements}-{word}");
            }
            kind_of(&elements)?
        }
        _ => return None,
    };
    Some((kind, words.map(str::to_owned).collect()))
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
            (
                "Public domain",
                "https://creativecommons.org/publicdomain/mark/1.0/",
                "Public domain",
            ),
            (
                "CC BY-SA 3.0,2.5",
                "https://creativecommons.org/licenses/by-sa/3.0/",
                "CC BY-SA 3.0,2.5",
            ),
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
            ("Public domain", "https://creativecommons.org/licenses/by/4.0/"),
            ("GFDL 1.2", "https://creativecommons.org/licenses/by-sa/3.0/"),
            ("CC BY-NC 3.0,2.5", "https://creativecommons.org/licenses/by/3.0/"),
            ("CC BY-SA", "https://www.example.org/"),
        ] {
            assert_eq!(license(name, url), None, "{name} at {url}");
        }
    }
}
