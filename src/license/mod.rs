//! What services call a license, and what they link to, to one spelling of it: SPDX's, such as
//! `CC-BY-SA-4.0`.

mod link;
mod name;
#[cfg(test)]
mod tests;

/// The elements of licenses of Creative Commons, as their names abbreviate them.
const ELEMENTS: [&str; 4] = ["BY", "NC", "ND", "SA"];

/// The laws that licenses of Creative Commons were adapted to ("ported"), up to version 3.0: `igo` is for
/// organisations of several states. By `i18n/__init__.py` of
/// <https://github.com/creativecommons/cc-legal-tools-app>, without those that have no license.
const JURISDICTIONS: [&str; 63] = [
    "AM", "AR", "AT", "AU", "AZ", "BE", "BG", "BR", "CA", "CH", "CL", "CN", "CO", "CR", "CZ", "DE",
    "DK", "EC", "EE", "EG", "ES", "FI", "FR", "GE", "GR", "GT", "HK", "HR", "HU", "IE", "IGO",
    "IL", "IN", "IT", "JP", "KR", "LU", "MK", "MT", "MX", "MY", "NL", "NO", "NZ", "PE", "PH", "PL",
    "PR", "PT", "RO", "RS", "SCOTLAND", "SE", "SG", "SI", "TH", "TW", "UG", "UK", "US", "VE", "VN",
    "ZA",
];

/// What a name or a link says of a license.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Nothing.
    Nothing,
    /// That it is this one of Creative Commons.
    License(CreativeCommons),
    /// The same by a title that others have too, such as `Attribution`: a link tells whose it is.
    Title(CreativeCommons),
    /// The same by nothing but a code, such as `by` or `0`.
    Code(CreativeCommons),
    /// Several versions of one kind.
    Versions(&'static str),
    /// A license of another kind.
    Other,
    /// One of Creative Commons, but not clearly which.
    Unclear,
}

/// What is said of a license of Creative Commons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CreativeCommons {
    /// `BY`, `BY-SA`, …, `0` or `PDM`.
    kind: &'static str,
    version: Option<&'static str>,
    /// Of a version that was adapted to a law, such as `DE`; empty where it is said that there is none.
    jurisdiction: Option<&'static str>,
}

/// The license that a service calls `name`, such as `CC BY-SA 4.0` or `Creative Commons Attribution 4.0
/// International`, and says to be found at `url`.
///
/// What is of Creative Commons is spelled as SPDX does it, with the jurisdiction behind it where the
/// license has one (SPDX lists some of these). Any other name stays as it is. There is no license where
/// name and address are of different ones, or where it is not clear which license or version is meant.
pub(crate) fn license(name: &str, url: &str) -> Option<String> {
    use Reading::{Code, License, Nothing, Other, Title, Versions};
    let name = name.trim();
    let as_it_is = || Some(name.to_owned());
    match (name::read(name), link::read(url)) {
        (License(named) | Title(named) | Code(named), License(linked)) => {
            named.agreed(linked)?.spdx()
        }
        (License(said), Nothing) | (Nothing, License(said)) => said.spdx(),
        (Title(_) | Versions(_), Nothing) | (Other, Nothing | Other) => as_it_is(),
        (Versions(kind), License(linked)) if kind == linked.kind => as_it_is(),
        (Other, License(linked)) if name.eq_ignore_ascii_case("public domain") => {
            // It gives up or denies all rights.
            linked.is_of_no_law().then(as_it_is)?
        }
        (Other, License(linked)) if name.eq_ignore_ascii_case("public domain dedication") => {
            // iNaturalist's name for CC0.
            (linked.kind == "0").then(|| linked.spdx())?
        }
        _ => None,
    }
}

impl CreativeCommons {
    /// Its name; `None` where the version is not known.
    fn spdx(self) -> Option<String> {
        let Self { kind, version, jurisdiction } = self;
        // There is one version of these.
        let version = version.or_else(|| self.is_of_no_law().then_some("1.0"))?;
        let name = match kind {
            "0" => format!("CC0-{version}"),
            kind => format!("CC-{kind}-{version}"),
        };
        let jurisdiction = jurisdiction.filter(|law| !law.is_empty());
        Some(jurisdiction.iter().fold(name, |name, law| format!("{name}-{law}")))
    }

    /// Whether it is one of those about works in the public domain, which are the same everywhere.
    fn is_of_no_law(self) -> bool {
        matches!(self.kind, "0" | "PDM")
    }

    /// What this and `other` say together, if that is of one license.
    fn agreed(self, other: Self) -> Option<Self> {
        fn same(one: Option<&str>, other: Option<&str>) -> bool {
            one.is_none() || other.is_none() || one == other
        }
        let is_same = self.kind == other.kind
            && same(self.version, other.version)
            && same(self.jurisdiction, other.jurisdiction);
        is_same.then(|| Self {
            version: self.version.or(other.version),
            jurisdiction: self.jurisdiction.or(other.jurisdiction),
            ..self
        })
    }

    /// The version of this kind that is written `text`.
    fn version(self, text: &str) -> Option<&'static str> {
        const VERSIONS: [&str; 6] = ["1.0", "2.0", "2.1", "2.5", "3.0", "4.0"];
        let all = if self.is_of_no_law() { &VERSIONS[..1] } else { &VERSIONS[..] };
        all.iter().find(|version| **version == text).copied()
    }

    /// The jurisdiction of this kind and version that is written `code`.
    fn jurisdiction(self, code: &str) -> Option<&'static str> {
        let is_ported = !self.is_of_no_law() && self.version != Some("4.0");
        JURISDICTIONS.iter().find(|law| is_ported && law.eq_ignore_ascii_case(code)).copied()
    }
}

/// The kind of the licenses with these `elements`, in whatever order.
fn kind_of<'a>(elements: impl IntoIterator<Item = &'a str>) -> Option<&'static str> {
    let mut has = [false; ELEMENTS.len()];
    for element in elements {
        has[ELEMENTS.iter().position(|known| known.eq_ignore_ascii_case(element))?] = true;
    }
    Some(match has {
        [true, false, false, false] => "BY",
        [true, false, false, true] => "BY-SA",
        [true, false, true, false] => "BY-ND",
        [true, true, false, false] => "BY-NC",
        [true, true, false, true] => "BY-NC-SA",
        [true, true, true, false] => "BY-NC-ND",
        _ => return None,
    })
}

/// Whether `word` is the code of a language, such as `en` or `zh-hans`, in which Creative Commons explains
/// a license.
fn is_language(word: &str) -> bool {
    let code = word.split(['-', '_', '.']).next().unwrap_or_default();
    code.len() == 2
        && code.bytes().all(|byte| byte.is_ascii_alphabetic())
        && !ELEMENTS.iter().any(|element| element.eq_ignore_ascii_case(code))
}
