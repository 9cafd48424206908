//! [`Filter`]: which images may be found, by their metadata.

use std::fmt;
use std::ops::RangeInclusive;

use crate::reference::Metadata;

/// Which images may be found. Every clause must hold; without clauses, every image passes.
///
/// Unknown metadata fulfils no clause: an image without a license does not pass
/// [`licenses`](Self::licenses). Texts are compared exactly, including case.
///
/// ```
/// use imagerag::reference::{Filter, Metadata};
///
/// let filter = Filter::all().licenses(["CC0-1.0", "CC-BY-4.0"]).width(512..=4096);
/// assert_eq!(filter.to_string(), "license in [CC0-1.0, CC-BY-4.0] and width in 512..=4096");
/// let license = Some("CC0-1.0".into());
/// assert!(filter.matches(&Metadata { license, width: Some(640), ..Metadata::default() }));
/// assert!(!filter.matches(&Metadata::default()));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Filter {
    clauses: Vec<Clause>,
}

/// One condition of a [`Filter`].
///
/// A retriever over a service turns clauses into the service's own language:
/// ```
/// use std::ops::RangeInclusive;
/// use imagerag::reference::{Clause, Filter};
///
/// /// The condition in SQL; `None` leaves it to [`Filter::matches`] afterwards.
/// fn sql(clause: &Clause) -> Option<String> {
///     let between = |column, pixels: &RangeInclusive<u32>| {
///         format!("{column} BETWEEN {} AND {}", pixels.start(), pixels.end())
///     };
///     match clause {
///         Clause::Width(pixels) => Some(between("width", pixels)),
///         Clause::Height(pixels) => Some(between("height", pixels)),
///         _ => None,
///     }
/// }
///
/// let filter = Filter::all().width(512..=4096).authors(["M. Sibylla Merian"]);
/// let conditions: Vec<_> = filter.clauses().iter().filter_map(sql).collect();
/// assert_eq!(conditions, ["width BETWEEN 512 AND 4096"]);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Clause {
    /// The license is one of these.
    License(Vec<String>),
    /// The author is one of these.
    Author(Vec<String>),
    /// The caption holds this text.
    Caption(String),
    /// The width is in this range, in pixels.
    Width(RangeInclusive<u32>),
    /// The height is in this range, in pixels.
    Height(RangeInclusive<u32>),
    /// A field of [`Metadata::json`] has this value.
    #[cfg(feature = "serde")]
    Field {
        /// The field's name, at the top level of the object.
        name: String,
        /// Its value.
        equals: FieldValue,
    },
}

/// The value of a JSON field.
///
/// ```
/// use imagerag::reference::{FieldValue, Filter, Metadata};
///
/// let filter = Filter::all().field("nsfw", false).field("lang", FieldValue::Text("en".into()));
/// let json = Some(r#"{"lang": "en", "nsfw": false}"#.into());
/// assert!(filter.matches(&Metadata { json, ..Metadata::default() }));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(untagged))]
#[cfg(feature = "serde")]
pub enum FieldValue {
    /// `true` or `false`.
    Bool(bool),
    /// A number; whole numbers are exact to 2^53.
    Number(f64),
    /// A text.
    Text(String),
}

impl Filter {
    /// Lets every image through.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only images under one of the licenses `allowed`, such as `CC0-1.0`.
    #[must_use]
    pub fn licenses<T: Into<String>>(self, allowed: impl IntoIterator<Item = T>) -> Self {
        self.with(Clause::License(allowed.into_iter().map(Into::into).collect()))
    }

    /// Only images by one of the authors `allowed`.
    #[must_use]
    pub fn authors<T: Into<String>>(self, allowed: impl IntoIterator<Item = T>) -> Self {
        self.with(Clause::Author(allowed.into_iter().map(Into::into).collect()))
    }

    /// Only images whose caption holds `text`.
    #[must_use]
    pub fn caption(self, text: impl Into<String>) -> Self {
        self.with(Clause::Caption(text.into()))
    }

    /// Only images whose width is in `pixels`.
    #[must_use]
    pub fn width(self, pixels: RangeInclusive<u32>) -> Self {
        self.with(Clause::Width(pixels))
    }

    /// Only images whose height is in `pixels`.
    #[must_use]
    pub fn height(self, pixels: RangeInclusive<u32>) -> Self {
        self.with(Clause::Height(pixels))
    }

    /// Only images whose [`Metadata::json`] has a field `name` that equals `value`.
    #[cfg(feature = "serde")]
    #[must_use]
    pub fn field(self, name: impl Into<String>, value: impl Into<FieldValue>) -> Self {
        self.with(Clause::Field { name: name.into(), equals: value.into() })
    }

    /// Only images that fulfil `clause` too.
    #[must_use]
    pub fn with(mut self, clause: Clause) -> Self {
        self.clauses.push(clause);
        self
    }

    /// The conditions, all of which must hold.
    pub fn clauses(&self) -> &[Clause] {
        &self.clauses
    }

    /// Whether every image is let through.
    pub fn is_all(&self) -> bool {
        self.clauses.is_empty()
    }

    /// Whether the image that `metadata` describes may be found.
    pub fn matches(&self, metadata: &Metadata) -> bool {
        self.clauses.iter().all(|clause| clause.matches(metadata))
    }
}

impl Clause {
    fn matches(&self, metadata: &Metadata) -> bool {
        let listed = |allowed: &[String], found: &Option<String>| {
            found.as_ref().is_some_and(|found| allowed.contains(found))
        };
        match self {
            Self::License(allowed) => listed(allowed, &metadata.license),
            Self::Author(allowed) => listed(allowed, &metadata.author),
            Self::Caption(text) => metadata.caption.as_ref().is_some_and(|c| c.contains(text)),
            Self::Width(range) => metadata.width.is_some_and(|width| range.contains(&width)),
            Self::Height(range) => metadata.height.is_some_and(|height| range.contains(&height)),
            #[cfg(feature = "serde")]
            Self::Field { name, equals } => {
                let object: Option<serde_json::Map<String, serde_json::Value>> =
                    metadata.json.as_ref().and_then(|text| serde_json::from_str(text).ok());
                object.as_ref().and_then(|o| o.get(name)).is_some_and(|found| equals.is(found))
            }
        }
    }
}

#[cfg(feature = "serde")]
impl FieldValue {
    fn is(&self, found: &serde_json::Value) -> bool {
        match self {
            Self::Bool(value) => found.as_bool() == Some(*value),
            Self::Number(value) => found.as_f64() == Some(*value),
            Self::Text(value) => found.as_str() == Some(value),
        }
    }
}

#[cfg(feature = "serde")]
macro_rules! field_value_from {
    ($($variant:ident: $($from:ty),*;)*) => {$($(
        impl From<$from> for FieldValue {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )*)*};
}
#[cfg(feature = "serde")]
field_value_from! { Bool: bool; Number: f64, f32, i32, u32; Text: String, &str; }

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return f.write_str("all images");
        }
        let clauses: Vec<String> = self.clauses.iter().map(Clause::to_string).collect();
        f.write_str(&clauses.join(" and "))
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::License(allowed) => write!(f, "license in [{}]", allowed.join(", ")),
            Self::Author(allowed) => write!(f, "author in [{}]", allowed.join(", ")),
            Self::Caption(text) => write!(f, "caption holds {text:?}"),
            Self::Width(range) => write!(f, "width in {range:?}"),
            Self::Height(range) => write!(f, "height in {range:?}"),
            #[cfg(feature = "serde")]
            Self::Field { name, equals } => match equals {
                FieldValue::Bool(value) => write!(f, "{name} = {value}"),
                FieldValue::Number(value) => write!(f, "{name} = {value}"),
                FieldValue::Text(value) => write!(f, "{name} = {value:?}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described() -> Metadata {
        Metadata {
            license: Some("CC0-1.0".into()),
            author: Some("Ada".into()),
            caption: Some("a quetzal on a branch".into()),
            width: Some(640),
            height: Some(480),
            json: Some(r#"{"lang": "en", "nsfw": false, "likes": 12}"#.into()),
            ..Metadata::default()
        }
    }

    #[test]
    fn every_clause_must_hold() {
        let cases = [
            (Filter::all(), true),
            (Filter::all().licenses(["MIT", "CC0-1.0"]), true),
            (Filter::all().licenses(["cc0-1.0"]), false),
            (Filter::all().licenses::<&str>([]), false),
            (Filter::all().authors(["Ada"]), true),
            (Filter::all().authors(["Ada"]).licenses(["MIT"]), false),
            (Filter::all().caption("quetzal"), true),
            (Filter::all().caption("Quetzal"), false),
            (Filter::all().width(640..=640).height(1..=480), true),
            (Filter::all().width(641..=u32::MAX), false),
            (Filter::all().height(1..=479), false),
        ];
        for (filter, expected) in cases {
            assert_eq!(filter.matches(&described()), expected, "{filter}");
            assert_eq!(filter.matches(&Metadata::default()), filter.is_all(), "{filter}");
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn fields_are_compared_by_type_and_value() {
        let field = |name: &str, value: FieldValue| Filter::all().field(name, value);
        let cases = [
            (field("lang", "en".into()), true),
            (field("nsfw", false.into()), true),
            (field("likes", 12.into()), true),
            (field("likes", "12".into()), false),
            (field("nsfw", true.into()), false),
            (field("none", "en".into()), false),
        ];
        for (filter, expected) in cases {
            assert_eq!(filter.matches(&described()), expected, "{filter}");
        }
        let broken = Metadata { json: Some("{".into()), ..Metadata::default() };
        assert!(!field("lang", "en".into()).matches(&broken));
    }

    #[cfg(feature = "serde")]
    #[test]
    fn survives_json() {
        let filter = Filter::all().licenses(["MIT"]).width(1..=2).field("nsfw", false);
        let text = serde_json::to_string(&filter).unwrap();
        assert_eq!(serde_json::from_str::<Filter>(&text).unwrap(), filter);
    }
}
